import { warn } from "../../kernel/log";
import { Device, MULTICAST_MAX } from "../device";
import { deviceMemory } from "../device-memory";
import { LIED, Virtqueue } from "./queue";

/**
 * The control queue of a virtio network device (Virtual I/O Device 1.2, 5.1.6.5): what it is to receive.
 *
 * A command is what the device reads (class, number, data) and a byte for its answer. Nothing waits for
 * an answer here: it is looked for when the device is polled, and a change that comes meanwhile is sent after it.
 */

/** Classes and their commands. */
const CTRL_RX: u32 = 0;
const CTRL_RX_PROMISC: u32 = 0;
const CTRL_RX_ALLMULTI: u32 = 1;
const CTRL_MAC: u32 = 1;
const CTRL_MAC_TABLE_SET: u32 = 0;
const CTRL_MAC_ADDR_SET: u32 = 1;

/** Answers; the device writes one of them. */
const CTRL_OK: u8 = 0;
const NO_ANSWER: u8 = 0xff;

/** Place of a command: class, number, data; and at the end the answer. */
const COMMAND_DATA: u32 = 2;
const COMMAND_ANSWER: u32 = 255;
const COMMAND_BYTES: u32 = 256;
/** Commands under way at most: promiscuous, all groups, table, address. */
const COMMANDS: u32 = 4;
/** Bytes of an address in a table, and of the count before them. */
const ADDRESS_BYTES: u32 = 6;
const COUNT_BYTES: u32 = 4;

/** Polls that come once a second at least, without an answer, after which the queue counts as stuck. */
const STUCK_CHECKS: u32 = 2;


@unmanaged
export class Control {
  queue: Virtqueue;
  /** `COMMANDS` commands of `COMMAND_BYTES`. */
  private commands: usize;
  /** The device has a receive filter to set (F_CTRL_RX). */
  private filters: bool;
  /** A change came while commands were under way. */
  private again: bool;
  private issued: u32;
  private underWay: u32;
  private waits: u32;

  /** The queue has been cleared, and is to be used: nothing is under way. False without memory. */
  open(device: Device, filters: bool): bool {
    assert(COMMAND_DATA + 2 * COUNT_BYTES + MULTICAST_MAX * ADDRESS_BYTES <= COMMAND_ANSWER);
    if (!this.commands) this.commands = deviceMemory(device, COMMANDS * COMMAND_BYTES, 64);
    this.filters = filters;
    this.again = false;
    this.issued = 0;
    this.underWay = 0;
    this.waits = 0;
    return this.commands != 0;
  }

  /** Tells the device its address (5.1.6.5.2). Only right after `open`. */
  setAddress(mac: u64): void {
    const data = this.begin(CTRL_MAC, CTRL_MAC_ADDR_SET);
    storeAddress(data, mac);
    this.end(data + ADDRESS_BYTES);
    this.send();
  }

  /** Asks for what the device is to receive: its own address, the groups, or more (5.1.6.5.1). */
  setReceiveMode(device: Device): void {
    if (!this.filters) return;
    // Its own address may be on its way, which leaves room for the rest.
    if (this.underWay > 1) {
      this.again = true;
      return;
    }
    this.flag(CTRL_RX_PROMISC, device.promiscuous);
    this.flag(CTRL_RX_ALLMULTI, device.allMulticast);
    let at = this.begin(CTRL_MAC, CTRL_MAC_TABLE_SET);
    // No further addresses of one station, then the groups.
    store<u32>(at, 0);
    store<u32>(at + COUNT_BYTES, device.multicastCount);
    at += 2 * COUNT_BYTES;
    for (let i: u32 = 0; i < device.multicastCount; i++) {
      storeAddress(at, load<u64>(device.multicast + (i << 3)));
      at += ADDRESS_BYTES;
    }
    this.end(at);
    this.send();
  }

  private flag(command: u32, on: bool): void {
    const data = this.begin(CTRL_RX, command);
    store<u8>(data, <u8>on);
    this.end(data + 1);
  }

  /** Begins a command; returns where its data goes. */
  private begin(kind: u32, command: u32): usize {
    const at = this.place();
    store<u8>(at, <u8>kind);
    store<u8>(at + 1, <u8>command);
    store<u8>(at + COMMAND_ANSWER, NO_ANSWER);
    return at + COMMAND_DATA;
  }

  /** Where the command goes that is issued next. */
  private place(): usize {
    return this.commands + (this.issued & (COMMANDS - 1)) * COMMAND_BYTES;
  }

  /** Makes the command whose data ends at `end` available. */
  private end(end: usize): void {
    const queue = this.queue;
    const at = this.place();
    const head = queue.takeFree();
    queue.describeMore(head, at, <u32>(end - at));
    queue.describeWritten(queue.takeFree(), at + COMMAND_ANSWER, 1);
    queue.offer(head, 2, at);
    this.issued++;
    this.underWay++;
  }

  private send(): void {
    if (this.queue.publish()) this.queue.ring();
  }

  /** Takes the answers that have come. Cost: a test when nothing is under way. */
  @inline poll(device: Device): void {
    if (this.underWay) this.answers(device);
  }

  private answers(device: Device): void {
    const queue = this.queue;
    const ready = queue.ready();
    if (ready == LIED) return;
    for (let i: u32 = 0; i < ready; i++) {
      const head = queue.take();
      if (head == LIED) return;
      const at = queue.carriedBy(head);
      queue.release(head);
      this.underWay--;
      this.waits = 0;
      if (load<u8>(at + COMMAND_ANSWER) != CTRL_OK) {
        device
          .nameIn(warn("net"))
          .text(" the device refuses a change of what it receives")
          .key("class")
          .number(load<u8>(at))
          .key("command")
          .number(load<u8>(at + 1))
          .end();
      }
    }
    if (this.underWay || !this.again) return;
    this.again = false;
    this.setReceiveMode(device);
  }

  /** To be asked once a second: whether answers are long overdue. */
  get stuck(): bool {
    if (!this.underWay) return false;
    return ++this.waits > STUCK_CHECKS;
  }
}

/** The 48 bits of an address, in the order of the wire. */
function storeAddress(at: usize, mac: u64): void {
  store<u16>(at, bswap<u16>(<u16>(mac >> 32)));
  store<u32>(at + 2, bswap<u32>(<u32>mac));
}
