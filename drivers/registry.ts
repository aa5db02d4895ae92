import { Bus, Found } from "./bus";
import { Device } from "./device";

/**
 * Which driver takes which chip. A driver's module adds a row for each chip that it knows when it
 * starts; drivers/drivers.ts names the modules.
 */

/** A chip and the function that starts it. */
@unmanaged
export class Chip {
  /** `Bus`. */
  bus: u32;
  /** `Found.id`. */
  id: u32;
  /** The revisions that are this chip, first and last: one id may be several. */
  revisionFirst: u32;
  revisionLast: u32;
  /** Table index of `(found: T, device: Device) => bool`, and bytes of a T. */
  start: u32;
  foundBytes: u32;
  driver: string;
  model: string;
}

/** Chips that the table has room for. */
export const CHIPS_MAX: u32 = 128;

const chips: usize = memory.data(128 * 32, 8);
let count: u32 = 0;

/** Chips in the table. */
export function chipCount(): u32 {
  return count;
}

/** Chip `index`, below `chipCount()`. */
@inline export function chipAt(index: u32): Chip {
  return changetype<Chip>(chips + <usize>index * offsetof<Chip>());
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
  assert(count < CHIPS_MAX);
  const chip = chipAt(count++);
  chip.bus = bus;
  chip.id = id;
  chip.revisionFirst = first;
  chip.revisionLast = last;
  chip.start = start.index;
  chip.foundBytes = offsetof<T>();
  chip.driver = driver;
  chip.model = model;
}

/** The first row for what was found, or null when no driver knows it. */
export function chipFor(found: Found): Chip | null {
  for (let i: u32 = 0; i < count; i++) {
    const chip = chipAt(i);
    if (chip.bus != found.kind || chip.id != found.id) continue;
    if (found.revision >= chip.revisionFirst && found.revision <= chip.revisionLast) return chip;
  }
  return null;
}
