import { Line, info, warn } from "../kernel/log";
import { Device, NO_LINE, addDevice, dropDevice } from "./device";
import { CLASS_NETWORK, PciFunction, pciCount, pciDisable, pciFunction, pciProbe } from "./pci";

/**
 * Which driver takes which PCI function. A driver's module adds a row for each chip that it
 * knows when it starts; drivers/drivers.ts names the modules.
 */

/** A chip and the function that starts it. */
@unmanaged
class Row {
  /** Vendor in the lower half, device in the upper, as in configuration space. */
  id: u32;
  /** Table index of `(entry: PciFunction, device: Device) => bool`. */
  start: u32;
  driver: string;
  model: string;
}

/** Chips that the table has room for. */
const ROWS_MAX: u32 = 64;

const rows: usize = memory.data(64 * 16, 8);
let count: u32 = 0;


@inline function rowAt(index: u32): Row {
  return changetype<Row>(rows + <usize>index * offsetof<Row>());
}

/**
 * Adds a chip. `start` brings it up and fills in the device's operations, features, address and
 * MTU; if it cannot it logs the reason, leaves the chip silent and returns false.
 */
export function registerChip(
  driver: string,
  vendor: u32,
  device: u32,
  model: string,
  start: (entry: PciFunction, device: Device) => bool,
): void {
  assert(count < ROWS_MAX);
  const row = rowAt(count++);
  row.id = vendor | (device << 16);
  row.driver = driver;
  row.model = model;
  row.start = start.index;
}

/** Lists the PCI bus on the console and starts what there is a driver for. */
export function driversStart(): void {
  if (!pciProbe()) warn("pci").text("no bus: configuration mechanism #1 does not answer").end();
  for (let i: u32 = 0; i < pciCount(); i++) {
    const entry = pciFunction(i);
    const row = rowFor((<u32>entry.vendor) | ((<u32>entry.device) << 16));
    const line = describe(info("pci"), entry);
    if (row !== null) line.key("driver").text(row.driver);
    line.end();
    if (row !== null) start(row, entry);
    else if (entry.classCode >> 16 == CLASS_NETWORK) {
      describe(warn("pci"), entry).text(" no driver for this network device").end();
    }
  }
}

/** `00:03.0 8086:100e class=020000`. */
function describe(line: Line, entry: PciFunction): Line {
  return line
    .hex(entry.bus, 2)
    .text(":")
    .hex(entry.slot, 2)
    .text(".")
    .hex(entry.func, 1)
    .text(" ")
    .hex(entry.vendor, 4)
    .text(":")
    .hex(entry.device, 4)
    .key("class")
    .hex(entry.classCode, 6);
}

function rowFor(id: u32): Row | null {
  for (let i: u32 = 0; i < count; i++) if (rowAt(i).id == id) return rowAt(i);
  return null;
}

function start(row: Row, entry: PciFunction): void {
  const device = addDevice();
  if (device === null) {
    describe(warn("pci"), entry).text(" not started, device table full").end();
    return;
  }
  device.model = row.model;
  device.line = entry.line;
  if (!call_indirect<bool>(row.start, changetype<usize>(entry), changetype<usize>(device))) {
    pciDisable(entry);
    describe(warn("pci"), entry).text(" could not be started, see above").end();
    dropDevice();
    return;
  }
  const line = device
    .nameIn(info("net"))
    .text(" ")
    .text(device.model)
    .key("mac")
    .mac(device.mac)
    .key("mtu")
    .number(device.mtu);
  if (device.line == NO_LINE) line.key("irq").text("polled");
  else line.key("irq").number(device.line);
  line.end();
}
