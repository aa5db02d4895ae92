import { ReceiveFlag, SocketOption, Syscall } from "../../sdk/assembly/syscalls.ts";
import { Bottleneck, type BottleneckConditions, station } from "./bottleneck.ts";
import { E1000, VARIANTS } from "./e1000.ts";
import type { Kernel } from "./kernel.ts";
import { Link } from "./link.ts";
import { macAddress, Machine } from "./machine.ts";
import { MILLISECOND, SECOND, Simulation } from "./simulation.ts";
import { EAGAIN, SocketEvent, Sockets } from "./sockets.ts";
import { tcpCounts } from "./statistics.ts";

/**
 * Bulk flows through one bottleneck: each from a machine of its own to one receiver that asks for it,
 * all of them the real kernel. What comes out is the course of each flow's window, rate and round trip.
 */

/** The congestion controls there are (net/tcp/congestion/controls.ts). */
export const CONTROLS = ["cubic", "reno", "vegas", "bbr"] as const;
export type Control = (typeof CONTROLS)[number];

/** Bytes of a full frame, without FCS, and of the payload in it. */
export const FRAME = 1514;
export const PAYLOAD = 1448;

export interface Flow {
  control: Control;
  /** When it is opened, and stops sending, ns from the start. */
  start: number;
  end: number;
}

export interface Scenario extends BottleneckConditions {
  flows: Flow[];
  duration: number;
  seed: number;
  /** Samples of each flow. */
  samples: number;
  /** More words for the kernels' command lines. */
  commandLine?: string;
}

/** How a flow stood at one moment. */
export interface Sample {
  /** ns from the start. */
  at: number;
  /** Congestion window, bytes. */
  cwnd: number;
  /** Smoothed round trip, ns; 0 before there is one. */
  srtt: number;
  /** What passed the bottleneck since the last sample, without its headers, bit/s. */
  rate: number;
  /** Segments sent again, so far. */
  retransmits: number;
}

export interface FlowOutcome {
  flow: Flow;
  samples: Sample[];
  /** Payload bytes that the receiving program has, and bytes of frames that have passed. */
  received: number;
  passed: number;
  retransmits: number;
  timeouts: number;
  sent: number;
}

export interface Outcome {
  scenario: Scenario;
  flows: FlowOutcome[];
  /** How long the queue was at each sample, ns of waiting. */
  queue: { at: number; delay: number }[];
  counts: Bottleneck["counts"];
}

/** Where TCP_INFO has what is sampled (Linux's struct tcp_info). */
const INFO_BYTES = 128;
const INFO_MSS = 16;
const INFO_RTT = 68;
const INFO_CWND = 80;

const PORT = 5001;
/** Last byte of the first sender's address; the receiver's is 2. */
const FIRST = 10;
const CHUNK = 65536;
/** Past its boot, before the first flow. */
const WARM_UP = 3 * SECOND;

/** A machine with a NIC at a link. */
class Host {
  readonly machine: Machine;
  readonly sockets: Sockets;
  /** Its MAC address, as the bottleneck counts it. */
  readonly station: number;

  constructor(
    simulation: Simulation,
    kernel: Kernel,
    link: Link,
    place: number,
    memory: number,
    commandLine: string,
  ) {
    const mac = macAddress(0x100 + place);
    const nic = new E1000({ variant: VARIANTS["82540EM"], mac });
    this.station = station(mac, 0);
    this.machine = new Machine(simulation, {
      kernel,
      name: `machine ${place}`,
      memory,
      devices: [nic],
      commandLine: `ip=10.0.0.${place}/24 gw=10.0.0.1 ip6=off ${commandLine}`,
    });
    nic.connect(link);
    this.sockets = new Sockets(this.machine);
    this.machine.start();
  }
}

/** Sends as much as it is let to, to whoever connects, until it is stopped. */
class Sender extends Host {
  private listener = 0;
  private socket = 0;
  private stopped = false;
  private readonly chunk: number;

  constructor(...host: ConstructorParameters<typeof Host>) {
    super(...host);
    this.chunk = this.machine.copyIn(new Uint8Array(CHUNK), CHUNK);
    this.machine.program = () => this.turn();
  }

  listen(buffer: number): void {
    const { sockets } = this;
    this.listener = sockets.stream();
    sockets.setOption(this.listener, SocketOption.SendBuffer, buffer);
    sockets.bind(this.listener, PORT);
    sockets.listen(this.listener);
  }

  stop(): void {
    this.stopped = true;
  }

  private turn(): void {
    for (const [socket, events] of this.sockets.poll()) {
      if (socket === this.listener) this.socket = this.sockets.accept(this.listener)!;
      if (socket === this.listener || events & SocketEvent.Writable) this.fill();
    }
  }

  private fill(): void {
    while (!this.stopped) {
      const taken = this.machine.syscall(Syscall.Send, this.socket, this.chunk, CHUNK);
      if (taken === -EAGAIN) return;
      if (taken < 0) throw new Error(`${this.machine.name}: send: errno ${-taken}`);
      if (taken < CHUNK) return;
    }
  }

  /** Congestion window in bytes, and smoothed round trip in ns; 0 before there are any. */
  look(): { cwnd: number; srtt: number } {
    const { machine, socket } = this;
    if (!socket) return { cwnd: 0, srtt: 0 };
    const at = machine.scratch;
    const info = [SocketOption.Info, at, INFO_BYTES] as const;
    const length = machine.inquire(Syscall.GetOptionData, socket, ...info);
    if (length < INFO_BYTES) throw new Error(`${machine.name}: TCP_INFO: ${length}`);
    const word = (offset: number): number => machine.view.getUint32(at + offset, true);
    return { cwnd: word(INFO_CWND) * word(INFO_MSS), srtt: word(INFO_RTT) * 1000 };
  }
}

/** Connects to senders and takes what comes. */
class Receiver extends Host {
  /** Bytes by socket. */
  readonly received = new Map<number, number>();

  constructor(...host: ConstructorParameters<typeof Host>) {
    super(...host);
    this.machine.program = () => this.turn();
  }

  /** Opens a flow from `address`; returns its socket. */
  connect(address: string, buffer: number): number {
    const socket = this.sockets.stream();
    // Before the SYN, which says how far the window can be scaled.
    this.sockets.setOption(socket, SocketOption.ReceiveBuffer, buffer);
    this.sockets.connect(socket, address, PORT);
    this.received.set(socket, 0);
    return socket;
  }

  private turn(): void {
    for (const [socket] of this.sockets.poll()) this.drain(socket);
  }

  private drain(socket: number): void {
    const { machine, received } = this;
    for (;;) {
      const into = machine.scratch + CHUNK;
      const count = machine.syscall(Syscall.Receive, socket, into, CHUNK, ReceiveFlag.None);
      if (count <= 0) return;
      received.set(socket, received.get(socket)! + count);
    }
  }
}

/** Runs a scenario. */
export function runFlows(kernel: Kernel, scenario: Scenario): Outcome {
  const { flows, duration, samples } = scenario;
  const simulation = new Simulation(scenario.seed);
  const far = new Link(simulation);
  const bottleneck = new Bottleneck(simulation, far, scenario);
  // A flow's data on the way and in the queue, twice: what is lost holds up what came after it.
  const path = (scenario.rate * 2 * scenario.delay) / 8e9 + scenario.queue;
  const buffer = Math.ceil(4 * path) + (1 << 18);
  const memory = (bytes: number): number => Math.ceil((bytes * 12 + (32 << 20)) / 65536) * 65536;
  const words = scenario.commandLine ?? "";
  const receiver = new Receiver(simulation, kernel, far, 2, memory(buffer * flows.length), words);
  const senders = flows.map(({ control }, i) => {
    const link = new Link(simulation);
    bottleneck.attach(link);
    const line = `congestion=${control} ${words}`;
    return new Sender(simulation, kernel, link, FIRST + i, memory(buffer), line);
  });
  try {
    simulation.run(WARM_UP);
    const begin = simulation.now;
    const sockets: number[] = [];
    flows.forEach(({ start, end }, i) => {
      senders[i]!.listen(buffer);
      simulation.at(begin + start, () => {
        sockets[i] = receiver.connect(`10.0.0.${FIRST + i}`, buffer);
      });
      if (end < duration) simulation.at(begin + end, () => senders[i]!.stop());
    });
    const outcome: Outcome = {
      scenario,
      flows: flows.map((flow) => ({
        flow,
        samples: [],
        received: 0,
        passed: 0,
        retransmits: 0,
        timeouts: 0,
        sent: 0,
      })),
      queue: [],
      counts: bottleneck.counts,
    };
    const interval = duration / samples;
    for (let at = interval; at <= duration + 1; at += interval) {
      simulation.run(begin + at - simulation.now);
      outcome.queue.push({ at, delay: bottleneck.delay });
      outcome.flows.forEach((flow, i) => {
        if (at < flow.flow.start) return;
        const sender = senders[i]!;
        const received = receiver.received.get(sockets[i]!) ?? 0;
        const { retransmits, timeouts, segmentsOut } = tcpCounts(sender.sockets);
        const frames = bottleneck.passed.get(sender.station) ?? 0;
        const rate = ((frames - flow.passed) * 8e9 * (PAYLOAD / FRAME)) / interval;
        flow.samples.push({ at, ...sender.look(), rate, retransmits: retransmits! });
        Object.assign(flow, { received, passed: frames, retransmits, timeouts, sent: segmentsOut });
      });
    }
    return outcome;
  } finally {
    for (const { machine } of [receiver, ...senders]) machine.release();
  }
}

/** Mean of `value` over the samples from `from` to `to`, ns. */
export function mean(
  { samples }: FlowOutcome,
  value: (sample: Sample) => number,
  from = 0,
  to = Infinity,
): number {
  const within = samples.filter(({ at }) => at > from && at <= to);
  return within.reduce((sum, sample) => sum + value(sample), 0) / Math.max(within.length, 1);
}

/**
 * Jain's fairness index of the flows' rates over a time in which all of them send: 1 when they are
 * equal, 1/n when one has everything (Jain, Chiu and Hawe, 1984).
 */
export function jain(outcome: Outcome, from: number, to: number): number {
  const rates = outcome.flows.map((flow) => mean(flow, ({ rate }) => rate, from, to));
  const sum = rates.reduce((total, rate) => total + rate, 0);
  const squares = rates.reduce((total, rate) => total + rate * rate, 0);
  return squares ? (sum * sum) / (rates.length * squares) : 0;
}

/** The second half of the time in which all flows send. */
export function common({ scenario }: Outcome): [from: number, to: number] {
  const start = Math.max(...scenario.flows.map((flow) => flow.start));
  const end = Math.min(scenario.duration, ...scenario.flows.map((flow) => flow.end));
  return [(start + end) / 2, end];
}

export { MILLISECOND, SECOND };
