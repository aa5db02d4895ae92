/**
 * The host interface: all that the kernel knows of the world.
 *
 * Three hosts provide it: the boot shim on metal (boot/), Node for simulation
 * (tools/sim/) and a Linux process (hosted/). Whatever this file does not name, the
 * kernel cannot do: time, randomness and devices come from here and nowhere else,
 * so a run is a function of what the host answers.
 *
 * Rules for every call:
 * - A pointer is an address in the kernel's linear memory. On metal that is the
 *   physical address of the same byte for RAM and devices (the kernel's own static
 *   data excepted: never give that to a device).
 * - A call neither blocks nor re-enters the kernel. The one place that blocks is the
 *   host's own loop, between two calls of `step`.
 * - The kernel is trusted; a bad pointer is a bug, and the host may end the machine.
 */

// ---- Console and end of the machine ---------------------------------------------------

/** Writes `length` bytes of UTF-8 to the console. Loses nothing; may busy-wait for the device. */
@external("host", "consoleWrite")
export declare function consoleWrite(text: usize, length: u32): void;

/**
 * Takes up to `room` bytes that were typed at the console, as they came; their number. Never waits. Below 0: nothing
 * will come any more. From the first call on, what comes ends a sleep where the host can see to that.
 */
@external("host", "consoleRead")
export declare function consoleRead(into: usize, room: u32): i32;

/**
 * Ends the machine: 0 is success, anything else a failure that a test can read
 * (on metal through QEMU's exit device where there is one, then power off). Does not return.
 */
@external("host", "exit")
export declare function exit(code: u32): void;

/** Starts the machine anew, or ends it where a host cannot. Does not return. */
@external("host", "restart")
export declare function restart(): void;

/**
 * Reports a broken invariant: the host prints `length` bytes of text and a backtrace, then
 * stops the machine. Does not return.
 */
@external("host", "panic")
export declare function panic(text: usize, length: u32): void;

// ---- Time and randomness ---------------------------------------------------------------

/** Nanoseconds since the machine started. Never decreases; cheap enough to call per batch. */
@external("host", "monotonic")
export declare function monotonic(): u64;

/** Nanoseconds since 1970-01-01T00:00Z, or 0 where the machine has no clock. Slow; may jump. */
@external("host", "wallClock")
export declare function wallClock(): u64;

/** Fills `length` bytes with unpredictable bits. Slow: seed a generator with it (kernel/random.ts). */
@external("host", "entropy")
export declare function entropy(into: usize, length: u32): void;

// ---- What the machine is ---------------------------------------------------------------

/** Which host this is: see `HostKind`. */
export const enum HostKind {
  Metal = 1,
  Node = 2,
  Process = 3,
}

/** Filled by `bootInfo`. All addresses are readable by plain loads; nothing moves afterwards. */
@unmanaged
export class BootInfo {
  /** `HostKind`. */
  kind: u32;
  /** Bytes of kernel command line (UTF-8, not terminated), without the image's own path. */
  commandLineLength: u32;
  commandLine: usize;
  /** The file pack linked into the image (tools/image): address and bytes. 0, 0 without one. */
  pack: usize;
  packLength: u32;
  /** What the image says of its guests (tools/guest/spec.ts), at a multiple of 8, and bytes. 0, 0 without. */
  setup: usize;
  setupLength: u32;
  /** The ACPI RSDP, all of whose tables can be read, or 0. */
  rsdp: usize;
  /**
   * The largest run of free RAM below 4 GiB, identity-mapped, page-aligned, disjoint from the
   * image, the pack, the setup, the command line and the kernel's static data. All of it is the kernel's.
   */
  ram: usize;
  ramLength: u32;
  /** RAM that the machine has in all, in KiB. */
  machineKiB: u32;
  /** `monotonic()` at the kernel's start: how long the host's own boot before it took, in ns. */
  bootNs: u64;
}

/** Fills the `BootInfo` at `into`. */
@external("host", "bootInfo")
export declare function bootInfo(into: usize): void;

// ---- Port and memory-mapped I/O ----------------------------------------------------------

/** x86 port reads and writes; in Node they reach the modelled devices. An absent port reads all ones. */
@external("host", "portIn8")
export declare function portIn8(port: u32): u32;


@external("host", "portIn16")
export declare function portIn16(port: u32): u32;


@external("host", "portIn32")
export declare function portIn32(port: u32): u32;


@external("host", "portOut8")
export declare function portOut8(port: u32, value: u32): void;


@external("host", "portOut16")
export declare function portOut16(port: u32, value: u32): void;


@external("host", "portOut32")
export declare function portOut32(port: u32, value: u32): void;

/**
 * Makes `length` bytes of device registers at physical address `physical` reachable, uncached.
 * Returns the address for the `mmio…` calls, or 0 if it cannot be mapped (RAM, the image, or
 * above what the host can reach). Maps whole 4 KiB pages, side by side if they are so physically;
 * mapping a range twice is harmless.
 */
@external("host", "mmioMap")
export declare function mmioMap(physical: u64, length: u32): usize;

/** One access of exactly this width, never merged, repeated or moved across another `mmio…` call. */
@external("host", "mmioRead8")
export declare function mmioRead8(address: usize): u32;


@external("host", "mmioRead16")
export declare function mmioRead16(address: usize): u32;


@external("host", "mmioRead32")
export declare function mmioRead32(address: usize): u32;


@external("host", "mmioWrite8")
export declare function mmioWrite8(address: usize, value: u32): void;


@external("host", "mmioWrite16")
export declare function mmioWrite16(address: usize, value: u32): void;


@external("host", "mmioWrite32")
export declare function mmioWrite32(address: usize, value: u32): void;

// ---- Memory shared with a device ---------------------------------------------------------

/**
 * One access of exactly this width to RAM that a device also writes (descriptors). A plain
 * `load` may be cached in a register for ever; these may not.
 */
@external("host", "dmaRead16")
export declare function dmaRead16(address: usize): u32;


@external("host", "dmaRead32")
export declare function dmaRead32(address: usize): u32;


@external("host", "dmaRead64")
export declare function dmaRead64(address: usize): u64;


@external("host", "dmaWrite16")
export declare function dmaWrite16(address: usize, value: u32): void;


@external("host", "dmaWrite32")
export declare function dmaWrite32(address: usize, value: u32): void;


@external("host", "dmaWrite64")
export declare function dmaWrite64(address: usize, value: u64): void;

/** What was read before stays before what is read after: between a done bit and the data it vouches for. */
@external("host", "dmaReadBarrier")
export declare function dmaReadBarrier(): void;

/** What was written before is visible to the device before what is written after: ahead of a doorbell. */
@external("host", "dmaWriteBarrier")
export declare function dmaWriteBarrier(): void;

/**
 * What was written before is visible to the device before what is read after. The others cost nothing on
 * x86, this one waits for the store buffer: once a batch.
 */
@external("host", "dmaFullBarrier")
export declare function dmaFullBarrier(): void;

/** A hint that the cache line of RAM at `address` is about to be used; may do nothing. */
@external("host", "prefetch")
export declare function prefetch(address: usize): void;

// ---- Interrupts --------------------------------------------------------------------------

/**
 * Interrupts have numbers: 0 to 31 are lines, 32 to 63 messages. They are taken only while the host
 * sleeps between two `step`s, or a guest runs; they end the sleep, or the guest's turn, and mark their
 * number. A device whose line stays raised ends the next sleep at once; a message sent while nobody
 * sleeps ends it once.
 *
 * What a device (or an I/O APIC, for a line) has to write to raise `number`: the address in the lower
 * half, the data in the upper. 0 where the host takes no messages.
 */
@external("host", "interruptMessage")
export declare function interruptMessage(number: u32): u64;

/** Lets `line` of the 8259s (0 to 15) end a sleep. False if it cannot be routed. */
@external("host", "interruptOpen")
export declare function interruptOpen(line: u32): bool;

/** Masks or unmasks such a line, once it is open: for one that keeps firing with no work behind it. */
@external("host", "interruptMask")
export declare function interruptMask(line: u32, masked: bool): void;

/** What fired since the last call, bit n for number n; clears it. */
@external("host", "interruptsPending")
export declare function interruptsPending(): u64;

// ---- Guests ------------------------------------------------------------------------------

/** Most arguments of a guest's call. */
export const GUEST_ARGUMENTS: u32 = 12;

/** Why `guestResume` came back. */
export const enum GuestReason {
  /** The guest made call `GuestRecord.call`. Resuming it gives it `result`. */
  Called = 0,
  /** Its start function returned. It cannot be resumed. */
  Finished = 1,
  /** It did what Wasm forbids, as `trap` says; the host has printed where. It cannot be resumed. */
  Trapped = 2,
  /** The deadline or a device's interrupt. Resuming it goes on where it was. */
  Interrupted = 3,
}

/** A guest, as kernel and host share it. */
@unmanaged
export class GuestRecord {
  /** The guest's linear memory: an address of the kernel's, and its bytes, which may grow in each run. */
  memory: usize;
  memoryBytes: u32;
  call: u32;
  /** As tools/aot/runtime/wasm.h numbers them. */
  trap: u32;
  /** Each as an integer of 64 bits, whatever its type. */
  private arguments: u64;
  private arguments1: u64;
  private arguments2: u64;
  private arguments3: u64;
  private arguments4: u64;
  private arguments5: u64;
  private arguments6: u64;
  private arguments7: u64;
  private arguments8: u64;
  private arguments9: u64;
  private arguments10: u64;
  private arguments11: u64;
  result: u64;
  /** Set by the kernel after `guestMake`: what the host calls the guest in its reports. */
  name: usize;
  nameLength: u32;
  /** Pages that its memory would have had when it last asked for more than it may have; 0 if it never did. */
  refused: u32;

  /** Argument `index`, below `GUEST_ARGUMENTS`. */
  @inline argument(index: u32): u64 {
    return load<u64>(
      changetype<usize>(this) + ((<usize>index) << 3),
      offsetof<GuestRecord>("arguments"),
    );
  }
}

/** Filled by `guestModule`. */
@unmanaged
export class GuestModule {
  /** Pages of 64 KiB that its memory begins with, and may grow to. */
  pages: u32;
  pagesMost: u32;
  /** UTF-8, behind this. */
  nameLength: u16;
  /** 1 if it leases, so that memory may be lent to its guests (`guestMap`). */
  leases: u16;


  @inline get name(): usize {
    return changetype<usize>(this) + offsetof<GuestModule>();
  }
}

/** Bytes of a `GuestModule` with its name. */
export const GUEST_MODULE_BYTES: u32 = 64;

/** The Wasm modules that are part of this image. */
@external("host", "guestModules")
export declare function guestModules(): u32;

/** Fills the `GuestModule` at `into`; `index` is below `guestModules()`. */
@external("host", "guestModule")
export declare function guestModule(index: u32, into: usize): void;

/**
 * Makes a guest of a module in `length` bytes of RAM at `area`, both whole pages of 4 KiB, which the
 * kernel leaves alone until `guestEnd`: its tables, stack of `stackBytes` (at most 1 MiB), globals and
 * linear memory, which can grow as far as there is room, to `memoryMost` bytes. Returns the address of its
 * `GuestRecord`, or 0 when that is too little or there are 64 guests. The first `guestResume` instantiates and
 * starts it. A module may be made a guest of any number of times.
 */
@external("host", "guestMake")
export declare function guestMake(
  module: u32,
  area: usize,
  length: u32,
  stackBytes: u32,
  memoryMost: u32,
): usize;

/** Runs the guest until a `GuestReason`, which it returns; at the latest at `deadline`, `monotonic` ns. */
@external("host", "guestResume")
export declare function guestResume(record: usize, deadline: u64): u32;

/** Pages of 4 KiB that a guest has places for to be lent. */
export const GUEST_PLACES: u32 = 512;

/**
 * Lends `pages` pages of RAM at `address` to a guest whose module leases, for it to read: writing there is a trap.
 * Returns the address at which it has them: beyond its linear memory, and always the same for `place`, the first
 * of that many of the guest's `GUEST_PLACES`, which are free. What else is in the pages it can read, too.
 */
@external("host", "guestMap")
export declare function guestMap(record: usize, place: u32, address: usize, pages: u32): u32;

/** Takes them back. `guestEnd` does so with all. */
@external("host", "guestUnmap")
export declare function guestUnmap(record: usize, place: u32, pages: u32): void;

/** Ends the guest. Its RAM is the kernel's again, and its place free for another. */
@external("host", "guestEnd")
export declare function guestEnd(record: usize): void;
