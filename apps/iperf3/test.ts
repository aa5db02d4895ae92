import { now } from "../../kernel/clock";
import { Errno } from "../../kernel/errno";
import { info, warn } from "../../kernel/log";
import { reserve } from "../../kernel/memory";
import * as sockets from "../../kernel/socket";
import { MILLISECOND, SECOND, Timer } from "../../kernel/timer";
import { IpAddress } from "../../net/wire/address";
import { Domain, SocketOption, SocketType } from "../../sdk/assembly/syscalls";
import { JsonWriter } from "../lib/json";
import { Writer } from "../lib/text";
import { cardCount, cardReport } from "./card";
import { Parameters, readParameters } from "./parameters";
import {
  COOKIE_BYTES,
  PARAMETERS_MAX,
  PORT,
  Refusal,
  STREAMS_MAX,
  State,
  UDP_ANSWER,
  UDP_BLOCK_MAX,
  UDP_HELLO,
  UDP_HELLO_OLD,
} from "./protocol";
import { Stream } from "./stream";

/** The one test that runs at a time, from its control connection's first byte to its last. */

const enum Stage {
  Idle = 0,
  /** Waits for the length of the parameters, then for them. */
  Parameters = 1,
  /** Waits for the data connections. */
  Streams = 2,
  Running = 3,
  /** Waits for the client's results, which are read and dropped. */
  Results = 4,
  /** All is said; the client ends it. */
  Ending = 5,
}

/** How often senders look what they may send. */
const TICK: u64 = MILLISECOND;
/** Ten exchanges of four seconds each, beyond the test itself. */
const GRACE: u64 = 40 * SECOND;
/** For what the client has to say outside the running test. */
const ANSWER_TIME: u64 = 30 * SECOND;
/** Our results: 256 streams at no more than 256 bytes each. */
const RESULTS_MAX: u32 = 65536;
/** The client's results, which are read to be dropped. */
const CLIENT_RESULTS_MAX: u32 = 1 << 20;

let stage: Stage = Stage.Idle;
let control: u32 = 0;
let udpListener: u32 = 0;
let streamCount: u32 = 0;
/** What is still to come of parameters or results; 0 when their length is to come first. */
let expected: u32 = 0;
let started: u64 = 0;
/** When counting began: the start, or the end of the omitted part. */
let counted: u64 = 0;
let ended: u64 = 0;
/** Bytes at `output` for the control connection, and those of them that were sent. */
let outgoing: u32 = 0;
let outgoingSent: u32 = 0;

const cookie: usize = memory.data(40, 8);
const word: usize = memory.data(8, 8);
const input: usize = memory.data(8192, 64);
const parameters = changetype<Parameters>(memory.data(offsetof<Parameters>(), 8));
const address = changetype<sockets.SocketAddress>(memory.data(24, 8));
const ticker = changetype<Timer>(memory.data(offsetof<Timer>(), 8));
const deadline = changetype<Timer>(memory.data(offsetof<Timer>(), 8));
const omitter = changetype<Timer>(memory.data(offsetof<Timer>(), 8));
const writer = changetype<Writer>(memory.data(offsetof<Writer>(), 8));
const json = changetype<JsonWriter>(memory.data(offsetof<JsonWriter>(), 8));
let streams: usize = 0;
let output: usize = 0;

/** Start-up only. */
export function testInit(): void {
  streams = reserve(2 * STREAMS_MAX * <u32>offsetof<Stream>(), 64);
  output = reserve(RESULTS_MAX, 64);
  ticker.init(onTick, 0);
  deadline.init(onDeadline, 0);
  omitter.init(onOmitted, 0);
}


@inline function streamAt(index: u32): Stream {
  return changetype<Stream>(streams + <usize>index * offsetof<Stream>());
}

/** Whether a new client can have its test. */
export function testIdle(): bool {
  return stage == Stage.Idle;
}

/** Whether the cookie at `at` is that of the test that waits for its data connections. */
export function testWants(at: usize): bool {
  return (
    stage == Stage.Streams &&
    !parameters.udp &&
    streamCount < streamTotal() &&
    memory.compare(at, cookie, COOKIE_BYTES) == 0
  );
}

/** Streams of both directions. */
function streamTotal(): u32 {
  return parameters.bidirectional ? 2 * parameters.parallel : parameters.parallel;
}

/** Begins a test: `number` is its control connection, whose cookie, at `at`, has been read. */
export function testBegin(number: u32, at: usize): void {
  control = number;
  memory.copy(cookie, at, COOKIE_BYTES);
  stage = Stage.Parameters;
  expected = 0;
  streamCount = 0;
  outgoing = 0;
  outgoingSent = 0;
  sockets.setContext(number, 0);
  sockets.setOption(number, SocketOption.NoDelay, 1);
  sockets.setOption(number, SocketOption.KeepAlive, 1);
  deadline.arm(now() + ANSWER_TIME);
  say(State.ParamExchange);
  testControl();
}

/** Ends the test, whatever its stage, and is ready for the next. */
function finish(): void {
  ticker.cancel();
  deadline.cancel();
  omitter.cancel();
  closeStreams();
  if (udpListener) sockets.close(udpListener);
  udpListener = 0;
  sockets.close(control);
  control = 0;
  stage = Stage.Idle;
}

function closeStreams(): void {
  for (let i: u32 = 0; i < streamCount; i++) {
    const stream = streamAt(i);
    if (stream.socket) sockets.close(stream.socket);
    stream.socket = 0;
  }
}

function abandon(why: string): void {
  warn("iperf3").text("test given up: ").text(why).end();
  finish();
}

// ---- The control connection ------------------------------------------------------------------

/** The control connection's number, 0 without a test. */
@inline export function testConnection(): u32 {
  return control;
}

function say(state: State): void {
  store<u8>(output + outgoing, state);
  outgoing++;
  flush();
}

/** Sends what is to be said; what finds no room waits for it. */
function flush(): void {
  while (outgoingSent < outgoing) {
    const sent = sockets.send(control, output + outgoingSent, outgoing - outgoingSent);
    if (sent <= 0) return;
    outgoingSent += sent;
  }
  outgoing = 0;
  outgoingSent = 0;
}

/** Takes exactly `length` bytes to `into`, or none: whether they were there. */
function read(into: usize, length: u32): bool {
  if (sockets.available(control) < length) return false;
  return sockets.receive(control, into, length, false) == <i32>length;
}

/** Takes the news of the control connection. */
export function testControl(): void {
  flush();
  while (control) {
    if (!sockets.available(control)) {
      if (sockets.receive(control, word, 1, true) == -Errno.EAGAIN) return;
      if (stage == Stage.Ending) finish();
      else abandon("the client closed its control connection");
      return;
    }
    let on = true;
    if (stage == Stage.Parameters) on = takeParameters();
    else if (stage == Stage.Results) on = dropResults();
    else takeState();
    if (!on) return;
  }
}

/** The length that precedes JSON: whether `expected` is known by now. */
function takeLength(most: u32): bool {
  if (expected) return true;
  if (!read(word, 4)) return false;
  expected = bswap(load<u32>(word));
  if (expected && expected <= most) return true;
  refuse(Refusal.Parameters);
  return false;
}

function takeParameters(): bool {
  if (!takeLength(PARAMETERS_MAX)) return false;
  if (!read(input, expected)) return false;
  const refusal = readParameters(parameters, input, expected);
  expected = 0;
  if (refusal) {
    refuse(refusal);
  } else if (parameters.udp && !openUdp()) {
    refuse(Refusal.NotImplemented);
  } else {
    stage = Stage.Streams;
    deadline.arm(now() + ANSWER_TIME);
    say(State.CreateStreams);
  }
  return true;
}

/** Tells the client why there will be no test, and ends it. */
function refuse(refusal: u32): void {
  const line = warn("iperf3").text("test refused").key("reason").number(refusal);
  if (refusal == Refusal.UdpBlockSize) line.key("use").text("-l ").number(UDP_BLOCK_MAX);
  line.end();
  say(State.ServerError);
  store<u32>(output + outgoing, bswap(refusal));
  store<u32>(output + outgoing + 4, 0);
  outgoing += 8;
  flush();
  finish();
}

function takeState(): void {
  read(word, 1);
  const state: u32 = load<u8>(word);
  if (state == State.TestEnd && stage == Stage.Running) endTest();
  else if (state == State.Done && stage == Stage.Ending) finish();
  else if (state == State.ClientTerminate) abandon("the client ended it");
  else abandon("the client broke the protocol");
}

/** Drops the client's results as they come and answers with ours. */
function dropResults(): bool {
  if (!takeLength(CLIENT_RESULTS_MAX)) return false;
  const length = min(expected, sockets.available(control));
  sockets.consume(control, length);
  expected -= length;
  if (expected) return length != 0;
  sendResults();
  stage = Stage.Ending;
  deadline.arm(now() + ANSWER_TIME);
  say(State.DisplayResults);
  return true;
}

// ---- Streams ---------------------------------------------------------------------------------

/**
 * Adds a data connection, whose hello has been read. `order` says when it was opened: hellos may
 * come in another order.
 */
export function testAddStream(number: u32, order: u32): void {
  // Kept in order by inserting; the client's own senders come first.
  let index = streamCount++;
  for (; index && <i32>(streamAt(index - 1).order - order) > 0; index--) {
    const moved = streamAt(index);
    memory.copy(
      changetype<usize>(moved),
      changetype<usize>(streamAt(index - 1)),
      offsetof<Stream>(),
    );
    sockets.setContext(moved.socket, changetype<usize>(moved));
  }
  const stream = streamAt(index);
  memory.fill(changetype<usize>(stream), 0, offsetof<Stream>());
  stream.socket = number;
  stream.order = order;
  sockets.setContext(number, changetype<usize>(stream));
  if (parameters.noDelay) sockets.setOption(number, SocketOption.NoDelay, 1);
  if (parameters.window) {
    sockets.setOption(number, SocketOption.ReceiveBuffer, parameters.window);
    sockets.setOption(number, SocketOption.SendBuffer, parameters.window);
  }
  if (streamCount == streamTotal()) startTest();
}

/** Opens a socket for the next UDP stream's hello. */
function openUdp(): bool {
  const number = sockets.socket(SocketType.Datagram, Domain.Inet6);
  if (number < 0) return false;
  // The streams before it hold the same port.
  sockets.setOption(number, SocketOption.ReuseAddress, 1);
  sockets.setOption(number, SocketOption.ReceiveBuffer, 1 << 20);
  address.set(PORT);
  if (sockets.bind(number, address) < 0) {
    sockets.close(number);
    return false;
  }
  udpListener = number;
  return true;
}

/** Whether `number` is the socket that waits for a UDP stream; takes its news. */
export function testUdpHello(number: u32): bool {
  if (number != udpListener || !udpListener) return false;
  const got = sockets.peekRunFrom(number, address);
  if (got < 0) return true;
  const hello = got >= 4 ? load<u32>(sockets.runAddress()) : 0;
  sockets.consume(number, got);
  if (hello != UDP_HELLO && hello != UDP_HELLO_OLD) return true;
  // The socket becomes the stream's own; another takes its place.
  if (sockets.connect(number, address) < 0) return true;
  udpListener = 0;
  if (streamCount + 1 < streamTotal() && !openUdp()) {
    sockets.close(number);
    abandon("no socket for the next UDP stream");
    return true;
  }
  store<u32>(word, UDP_ANSWER);
  sockets.send(number, word, 4);
  testAddStream(number, streamCount);
  return true;
}

/** Whether `context` is a stream of the test; takes its news. */
export function testStream(context: usize): bool {
  if (context - streams >= 2 * STREAMS_MAX * offsetof<Stream>()) return false;
  const stream = changetype<Stream>(context);
  const counting = stage == Stage.Running && !stream.sending;
  if (parameters.udp) {
    stream.receiveDatagrams(counting, parameters.wideCounters);
  } else if (!stream.receiveBytes(counting)) {
    // Over, or broken: what becomes of the test is said on the control connection.
    sockets.close(stream.socket);
    stream.socket = 0;
  }
  return true;
}

// ---- The test itself -------------------------------------------------------------------------

function startTest(): void {
  const p = parameters;
  sockets.peerAddress(control, address);
  const line = info("iperf3").text(p.udp ? "UDP" : "TCP");
  line.text(p.bidirectional ? " both ways with " : p.reverse ? " to " : " from ");
  line.ip(changetype<IpAddress>(address)).key("streams").number(streamCount);
  line.key("seconds").number(p.duration).end();
  cardCount();
  for (let i: u32 = 0; i < streamCount; i++) {
    const stream = streamAt(i);
    // iperf counts 1, 3, 4, …, and both sides must agree.
    stream.id = i ? i + 2 : 1;
    stream.sending = p.bidirectional ? i >= p.parallel : p.reverse;
  }
  stage = Stage.Running;
  started = now();
  counted = started;
  say(State.TestStart);
  say(State.TestRunning);
  if (p.duration) deadline.arm(started + <u64>(p.duration + p.omit) * SECOND + GRACE);
  else deadline.cancel();
  if (p.omit) omitter.arm(started + <u64>p.omit * SECOND);
  if (p.reverse || p.bidirectional) ticker.arm(started + TICK);
}

function onOmitted(_context: usize, at: u64): void {
  counted = at;
  for (let i: u32 = 0; i < streamCount; i++) streamAt(i).omit();
}

/** Senders send what their rate allows by now; without a rate, what their queues take. */
function onTick(_context: usize, at: u64): void {
  const rate = parameters.rate;
  const micros = (at - started) / 1000;
  const allowed = rate ? ((micros / 1000) * (rate / 8)) / 1000 : u64.MAX_VALUE;
  for (let i: u32 = 0; i < streamCount; i++) {
    const stream = streamAt(i);
    if (!stream.sending || !stream.socket) continue;
    if (parameters.udp) {
      stream.sendDatagrams(allowed, parameters);
    } else if (!stream.sendBytes(allowed)) {
      sockets.close(stream.socket);
      stream.socket = 0;
    }
  }
  ticker.arm(at + TICK);
}

function onDeadline(_context: usize, _at: u64): void {
  abandon("the client has nothing more to say");
}

function endTest(): void {
  ended = now();
  ticker.cancel();
  omitter.cancel();
  closeStreams();
  let bytes: u64 = 0;
  for (let i: u32 = 0; i < streamCount; i++) {
    const stream = streamAt(i);
    bytes += stream.bytes - stream.bytesOmitted;
  }
  const millis = max<u64>((ended - counted) / MILLISECOND, 1);
  const line = info("iperf3").text("done").key("bytes").number(bytes);
  line
    .key("kbps")
    .number((bytes * 8) / millis)
    .end();
  cardReport();
  stage = Stage.Results;
  expected = 0;
  deadline.arm(now() + ANSWER_TIME);
  say(State.ExchangeResults);
}

function sendResults(): void {
  const start = output + outgoing;
  json.begin(writer.begin(start + 4, output + RESULTS_MAX)).object();
  json.count("cpu_util_total", 0).count("cpu_util_user", 0).count("cpu_util_system", 0);
  const receives = !parameters.reverse && !parameters.bidirectional;
  json.key("sender_has_retransmits").signed(receives ? -1 : 0);
  if (!parameters.udp) json.key("congestion_used").text("cubic");
  json.key("streams").array();
  for (let i: u32 = 0; i < streamCount; i++) {
    const stream = streamAt(i);
    json
      .object()
      .count("id", stream.id)
      .count("bytes", stream.bytes - stream.bytesOmitted);
    json.key("retransmits").signed(-1).key("jitter").nano(stream.jitter);
    json.key("errors").signed(stream.errors).key("omitted_errors").signed(stream.errorsOmitted);
    json.count("packets", stream.packets).count("omitted_packets", stream.packetsOmitted);
    json
      .count("start_time", 0)
      .key("end_time")
      .nano(ended - counted)
      .endObject();
  }
  json.endArray().endObject();
  store<u32>(start, bswap(writer.length));
  outgoing += 4 + writer.length;
  flush();
}
