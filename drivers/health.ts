import { warn } from "../kernel/log";
import { Device } from "./device";

/**
 * Whether devices still do what they are asked, found out from their counters, so that no driver
 * has to look for itself.
 */

/** Checks in a row without progress after which a transmitter counts as hung. */
const STUCK_CHECKS: u32 = 2;

/** Once a second, in `now` of the kernel's clock: the driver's own check, then what it means. */
export function healthCheck(device: Device, now: u64): void {
  device.check(now);
  checkTransmit(device);
}

/** A queue with descriptors in it moves, unless there is no link, which is no fault of its own. */
function checkTransmit(device: Device): void {
  const queued = device.transmitDescriptors - device.transmitDone;
  const stuck = queued != 0 && device.transmitDone == device.doneSeen && device.linkUp;
  device.doneSeen = device.transmitDone;
  device.stuckChecks = stuck ? device.stuckChecks + 1 : 0;
  if (device.stuckChecks < STUCK_CHECKS) return;
  device.stuckChecks = 0;
  device
    .nameIn(warn("net"))
    .text(" transmitter hung, resetting")
    .key("queued")
    .number(queued)
    .end();
  device.reset();
}
