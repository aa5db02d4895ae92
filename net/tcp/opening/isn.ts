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

/** Draws the secret. Start-up only. */
export function isnInit(): void {
  randomFill(key, 16);
}

/** F(tuple, secret): the low half is for sequence numbers, the high half for timestamps. */
export function tupleSecret(
  local: IpAddress,
  localPort: u32,
  remote: IpAddress,
  remotePort: u32,
): u64 {
  return sipHash(key, words, tupleWords(words, local, localPort, remote, remotePort));
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
