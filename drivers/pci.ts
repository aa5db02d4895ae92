import { ACPI_HEAD, acpiLength, acpiTable } from "../kernel/acpi";
import { mmioMap, mmioRead32, mmioWrite32, portIn32, portOut32 } from "../kernel/host";
import { info, warn } from "../kernel/log";
import { Bus, Found } from "./bus";
import { NO_LINE } from "./device";

/**
 * The PCI bus (PCI Local Bus Specification 3.0, "PCI" below; PCI-to-PCI Bridge Architecture 1.2,
 * "Bridge"; PCI Express Base 2.0, "Express"): finds every function and gives drivers its registers, interrupt line and capabilities.
 *
 * Only what a driver takes is written to. A function that nobody drives is read and left alone,
 * because it may be what the console or the firmware lives on.
 */

/** Configuration mechanism #1 (PCI 3.2.2.3.2). */
const CONFIG_ADDRESS: u32 = 0xcf8;
const CONFIG_DATA: u32 = 0xcfc;
const CONFIG_ENABLE: u32 = 0x8000_0000;

/**
 * Memory-mapped configuration space, ECAM (Express 7.2.2): 4 KiB a function, of which ports reach 256
 * bytes. ACPI's MCFG says where (PCI Firmware 3.0, 4.1.2): after 8 reserved bytes entries of base
 * address of bus 0, segment, first and last bus.
 */
const MCFG: u32 = 0x4746_434d;
const MCFG_ENTRIES: u32 = ACPI_HEAD + 8;
const MCFG_ENTRY: u32 = 16;
const PORTS_REACH: u32 = 256;
const PAGE: u32 = 4096;
const NOTHING: u32 = 0xffff_ffff;

/** Offsets in configuration space (PCI 6.1; Bridge 3.2). */
const ID: u32 = 0x00;
export const COMMAND: u32 = 0x04;
const CLASS: u32 = 0x08;
const HEADER: u32 = 0x0c;
const BAR0: u32 = 0x10;
const BUSES: u32 = 0x18;
const CAPABILITIES: u32 = 0x34;
const INTERRUPT: u32 = 0x3c;

/** Command register (PCI 6.2.2). */
const COMMAND_IO: u32 = 1 << 0;
const COMMAND_MEMORY: u32 = 1 << 1;
const COMMAND_MASTER: u32 = 1 << 2;
export const COMMAND_INTX_OFF: u32 = 1 << 10;
/** Status register, in the upper half of the same word (PCI 6.2.3). */
const STATUS_CAPABILITIES: u32 = 1 << 20;

/** Header type (PCI 6.2.1). */
const HEADER_MULTI: u32 = 0x80;
const HEADER_BRIDGE: u32 = 1;

/** Base and subclass 06.04: a PCI-to-PCI bridge (PCI appendix D). */
const CLASS_BRIDGE: u32 = 0x0604;

/** Base class of network controllers (PCI appendix D). */
export const CLASS_NETWORK: u32 = 0x02;

/** Base address registers (PCI 6.2.5.1). */
const BAR_IO: u32 = 1;
const BAR_64: u32 = 4;

/** Functions that the table has room for. */
const FUNCTIONS_MAX: u32 = 128;

/** Entries of a capability list: the space behind the header holds no more. */
const CAPABILITIES_MAX: u32 = 48;

/**
 * One function of one device. Its `address`: bus in bits 16 to 23, device 11 to 15, function 8 to 10;
 * its `line` is where the firmware routed it to.
 */
@unmanaged
export class PciFunction extends Found {
  /** Base class, subclass and interface: 24 bits. */
  classCode: u32;
  headerType: u32;


  @inline get vendor(): u32 {
    return this.id & 0xffff;
  }


  @inline get device(): u32 {
    return this.id >>> 16;
  }


  @inline get bus(): u32 {
    return this.address >> 16;
  }


  @inline get slot(): u32 {
    return (this.address >> 11) & 31;
  }


  @inline get func(): u32 {
    return (this.address >> 8) & 7;
  }
}

/** A base address register, decoded. */
@unmanaged
export class PciBar {
  /** Physical address, or port number; 0 when the firmware assigned none. */
  base: u64;
  /** Bytes; 0 when the register is not there. */
  size: u64;
  /** Ports rather than memory. */
  io: bool;
}

const functions: usize = memory.data(128 * 28, 8);
let count: u32 = 0;

/** Buses found and buses walked, a bit each: bridges may lie about their numbers. */
const found: usize = memory.data(32, 8);
const walked: usize = memory.data(32, 8);


@inline function addressOf(bus: u32, slot: u32, func: u32): u32 {
  return (bus << 16) | (slot << 11) | (func << 8);
}

/** Where bus 0 lies in ECAM, or 0 without one, and the last bus there. */
let window: usize = 0;
let windowLast: u32 = 0;
/** Whether configuration mechanism #1 answers. */
let hasPorts: bool = false;


@inline function inWindow(address: u32): bool {
  return window != 0 && address >> 16 <= windowLast;
}

/** The function's page: an address has its bus, device and function in the order of ECAM. */
@inline function pageOf(address: u32): usize {
  return window + ((<usize>address) << 4);
}

/**
 * Reads the aligned word at `offset`, below 4,096; all ones where there is no such word, as there is not
 * from 256 on without ECAM. All access goes through here and `pciWrite32`, to functions that the walk found.
 */
export function pciRead32(address: u32, offset: u32): u32 {
  if (inWindow(address)) return mmioRead32(pageOf(address) + offset);
  if (!hasPorts || offset >= PORTS_REACH) return NOTHING;
  portOut32(CONFIG_ADDRESS, CONFIG_ENABLE | address | offset);
  return portIn32(CONFIG_DATA);
}

export function pciWrite32(address: u32, offset: u32, value: u32): void {
  if (inWindow(address)) return mmioWrite32(pageOf(address) + offset, value);
  if (!hasPorts || offset >= PORTS_REACH) return;
  portOut32(CONFIG_ADDRESS, CONFIG_ENABLE | address | offset);
  portOut32(CONFIG_DATA, value);
}

/**
 * Finds ECAM in the MCFG and believes it if the host bridge answers there, as it does at the ports
 * where these answer too.
 */
function findWindow(): void {
  const table = acpiTable(MCFG);
  if (!table) return;
  const end = acpiLength(table);
  for (let at = MCFG_ENTRIES; at + MCFG_ENTRY <= end; at += MCFG_ENTRY) {
    const base = load<u64>(table + at);
    const segment: u32 = load<u16>(table + at, 8);
    const first: u32 = load<u8>(table + at, 10);
    const last: u32 = load<u8>(table + at, 11);
    // Other segments are other sets of buses, and no PC begins its first one elsewhere.
    if (segment != 0 || first != 0 || base & 0xf_ffff || base >> 32) continue;
    const bridge = mmioMap(base, PAGE);
    if (!bridge) continue;
    const id = mmioRead32(bridge + ID);
    if (id == NOTHING || (hasPorts && id != pciRead32(0, ID))) continue;
    window = bridge;
    windowLast = last;
    info("pci")
      .text("ECAM at ")
      .hex(base, 8)
      .key("buses")
      .number(last + 1)
      .end();
    return;
  }
}

/** Makes the function's page reachable. What the host cannot map is left to the ports, if there are any. */
function mapFunction(address: u32): void {
  if (!inWindow(address) || mmioMap(<u64>pageOf(address), PAGE)) return;
  warn("pci")
    .text("ECAM ends early, out of page tables")
    .key("bus")
    .number(address >> 16)
    .end();
  const bus = address >> 16;
  if (bus) windowLast = bus - 1;
  else window = 0;
}

/** Functions found. */
export function pciCount(): u32 {
  return count;
}

/** Function `index`, below `pciCount()`. */
export function pciFunction(index: u32): PciFunction {
  return changetype<PciFunction>(functions + <usize>index * offsetof<PciFunction>());
}

/** Finds every function behind the host bridge. False where the machine has no PCI. */
export function pciProbe(): bool {
  count = 0;
  memory.fill(found, 0, 32);
  memory.fill(walked, 0, 32);
  // The address register keeps its value; without one the read gives all ones.
  portOut32(CONFIG_ADDRESS, CONFIG_ENABLE);
  hasPorts = portIn32(CONFIG_ADDRESS) == CONFIG_ENABLE;
  window = 0;
  findWindow();
  if (!window && !hasPorts) return false;
  // Function n of a multi-function host bridge is the root of bus n.
  const roots: u32 = (pciRead32(0, HEADER) >> 16) & HEADER_MULTI ? 8 : 1;
  for (let func: u32 = 0; func < roots; func++) {
    mapFunction(addressOf(0, 0, func));
    if (<u16>pciRead32(addressOf(0, 0, func), ID) != 0xffff) setBit(found, func);
  }
  for (let bus = nextBus(); bus < 256; bus = nextBus()) {
    setBit(walked, bus);
    walkBus(bus);
  }
  return true;
}

function setBit(bits: usize, index: u32): void {
  const at = bits + (index >> 3);
  store<u8>(at, (<u32>load<u8>(at)) | (1 << (index & 7)));
}

/** The lowest bus that is found but not walked, or 256. */
function nextBus(): u32 {
  for (let word: u32 = 0; word < 4; word++) {
    const rest = load<u64>(found + (word << 3)) & ~load<u64>(walked + (word << 3));
    if (rest) return (word << 6) | (<u32>ctz(rest));
  }
  return 256;
}

function walkBus(bus: u32): void {
  for (let slot: u32 = 0; slot < 32; slot++) {
    for (let func: u32 = 0, functionsHere: u32 = 1; func < functionsHere; func++) {
      const address = addressOf(bus, slot, func);
      mapFunction(address);
      const id = pciRead32(address, ID);
      if ((id & 0xffff) == 0xffff) continue;
      const header = (pciRead32(address, HEADER) >> 16) & 0xff;
      if (func == 0 && header & HEADER_MULTI) functionsHere = 8;
      const classWord = pciRead32(address, CLASS);
      if (classWord >>> 16 == CLASS_BRIDGE && (header & 0x7f) == HEADER_BRIDGE) {
        const secondary = (pciRead32(address, BUSES) >> 8) & 0xff;
        if (secondary > bus) setBit(found, secondary);
        else
          warn("pci")
            .text("bridge without a bus of its own, not followed")
            .key("at")
            .text("")
            .hex(address, 6)
            .end();
      }
      if (count == FUNCTIONS_MAX) {
        warn("pci").text("table full, function left out").key("id").hex(id, 8).end();
        continue;
      }
      const entry = pciFunction(count++);
      const interrupt = pciRead32(address, INTERRUPT);
      entry.kind = Bus.Pci;
      entry.address = address;
      entry.id = id;
      entry.revision = classWord & 0xff;
      entry.classCode = classWord >>> 8;
      entry.headerType = header & 0x7f;
      // No pin, no interrupt; a line outside the range is the firmware's "unknown" (PCI 6.2.4).
      const line = interrupt & 0xff;
      entry.line = interrupt & 0xff00 && line > 0 && line < 16 ? line : NO_LINE;
    }
  }
}

/**
 * Decodes base address register `index` (0 to 5) of an ordinary function by writing ones and
 * seeing which stick. Decoding is off meanwhile: the register briefly names a wild address.
 */
export function pciBar(entry: PciFunction, index: u32, into: PciBar): void {
  into.base = 0;
  into.size = 0;
  into.io = false;
  if (entry.headerType != 0 || index > 5) return;
  const address = entry.address;
  const at = BAR0 + (index << 2);
  const command = pciRead32(address, COMMAND) & 0xffff;
  pciWrite32(address, COMMAND, command & ~(COMMAND_IO | COMMAND_MEMORY));
  const low = pciRead32(address, at);
  pciWrite32(address, at, 0xffff_ffff);
  const lowMask = pciRead32(address, at);
  pciWrite32(address, at, low);
  if (low & BAR_IO) {
    const mask = lowMask & 0xffff_fffc;
    into.io = true;
    into.base = low & 0xffff_fffc;
    // The upper half may be wired to zero: ports are 16 bits.
    into.size = mask ? (~(mask | 0xffff_0000) + 1) & 0xffff : 0;
  } else {
    let mask: u64 = lowMask & 0xffff_fff0;
    let base: u64 = low & 0xffff_fff0;
    if ((low & 6) == BAR_64 && index < 5) {
      const high = pciRead32(address, at + 4);
      pciWrite32(address, at + 4, 0xffff_ffff);
      mask |= (<u64>pciRead32(address, at + 4)) << 32;
      pciWrite32(address, at + 4, high);
      base |= (<u64>high) << 32;
    } else if (mask) {
      mask |= 0xffff_ffff_0000_0000;
    }
    into.base = base;
    into.size = mask ? ~mask + 1 : 0;
  }
  pciWrite32(address, COMMAND, command);
}

/** Lets the function answer at its memory registers, be bus master and use its interrupt pin. */
export function pciEnable(entry: PciFunction): void {
  const command = pciRead32(entry.address, COMMAND) & 0xffff;
  pciWrite32(
    entry.address,
    COMMAND,
    (command | COMMAND_MEMORY | COMMAND_MASTER) & ~COMMAND_INTX_OFF,
  );
}

/** The same for a function whose registers are ports. */
export function pciEnablePorts(entry: PciFunction): void {
  pciEnable(entry);
  const command = pciRead32(entry.address, COMMAND) & 0xffff;
  pciWrite32(entry.address, COMMAND, command | COMMAND_IO);
}

/** Whether the function still answers, as what it was; all ones where nothing is. */
export function pciPresent(entry: PciFunction): bool {
  return pciRead32(entry.address, ID) == entry.id;
}

/** Whether the function does what a driver switched on: another one in its place does not. */
export function pciRunning(entry: PciFunction): bool {
  return pciPresent(entry) && (pciRead32(entry.address, COMMAND) & COMMAND_MASTER) != 0;
}

/** Ends all DMA by the function, messages included, whatever its own registers say, and its line. */
export function pciDisable(entry: PciFunction): void {
  const command = pciRead32(entry.address, COMMAND) & 0xffff;
  pciWrite32(entry.address, COMMAND, (command & ~COMMAND_MASTER) | COMMAND_INTX_OFF);
}

/** Offset of the first capability `id` (PCI 6.7), or 0. */
export function pciCapability(entry: PciFunction, id: u32): u32 {
  if (!(pciRead32(entry.address, COMMAND) & STATUS_CAPABILITIES)) return 0;
  return capabilityFrom(entry, pciRead32(entry.address, CAPABILITIES), id);
}

/** Offset of the next capability `id` behind the one at `at`, or 0. */
export function pciNextCapability(entry: PciFunction, at: u32, id: u32): u32 {
  return capabilityFrom(entry, pciRead32(entry.address, at) >> 8, id);
}

function capabilityFrom(entry: PciFunction, at: u32, id: u32): u32 {
  at &= 0xfc;
  for (let i: u32 = 0; i < CAPABILITIES_MAX && at >= 0x40; i++) {
    const head = pciRead32(entry.address, at);
    if ((head & 0xff) == id) return at;
    at = (head >> 8) & 0xfc;
  }
  return 0;
}
