import { reserve } from "../../kernel/memory";

/**
 * What a program may set of a connection and hardly ever does. Connections of one program have the
 * same settings, so a connection refers to a record that all with the same values share: a listener
 * hands its own on by one reference, and a million connections cost one record.
 *
 * Records are values. To change one, edit the draft of `settingsEdit` and hand it to `settingsKeep`,
 * which finds or makes the record with those values. A hash of the values finds it: setting an
 * option takes the same time however many records there are.
 */
@unmanaged
export class Settings {
  references: u32;
  hash: u32;
  /** In its bucket, or the free list. */
  next: Settings | null;

  // ---- The values. Without padding, since they are compared and hashed as bytes.

  /** What rules know its packets by (SO_MARK). */
  mark: u32;
  /** Bytes a second, 0 for no limit (SO_MAX_PACING_RATE). */
  maxPacingRate: u64;
  /** Seconds of silence before the first keepalive probe, and between probes (RFC 1122, 4.2.3.6). */
  keepaliveIdle: u32;
  keepaliveInterval: u32;
  /** Milliseconds without progress after which the connection is given up (RFC 5482); 0: the default. */
  userTimeout: u32;
  /** Bytes given and not sent from which on the program is to give no more; 0: no limit. */
  notSentLowWater: u32;
  /** The largest window to advertise, bytes. */
  windowClamp: u32;
  /** Bytes to be read that make the socket readable, at least 1. */
  receiveLowWater: u32;
  /** Of a listener: Fast Open requests that may be open at a time; 0: none is taken. */
  fastOpen: u16;
  /** Largest segment to announce and send; 0: what the path allows. */
  maxSegment: u16;
  /** Seconds that unsent data may take after `close`; 0: none, it resets; `LINGER_OFF`. */
  linger: u16;
  /** Seconds that an orphan stays in FIN-WAIT-2; 0: the default; below 0: none. */
  finWait2: i16;
  keepaliveCount: u8;
  /** Retransmissions of a SYN before it is given up; 0: as time allows. */
  synCount: u8;
  /** DSCP and, where TCP itself does not use them, the ECN bits. */
  typeOfService: u8;
  timeToLive: u8;
  /** Data segments that one ACK may answer. */
  ackEvery: u8;
  /** `SettingBit`s. */
  bits: u8;
  private spare: u16;


  @inline has(bit: u32): bool {
    return (this.bits & bit) != 0;
  }


  @inline put(bit: u32, on: bool): void {
    this.bits = <u8>(on ? this.bits | bit : this.bits & ~bit);
  }


  @inline get values(): usize {
    return changetype<usize>(this) + offsetof<Settings>("mark");
  }

  /** One more connection refers to it. */
  @inline retain(): Settings {
    this.references++;
    return this;
  }

  /** One fewer; the last frees it. */
  release(): void {
    if (--this.references) return;
    unlink(this);
    this.next = free;
    free = this;
  }
}

export const enum SettingBit {
  /** Shares its address and port with others that do, as long as none of them listens. */
  ReuseAddress = 1,
  /** `connect` waits for the first bytes, to send them with the SYN (RFC 7413). */
  FastOpenConnect = 2,
  /** Shares its address and port with others that do, and connections are dealt out among them. */
  ReusePort = 4,
}

/** `Settings.linger` when SO_LINGER is off. */
export const LINGER_OFF: u16 = 0xffff;

/** RFC 1122, 4.2.3.6: two hours. */
const KEEPALIVE_IDLE: u32 = 7200;
const KEEPALIVE_INTERVAL: u32 = 75;
const KEEPALIVE_COUNT: u8 = 9;
/** RFC 9293, 3.8.6.3: at least every second segment. */
const ACK_EVERY: u8 = 2;
/** RFC 1122, 3.2.1.7; the value is IANA's recommendation. */
export const TIME_TO_LIVE: u8 = 64;

const RECORD: u32 = 64;
/** Most records: different combinations that programs have set at one time. */
const RECORDS_MAX: u32 = 4096;

const draft = changetype<Settings>(memory.data(64, 64));
let free: Settings | null = null;
let buckets: usize = 0;
let bucketMask: u32 = 0;
let standard: Settings = draft;

/** Reserves room for as many records as `connections` may need. Start-up only. */
export function settingsInit(connections: u32): void {
  assert(offsetof<Settings>() == RECORD && offsetof<Settings>("mark") == 12);
  const count = min<u32>(connections + 1, RECORDS_MAX);
  bucketMask = (1 << (32 - <u32>clz<u32>(count - 1))) - 1;
  buckets = reserve((bucketMask + 1) << 2, 64);
  const records = reserve(count * RECORD, 64);
  free = null;
  for (let i = count; i-- > 0;) {
    const record = changetype<Settings>(records + <usize>i * RECORD);
    record.next = free;
    free = record;
  }
  memory.fill(changetype<usize>(draft), 0, RECORD);
  draft.keepaliveIdle = KEEPALIVE_IDLE;
  draft.keepaliveInterval = KEEPALIVE_INTERVAL;
  draft.keepaliveCount = KEEPALIVE_COUNT;
  draft.windowClamp = u32.MAX_VALUE;
  draft.receiveLowWater = 1;
  draft.linger = LINGER_OFF;
  draft.timeToLive = TIME_TO_LIVE;
  draft.ackEvery = ACK_EVERY;
  standard = changetype<Settings>(settingsKeep(null));
}

/** The defaults, with one more reference. */
@inline export function settingsDefault(): Settings {
  return standard.retain();
}

/** A copy of `settings` to edit, for `settingsKeep`. There is one. */
export function settingsEdit(settings: Settings): Settings {
  memory.copy(changetype<usize>(draft), changetype<usize>(settings), RECORD);
  return draft;
}

/**
 * The record with the draft's values, in place of `old`, whose reference becomes one to it. Null if
 * there are too many different ones; then `old` stays.
 */
export function settingsKeep(old: Settings | null): Settings | null {
  const hash = hashOf(draft);
  const length = RECORD - offsetof<Settings>("mark");
  let record = changetype<Settings | null>(load<usize>(bucket(hash)));
  while (record !== null) {
    if (record.hash == hash && !memory.compare(record.values, draft.values, length)) {
      record.retain();
      if (old !== null) old.release();
      return record;
    }
    record = record.next;
  }
  // Its last holder's record is free to hold the new values.
  if (old !== null && old.references == 1) old.release();
  else if (old !== null && free !== null) old.references--;
  record = free;
  if (record === null) return null;
  free = record.next;
  memory.copy(record.values, draft.values, length);
  record.references = 1;
  record.hash = hash;
  const head = bucket(hash);
  record.next = changetype<Settings | null>(load<usize>(head));
  store<usize>(head, changetype<usize>(record));
  return record;
}


@inline function bucket(hash: u32): usize {
  return buckets + ((<usize>(hash & bucketMask)) << 2);
}

/** The values are a program's, not a stranger's: a plain mixing of words will do. */
function hashOf(settings: Settings): u32 {
  let hash: u64 = settings.mark;
  for (let at = settings.values + 4, end = at + 48; at < end; at += 8) {
    hash = rotl<u64>(hash ^ load<u64>(at), 29) * 0x9e37_79b9_7f4a_7c15;
  }
  return <u32>(hash >> 32);
}

/** Takes a record out of its bucket. */
function unlink(record: Settings): void {
  const head = bucket(record.hash);
  let at = changetype<Settings>(load<usize>(head));
  if (at === record) {
    store<usize>(head, changetype<usize>(record.next));
    return;
  }
  while (at.next !== record) at = changetype<Settings>(at.next);
  at.next = record.next;
}
