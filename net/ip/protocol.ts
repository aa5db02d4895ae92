import { Packet } from "../../kernel/packet";
import { IpAddress } from "../wire/address";

/**
 * The transports that IP delivers to: by protocol number, a function for packets and one for errors
 * about packets that we sent. Each registers itself at start-up.
 */

/** What happened to a packet of ours, whoever says so: a router, the peer or our own link layer. */
export const enum IpError {
  NetworkUnreachable = 1,
  HostUnreachable = 2,
  ProtocolUnreachable = 3,
  PortUnreachable = 4,
  /** Larger than a link on the way carries; the MTU comes with it, 0 when unknown. */
  TooBig = 5,
  /** Forbidden by a filter on the way. */
  Prohibited = 6,
  TimeExceeded = 7,
  ParameterProblem = 8,
  /** None yet: it goes to a neighbour that may be gone. Who hears that it arrived is to say so (`ipReached`). */
  NeighbourDoubted = 9,
}

const PROTOCOLS: u32 = 256;
const inputs: usize = memory.data(256 * 4, 64);
const errors: usize = memory.data(256 * 4, 64);

/**
 * Registers a transport. `input` takes ownership of the packet, whose `data` and `length` are the
 * transport header and payload. `error` is told of a packet that we sent: from
 * `source` to `destination`, its ports and the 32 bits behind them (TCP's sequence number), what
 * happened (`IpError`), and an MTU. The addresses are valid during the call only.
 */
export function registerProtocol(
  protocol: u32,
  input: (packet: Packet, source: IpAddress, destination: IpAddress) => void,
  error: (
    source: IpAddress,
    destination: IpAddress,
    sourcePort: u32,
    destinationPort: u32,
    sequence: u32,
    kind: IpError,
    mtu: u32,
  ) => void,
): void {
  assert(protocol < PROTOCOLS);
  store<u32>(inputs + ((<usize>protocol) << 2), input.index);
  store<u32>(errors + ((<usize>protocol) << 2), error.index);
}

/** Hands a packet up; false, with the packet still the caller's, when nobody takes the protocol. */
@inline export function deliver(
  protocol: u32,
  packet: Packet,
  source: IpAddress,
  destination: IpAddress,
): bool {
  const input = load<u32>(inputs + ((<usize>protocol) << 2));
  if (!input) return false;
  call_indirect<void>(input, packet, source, destination);
  return true;
}

/**
 * Hands an error up; `header` is at least the first 8 bytes of the transport header. False when
 * nobody takes the protocol.
 */
export function deliverError(
  protocol: u32,
  source: IpAddress,
  destination: IpAddress,
  header: usize,
  kind: IpError,
  mtu: u32,
): bool {
  const error = load<u32>(errors + ((<usize>protocol) << 2));
  if (!error) return false;
  call_indirect<void>(
    error,
    source,
    destination,
    <u32>bswap(load<u16>(header)),
    <u32>bswap(load<u16>(header, 2)),
    bswap(load<u32>(header, 4)),
    kind,
    mtu,
  );
  return true;
}
