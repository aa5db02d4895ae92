import { IntelNic } from "./nic";
import {
  CTRL,
  CTRL_ASDE,
  CTRL_FD,
  CTRL_FRCDPLX,
  CTRL_FRCSPD,
  CTRL_PHY_RST,
  CTRL_RFCE,
  CTRL_RST,
  CTRL_SLU,
  CTRL_TFCE,
  CTRL_VME,
  FCAH,
  FCAL,
  FCT,
  FCTTV,
  ICR,
  IMC,
  RCTL,
  RCTL_EN,
  STATISTICS,
  STATISTICS_LAST,
  TCTL,
  TCTL_PSP,
} from "./registers";

/** What is done before and after CTRL.RST (SDM 14.2, 14.3; 82574 4.6). */

/** No interrupts, and neither unit takes up anything new. */
export function quiet(nic: IntelNic): void {
  nic.write(IMC, 0xffff_ffff);
  if (nic.read(RCTL) & RCTL_EN) nic.write(RCTL, 0);
  nic.write(TCTL, TCTL_PSP);
}

/**
 * Speed and duplex come from the PHY; no PAUSE, no VLAN tags taken out; counters start at zero. `off`:
 * more bits of CTRL to clear.
 */
export function settle(nic: IntelNic, off: u32): void {
  nic.write(IMC, 0xffff_ffff);
  nic.read(ICR);
  off |= CTRL_FRCSPD | CTRL_FRCDPLX | CTRL_RFCE | CTRL_TFCE | CTRL_VME | CTRL_PHY_RST | CTRL_RST;
  nic.write(CTRL, (nic.read(CTRL) & ~off) | CTRL_FD | CTRL_ASDE | CTRL_SLU);
  nic.write(FCAL, 0);
  nic.write(FCAH, 0);
  nic.write(FCT, 0);
  nic.write(FCTTV, 0);
  for (let at = STATISTICS; at <= STATISTICS_LAST; at += 4) nic.read(at);
}
