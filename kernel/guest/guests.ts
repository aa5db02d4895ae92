import {
  GUEST_MODULE_BYTES,
  GuestModule,
  GuestReason,
  GuestRecord,
  guestEnd,
  guestMake,
  guestModule,
  guestModules,
  guestResume,
  monotonic,
} from "../host";
import { CONSOLE, NAMES, PIPES } from "../features";
import { Line, error, info, warn } from "../log";
import { reserve, reserveUncleared, unreserved } from "../memory";
import { setGuestSink } from "../socket";
import { MICROSECOND, MILLISECOND, SECOND, Timer } from "../timer";
import { consoleOpen } from "./console";
import { DESCRIPTORS_DEFAULT, Description, Descriptors, descriptorsBytes } from "./descriptors";
import { Guest, GuestState, news } from "./guest";
import { MemoryLimit, memoryRefused } from "./limits";
import { mountsInit, mountsMake, mountsOpen } from "./mounts";
import { namesEnd } from "./names";
import { placesMake } from "./leases";
import { closeAll } from "./objects";
import { pipesInit } from "./pipes";
import { GuestSpec, Restart, specAt, specCount, specOfModule, specsFound } from "./spec";
import { transferInit } from "./transfer";
import { guestCall } from "./wasi";

/**
 * Guests: Wasm programs that are part of the image, each isolated by the host in memory of its own.
 * In each step every guest that has something to do has one turn, so that what a guest that never
 * stops costs the network is one slice.
 *
 * A call of a guest ends in its result, or parks it: then it has no turn until it wakes. A guest that has
 * ended may be started again, in the same memory, which holds nothing of what it was.
 */

/** Longest turn. */
const SLICE: u64 = 200 * MICROSECOND;
/**
 * What a turn that is shorter saves for one that is longer, and what may be saved. The turns of a server end by
 * themselves: the timer that would end them need not be armed for each, which costs more than they do.
 */
const SAVED: u64 = 20 * MICROSECOND;
const SAVED_MOST: u64 = 2 * MILLISECOND;
/** Of the only guest: no other waits for it, and what a device has ends its turn. */
const SAVED_ALONE: u64 = 10 * MILLISECOND;
/** Calls in one turn, so that a guest that only calls is as patient as one that only computes. */
const CALLS: u32 = 256;
/** A share of the processor may be used at once for so long, by who has been idle. */
const SHARE_OVER: u64 = 100 * MILLISECOND;

/** Started again, first at once, then after this, doubled each time; all over after it ran for a while. */
const BACK_OFF: u64 = 100 * MILLISECOND;
const BACK_OFF_MOST: u64 = 30 * SECOND;
const RAN_WELL: u64 = 10 * SECOND;

const PAGE: u32 = 4096;
const STACK_BYTES: u32 = 256 << 10;
/** Memory that a guest may grow by, unless its module or spec says less or the machine has little. */
const GROWTH: u32 = 16 << 20;

let modules: usize = 0;
let moduleCount: u32 = 0;
let guests: usize = 0;
let count: u32 = 0;


@inline function guestAt(index: u32): Guest {
  return changetype<Guest>(guests + <usize>index * offsetof<Guest>());
}


@inline function moduleAt(index: u32): GuestModule {
  return changetype<GuestModule>(modules + <usize>index * GUEST_MODULE_BYTES);
}

/** Whether the image has a module that leases packets. */
export function guestsLease(): bool {
  const module = changetype<GuestModule>(memory.data(GUEST_MODULE_BYTES, 8));
  for (let i = guestModules(); i-- > 0;) {
    guestModule(i, changetype<usize>(module));
    if (module.leases) return true;
  }
  return false;
}

/** Makes the guests that the image says, or one of each module. */
export function guestsInit(): void {
  moduleCount = guestModules();
  if (!moduleCount) return;
  modules = reserve(moduleCount * GUEST_MODULE_BYTES, 8);
  for (let i: u32 = 0; i < moduleCount; i++) guestModule(i, changetype<usize>(moduleAt(i)));
  setGuestSink(onNews);
  mountsInit();
  transferInit();
  const specs = specsFound();
  const most = specs ? specCount() : moduleCount;
  guests = reserve(most * offsetof<Guest>(), 8);
  if (PIPES) pipesInit(most);
  for (let i: u32 = 0; i < most; i++) {
    const guest = guestAt(i);
    const module = moduleAt(i);
    guest.spec = specs ? specAt(i) : specOfModule(module.name, module.nameLength);
    guest.module = specs ? moduleOf(guest.spec) : i;
    if (guest.module == moduleCount) {
      guest.nameIn(error("guest")).text(" not started: its module is not part of the image").end();
    } else if (!mountsMake(guest, most - i)) {
      guest.module = moduleCount;
    }
  }
  // Some is left to what comes later: drivers of devices that are plugged in.
  let room = unreserved() - (unreserved() >> 4);
  let needed: u64 = 0;
  for (let i: u32 = 0; i < most; i++) needed += leastOf(guestAt(i));
  for (let i: u32 = 0; i < most; i++) {
    const guest = guestAt(i);
    const least = leastOf(guest);
    guest.index = i;
    guest.state = GuestState.Ended;
    if (!least) continue;
    // All have what they begin with; what is left after that is shared out for growing.
    const growth = room > needed ? <u32>((room - needed) / (most - i)) : 0;
    const before = unreserved();
    make(guest, growth);
    needed -= least;
    room -= min<u32>(room, before - unreserved());
  }
  count = most;
}

/** The number of a spec's module, or `moduleCount`. */
function moduleOf(spec: GuestSpec): u32 {
  const length = spec.moduleLength;
  for (let i: u32 = 0; i < moduleCount; i++) {
    const module = moduleAt(i);
    if (module.nameLength == length && !memory.compare(module.name, spec.module, length)) return i;
  }
  return moduleCount;
}

/** Bytes that a guest with `memory` bytes lives in: its own structures are tables and, at most, 21 pages. */
function areaFor(memory: u64): u64 {
  const tables = ((memory >> 21) + (memory >> 30) + 4) * PAGE;
  return memory + tables + 21 * PAGE + STACK_BYTES;
}

/** Bytes without which a guest cannot begin; 0 for what has no module. */
function leastOf(guest: Guest): u64 {
  if (guest.module == moduleCount) return 0;
  return areaFor((<u64>moduleAt(guest.module).pages) << 16);
}

/** Gives a guest its memory, `growth` bytes of it to grow by at most, and starts it. */
function make(guest: Guest, growth: u32): void {
  const spec = guest.spec;
  const module = moduleAt(guest.module);
  const first = (<u64>module.pages) << 16;
  const declared = (<u64>module.pagesMost) << 16;
  let most = spec.memory ? <u64>spec.memory : first + GROWTH;
  guest.memoryLimit = spec.memory ? MemoryLimit.Spec : MemoryLimit.Default;
  if (declared <= most) {
    most = declared;
    guest.memoryLimit = MemoryLimit.Module;
  }
  if (most < first) {
    guest
      .nameIn(error("guest"))
      .text(" not started: its module begins with more memory than it may have")
      .key("KiB")
      .number(first >> 10)
      .end();
    return;
  }
  const room = first + (growth & 0xffff_0000);
  if (room < most) {
    most = room;
    guest.memoryLimit = MemoryLimit.Machine;
  }
  const length = areaFor(most);
  if (length > <u64>unreserved()) {
    guest
      .nameIn(error("guest"))
      .text(" not started: its memory does not fit, give the machine more RAM (MEM=)")
      .key("KiB")
      .number(first >> 10)
      .end();
    return;
  }
  guest.memoryMost = <u32>most;
  guest.areaLength = <u32>length;
  guest.area = reserveUncleared(guest.areaLength, PAGE);
  const descriptors = spec.descriptors ? spec.descriptors : DESCRIPTORS_DEFAULT;
  guest.descriptors = changetype<Descriptors>(reserveUncleared(descriptorsBytes(descriptors), 64));
  guest.descriptors.limit = descriptors;
  guest.timer = changetype<Timer>(reserve(offsetof<Timer>(), 8));
  guest.timer.init(timeUp, changetype<usize>(guest));
  guest.creditAt = monotonic();
  if (module.leases) guest.places = placesMake();
  start(guest);
}

/** Makes a fresh instance of its module. */
function start(guest: Guest): void {
  const record = guestMake(
    guest.module,
    guest.area,
    guest.areaLength,
    STACK_BYTES,
    guest.memoryMost,
  );
  if (!record) {
    guest.nameIn(error("guest")).text(" not started: there is no place for it").end();
    return;
  }
  guest.record = changetype<GuestRecord>(record);
  guest.record.name = guest.spec.name;
  guest.record.nameLength = guest.spec.nameLength;
  guest.descriptors.init(guest, guest.descriptors.limit);
  mountsOpen(guest);
  if (CONSOLE) consoleOpen(guest);
  guest.exitCode = 0;
  guest.memoryReported = false;
  guest.used = 0;
  guest.turnSince = monotonic();
  guest.again = false;
  guest.yielded = false;
  guest.saved = 0;
  guest.started = guest.turnSince;
  guest.state = GuestState.Ready;
}

function timeUp(context: usize, _now: u64): void {
  const guest = changetype<Guest>(context);
  if (guest.parked) guest.wake();
  else if (guest.state == GuestState.Ended) start(guest);
  else guest.state = GuestState.Ready;
}

function onNews(context: usize): void {
  news(changetype<Description>(context));
}

/** Gives every guest that is ready a turn; whether one is ready still. Cost: a slice for each. */
export function guestsRun(): bool {
  let ready = false;
  for (let i: u32 = 0; i < count; i++) {
    const guest = guestAt(i);
    if (guest.state != GuestState.Ready) continue;
    const now = monotonic();
    if (guest.spec.cpu) turnWithinShare(guest, now);
    else accountedTurn(guest, now);
    if (guest.state == GuestState.Ready) ready = true;
  }
  return ready;
}

/**
 * A turn of a guest with a share of the processor: time fills its credit by that share, its turns use it up.
 * One that has none rests until it has.
 */
function turnWithinShare(guest: Guest, now: u64): void {
  const share = guest.spec.cpu;
  const most: i64 = (SHARE_OVER * share) / 100;
  const filled = min<u64>(now - guest.creditAt, SECOND) * share;
  guest.creditAt = now;
  guest.credit = min<i64>(guest.credit + filled / 100, most);
  if (guest.credit <= 0) {
    guest.state = GuestState.Resting;
    guest.timer.arm(now + (<u64>-guest.credit * 100) / share + 1);
    return;
  }
  accountedTurn(guest, now);
  guest.credit -= guest.turnSince - now;
}

/** A turn, and how much of the processor it took: `turnSince` is then its end. */
function accountedTurn(guest: Guest, now: u64): void {
  guest.turnSince = now;
  turn(guest, now + SLICE + guest.saved);
  const end = monotonic();
  const took = end - now;
  const most = count == 1 ? SAVED_ALONE : SAVED_MOST;
  if (took < SLICE) guest.saved = min<u64>(guest.saved + SAVED, most);
  else guest.saved -= min<u64>(guest.saved, took - SLICE);
  guest.used += end - guest.turnSince;
  guest.turnSince = end;
}

function turn(guest: Guest, deadline: u64): void {
  let trapped = false;
  for (let calls: u32 = 0; calls < CALLS; calls++) {
    if (guest.again) {
      call(guest, true);
      if (guest.state != GuestState.Ready) break;
    }
    const reason = guestResume(changetype<usize>(guest.record), deadline);
    if (guest.record.refused) memoryRefused(guest);
    if (reason == GuestReason.Interrupted) return;
    if (reason == GuestReason.Called) call(guest, false);
    else {
      guest.state = GuestState.Ended;
      trapped = reason == GuestReason.Trapped;
    }
    if (guest.state != GuestState.Ready) break;
    if (!guest.yielded) continue;
    guest.yielded = false;
    return;
  }
  if (guest.state == GuestState.Ended) end(guest, trapped);
}

/** Makes the call in the guest's record; `again` after it was parked for it. */
function call(guest: Guest, again: bool): void {
  guest.again = false;
  guestCall(guest, again);
}

/** Takes back all that a guest had, says so, and sees to its next start. */
function end(guest: Guest, trapped: bool): void {
  closeAll(guest);
  if (NAMES) namesEnd(guest);
  guestEnd(changetype<usize>(guest.record));
  const failed = trapped || guest.exitCode != 0;
  const line = guest.nameIn(failed ? warn("guest") : info("guest"));
  if (trapped) line.text(" ended by a trap");
  else line.text(" ended").key("code").number(guest.exitCode);
  const restart = guest.spec.restart;
  if (restart == Restart.Never || (restart == Restart.OnFailure && !failed)) line.end();
  else startAgain(guest, line);
}

/** Starts it again, now or later, as `line`, which it ends, tells. */
function startAgain(guest: Guest, line: Line): void {
  const now = monotonic();
  if (now - guest.started >= RAN_WELL) guest.failures = 0;
  const failures = guest.failures;
  if (!failures) {
    guest.failures = 1;
    line.text(", starts again now").end();
    start(guest);
    return;
  }
  const wait = min<u64>(BACK_OFF << min<u32>(failures - 1, 16), BACK_OFF_MOST);
  guest.failures = failures + 1;
  line
    .text(", starts again in ")
    .number(wait / MILLISECOND)
    .text(" ms")
    .end();
  guest.timer.arm(now + wait);
}
