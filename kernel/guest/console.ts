import { SocketEvent } from "../../sdk/assembly/syscalls";
import { now } from "../clock";
import { consoleRead, consoleWrite } from "../host";
import { reserve } from "../memory";
import { MILLISECOND, NEVER, Timer } from "../timer";
import { checked, listAt, listFault, scatter } from "./buffers";
import { Description } from "./descriptors";
import { WasiErrno } from "./errno";
import { Guest, news } from "./guest";
import { told, waiting } from "./transfer";

/**
 * What is typed at the console, for the one guest that has it as its standard input (`console = true` in
 * skerry.toml); all others are at the end of theirs. It is a terminal in canonical mode (POSIX.1-2017,
 * XBD 11.1.6): what is typed is echoed, can be mended until its line is complete, and is read a line at a time.
 *
 * Complete lines come first, and behind them the one that is being typed. An end of file stands among them as
 * `END`, which can come in no other way.
 */

/** Bytes of a line and its end at most, and of all that nobody has read (MAX_CANON and MAX_INPUT of Linux). */
const MOST: u32 = 4096;
/** Bytes taken from the host at a time. */
const AT_ONCE: u32 = 64;

/**
 * How often it is looked at while the machine works: before the 16 bytes of a UART's FIFO have come, which takes
 * 1.4 ms at 115,200 baud. One that sleeps is woken by an interrupt, and where none comes after so long.
 */
const LOOK_EVERY: u64 = MILLISECOND;
const SLEEP_MOST: u64 = 20 * MILLISECOND;

/** Control characters, as Linux's terminals have them (termios(3)). */
const END: u32 = 4; // Ctrl-D, VEOF
const BELL: u32 = 7;
const BACKSPACE: u32 = 8;
const TAB: u32 = 9;
const NEWLINE: u32 = 10;
const RETURN: u32 = 13;
const KILL: u32 = 21; // Ctrl-U, VKILL
const DELETE: u32 = 127; // VERASE

const text: usize = memory.data(AT_ONCE + 4, 8);
const ERASED: usize = memory.data<u8>([0x08, 0x20, 0x08]);
const timer = changetype<Timer>(memory.data(offsetof<Timer>(), 8));

/** Standard input of the guest that has the console; null while there is none. */
let input: Description | null = null;
let lines: usize = 0;
/** Bytes of complete lines, with their ends; and of the one that is being typed, too. */
let complete: u32 = 0;
let used: u32 = 0;
/** Nothing will come any more. */
let ended: bool = false;
let lookAt: u64 = NEVER;

/** Gives a guest that starts the console as its standard input, if it is to have it. */
export function consoleOpen(guest: Guest): void {
  if (!guest.spec.hasConsole) return;
  if (!lines) lines = reserve(MOST, 64);
  input = guest.descriptors.at(0);
  timer.init(timeUp, 0);
  look(now());
  timer.arm(now() + SLEEP_MOST);
}

/** Its last descriptor is closed: what has been typed is for the next who has it. */
export function consoleClose(d: Description): void {
  if (d !== input) return;
  input = null;
  lookAt = NEVER;
  timer.cancel();
}

/** Each step, `woken` if it ended a sleep. */
@inline export function consoleCheck(at: u64, woken: bool): void {
  if (at >= lookAt || (woken && lookAt != NEVER)) look(at);
}

function timeUp(_context: usize, at: u64): void {
  look(at);
  timer.arm(at + SLEEP_MOST);
}

/** Takes what the host has. What there is no room for stays there, but for a line that is too long. */
function look(at: u64): void {
  lookAt = at + LOOK_EVERY;
  const before = complete;
  while (!ended) {
    // The last place is for a line's end; a line that is too long is taken to its end and no further.
    const left = <i32>(MOST - 1 - used);
    const room: u32 = left > <i32>AT_ONCE ? AT_ONCE : !complete ? 1 : max(left, 0);
    if (!room) break;
    const count = consoleRead(text, room);
    ended = count < 0;
    for (let i = 0; i < count; i++) typed(load<u8>(text + i));
    if (count < <i32>room) break;
  }
  if (ended || complete != before) news(input!);
}

function typed(character: u32): void {
  switch (character) {
    case END:
      put(END);
      complete = used;
      return;
    case RETURN:
    case NEWLINE:
      put(NEWLINE);
      complete = used;
      echo(NEWLINE);
      return;
    case BACKSPACE:
    case DELETE:
      erase();
      return;
    case KILL:
      while (used > complete) erase();
      return;
    default:
      if (used >= MOST - 1) return echo(BELL);
      put(character);
      echo(character);
  }
}

/** There is room. */
@inline function put(character: u32): void {
  store<u8>(lines + used++, character);
}

/** Control characters are shown as `^A` and the like, a tab as one space. */
function echo(character: u32): void {
  if (isControl(character)) {
    store<u8>(text + AT_ONCE, 0x5e);
    store<u8>(text + AT_ONCE, character + 0x40, 1);
    consoleWrite(text + AT_ONCE, 2);
    return;
  }
  store<u8>(text + AT_ONCE, character == TAB ? 0x20 : character);
  consoleWrite(text + AT_ONCE, 1);
}


@inline function isControl(character: u32): bool {
  return character < 0x20 && character != NEWLINE && character != TAB && character != BELL;
}

/** Takes the last character of the line back, all bytes of it (RFC 3629, 3). */
function erase(): void {
  if (used == complete) return;
  let last: u32 = load<u8>(lines + --used);
  while ((last & 0xc0) == 0x80 && used > complete) last = load<u8>(lines + --used);
  consoleWrite(ERASED, 3);
  if (isControl(last) || last == BELL) consoleWrite(ERASED, 3);
}

// ---- Reading ---------------------------------------------------------------------------------

/** `SocketEvent`s that hold of a console's description. */
export function consoleEvents(d: Description): u32 {
  // It takes all there is, and the input of the others has ended.
  if (d !== input) return SocketEvent.Readable | SocketEvent.Writable;
  return SocketEvent.Writable | (complete || ended ? SocketEvent.Readable : 0);
}

/** Bytes of complete lines (FIONREAD). */
export function consoleAvailable(d: Description): i32 {
  if (d !== input) return 0;
  let bytes: u32 = 0;
  for (let i: u32 = 0; i < complete; i++) if (load<u8>(lines + i) != <u8>END) bytes++;
  return bytes;
}

/** `fd_read` of standard input (fd, list, count, into): of the first line, what there is room for. */
export function consoleReceive(guest: Guest, d: Description, again: bool): WasiErrno {
  const record = guest.record;
  const count = <u32>record.argument(2);
  const list = listAt(guest, <u32>record.argument(1), count);
  const into = guest.memory(<u32>record.argument(3), 4);
  if (!list || !into) return listFault(count);
  const total = checked(guest, list, count);
  if (total < 0) return <WasiErrno>-total;
  if (d !== input || !total || (ended && !complete)) return told(guest, 0, into);
  if (!complete) return told(guest, waiting(guest, d, SocketEvent.Readable, 0, false, again), into);
  let length: u32 = 0;
  let last: u32 = 0;
  while (length < complete && length < <u32>total && last != NEWLINE) {
    last = load<u8>(lines + length);
    if (last == END) break;
    length++;
  }
  scatter(guest, list, 0, lines, length);
  // An end that completes what was read is no end of file of its own.
  const ends = last != NEWLINE && length < complete && load<u8>(lines + length) == <u8>END;
  drop(length + u32(ends));
  return told(guest, length, into);
}

function drop(length: u32): void {
  memory.copy(lines, lines + length, used - length);
  complete -= length;
  used -= length;
}
