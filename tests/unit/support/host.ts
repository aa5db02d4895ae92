/** What a test can do to the fake host (tests/unit/support/host.js). */

/** Sets `host.monotonic`, ns. */
@external("control", "setClock")
export declare function setClock(ns: u64): void;

/** RAM that the next `memoryInit` is told of, in bytes; 4 MiB before. */
@external("control", "setRam")
export declare function setRam(length: u32): void;


@external("control", "consoleLength")
declare function consoleLength(): u32;


@external("control", "consoleTake")
declare function consoleTake(into: usize): void;

/** A number from a generator that starts alike in each run. */
@external("control", "random")
export declare function random(): u64;

/** Starts that generator, and the host's entropy, at a place of its own. */
@external("control", "reseed")
export declare function reseed(value: u64): void;

/** Panics so far; each also throws. */
@external("control", "panics")
export declare function panics(): u32;

/**
 * Puts a word into PCI configuration space: `at` is bus, device, function and offset as the
 * configuration mechanism takes them, `writable` the bits that a write changes. A base address
 * register may only be written while the command register has decoding off.
 */
@external("control", "pciWord")
export declare function pciWord(at: u32, value: u32, writable: u32): void;

/** Takes the whole bus away. */
@external("control", "pciClear")
export declare function pciClear(): void;

/** What the console has shown since the last call. */
export function consoleText(): string {
  const buffer = new ArrayBuffer(consoleLength());
  consoleTake(changetype<usize>(buffer));
  return String.UTF8.decode(buffer);
}

/** The bytes that `hex` spells; blanks and colons between them are for the eye. */
export function fromHex(hex: string): ArrayBuffer {
  const digits = hex.replaceAll(" ", "").replaceAll(":", "").replaceAll("\n", "");
  const buffer = new ArrayBuffer(digits.length >> 1);
  for (let i = 0; i < buffer.byteLength; i++) {
    store<u8>(changetype<usize>(buffer) + i, <u8>u32(parseInt(digits.substr(i << 1, 2), 16)));
  }
  return buffer;
}

/** Lower-case hexadecimal of `length` bytes. */
export function toHex(from: usize, length: u32): string {
  let text = "";
  for (let i: u32 = 0; i < length; i++) {
    text += (load<u8>(from + i) >> 4).toString(16) + (load<u8>(from + i) & 15).toString(16);
  }
  return text;
}

/** ASCII bytes of `text`. */
export function ascii(text: string): ArrayBuffer {
  return String.UTF8.encode(text);
}
