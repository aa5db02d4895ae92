import { now } from "../kernel/clock";
import { idleOpen } from "../kernel/idle";
import { info, warn } from "../kernel/log";
import { SECOND } from "../kernel/timer";
import { Found } from "./bus";
import {
  busName,
  busesScan,
  describe,
  describeWhole,
  foundAt,
  foundCount,
  foundNetwork,
  foundPresent,
  foundRunning,
  foundSilence,
} from "./buses";
import { Device, DeviceState, LINES, NICS_MAX, addDevice, deviceAt, deviceCount } from "./device";
import { deviceMemoryRelease } from "./device-memory";
import { Chip, chipFor } from "./registry";

/**
 * NICs from the moment that a bus finds them: started, stopped and started again while the machine
 * runs, lost and found, each without a word to the others.
 *
 *                     ┌── unload ──► Unloaded ── load ──┐
 *                     │                                 ▼
 *     found ──► Running ── resets do not help ──► Failed ── a minute ──► started again
 *                     │                              ▲
 *                     └── does not answer ──► Gone ──┴─ answers again, or a rescan
 *
 * A NIC keeps its place in the table, and so its name, as long as it may come back to the slot that
 * it was found in. Names go up in the order of buses and slots.
 */

/** How long after a NIC could not be started, or has gone, it is tried again. */
const RETRY_INTERVAL: u64 = 60 * SECOND;

/** Bytes kept of what a bus found: the largest class of any bus. */
const FOUND_BYTES: u32 = 64;

const founds: usize = memory.data(48 * 64, 8);
let nics: u32 = 0;

/** Lists what the buses have on the console and starts what there is a driver for. */
export function devicesStart(): void {
  busesScan();
  for (let i: u32 = 0; i < foundCount(); i++) {
    const found = foundAt(i);
    const chip = chipFor(found);
    list(found, chip);
    if (chip !== null) add(found, chip);
  }
}

function list(found: Found, chip: Chip | null): void {
  if (!found.id) {
    describe(warn(busName(found)), found)
      .text(" there is no device at this address")
      .end();
    return;
  }
  const line = describeWhole(info(busName(found)), found);
  if (chip !== null) line.key("driver").text(chip.driver);
  line.end();
  if (chip === null && foundNetwork(found)) {
    describe(warn(busName(found)), found)
      .text(" no driver for this network device")
      .end();
  }
}

/** Gives what was found a place in the table and starts it. */
function add(found: Found, chip: Chip): void {
  const fresh = nics < NICS_MAX;
  const device = fresh ? addDevice() : goneDevice();
  if (device === null) {
    describe(warn("net"), found)
      .text(" not started: the table is full")
      .key("interfaces")
      .number(NICS_MAX)
      .end();
    return;
  }
  if (fresh) {
    device.number = <u8>nics;
    nics++;
  }
  bind(device, found, chip);
  start(device);
}

/** A place whose NIC has gone, for another: when there is no other. */
function goneDevice(): Device | null {
  for (let i: u32 = 0; i < deviceCount(); i++) {
    if (deviceAt(i).state == DeviceState.Gone) return deviceAt(i);
  }
  return null;
}

/** The device is the NIC that was found, from now on. */
function bind(device: Device, found: Found, chip: Chip): void {
  assert(chip.foundBytes <= FOUND_BYTES);
  device.found = founds + <usize>device.index * FOUND_BYTES;
  memory.copy(device.found, changetype<usize>(found), chip.foundBytes);
  device.startFn = chip.start;
  device.model = chip.model;
  device.driver = chip.driver;
}


@inline function foundOf(device: Device): Found {
  return changetype<Found>(device.found);
}

/** Has its driver bring it up. False, and the reason on the console, if that fails. */
function start(device: Device): bool {
  const found = foundOf(device);
  device.line = found.line;
  device.attempts = 0;
  device.stuckChecks = 0;
  device.deafChecks = 0;
  if (!call_indirect<bool>(device.startFn, changetype<usize>(found), changetype<usize>(device))) {
    foundSilence(found);
    device.rest();
    deviceMemoryRelease(device);
    device.state = DeviceState.Failed;
    device.retryAt = now() + RETRY_INTERVAL;
    const line = device.nameIn(warn("net")).text(" ").text(device.model).text(" at ");
    describe(line, found).text(" could not be started, see above").end();
    return false;
  }
  idleOpen(device);
  device.state = DeviceState.Running;
  device.retryAt = 0;
  const line = device.nameIn(info("net")).text(" ").text(device.model);
  line.key("mac").mac(device.mac).key("mtu").number(device.mtu).key("irq");
  if (device.line < LINES) line.number(device.line);
  else line.text(device.interruptName);
  line.end();
  return true;
}

/** Ends its driver's work and keeps the driver's memory. */
function end(device: Device, state: DeviceState): void {
  // First the bus: what does not heed its own registers must not reach memory either.
  foundSilence(foundOf(device));
  device.stop();
  deviceMemoryRelease(device);
  device.state = state;
  device.retryAt = now() + RETRY_INTERVAL;
}

// ---- What may be asked for at run time ---------------------------------------------------------

/** Whether anything answers where a device was found. */
export function devicePresent(device: Device): bool {
  return foundPresent(foundOf(device));
}

/** Starts a device that is there and does not run. False if that fails; the console says why. */
export function deviceLoad(device: Device): bool {
  return start(device);
}

/** Stops a device until it is loaded again. */
export function deviceUnload(device: Device): void {
  if (device.state == DeviceState.Running) end(device, DeviceState.Unloaded);
  device.state = DeviceState.Unloaded;
  device.nameIn(info("net")).text(" unloaded").end();
}

/**
 * Looks at the buses again: starts NICs that are new or have come back, and sees to those that have
 * gone. What was unloaded stays so. Returns how many began or ceased to run.
 */
export function devicesRescan(): u32 {
  let changed: u32 = 0;
  for (let i: u32 = 0; i < deviceCount(); i++) {
    const device = deviceAt(i);
    if (device.state != DeviceState.Running || !device.found) continue;
    if (foundRunning(foundOf(device))) continue;
    deviceGone(device);
    changed++;
  }
  busesScan();
  for (let i: u32 = 0; i < foundCount(); i++) {
    const found = foundAt(i);
    const chip = chipFor(found);
    if (chip === null) continue;
    const device = deviceFor(found);
    if (device === null) {
      const before = running();
      list(found, chip);
      add(found, chip);
      changed += running() - before;
    } else if (device.state == DeviceState.Failed || device.state == DeviceState.Gone) {
      // Another card may have been put in.
      bind(device, found, chip);
      if (start(device)) changed++;
    }
  }
  return changed;
}

function running(): u32 {
  let sum: u32 = 0;
  for (let i: u32 = 0; i < deviceCount(); i++) {
    if (deviceAt(i).state == DeviceState.Running) sum++;
  }
  return sum;
}

/** The device that has this place. */
function deviceFor(found: Found): Device | null {
  for (let i: u32 = 0; i < deviceCount(); i++) {
    const device = deviceAt(i);
    if (!device.found) continue;
    const its = foundOf(device);
    if (its.kind == found.kind && its.address == found.address) return device;
  }
  return null;
}

// ---- What health finds out (drivers/health.ts) -----------------------------------------------

/** Whether a running device is still what was started. */
export function deviceThere(device: Device): bool {
  return !device.found || foundRunning(foundOf(device));
}

/** It does not answer any more. */
export function deviceGone(device: Device): void {
  device.failures++;
  describe(
    device.nameIn(warn("net")).text(" has gone: nothing answers at "),
    foundOf(device),
  ).end();
  end(device, DeviceState.Gone);
}

/** Resets do not help. */
export function deviceFailed(device: Device): void {
  device.failures++;
  device
    .nameIn(warn("net"))
    .text(" failed: resets do not help; it is tried again")
    .key("seconds")
    .number(RETRY_INTERVAL / SECOND)
    .end();
  end(device, DeviceState.Failed);
}

/** Tries a device again that failed or has gone, if its time has come. */
export function deviceRetry(device: Device): void {
  if (now() < device.retryAt) return;
  device.retryAt = now() + RETRY_INTERVAL;
  if (foundPresent(foundOf(device))) start(device);
}
