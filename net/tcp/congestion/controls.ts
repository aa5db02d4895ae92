import { textEquals, textFind } from "../../../kernel/text";

/** The congestion controls there are, by number and by name. */

/** What `Tcb.congestion` holds. */
export const enum CongestionId {
  Cubic = 0,
  NewReno = 1,
  Vegas = 2,
  Bbr = 3,
}
export const CONTROLS: u32 = 4;

/** The name of a control, as Linux's TCP_CONGESTION has it. */
export function congestionName(id: u32): string {
  switch (id) {
    case CongestionId.NewReno:
      return "reno";
    case CongestionId.Vegas:
      return "vegas";
    case CongestionId.Bbr:
      return "bbr";
    default:
      return "cubic";
  }
}

/** Bytes of a name, its final zero included (Linux's TCP_CA_NAME_MAX). */
export const CONGESTION_NAME: u32 = 16;

/** Writes a control's name to `into`: at most `CONGESTION_NAME` - 1 bytes, no zero behind them. */
export function putCongestionName(id: u32, into: usize): void {
  const name = congestionName(id);
  for (let i = 0; i < name.length; i++) store<u8>(into + i, <u8>name.charCodeAt(i));
}

/** The control of this name (ASCII, up to a zero if there is one), or -1 if there is none. */
export function congestionNamed(name: usize, length: u32): i32 {
  length = textFind(name, length, 0);
  for (let id: u32 = 0; id < CONTROLS; id++) {
    if (textEquals(name, length, congestionName(id))) return id;
  }
  return -1;
}
