import {
  DeviceCommand,
  DeviceFlag,
  DeviceStatus,
  Layout,
  Statistics,
  Syscall,
} from "../../sdk/assembly/syscalls.ts";
import type { Machine } from "./machine.ts";

/** What `DeviceInfo` says, in words. */
export interface DeviceInfo {
  state: DeviceStatus;
  linkUp: boolean;
  promiscuous: boolean;
  allMulticast: boolean;
  loopback: boolean;
  speed: number;
  mtu: number;
  mac: string;
  /** Bus and place on it. */
  bus: number;
  place: number;
  id: number;
  interrupt: number;
  failures: number;
  name: string;
  driver: string;
  model: string;
}

/** The counters of `Statistics.Device`, in their order. */
export const COUNTERS = [
  "receivedPackets",
  "receivedBytes",
  "receiveDescriptors",
  "receiveDoorbells",
  "receiveInterrupts",
  "receiveDropped",
  "receiveErrors",
  "receiveArrived",
  "sentPackets",
  "sentBytes",
  "transmitDescriptors",
  "transmitDone",
  "transmitDoorbells",
  "transmitErrors",
  "interrupts",
  "resets",
] as const;

export type DeviceCounters = Record<(typeof COUNTERS)[number], number>;

/** A machine's system calls for devices, with types. Results below 0 are `-errno`. */
export class Devices {
  constructor(readonly machine: Machine) {}

  count(): number {
    return this.machine.inquire(Syscall.DeviceCount);
  }

  info(index: number): DeviceInfo {
    const { machine } = this;
    const at = machine.scratch;
    const result = machine.inquire(Syscall.DeviceInfo, index, at);
    if (result !== Layout.Device) throw new Error(`DeviceInfo ${index}: ${result}`);
    const word = (offset: number) => machine.view.getUint32(at + offset, true);
    const text = (offset: number, length: number) =>
      new TextDecoder()
        .decode(machine.memory.slice(at + offset, at + offset + length))
        .replace(/\0+$/, "");
    const flags = word(4);
    const mac = machine.view
      .getBigUint64(at + 16, true)
      .toString(16)
      .padStart(12, "0");
    const loopback = !!(flags & DeviceFlag.Loopback);
    return {
      state: word(0),
      linkUp: !!(flags & DeviceFlag.Link),
      promiscuous: !!(flags & DeviceFlag.Promiscuous),
      allMulticast: !!(flags & DeviceFlag.AllMulticast),
      loopback,
      speed: word(8),
      mtu: word(12),
      mac: mac.match(/../g)!.join(":"),
      bus: word(24),
      place: word(28),
      id: word(32),
      interrupt: word(36),
      failures: word(40),
      name: text(96, 16),
      driver: text(48, 16),
      model: text(64, 32),
    };
  }

  counters(index: number): DeviceCounters {
    const { machine } = this;
    const length = COUNTERS.length * 8;
    const result = machine.inquire(
      Syscall.Statistics,
      Statistics.Device,
      machine.scratch,
      4096,
      index,
    );
    if (result !== length) throw new Error(`Statistics of device ${index}: ${result}`);
    const at = (i: number) => Number(machine.view.getBigUint64(machine.scratch + i * 8, true));
    return Object.fromEntries(COUNTERS.map((name, i) => [name, at(i)])) as DeviceCounters;
  }

  /** Bytes of RAM that the kernel has not reserved. */
  unreserved(): number {
    const { machine } = this;
    machine.inquire(Syscall.Statistics, Statistics.Resources, machine.scratch, 12);
    return machine.view.getUint32(machine.scratch + 8, true);
  }

  control(index: number, command: DeviceCommand, value = 0): number {
    return this.machine.syscall(Syscall.DeviceControl, index, command, value);
  }

  rescan(): number {
    return this.machine.syscall(Syscall.DeviceRescan);
  }
}
