/**
 * What TCP and UDP tell whoever owns one of their endpoints. The layer above sets the sink once;
 * each endpoint carries the number by which its owner knows it, 0 for none.
 */

/** Bits: an edge, not a state. The owner asks the endpoint how things stand. */
export const enum EndpointEvent {
  /** Data, a datagram or a connection to accept has arrived, or the peer has ended its stream. */
  Readable = 1,
  /** Room to send again, or the connection stands. */
  Writable = 4,
  /** The endpoint has an error to report. */
  Error = 8,
  /** Both directions are over. */
  Hangup = 16,
}

/** What a program may set of an endpoint; the numbers are its own interface's. */
export const enum EndpointOption {
  /** TCP: sends small segments at once. 0 or 1. */
  NoDelay = 1,
  /** TCP: probes an idle connection. 0 or 1. */
  KeepAlive = 2,
  /** Binds though an old or a connected endpoint still holds the port. 0 or 1. */
  ReuseAddress = 3,
  /** The pending error as a positive errno, cleared by reading. */
  Error = 4,
  /** Bytes that may be received before they are read. */
  ReceiveBuffer = 5,
  /** Bytes that may be sent before they are acknowledged. */
  SendBuffer = 6,
  /** UDP: sends to broadcast addresses. 0 or 1. */
  Broadcast = 7,
}

let sink: u32 = 0;

/** Sets who is told; before the first endpoint opens. */
export function setEndpointSink(tell: (owner: u32, events: u32) => void): void {
  sink = tell.index;
}

/** Tells `owner` of `events`. The sink only marks: it never calls back into the stack. */
@inline export function notify(owner: u32, events: u32): void {
  if (owner) call_indirect<void>(sink, owner, events);
}
