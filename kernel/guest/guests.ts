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
import { info, warn } from "../log";
import { reserve, reserveUncleared, unreserved } from "../memory";
import { setGuestSink } from "../socket";
import { MICROSECOND, Timer } from "../timer";
import { DESCRIPTORS_BYTES, descriptorsInit } from "./descriptors";
import { Guest, GuestState } from "./guest";
import { closeAll } from "./sockets";
import { guestCall } from "./wasi";

/**
 * Guests: Wasm programs that are part of the image, each isolated by the host in memory of its own.
 * In each step every guest that has something to do has one turn, so that what a guest that never
 * stops costs the network is one slice.
 *
 * A call of a guest ends in its result, or parks it: then it has no turn until it wakes.
 */

/** Longest turn. */
const SLICE: u64 = 200 * MICROSECOND;
/** Calls in one turn, so that a guest that only calls is as patient as one that only computes. */
const CALLS: u32 = 256;

const PAGE: u32 = 4096;
const STACK_BYTES: u32 = 256 << 10;
/** Memory that a guest may grow by, unless its module says less or the machine has little. */
const GROWTH: u32 = 16 << 20;
/** What a guest's own structures take beside stack and memory, more or less. */
const OVERHEAD: u32 = 256 << 10;

let guests: usize = 0;
let count: u32 = 0;


@inline function guestAt(index: u32): Guest {
  return changetype<Guest>(guests + <usize>index * offsetof<Guest>());
}

/** Makes a guest of each module of the image. */
export function guestsInit(): void {
  const modules = guestModules();
  if (!modules) return;
  guests = reserve(modules * offsetof<Guest>(), 8);
  setGuestSink(onNews);
  for (let i: u32 = 0; i < modules; i++) make(i, modules - i);
}

/** Makes a guest of module `index`; `left` share what RAM there is. */
function make(index: u32, left: u32): void {
  const module = changetype<GuestModule>(reserve(GUEST_MODULE_BYTES, 8));
  guestModule(index, changetype<usize>(module));
  const guest = guestAt(count);
  guest.module = module;
  const first = module.pages << 16;
  const most = min<u64>((<u64>module.pagesMost) << 16, <u64>first + GROWTH);
  // Half of what is left at most: packets and connections want the rest.
  const share = (unreserved() >> 1) / left;
  const memory = <u32>(
    min<u64>(most, share > OVERHEAD + STACK_BYTES ? share - OVERHEAD - STACK_BYTES : 0)
  );
  const length = (memory + OVERHEAD + STACK_BYTES + PAGE - 1) & ~(PAGE - 1);
  const fits = memory >= first;
  const record = fits ? guestMake(index, reserveUncleared(length, PAGE), length, STACK_BYTES) : 0;
  if (!record) {
    guest
      .nameIn(warn("guest"))
      .text(" not started: its memory does not fit, give the machine more RAM (MEM=)")
      .key("KiB")
      .number(first >> 10)
      .end();
    return;
  }
  guest.record = changetype<GuestRecord>(record);
  guest.state = GuestState.Ready;
  guest.index = count;
  guest.descriptors = reserve(DESCRIPTORS_BYTES, 8);
  descriptorsInit(guest.descriptors);
  guest.timer = changetype<Timer>(reserve(offsetof<Timer>(), 8));
  guest.timer.init(timeUp, changetype<usize>(guest));
  count++;
}

function timeUp(context: usize, _now: u64): void {
  changetype<Guest>(context).wake();
}

function onNews(guest: u32, socket: u32): void {
  guestAt(guest - 1).news(socket);
}

/** Gives every guest that is ready a turn; whether one is ready still. Cost: a slice for each. */
export function guestsRun(): bool {
  let ready = false;
  for (let i: u32 = 0; i < count; i++) {
    const guest = guestAt(i);
    if (guest.state != GuestState.Ready) continue;
    turn(guest);
    if (guest.state == GuestState.Ready) ready = true;
  }
  return ready;
}

function turn(guest: Guest): void {
  const deadline = monotonic() + SLICE;
  for (let calls: u32 = 0; calls < CALLS; calls++) {
    if (guest.again) {
      call(guest, true);
      if (guest.state != GuestState.Ready) break;
    }
    const reason = guestResume(changetype<usize>(guest.record), deadline);
    if (reason == GuestReason.Interrupted) return;
    if (reason == GuestReason.Called) call(guest, false);
    else {
      guest.state = GuestState.Ended;
      if (reason == GuestReason.Trapped) guest.nameIn(warn("guest")).text(" ended by a trap").end();
    }
    if (guest.state != GuestState.Ready) break;
    if (!guest.yielded) continue;
    guest.yielded = false;
    return;
  }
  if (guest.state == GuestState.Ended) end(guest);
}

/** Makes the call in the guest's record; `again` after it was parked for it. */
function call(guest: Guest, again: bool): void {
  guest.again = false;
  guestCall(guest, again);
}

function end(guest: Guest): void {
  closeAll(guest);
  guest.nameIn(info("guest")).text(" ended").key("code").number(guest.exitCode).end();
  guestEnd(changetype<usize>(guest.record));
}
