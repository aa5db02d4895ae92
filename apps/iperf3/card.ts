import { Feature, deviceAt, deviceCount } from "../../drivers/device";
import { info } from "../../kernel/log";

/**
 * What a test asked of the cards: with many descriptors to a doorbell and to an interrupt, a card and
 * its driver seldom disturb each other.
 */

/** Counters of all cards together, as the last call left them. */
let received: u64 = 0;
let receiveDoorbells: u64 = 0;
let receiveInterrupts: u64 = 0;
let sent: u64 = 0;
let transmitDoorbells: u64 = 0;

/** Begins to count anew. */
export function cardCount(): void {
  received = 0;
  receiveDoorbells = 0;
  receiveInterrupts = 0;
  sent = 0;
  transmitDoorbells = 0;
  for (let i: u32 = 0; i < deviceCount(); i++) {
    const device = deviceAt(i);
    if (device.features & Feature.Loopback) continue;
    received += device.receiveDescriptors;
    receiveDoorbells += device.receiveDoorbells;
    receiveInterrupts += device.receiveInterrupts;
    sent += device.transmitDescriptors;
    transmitDoorbells += device.transmitDoorbells;
  }
}

/** Logs what there has been since `cardCount`. */
export function cardReport(): void {
  const receivedBefore = received;
  const receiveDoorbellsBefore = receiveDoorbells;
  const receiveInterruptsBefore = receiveInterrupts;
  const sentBefore = sent;
  const transmitDoorbellsBefore = transmitDoorbells;
  cardCount();
  info("iperf3")
    .text("card")
    .key("received")
    .number(received - receivedBefore)
    .key("doorbells")
    .number(receiveDoorbells - receiveDoorbellsBefore)
    .key("interrupts")
    .number(receiveInterrupts - receiveInterruptsBefore)
    .key("sent")
    .number(sent - sentBefore)
    .key("doorbells")
    .number(transmitDoorbells - transmitDoorbellsBefore)
    .end();
}
