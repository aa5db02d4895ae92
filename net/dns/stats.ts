/** What the resolver was asked, and what became of it. */
@unmanaged
export class DnsStats {
  /** Names that programs asked for. */
  lookups: u64;
  /** Questions about a name and a type: answered by the cache, or joined to one under way. */
  cacheHits: u64;
  joined: u64;
  /** Queries sent, by UDP and by TCP; of those, sent again. */
  sent: u64;
  streams: u64;
  retries: u64;
  /** Answers taken, and messages that are none: wrong id or question, malformed, unexpected. */
  answers: u64;
  ignored: u64;
  /** Answers whose question has other letters than were sent (0x20). */
  otherCase: u64;
  truncated: u64;
  /** Answers that a server failed or refused to give. */
  refused: u64;
  /** Times that a server did not answer in time, or its host said that it is not there. */
  timeouts: u64;
  /** Questions that ended without an answer. */
  failed: u64;
  /** Refused for want of room: lookups or questions under way, endpoints, packets. */
  noRoom: u64;
  /** Entries pushed out of the cache before their time. */
  evicted: u64;
  /** Answers by what validation made of them, and the public-key operations that took. */
  secure: u64;
  insecure: u64;
  bogus: u64;
  signatures: u64;
  /** Names hashed to see that others do not exist (RFC 5155, 5). */
  hashes: u64;
  /** Entries in the cache, and the bytes that they take. */
  entries: u32;
  bytes: u32;
  /** Lookups, and questions, under way. */
  lookupsOpen: u32;
  questionsOpen: u32;
}

export const dnsStats = changetype<DnsStats>(memory.data(offsetof<DnsStats>(), 8));
