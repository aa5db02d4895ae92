import { GuestCall } from "../../../kernel/guest/calls.ts";

/**
 * A guest that is written in TypeScript in place of Wasm: for tests that make calls in an order, or with
 * arguments, that no compiler would. To its kernel it is a guest like any other.
 */
export interface ScriptedGuest {
  /** As people and logs call it. */
  name: string;
  /** Pages of 64 KiB of its memory. */
  pages: number;
  /** Yields calls, of which it is given the results; ends when it returns. */
  script(memory: ScriptMemory): Script;
}

export type Script = Generator<ScriptStep, void, number>;

/** A call with its arguments; or a trap, by its number (tools/sim/guest/instrument.ts). */
export type ScriptStep =
  { call: keyof typeof GuestCall; args: readonly (number | bigint)[] } | { trap: number };

/** Linear memory: addresses are the guest's own. */
export class ScriptMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  private next = 64;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Room for `length` bytes, at a multiple of 8. */
  reserve(length: number): number {
    const at = this.next;
    this.next = (at + length + 7) & ~7;
    if (this.next > this.bytes.length) throw new RangeError("the script's memory is full");
    return at;
  }
}

/** A call of the kernel, as a script makes it: `yield* call("socket", 1, 2, 0)`. */
export function* call(
  name: keyof typeof GuestCall,
  ...args: readonly (number | bigint)[]
): Generator<ScriptStep, number, number> {
  return yield { call: name, args };
}

/** The number of a step's call. */
export const callNumber = (name: keyof typeof GuestCall): number => GuestCall[name];
