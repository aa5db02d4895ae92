import { panic as hostPanic } from "./host";

const TEXT_MAX: u32 = 512;
const buffer: usize = memory.data(512);

function append(at: u32, text: string): u32 {
  const room = TEXT_MAX - at;
  const length = min<u32>(text.length, room);
  for (let i: u32 = 0; i < length; i++) {
    const unit = load<u16>(changetype<usize>(text) + ((<usize>i) << 1));
    store<u8>(buffer + at + i, unit < 0x80 ? unit : 0x3f);
  }
  return at + length;
}

function appendNumber(at: u32, value: u32): u32 {
  if (value >= 10) at = appendNumber(at, value / 10);
  if (at < TEXT_MAX) store<u8>(buffer + at++, 0x30 + (value % 10));
  return at;
}

/** Stops the machine: an invariant that the kernel rests on does not hold. */
export function panic(text: string): void {
  hostPanic(buffer, append(0, text));
  unreachable();
}

/** What AssemblyScript calls for a failed `assert`; named by `--use abort=` in asconfig.json. */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  let at = append(0, message === null ? "assertion failed" : message);
  if (file !== null) {
    at = append(at, " at ");
    at = append(at, file);
    at = append(at, ":");
    at = appendNumber(at, line);
    at = append(at, ":");
    at = appendNumber(at, column);
  }
  hostPanic(buffer, at);
  unreachable();
}
