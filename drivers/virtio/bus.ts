import { ACPI_HEAD, acpiDsdt, acpiLength } from "../../kernel/acpi";
import { parseDecimal, parseHex, textFind } from "../../kernel/text";
import { Bus, Found } from "../bus";
import { NO_LINE } from "../device";
import { ISA_LINES, lineOfInput } from "../lines";
import { virtioMmioProbe } from "./mmio";

/**
 * Virtio devices at fixed addresses (Virtual I/O Device 1.2, 4.2.1). No bus lists them: the machine's
 * maker says where they are, and QEMU's microvm and Firecracker do it on the kernel's command line, in
 * Linux's words: `virtio_mmio.device=512@0xfeb00e00:12`, which is bytes, address and interrupt line. A
 * microvm with ACPI says it in its DSDT.
 */

@unmanaged
export class VirtioMmio extends Found {
  /** Bytes of its registers. */
  length: u32;
  /** The interrupt controllers' input that it is wired to. */
  input: u32;
}

/** Devices that the table has room for: QEMU's microvm has up to 24 places. */
const DEVICES_MAX: u32 = 32;

const table: usize = memory.data(32 * 28, 8);
let count: u32 = 0;

/** Devices that were named. */
export function virtioMmioCount(): u32 {
  return count;
}

/** Device `index`, below `virtioMmioCount()`; its id is 0 until `virtioMmioScan` finds something there. */
export function virtioMmioAt(index: u32): VirtioMmio {
  return changetype<VirtioMmio>(table + <usize>index * offsetof<VirtioMmio>());
}

/** Forgets all devices. */
export function virtioMmioClear(): void {
  count = 0;
}

/** Notes a device; one that is known already is left as it is. False when the table is full. */
export function virtioMmioAdd(address: u32, length: u32, input: u32): bool {
  let place: u32 = 0;
  for (; place < count && virtioMmioAt(place).address <= address; place++) {
    if (virtioMmioAt(place).address == address) return true;
  }
  if (count == DEVICES_MAX) return false;
  // In the order of addresses, since interfaces are numbered by it.
  const at = changetype<usize>(virtioMmioAt(place));
  memory.copy(at + offsetof<VirtioMmio>(), at, (count - place) * offsetof<VirtioMmio>());
  count++;
  const device = virtioMmioAt(place);
  device.kind = Bus.VirtioMmio;
  device.address = address;
  device.id = 0;
  device.revision = 0;
  device.length = length;
  device.input = input;
  device.line = NO_LINE;
  return true;
}

/** Takes a device as the command line names it. False if that is no device, or one too many. */
export function virtioMmioNamed(text: usize, length: u32): bool {
  const at = textFind(text, length, 0x40);
  const colon = textFind(text, length, 0x3a);
  if (at == 0 || at >= colon || colon == length) return false;
  const bytes = parseSize(text, at);
  const address = parseNumber(text + at + 1, colon - at - 1);
  // What may follow the line is the number that Linux gives the device.
  const rest = length - colon - 1;
  const line = parseDecimal(
    text + colon + 1,
    textFind(text + colon + 1, rest, 0x3a),
    i32.MAX_VALUE - 1,
  );
  if (bytes <= 0 || address <= 0 || address & 3 || line < 0) return false;
  return virtioMmioAdd(<u32>address, <u32>bytes, <u32>line);
}

/** Hexadecimal after `0x`, else decimal; -1 if it is neither or has more than 32 bits. */
function parseNumber(at: usize, length: u32): i64 {
  if (length > 2 && load<u16>(at) == 0x7830) return parseHex(at + 2, length - 2);
  return parseDecimal(at, length, i32.MAX_VALUE - 1);
}

/** The same with K or M behind it, at most 1 MiB. */
function parseSize(at: usize, length: u32): i64 {
  const last = (<u32>load<u8>(at + length - 1)) | 0x20;
  const shift: u32 = last == 0x6b ? 10 : last == 0x6d ? 20 : 0;
  const value = parseNumber(at, shift ? length - 1 : length);
  return value < 0 || value > (1 << 20) >> shift ? -1 : value << shift;
}

/** Whether what was found there still answers. */
export function virtioMmioPresent(device: VirtioMmio): bool {
  return virtioMmioProbe(device.address, device.length) == device.id;
}

/** `_HID` of such a device (virtio's name in ACPI), as it stands in AML. */
const HARDWARE_ID: u64 = 0x3530_3030_4f52_4e4c;
/** What stands between it and its resources at most: identifiers, names, the head of a buffer. */
const RESOURCES_WITHIN: u32 = 64;
/** Resource descriptors (ACPI 6.4, 6.4.3.4, 6.4.3.6): 32-bit memory at a fixed place, and an interrupt. */
const MEMORY32_FIXED: u32 = 0x0009_86;
const MEMORY32_BYTES: u32 = 12;
const EXTENDED_INTERRUPT: u32 = 0x0006_89;
const INTERRUPT_BYTES: u32 = 9;

/**
 * Notes the devices that the DSDT describes. Their AML is so regular that no interpreter is needed: the
 * hardware id, and soon after it the two resource descriptors, each of a fixed form.
 */
function fromAcpi(): void {
  const table = acpiDsdt();
  if (!table) return;
  // Where both descriptors would just fit.
  const end = table + acpiLength(table) - MEMORY32_BYTES - INTERRUPT_BYTES;
  for (let at = table + ACPI_HEAD; at < end; at++) {
    if (load<u64>(at) != HARDWARE_ID) continue;
    for (let from = at + 8; from < min<usize>(at + RESOURCES_WITHIN, end + 1); from++) {
      const interrupt = from + MEMORY32_BYTES;
      if ((load<u32>(from) & 0xff_ffff) != MEMORY32_FIXED) continue;
      if ((load<u32>(interrupt) & 0xff_ffff) != EXTENDED_INTERRUPT) continue;
      virtioMmioAdd(load<u32>(from, 4), load<u32>(from, 8), load<u32>(interrupt, 5));
      break;
    }
  }
}

/** Looks what is at the places that were named, and at those that ACPI tells of. */
export function virtioMmioScan(): void {
  fromAcpi();
  for (let i: u32 = 0; i < count; i++) {
    const device = virtioMmioAt(i);
    device.id = virtioMmioProbe(device.address, device.length);
    // Most places are empty, and line numbers few.
    if (!device.id) continue;
    // The 8259s' lines have the numbers of their inputs; what is wired elsewhere only an I/O APIC reaches.
    device.line = device.input < ISA_LINES ? device.input : lineOfInput(device.input);
  }
}
