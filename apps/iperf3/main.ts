import { registerApp } from "../../kernel/app";
import { now } from "../../kernel/clock";
import { Errno } from "../../kernel/errno";
import { info, warn } from "../../kernel/log";
import { reserve } from "../../kernel/memory";
import * as sockets from "../../kernel/socket";
import { SECOND, Timer } from "../../kernel/timer";
import { Domain, SocketType } from "../../sdk/assembly/syscalls";
import { COOKIE_BYTES, PORT, State } from "./protocol";
import { streamsInit } from "./stream";
import {
  testAddStream,
  testBegin,
  testConnection,
  testControl,
  testIdle,
  testInit,
  testStream,
  testUdpHello,
  testWants,
} from "./test";

/**
 * An iperf3 server: one test at a time, TCP or UDP, in either or both directions. Other clients
 * are told that it is busy. This file takes connections until their cookie says what they are.
 */

const BACKLOG: u32 = 256;
/** Connections whose cookie has not come yet. */
const NEWCOMERS: u32 = 256;
const COOKIE_TIME: u64 = 10 * SECOND;

/** A connection that has not sent its cookie. */
@unmanaged
class Newcomer {
  private timer0: u64;
  private timer1: u64;
  private timer2: u64;
  private timer3: u64;
  socket: u32;
  /** Goes up from one connection to the next. */
  order: u32;
  next: Newcomer | null;


  @inline get timer(): Timer {
    return changetype<Timer>(this);
  }
}

let listener: u32 = 0;
let accepted: u32 = 0;
let newcomers: usize = 0;
let free: Newcomer | null = null;
const address = changetype<sockets.SocketAddress>(memory.data(24, 8));
const cookie: usize = memory.data(40, 8);

function start(): void {
  streamsInit();
  testInit();
  newcomers = reserve(NEWCOMERS * <u32>offsetof<Newcomer>(), 64);
  for (let i: u32 = 0; i < NEWCOMERS; i++) {
    const newcomer = changetype<Newcomer>(newcomers + <usize>i * offsetof<Newcomer>());
    newcomer.next = free;
    free = newcomer;
  }
  let result = sockets.socket(SocketType.Stream, Domain.Inet6);
  if (result > 0) {
    listener = result;
    address.set(PORT);
    result = sockets.bind(listener, address);
    if (result >= 0) result = sockets.listen(listener, BACKLOG);
  }
  if (result < 0) {
    warn("iperf3").text("cannot serve").key("port").number(PORT).key("errno").number(-result).end();
  } else {
    info("iperf3").text("serving").key("port").number(PORT).end();
  }
}

function ready(): void {
  for (let number = sockets.nextReady(); number; number = sockets.nextReady()) {
    const context = sockets.readyContext();
    if (number == listener) acceptAll();
    else if (number == testConnection()) testControl();
    else if (context - newcomers < NEWCOMERS * offsetof<Newcomer>()) greet(context);
    else if (!testUdpHello(number)) testStream(context);
  }
}

function acceptAll(): void {
  for (let number = sockets.accept(listener); number > 0; number = sockets.accept(listener)) {
    const newcomer = free;
    if (newcomer === null) {
      sockets.close(number);
      continue;
    }
    free = newcomer.next;
    newcomer.socket = number;
    newcomer.order = accepted++;
    newcomer.timer.init(onSilence, changetype<usize>(newcomer));
    newcomer.timer.arm(now() + COOKIE_TIME);
    sockets.setContext(number, changetype<usize>(newcomer));
  }
}

/** Lets go of the record; the connection is somebody else's now, or closed. */
function release(newcomer: Newcomer): void {
  newcomer.timer.cancel();
  newcomer.next = free;
  free = newcomer;
}

function onSilence(context: usize, _at: u64): void {
  const newcomer = changetype<Newcomer>(context);
  sockets.close(newcomer.socket);
  release(newcomer);
}

/** Reads the cookie once it is whole and hands the connection on. */
function greet(context: usize): void {
  const newcomer = changetype<Newcomer>(context);
  const number = newcomer.socket;
  const there = sockets.receive(number, cookie, COOKIE_BYTES, true);
  if (there == -Errno.EAGAIN || (there > 0 && there < <i32>COOKIE_BYTES)) return;
  release(newcomer);
  if (there <= 0) {
    sockets.close(number);
    return;
  }
  sockets.consume(number, COOKIE_BYTES);
  if (testIdle()) {
    testBegin(number, cookie);
  } else if (testWants(cookie)) {
    testAddStream(number, newcomer.order);
  } else {
    store<u8>(cookie, <u8>State.AccessDenied);
    sockets.send(number, cookie, 1);
    sockets.close(number);
  }
}

registerApp(start, ready);
