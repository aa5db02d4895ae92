import { warn } from "../kernel/log";
import { SECOND } from "../kernel/timer";
import { Device, DeviceState, LINK_LINES } from "./device";
import { deviceFailed, deviceGone, deviceRetry, deviceThere } from "./manager";

/**
 * Whether devices still do what they are asked, found out from their counters and their bus, so that
 * no driver has to look for itself. What does not is reset, at growing intervals; what resets do not
 * help is stopped, and started anew from time to time.
 *
 * A transmitter hangs when descriptors stay with it: with a link it always gets on. A receiver is deaf
 * when the device says that frames came, by its own counters or by interrupts, and none are to be had.
 */

/** Checks in a row without progress after which a queue counts as stuck. */
const STUCK_CHECKS: u8 = 2;

/** Resets in a row without any effect after which the device has failed; 1, 2, 4, … s lie between them. */
const ATTEMPTS_MOST: u32 = 5;

/** After so long without a change a link that flapped counts as still. */
const LINK_STILL: u64 = 10 * SECOND;

/** What a device was last reset for. */
const enum Trouble {
  Hung = 1,
  Deaf = 2,
}

/** Once a second, in `now` of the kernel's clock. */
export function healthCheck(device: Device, now: u64): void {
  if (device.state == DeviceState.Failed || device.state == DeviceState.Gone) {
    return deviceRetry(device);
  }
  if (device.state != DeviceState.Running) return;
  if (!deviceThere(device)) return deviceGone(device);
  device.check(now);
  checkLink(device, now);
  const hung = checkTransmit(device);
  const deaf = checkReceive(device);
  if (hung) recover(device, now, Trouble.Hung);
  else if (deaf) recover(device, now, Trouble.Deaf);
  device.doneSeen = device.transmitDone;
  device.receivedSeen = received(device);
  device.arrivedSeen = device.receiveArrived + device.receiveDropped;
  device.receiveInterruptsSeen = device.receiveInterrupts;
}

/** Whether the transmitter hangs. Without a link nothing is sent, which is no fault of its own. */
function checkTransmit(device: Device): bool {
  const moved = device.transmitDone != device.doneSeen;
  if (moved && device.trouble == Trouble.Hung) device.attempts = 0;
  const stuck = device.transmitDone != device.transmitDescriptors && !moved && device.linkUp;
  device.stuckChecks = stuck ? device.stuckChecks + 1 : 0;
  return device.stuckChecks >= STUCK_CHECKS;
}


@inline function received(device: Device): u64 {
  return device.receivedPackets + device.receiveErrors;
}

/** Whether the receiver is deaf. Frames lost for want of our own memory are no sign of it. */
function checkReceive(device: Device): bool {
  const moved = received(device) != device.receivedSeen;
  if (moved && device.trouble == Trouble.Deaf) device.attempts = 0;
  const told =
    device.receiveArrived + device.receiveDropped != device.arrivedSeen ||
    device.receiveInterrupts != device.receiveInterruptsSeen;
  device.deafChecks = told && !moved ? device.deafChecks + 1 : 0;
  return device.deafChecks >= STUCK_CHECKS;
}

/** Resets the device, if it is time for another try; gives it up when tries are of no use. */
function recover(device: Device, now: u64, trouble: Trouble): void {
  if (now < device.retryAt) return;
  if (device.attempts == ATTEMPTS_MOST) return deviceFailed(device);
  device.retryAt = now + (SECOND << device.attempts);
  device.attempts++;
  device.trouble = trouble;
  device.stuckChecks = 0;
  device.deafChecks = 0;
  const line = device.nameIn(warn("net"));
  if (trouble == Trouble.Hung) {
    line.text(" transmitter hung, resetting").key("queued");
    line.number(device.transmitDescriptors - device.transmitDone);
  } else line.text(" receiver deaf, resetting").key("arrived").number(device.receiveArrived);
  if (device.attempts > 1) line.key("attempt").number(device.attempts);
  line.end();
  device.reset();
}

/** Tells where a link that flapped has come to rest, and lets it be told of again. */
function checkLink(device: Device, now: u64): void {
  if (now - device.linkChangedAt < LINK_STILL) return;
  if (device.linkUntold) device.sayLink();
  device.linkLines = LINK_LINES;
}
