import { Line, info, warn } from "../kernel/log";
import { Bus, Found } from "./bus";
import { Device, LINES, addDevice, dropDevice } from "./device";
import { CLASS_NETWORK, PciFunction, pciCount, pciDisable, pciFunction, pciProbe } from "./pci";
import { virtioMmioAt, virtioMmioCount, virtioMmioScan } from "./virtio/bus";

/**
 * Which driver takes which chip. A driver's module adds a row for each chip that it knows when it
 * starts; drivers/drivers.ts names the modules.
 */

/** A chip and the function that starts it. */
@unmanaged
class Row {
  /** `Bus`. */
  bus: u32;
  /** `Found.id`. */
  id: u32;
  /** The revisions that are this chip, first and last: one id may be several. */
  revisionFirst: u32;
  revisionLast: u32;
  /** Table index of `(found: Found, device: Device) => bool`. */
  start: u32;
  driver: string;
  model: string;
}

/** Chips that the table has room for. */
const ROWS_MAX: u32 = 64;

const rows: usize = memory.data(64 * 28, 8);
let count: u32 = 0;


@inline function rowAt(index: u32): Row {
  return changetype<Row>(rows + <usize>index * offsetof<Row>());
}

/** `Found.id` of a PCI function. */
@inline export function pciId(vendor: u32, device: u32): u32 {
  return vendor | (device << 16);
}

/**
 * Adds a chip: what `bus` finds with this `id`, of revisions `first` to `last`. `T` is the bus's own
 * class. `start` brings it up and fills in the device's operations, features, address and MTU; if it
 * cannot it logs the reason, leaves the chip silent and returns false.
 */
export function registerChip<T extends Found>(
  driver: string,
  bus: Bus,
  id: u32,
  model: string,
  start: (found: T, device: Device) => bool,
  first: u32 = 0,
  last: u32 = u32.MAX_VALUE,
): void {
  assert(count < ROWS_MAX);
  const row = rowAt(count++);
  row.bus = bus;
  row.id = id;
  row.revisionFirst = first;
  row.revisionLast = last;
  row.driver = driver;
  row.model = model;
  row.start = start.index;
}

/** Looks at every bus and starts what there is a driver for. */
export function driversStart(): void {
  startPci();
  startVirtioMmio();
}

/** Lists the PCI functions on the console and starts those with a driver. */
function startPci(): void {
  if (!pciProbe() && !virtioMmioCount()) {
    warn("pci").text("no bus: neither ECAM nor configuration mechanism #1 answers").end();
  }
  for (let i: u32 = 0; i < pciCount(); i++) {
    const entry = pciFunction(i);
    const row = rowFor(entry);
    const line = describe(info("pci"), entry).key("class").hex(entry.classCode, 6);
    if (row !== null) line.key("driver").text(row.driver);
    line.end();
    if (row !== null) {
      if (!start(row, entry)) pciDisable(entry);
    } else if (entry.classCode >> 16 == CLASS_NETWORK) {
      describe(warn("pci"), entry).text(" no driver for this network device").end();
    }
  }
}

/** The same for virtio devices at the addresses that were named. */
function startVirtioMmio(): void {
  virtioMmioScan();
  for (let i: u32 = 0; i < virtioMmioCount(); i++) {
    const found = virtioMmioAt(i);
    const row = rowFor(found);
    if (row !== null) {
      describe(info("virtio"), found).key("driver").text(row.driver).end();
      start(row, found);
    } else if (found.id) describe(info("virtio"), found).end();
    else describe(warn("virtio"), found).text(" there is no device at this address").end();
  }
}

/** Where it is and what it is: `00:03.0 8086:100e` on PCI. */
function describe(line: Line, found: Found): Line {
  if (found.kind != Bus.Pci) return line.hex(found.address, 8).text(" id ").number(found.id);
  const entry = changetype<PciFunction>(found);
  return line
    .hex(entry.bus, 2)
    .text(":")
    .hex(entry.slot, 2)
    .text(".")
    .hex(entry.func, 1)
    .text(" ")
    .hex(entry.vendor, 4)
    .text(":")
    .hex(entry.device, 4);
}

function rowFor(found: Found): Row | null {
  for (let i: u32 = 0; i < count; i++) {
    const row = rowAt(i);
    if (row.bus != found.kind || row.id != found.id) continue;
    if (found.revision >= row.revisionFirst && found.revision <= row.revisionLast) return row;
  }
  return null;
}

function start(row: Row, found: Found): bool {
  const device = addDevice();
  if (device === null) {
    describe(warn("net"), found).text(" not started, device table full").end();
    return false;
  }
  device.model = row.model;
  device.line = found.line;
  if (!call_indirect<bool>(row.start, changetype<usize>(found), changetype<usize>(device))) {
    describe(warn("net"), found).text(" could not be started, see above").end();
    dropDevice();
    return false;
  }
  const line = device
    .nameIn(info("net"))
    .text(" ")
    .text(device.model)
    .key("mac")
    .mac(device.mac)
    .key("mtu")
    .number(device.mtu);
  line.key("irq");
  if (device.line < LINES) line.number(device.line);
  else line.text(device.interruptName);
  line.end();
  return true;
}
