import { ACPI_HEAD, acpiLength, acpiTable } from "../kernel/acpi";
import {
  interruptMask,
  interruptMessage,
  interruptOpen,
  mmioMap,
  mmioRead32,
  mmioWrite32,
} from "../kernel/host";
import { LINES, NO_LINE } from "./device";

/**
 * Interrupt lines: which controller's input each one is.
 *
 * Lines 0 to 15 are the inputs of the 8259s, which is what firmware's interrupt-line register speaks of
 * (PCI 3.0, 6.2.4). Which I/O APIC input the same wire reaches is written in AML, which nobody reads
 * here. It is known where the MADT lists the line as level-triggered, since only PCI's wires are; and
 * where there are no 8259s, so that nothing else can be meant. Any other line stays with the 8259s.
 * Lines from 16 on are I/O APIC inputs that somebody knows by number (`lineOfInput`).
 *
 * If the line then stays silent it goes by the 8259s after all (`lineReroute`), and at last is polled.
 */

/** Multiple APIC Description Table (ACPI 6.4, 5.2.12): flags, then entries of type and length. */
const MADT: u32 = 0x4349_5041;
const MADT_FLAGS: u32 = 40;
const MADT_ENTRIES: u32 = 44;
const PCAT_COMPAT: u32 = 1 << 0;
/** I/O APIC (5.2.12.3): address, first global input. */
const ENTRY_IO_APIC: u32 = 1;
const IO_APIC_BYTES: u32 = 12;
/** Interrupt source override (5.2.12.5): ISA line, global input, flags. */
const ENTRY_OVERRIDE: u32 = 2;
const OVERRIDE_BYTES: u32 = 10;
const FLAG_POLARITY: u32 = 3;
const FLAG_HIGH: u32 = 1;
const FLAG_TRIGGER: u32 = 3 << 2;
const FLAG_LEVEL: u32 = 3 << 2;

/** 82093AA I/O APIC (its data sheet, 3.1 and 3.2): index, window; version; redirection entries. */
const SELECT: u32 = 0x00;
const WINDOW: u32 = 0x10;
const VERSION: u32 = 0x01;
const REDIRECTION: u32 = 0x10;
const ENTRY_LOW_ACTIVE: u32 = 1 << 13;
const ENTRY_LEVEL: u32 = 1 << 15;
const ENTRY_MASKED: u32 = 1 << 16;

/** Lines of the 8259s. */
export const ISA_LINES: u32 = 16;


@unmanaged
class IoApic {
  registers: usize;
  /** Its inputs are global ones from `first` on. */
  first: u32;
  inputs: u32;
}

/** One line. */
@unmanaged
class Line {
  /** Global input. */
  input: u32;
  /** What of the redirection entry is known: polarity and trigger. */
  entry: u32;
  /** Goes by `input` of an I/O APIC, rather than by the 8259s. */
  apic: bool;
}

const IO_APICS_MAX: u32 = 16;
const ioApics: usize = memory.data(16 * 12, 8);
let ioApicCount: u32 = 0;
const lines: usize = memory.data(32 * 12, 8);
/** Lines from `ISA_LINES` on that are given out end here. */
let given: u32 = ISA_LINES;
let has8259: bool = true;


@inline function lineAt(line: u32): Line {
  return changetype<Line>(lines + <usize>line * offsetof<Line>());
}


@inline function ioApicAt(index: u32): IoApic {
  return changetype<IoApic>(ioApics + <usize>index * offsetof<IoApic>());
}

/** Reads what firmware says of interrupt controllers. Before the drivers start. */
export function linesInit(): void {
  const table = acpiTable(MADT);
  if (!table || acpiLength(table) < MADT_ENTRIES || !interruptMessage(0)) return;
  has8259 = (load<u32>(table, MADT_FLAGS) & PCAT_COMPAT) != 0;
  for (let line: u32 = 0; line < ISA_LINES; line++) {
    lineAt(line).input = line;
    lineAt(line).entry = ENTRY_LEVEL | ENTRY_LOW_ACTIVE;
    lineAt(line).apic = !has8259;
  }
  const end = acpiLength(table);
  for (let at = MADT_ENTRIES, length: u32 = 0; at + 2 <= end; at += length) {
    length = load<u8>(table + at, 1);
    if (length < 2 || at + length > end) return;
    const type: u32 = load<u8>(table + at);
    if (type == ENTRY_IO_APIC && length >= IO_APIC_BYTES) addIoApic(table + at);
    if (type == ENTRY_OVERRIDE && length >= OVERRIDE_BYTES) takeOverride(table + at);
  }
}

/** Every input starts masked: what firmware left there would come by a vector that is not ours. */
function addIoApic(at: usize): void {
  if (ioApicCount == IO_APICS_MAX) return;
  const registers = mmioMap(load<u32>(at, 4), 32);
  if (!registers) return;
  mmioWrite32(registers + SELECT, VERSION);
  const version = mmioRead32(registers + WINDOW);
  if (version == 0xffff_ffff) return;
  const it = ioApicAt(ioApicCount++);
  it.registers = registers;
  it.first = load<u32>(at, 8);
  it.inputs = ((version >> 16) & 0xff) + 1;
  for (let i: u32 = 0; i < it.inputs; i++) setEntry(it, i, ENTRY_MASKED, 0);
}

function takeOverride(at: usize): void {
  const source: u32 = load<u8>(at, 3);
  const flags: u32 = load<u16>(at, 8);
  if (source >= ISA_LINES) return;
  const line = lineAt(source);
  line.input = load<u32>(at, 4);
  if ((flags & FLAG_TRIGGER) != FLAG_LEVEL) return;
  line.entry = ENTRY_LEVEL | ((flags & FLAG_POLARITY) == FLAG_HIGH ? 0 : ENTRY_LOW_ACTIVE);
  line.apic = true;
}

/** The I/O APIC with this global input, or null. */
function ioApicOf(input: u32): IoApic | null {
  for (let i: u32 = 0; i < ioApicCount; i++) {
    const it = ioApicAt(i);
    if (input >= it.first && input - it.first < it.inputs) return it;
  }
  return null;
}

/** Never unmasked with halves that do not belong together. */
function setEntry(it: IoApic, index: u32, lower: u32, upper: u32): void {
  const at = REDIRECTION + 2 * index;
  write(it, at, ENTRY_MASKED);
  write(it, at + 1, upper);
  write(it, at, lower);
}

function write(it: IoApic, register: u32, value: u32): void {
  mmioWrite32(it.registers + SELECT, register);
  mmioWrite32(it.registers + WINDOW, value);
}

/**
 * The line that is global input `input` of the I/O APICs, level-triggered and active high, as things are
 * that firmware tells of by number. `NO_LINE` if there is no such input, or no number left.
 */
export function lineOfInput(input: u32): u32 {
  for (let line = ISA_LINES; line < given; line++) if (lineAt(line).input == input) return line;
  if (given == LINES || ioApicOf(input) === null) return NO_LINE;
  const line = lineAt(given);
  line.input = input;
  line.entry = ENTRY_LEVEL;
  line.apic = true;
  return given++;
}

/** Lets `line` end the host's sleep. False if nothing is known to route it. */
export function lineOpen(line: u32): bool {
  const it = lineAt(line);
  if (it.apic && lineMask(line, false)) return true;
  it.apic = false;
  return line < ISA_LINES && has8259 && interruptOpen(line);
}

/** Masks or unmasks an open line. */
export function lineMask(line: u32, masked: bool): bool {
  const it = lineAt(line);
  if (!it.apic) {
    interruptMask(line, masked);
    return true;
  }
  const controller = ioApicOf(it.input);
  if (controller === null) return false;
  // What a device would write as a message (Intel SDM 3A, 10.11), in the entry's own places.
  const message = interruptMessage(line);
  const lower = it.entry | ((<u32>(message >> 32)) & 0xff) | (masked ? ENTRY_MASKED : 0);
  setEntry(controller, it.input - controller.first, lower, (((<u32>message) >> 12) & 0xff) << 24);
  return true;
}

/** For an open line that stays silent: true if it now goes another way. */
export function lineReroute(line: u32): bool {
  if (!lineAt(line).apic || line >= ISA_LINES || !has8259) return false;
  lineMask(line, true);
  lineAt(line).apic = false;
  return interruptOpen(line);
}
