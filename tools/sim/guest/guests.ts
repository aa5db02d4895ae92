import type { LineMap } from "../../aot/lines.ts";
import { CALLED, HOST, INTERRUPTED, RECORD, SMALL_OFFSET, Trap } from "./instrument.ts";
import type { GuestProgram } from "./program.ts";
import { callNumber, type Script, type ScriptedGuest, ScriptMemory } from "./scripted.ts";

/**
 * Guests of one simulated machine: the part of the host interface (kernel/host.ts) that is about them.
 *
 * A guest's linear memory is where the kernel says; its frames, while it does not run, are kept here. A
 * turn is as long as its fuel, which is virtual time: so many loop rounds and function calls, and no
 * more, fit between now and a deadline, on every machine and in every run.
 */

/** Virtual time of a loop's round or a function's call. A round is a few instructions, now and then many. */
const FUEL_TIME = 10;
/** Virtual time of going to a guest and back. */
const SWITCH_TIME = 200;

/** Room for the frames of a guest that leaves, at the end of the machine's memory: shared by all. */
export const FRAMES_BYTES = 4 << 20;
/** Of Asyncify: where it is in its room, and where that ends. */
const FRAMES_HEAD = 8;

const GUESTS_MOST = 64;
const PAGE = 4096;
const PAGE_SHIFT = 12;
/** Where a guest reads what is lent to it, and how many pages at most. */
const LENT = 0xc0000000;
const PLACES = 512;
const WASM_PAGE_SHIFT = 16;
/** Of `GuestModule`: behind pages, most pages, and the name's length. */
const NAME = 12;
const NAME_MOST = 52;
/** Frames that a report has at most. */
const FRAMES_SHOWN = 32;

const enum Reason {
  Called = CALLED,
  Finished = 1,
  Trapped = 2,
  Interrupted = INTERRUPTED,
}

const TRAPS: { readonly [kind in Trap]: string } = {
  [Trap.Unreachable]: "unreachable",
  [Trap.Memory]: "memory access out of bounds",
  [Trap.Table]: "table access out of bounds",
  [Trap.NullCall]: "call through a null table entry",
  [Trap.CallType]: "indirect call of another signature",
  [Trap.DivideByZero]: "integer divide by zero",
  [Trap.IntegerOverflow]: "integer overflow",
  [Trap.Conversion]: "invalid conversion to integer",
  [Trap.Stack]: "call stack exhausted",
};

/** V8's words for what it finds itself. Of a call it does not say which of the two it was. */
const V8_TRAPS: readonly (readonly [RegExp, Trap])[] = [
  [/^unreachable/, Trap.Unreachable],
  [/memory|data segment/, Trap.Memory],
  [/null function|signature/, Trap.CallType],
  [/table|element segment/, Trap.Table],
  [/by zero/, Trap.DivideByZero],
  [/divide result/, Trap.IntegerOverflow],
  [/float unrepresentable/, Trap.Conversion],
  [/call stack/, Trap.Stack],
];

/** Thrown through a guest by what its own code finds out of order. */
class GuestTrap extends Error {
  constructor(readonly kind: Trap) {
    super(TRAPS[kind]);
  }
}

/** What guests want of their machine. */
export interface GuestMachine {
  readonly memory: Uint8Array;
  readonly view: DataView;
  readonly wasmMemory: WebAssembly.Memory;
  /** Nanoseconds since it started. */
  uptime(): number;
  /** Lets virtual time pass. */
  spend(ns: number): void;
  /** Prints a line. */
  print(line: string): void;
}

/** A guest, of either kind. */
interface Runnable {
  readonly record: number;
  resume(deadline: bigint): Reason;
  lend(place: number, address: number, pages: number): number;
}

export class Guests {
  private readonly alive = new Map<number, Runnable>();

  constructor(
    private readonly machine: GuestMachine,
    private readonly programs: readonly (GuestProgram | ScriptedGuest)[],
    /** Where frames go: `FRAMES_BYTES` of the machine's memory. */
    private readonly frames: number,
  ) {}

  /** `kernel/host.ts` has each one's contract. */
  imports() {
    return {
      guestModules: () => this.programs.length,
      guestModule: (index: number, into: number) => this.describe(index, into >>> 0),
      guestMake: (module: number, area: number, length: number, stack: number, most: number) =>
        this.make(module, area >>> 0, length >>> 0, stack >>> 0, most >>> 0),
      guestResume: (record: number, deadline: bigint) =>
        this.guest(record).resume(BigInt.asUintN(64, deadline)),
      guestMap: (record: number, place: number, address: number, pages: number) =>
        this.guest(record).lend(place, address >>> 0, pages),
      guestUnmap: (record: number, place: number, pages: number) =>
        this.guest(record).lend(place, 0, pages),
      guestEnd: (record: number) => void this.alive.delete(this.guest(record).record),
    };
  }

  private guest(record: number): Runnable {
    const guest = this.alive.get(record >>> 0);
    if (!guest) throw new Error(`the kernel names a guest that is not there: ${record >>> 0}`);
    return guest;
  }

  private describe(index: number, into: number): void {
    const { view, memory } = this.machine;
    const program = this.programs[index]!;
    const { pages, name } = program;
    const most = "script" in program ? pages : program.most;
    const text = new TextEncoder().encode(name).subarray(0, NAME_MOST);
    view.setUint32(into, pages, true);
    view.setUint32(into + 4, Math.min(most, 65535), true);
    view.setUint16(into + 8, text.length, true);
    view.setUint16(into + 10, "script" in program || !program.leases ? 0 : 1, true);
    memory.set(text, into + NAME);
  }

  /** One page is the record, and all behind it linear memory: frames are kept elsewhere. */
  private make(
    module: number,
    area: number,
    length: number,
    stack: number,
    memoryMost: number,
  ): number {
    const program = this.programs[module]!;
    const room = Math.max(length - PAGE, 0) >>> WASM_PAGE_SHIFT;
    const upTo = "script" in program ? program.pages : program.most;
    const most = Math.min(room, upTo, memoryMost >>> WASM_PAGE_SHIFT);
    if (area % PAGE || length % PAGE || this.alive.size === GUESTS_MOST || most < program.pages)
      return 0;
    this.machine.memory.fill(0, area, area + PAGE);
    this.machine.view.setUint32(area + RECORD.memory, area + PAGE, true);
    const guest =
      "script" in program
        ? new Scripted(this.machine, program, area)
        : new Guest(this.machine, program, area, most, stack, this.frames);
    this.alive.set(area, guest);
    return area;
  }
}

type HostExports = {
  readonly [name: string]: WebAssembly.Global<"i32"> | (() => void);
} & {
  asyncify_start_unwind(frames: number): void;
  asyncify_stop_unwind(): void;
  asyncify_start_rewind(frames: number): void;
  asyncify_stop_rewind(): void;
};

class Scripted implements Runnable {
  private script: Script | undefined;

  constructor(
    private readonly machine: GuestMachine,
    private readonly program: ScriptedGuest,
    readonly record: number,
  ) {}

  resume(): Reason {
    const { machine, record } = this;
    const { view } = machine;
    machine.spend(SWITCH_TIME);
    if (!this.script) {
      const base = record + PAGE;
      const bytes = machine.memory.subarray(base, base + (this.program.pages << WASM_PAGE_SHIFT));
      bytes.fill(0);
      view.setUint32(record + RECORD.bytes, bytes.length, true);
      this.script = this.program.script(new ScriptMemory(bytes));
    }
    const { value, done } = this.script.next(view.getInt32(record + RECORD.result, true));
    if (done) return Reason.Finished;
    if ("trap" in value) {
      view.setUint32(record + RECORD.trap, value.trap, true);
      return Reason.Trapped;
    }
    view.setUint32(record + RECORD.call, callNumber(value.call), true);
    value.args.forEach((argument, i) => {
      const bits = typeof argument === "number" ? BigInt(argument >>> 0) : argument;
      view.setBigUint64(record + RECORD.arguments + 8 * i, BigInt.asUintN(64, bits), true);
    });
    return Reason.Called;
  }

  lend(): never {
    throw new Error("a script leases nothing");
  }
}

class Guest implements Runnable {
  private exports: HostExports | undefined;
  private fuel!: WebAssembly.Global<"i32">;
  private run!: () => void;
  /** Its frames while it does not run, and why it left; null before it runs. */
  private suspended: Uint8Array | null = null;
  private left: Reason | null = null;
  private rewinding = false;
  /** Addresses of the pages that are lent to it, 0 for none. */
  private readonly lent = new Uint32Array(PLACES);

  constructor(
    private readonly machine: GuestMachine,
    private readonly program: GuestProgram,
    readonly record: number,
    private readonly most: number,
    private readonly stack: number,
    private readonly frames: number,
  ) {}

  resume(deadline: bigint): Reason {
    const left = Number(deadline) - this.machine.uptime() - SWITCH_TIME;
    const fuel = Math.min(Math.max(Math.floor(left / FUEL_TIME), 1), 0x7fffffff);
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = FRAMES_SHOWN;
    try {
      this.exports ??= this.instantiate();
      this.fuel.value = fuel;
      return this.enter(this.exports);
    } catch (error) {
      return this.trapped(error);
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
      const used = this.exports ? fuel - this.fuel.value : 0;
      this.machine.spend(SWITCH_TIME + used * FUEL_TIME);
    }
  }

  private instantiate(): HostExports {
    const { wasmMemory, memory, view } = this.machine;
    const trap = (kind: Trap) => {
      throw new GuestTrap(kind);
    };
    const imports = {
      memory: wasmMemory,
      leave: (reason: number) => this.leave(reason),
      trap,
      far: (address: number, offset: number, length: number, write: number) =>
        this.far((address >>> 0) + (offset >>> 0), length >>> 0, write !== 0) -
        (offset >>> 0 < SMALL_OFFSET ? offset : 0),
    };
    const base = this.record + PAGE;
    const bytes = this.program.pages << WASM_PAGE_SHIFT;
    memory.fill(0, base, base + bytes);
    view.setUint32(this.record + RECORD.bytes, bytes, true);
    const instance = new WebAssembly.Instance(this.program.module, { [HOST]: imports });
    const exports = instance.exports as HostExports;
    const global = (name: string) => exports[`${HOST}.${name}`] as WebAssembly.Global<"i32">;
    const values = { base, bytes, most: this.most, record: this.record, stack: this.stack };
    for (const [name, value] of Object.entries(values)) global(name).value = value;
    this.fuel = global("fuel");
    this.run = exports[`${HOST}.run`] as () => void;
    return exports;
  }

  /** Runs from where it left until it leaves again or ends. */
  private enter(exports: HostExports): Reason {
    const { memory, view } = this.machine;
    const { frames, suspended } = this;
    const first = frames + FRAMES_HEAD;
    view.setUint32(frames + 4, frames + FRAMES_BYTES, true);
    if (suspended) {
      memory.set(suspended, first);
      view.setUint32(frames, first + suspended.length, true);
      this.rewinding = true;
      exports.asyncify_start_rewind(frames);
    }
    this.left = null;
    this.run();
    if (this.left === null) return Reason.Finished;
    exports.asyncify_stop_unwind();
    this.suspended = memory.slice(first, view.getUint32(frames, true));
    return this.left;
  }

  /** Called by its code: the first time to unwind its frames, and again when they have been rewound. */
  private leave(reason: Reason): void {
    if (this.rewinding) {
      this.rewinding = false;
      this.exports!.asyncify_stop_rewind();
      return;
    }
    this.left = reason;
    this.machine.view.setUint32(this.frames, this.frames + FRAMES_HEAD, true);
    this.exports!.asyncify_start_unwind(this.frames);
  }

  /** The kernel's address of what lies outside linear memory. */
  private far(address: number, length: number, write: boolean): number {
    const at = address - LENT;
    const end = at + Math.max(length, 1);
    if (write || at < 0 || end > PLACES * PAGE) throw new GuestTrap(Trap.Memory);
    const first = at >>> PAGE_SHIFT;
    const start = this.lent[first]!;
    for (let page = first; page * PAGE < end; page++) {
      const follows = this.lent[page] === start + (page - first) * PAGE;
      if (!start || !follows) throw new GuestTrap(Trap.Memory);
    }
    return start + (at % PAGE);
  }

  /** Puts `pages` pages at `address` where it can read them, from page `place` on; none if it is 0. */
  lend(place: number, address: number, pages: number): number {
    for (let i = 0; i < pages; i++) this.lent[place + i] = address && address + i * PAGE;
    return LENT + place * PAGE;
  }

  private get name(): string {
    const { memory, view } = this.machine;
    const [at, length] = [RECORD.name, RECORD.nameLength].map((field) =>
      view.getUint32(this.record + field, true),
    );
    return new TextDecoder().decode(memory.slice(at, at! + length!));
  }

  private trapped(error: unknown): Reason {
    if (!(error instanceof Error)) throw error;
    const kind =
      error instanceof GuestTrap
        ? error.kind
        : error instanceof WebAssembly.RuntimeError || error instanceof RangeError
          ? V8_TRAPS.find(([words]) => words.test(error.message))?.[1]
          : undefined;
    if (kind === undefined) throw error;
    this.machine.view.setUint32(this.record + RECORD.trap, kind, true);
    this.machine.print(`*** guest ${this.name}: ${TRAPS[kind]}`);
    for (const line of guestFrames(error, this.program.lines())) this.machine.print(`    ${line}`);
    return Reason.Trapped;
  }
}

/**
 * The guest's functions on the stack of an error with their lines, innermost first; what stands there in a row is
 * named once.
 */
function guestFrames(error: Error, lines: LineMap | undefined): string[] {
  const frames: { text: string; times: number }[] = [];
  for (const [, name, offset] of (error.stack ?? "").matchAll(FRAME)) {
    if (name === `${HOST}.run`) break;
    if (name!.startsWith(HOST)) continue;
    const position = lines?.at(Number(offset));
    const text = position ? `${name}  ${position.file}:${position.line}` : name!;
    const last = frames.at(-1);
    if (last?.text === text) last.times++;
    else frames.push({ text, times: 1 });
  }
  return frames.map(({ text, times }) => (times > 1 ? `${text} (${times} times)` : text));
}

/** Of V8: the name of a function of Wasm, and the offset in its module. */
const FRAME = /^ +at (.+) \(wasm:.*:(0x[0-9a-f]+)\)$/gm;
