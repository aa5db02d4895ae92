/**
 * A kernel that does what the command line's first word says, so that the boot shim can be seen
 * doing its part: naming a fault, refusing an access, sleeping, ending the machine.
 */
import {
  BootInfo,
  bootInfo,
  consoleWrite,
  entropy,
  exit,
  interruptMessage,
  interruptOpen,
  interruptMask,
  interruptsPending,
  mmioMap,
  mmioRead32,
  mmioWrite32,
  monotonic,
  panic,
  portOut8,
  restart,
  wallClock,
} from "../../../kernel/host";

const info = changetype<BootInfo>(memory.data(offsetof<BootInfo>(), 8));
const line = memory.data(256, 8);
let lineLength: u32 = 0;

function put(text: string): void {
  for (let i = 0; i < text.length; i++) store<u8>(line + lineLength++, <u8>text.charCodeAt(i));
}

function hex(value: u64, digits: i32): void {
  for (let shift = digits * 4 - 4; shift >= 0; shift -= 4) {
    const digit = <u8>((value >> shift) & 15);
    store<u8>(line + lineLength++, digit < 10 ? 48 + digit : 87 + digit);
  }
}

function end(): void {
  store<u8>(line + lineLength++, 10);
  consoleWrite(line, lineLength);
  lineLength = 0;
}

/** Prints `name=hexadecimal`. */
function say(name: string, value: u64): void {
  put(name);
  put("=");
  hex(value, 16);
  end();
}

function told(word: string): bool {
  if (info.commandLineLength < <u32>word.length) return false;
  for (let i = 0; i < word.length; i++) {
    if (load<u8>(info.commandLine + i) !== word.charCodeAt(i)) return false;
  }
  const after = info.commandLine + word.length;
  return info.commandLineLength === <u32>word.length || load<u8>(after) === 32;
}

export function abort(): void {
  unreachable();
}

// What the compiler cannot know at compile time, so that it keeps the access.
let address: usize = 0;
let sink: u64 = 0;

// @ts-ignore: decorator
@inline
function readInlined(at: usize): u32 {
  return load<u32>(at);
}

function descend(depth: u32): u64 {
  return depth === 0xffffffff ? 0 : descend(depth + 1) * 3 + monotonic();
}

type Operation = (value: u32) => u32;

function half(value: u32): u32 {
  return value >> 1;
}

/** Steps still to be taken by what `init` began, and when the last sleep was to end. */
let sleeps: u32 = 0;
let wanted: u64 = 0;
let latest: u64 = 0;
let raised: u32 = 0;

export function init(): void {
  bootInfo(changetype<usize>(info));
  if (told("null")) sink = readInlined(address + 16);
  if (told("wild")) sink = load<u32>(address + 0xe0000000);
  if (told("beyond")) sink = load<u64>(address + 0xffffffff, 64);
  if (told("image")) sink = load<u32>(info.pack - 0x1000);
  if (told("pack")) store<u8>(info.pack, 0);
  if (told("recurse")) sink = descend(address as u32);
  if (told("unreachable")) unreachable();
  if (told("divide")) sink = 7 / <u64>address;
  if (told("nullcall")) {
    let operation: Operation = half;
    if (address === 0) operation = changetype<Operation>(line); // its table index is 0: nothing
    sink = operation(1);
  }
  if (told("panic")) {
    put("the sky fell");
    panic(line, lineLength);
  }
  if (told("exit0")) exit(0);
  if (told("exit7")) exit(7);
  if (told("info")) {
    say("kind", info.kind);
    say("ram", info.ram);
    say("ramLength", info.ramLength);
    say("machineKiB", info.machineKiB);
    say("bootNs", info.bootNs);
    say("wallClock", wallClock());
    say("pack", info.pack);
    say("packLength", info.packLength);
    let sum: u64 = 0;
    for (let i: u32 = 0; i < info.packLength; i++) sum += load<u8>(info.pack + i) * (i & 0xff);
    say("packSum", sum);
    say("rsdp", info.rsdp);
    if (info.rsdp) {
      say("rsdpSignature", load<u64>(info.rsdp));
      const root = load<u32>(info.rsdp + (load<u8>(info.rsdp + 15) >= 2 ? 24 : 16));
      say("rootSignature", load<u32>(root));
    }
    // Every page of what is given must be there, and hold what is written.
    for (let at: u32 = 0; at < info.ramLength; at += 4096) store<u32>(info.ram + at, at);
    for (let at: u32 = 0; at < info.ramLength; at += 4096) {
      if (load<u32>(info.ram + at) !== at) say("badPage", at);
    }
    consoleWrite(info.commandLine, info.commandLineLength);
    end();
    exit(0);
  }
  if (told("restart")) restart();
  if (told("entropy")) {
    const bytes = memory.data(32, 8);
    entropy(bytes, 29);
    say("last", load<u32>(bytes + 29) & 0xffffff);
    for (let i = 0; i < 3; i++) say("entropy", load<u64>(bytes + i * 8));
    exit(0);
  }
  if (told("mmio")) {
    say("ofRam", mmioMap(info.ram, 4096));
    say("ofImage", mmioMap(info.pack - 0x1000, 4096));
    say("ofStatic", mmioMap(0x8000, 16));
    say("ofFlash", mmioMap(0xff000000, 16));
    say("tooHigh", mmioMap(0x10000000000000, 16));
    say("above4GiB", mmioMap(0x100000010, 16));
    say("aboveAgain", mmioMap(0x100000020, 16));
    say("aboveNext", mmioMap(0x200000000, 0x1001));
    say("aboveTooMuch", mmioMap(0x300000000, 0x1000000));
    say("acrossEnd", mmioMap(0xfffff000, 0x2000));
    const ioApic = mmioMap(0xfec00000, 32);
    say("ioApic", ioApic);
    say("again", mmioMap(0xfec00000, 32));
    mmioWrite32(ioApic, 1);
    say("ioApicVersion", mmioRead32(ioApic + 16) & 0xff);
    sink = load<u32>(ioApic + 0x1000); // the next page was not asked for
  }
  if (told("sleep")) sleeps = 10;
  if (told("line")) {
    say("open16", interruptOpen(16));
    say("open2", interruptOpen(2));
    say("open4", interruptOpen(4));
    portOut8(0x3f9, 2); // COM1 raises line 4 while it can take a byte
    sleeps = 6;
  }
  if (told("message")) {
    say("none", interruptMessage(64));
    const message = interruptMessage(63);
    // COM1's line at the I/O APIC, level-triggered, sends it: its data sheet (82093AA), 3.2.4.
    ioApic = mmioMap(0xfec00000, 32);
    redirect(4, ((message >> 12) & 0xff) << 56, LEVEL | (<u32>(message >> 32)));
    portOut8(0x3f9, 2);
    sleeps = 6;
  }
}

const LEVEL: u32 = 1 << 15;
let ioApic: usize = 0;

function redirect(input: u32, upper: u64, lower: u32): void {
  mmioWrite32(ioApic, 0x11 + 2 * input);
  mmioWrite32(ioApic + 16, <u32>(upper >> 32));
  mmioWrite32(ioApic, 0x10 + 2 * input);
  mmioWrite32(ioApic + 16, lower);
}

const MILLISECOND: u64 = 1_000_000;

export function step(): u64 {
  const now = monotonic();
  if (told("line")) {
    // Raised for three sleeps, then lowered at the device, then raised but masked.
    if (interruptsPending() === 1 << 4) raised++;
    else if (wanted !== 0 && now < wanted) say("endedBy", 0);
    if (sleeps === 3) {
      portOut8(0x3f9, 0);
      say("raised", raised);
    }
    if (sleeps === 2) {
      say("quietLate", now >= wanted);
      interruptMask(4, true);
      portOut8(0x3f9, 2);
    }
    if (sleeps === 1) {
      say("maskedLate", now >= wanted);
      portOut8(0x3f9, 0);
      exit(0);
    }
    sleeps--;
    wanted = now + 20 * MILLISECOND;
    return wanted;
  }
  if (told("message")) {
    // Raised for three sleeps, then lowered: what the I/O APIC has sent by then may end one more.
    if (interruptsPending() === (<u64>1) << 63) raised++;
    else if (wanted !== 0 && now < wanted) say("endedBy", 0);
    if (sleeps === 3) portOut8(0x3f9, 0);
    if (sleeps === 1) {
      say("raised", raised);
      say("quietLate", now >= wanted);
      exit(0);
    }
    sleeps--;
    wanted = now + 20 * MILLISECOND;
    return wanted;
  }
  if (told("sleep")) {
    if (wanted !== 0) {
      if (now < wanted) say("early", wanted - now);
      else if (now - wanted > latest) latest = now - wanted;
    }
    if (sleeps-- === 0) {
      say("latest", latest);
      say("slept", now - info.bootNs);
      exit(0);
    }
    wanted = now + 20 * MILLISECOND;
    return wanted;
  }
  say("idle", 0); // for ever
  return u64.MAX_VALUE;
}
