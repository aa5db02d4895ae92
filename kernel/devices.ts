import { DeviceCommand, DeviceFlag, Layout } from "../sdk/assembly/syscalls";
import { Found } from "../drivers/bus";
import { Device, DeviceState, Feature, deviceAt, deviceCount } from "../drivers/device";
import { devicePresent, deviceLoad, deviceUnload, devicesRescan } from "../drivers/manager";
import { Errno } from "./errno";

/** What programs may ask of devices: the system calls of that name (sdk/assembly/syscalls.ts). */

/** Devices in the table. */
export function count(): i32 {
  return deviceCount();
}

/** Writes what there is to know of device `index` to the `Layout.Device` bytes at `into`. */
export function info(index: u32, into: usize): i32 {
  if (index >= deviceCount()) return -Errno.ENODEV;
  const device = deviceAt(index);
  memory.fill(into, 0, Layout.Device);
  store<u32>(into, device.state);
  store<u32>(into, flagsOf(device), 4);
  store<u32>(into, device.speed, 8);
  store<u32>(into, device.mtu, 12);
  store<u64>(into, device.mac, 16);
  if (device.found) {
    const found = changetype<Found>(device.found);
    store<u32>(into, found.kind, 24);
    store<u32>(into, found.address, 28);
    store<u32>(into, found.id, 32);
  }
  store<u32>(into, device.line, 36);
  store<u32>(into, device.failures, 40);
  store<u32>(into, device.number, 44);
  copyText(into + 48, device.driver, 16);
  copyText(into + 64, device.model, 32);
  device.nameTo(into + 96);
  return Layout.Device;
}

function flagsOf(device: Device): u32 {
  let flags: u32 = 0;
  if (device.linkUp) flags |= DeviceFlag.Link;
  if (device.fullDuplex) flags |= DeviceFlag.FullDuplex;
  if (device.promiscuous) flags |= DeviceFlag.Promiscuous;
  if (device.allMulticast) flags |= DeviceFlag.AllMulticast;
  if (device.features & Feature.Loopback) flags |= DeviceFlag.Loopback;
  return flags;
}

/** ASCII, cut to `room`. */
function copyText(into: usize, text: string, room: i32): void {
  for (let i = 0, n = min<i32>(text.length, room); i < n; i++) {
    store<u8>(into + i, text.charCodeAt(i));
  }
}

/** The address of device `index`'s counters, as `Statistics.Device` lays them out, or 0. */
export function counters(index: u32): usize {
  if (index >= deviceCount()) return 0;
  return changetype<usize>(deviceAt(index)) + offsetof<Device>("receivedPackets");
}

/** Bytes of them. */
export function countersLength(): u32 {
  return offsetof<Device>("resets") + 8 - offsetof<Device>("receivedPackets");
}

/** Does what `command` says; see `DeviceCommand`. */
export function control(index: u32, command: u32, value: u32): i32 {
  if (index >= deviceCount()) return -Errno.ENODEV;
  const device = deviceAt(index);
  const runs = device.state == DeviceState.Running;
  if (device.features & Feature.Virtual) return -Errno.EOPNOTSUPP;
  switch (command) {
    case DeviceCommand.Load:
      if (runs) return -Errno.EALREADY;
      if (!devicePresent(device)) return -Errno.ENXIO;
      return deviceLoad(device) ? 0 : -Errno.EIO;
    case DeviceCommand.Unload:
      if (device.state == DeviceState.Unloaded) return -Errno.EALREADY;
      deviceUnload(device);
      return 0;
    case DeviceCommand.Reset:
      if (!runs) return -Errno.ENETDOWN;
      device.reset();
      return 0;
    case DeviceCommand.Promiscuous:
    case DeviceCommand.AllMulticast:
      if (value > 1) return -Errno.EINVAL;
      if (command == DeviceCommand.Promiscuous) device.promiscuous = value != 0;
      else device.allMulticast = value != 0;
      device.setReceiveMode();
      return 0;
  }
  return -Errno.EINVAL;
}

/** Looks at the buses again; how many devices began or ceased to run. */
export function rescan(): i32 {
  return devicesRescan();
}
