import { sipHash } from "../../../kernel/siphash";
import { randomFill } from "../../../kernel/random";
import { IpAddress } from "../../wire/address";
import { tupleWords } from "../demux";

/**
 * Where sequence numbers and timestamps begin. RFC 6528: ISN = M + F(tuple, secret), M a clock of
 * 4 µs, so that numbers of one tuple go up from one connection to the next and those of different
 * tuples have nothing to do with each other. The other half of F offsets the timestamp clock the
 * same way (RFC 7323, 7.1), by which RFC 6191 lets the peer reuse a tuple in TIME-WAIT.
 */

const key: usize = memory.data(16, 8);
const words: usize = memory.data(40, 8);
/** The tuple of each family that was asked for last, and its secret: a handshake asks several times. */
let lastPorts: u64 = 0;
let lastAddresses: u64 = 0;
let lastSecret: u64 = 0;
const last6: usize = memory.data(40, 8);
let lastSecret6: u64 = 0;

/** Bytes of an IPv4 tuple's words. */
const IPV4_WORDS: u32 = 16;

/** Draws the secret. Start-up only. */
export function isnInit(): void {
  randomFill(key, 16);
  memory.fill(words, 0, 40);
  lastPorts = 0;
  lastAddresses = 0;
  lastSecret = sipHash(key, words, IPV4_WORDS);
  memory.fill(last6, 0, 40);
  lastSecret6 = sipHash(key, words, 40);
}

/** F(tuple, secret): the low half is for sequence numbers, the high half for timestamps. */
export function tupleSecret(
  local: IpAddress,
  localPort: u32,
  remote: IpAddress,
  remotePort: u32,
): u64 {
  const length = tupleWords(words, local, localPort, remote, remotePort);
  const ports = load<u64>(words);
  const addresses = load<u64>(words, 8);
  if (length != IPV4_WORDS) {
    if (
      ports != load<u64>(last6) ||
      addresses != load<u64>(last6, 8) ||
      load<u64>(words, 16) != load<u64>(last6, 16) ||
      load<u64>(words, 24) != load<u64>(last6, 24) ||
      load<u64>(words, 32) != load<u64>(last6, 32)
    ) {
      memory.copy(last6, words, 40);
      lastSecret6 = sipHash(key, words, 40);
    }
    return lastSecret6;
  }
  if (ports != lastPorts || addresses != lastAddresses) {
    lastPorts = ports;
    lastAddresses = addresses;
    lastSecret = sipHash(key, words, IPV4_WORDS);
  }
  return lastSecret;
}

/** The ISN at `now` of a tuple whose secret is `secret`. */
@inline export function isnAt(secret: u64, now: u64): u32 {
  return <u32>(now / 4000) + <u32>secret;
}

/** The timestamp clock, ms (RFC 7323, 5.4); each connection adds its `tsOffset`. */
@inline export function timestampClock(now: u64): u32 {
  return <u32>(now / 1_000_000);
}

/** What a connection of this tuple adds to the clock. */
@inline export function timestampOffset(secret: u64): u32 {
  return <u32>(secret >> 32);
}
