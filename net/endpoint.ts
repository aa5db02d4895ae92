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

let sink: u32 = 0;

/** Sets who is told; before the first endpoint opens. */
export function setEndpointSink(tell: (owner: u32, events: u32) => void): void {
  sink = tell.index;
}

/** Tells `owner` of `events`. The sink only marks: it never calls back into the stack. */
@inline export function notify(owner: u32, events: u32): void {
  if (owner) call_indirect<void>(sink, owner, events);
}
