import { now as stepTime } from "../../kernel/clock";
import { EcnMode } from "../../kernel/config";
import { Errno } from "../../kernel/errno";
import { PoolId, poolOf, slotSize } from "../../kernel/packet";
import { NEVER, SECOND } from "../../kernel/timer";
import { EndpointOption } from "../endpoint";
import { FixedBuffer } from "./queues/autotune";
import { sendMost } from "./queues/budget";
import { congestionChoose } from "./congestion/congestion";
import { congestionNamed, putCongestionName, CONGESTION_NAME } from "./congestion/controls";
import { markDirty } from "./dirty";
import { ecnMode, ecnSetMode } from "./ecn/ecn";
import { INFO_BYTES, tcpInfo } from "./info";
import { pacingLimited } from "./congestion/pacing";
import { listenerDefer, listenerDeferral } from "./opening/listener";
import { MSS_DEFAULT, mssDefault } from "./options";
import { LINGER_OFF, SettingBit, settingsEdit, settingsKeep, TIME_TO_LIVE } from "./settings";
import { State, Tcb, TcbFlag } from "./tcb";
import { schedule } from "./timers";
import { workEnsure } from "./work";

/**
 * Socket options of TCP. Names and meanings are Linux's (man 7 tcp, 7 socket), and so are the bounds:
 * -EINVAL for a value out of them, -ENOPROTOOPT for an option that there is not or that cannot be
 * set. What is set on a listener holds for what it accepts from then on.
 */

/** Most seconds between keepalive probes and before them, and most probes. */
const KEEPALIVE_SECONDS_MAX: u32 = 32767;
const KEEPALIVE_COUNT_MAX: u32 = 127;
const SYN_COUNT_MAX: u32 = 127;
/** Bounds of TCP_MAXSEG. */
const MAX_SEGMENT_LEAST: u32 = 88;
const MAX_SEGMENT_MOST: u32 = 32767;
/** Least TCP_WINDOW_CLAMP but 0. */
const WINDOW_CLAMP_LEAST: u32 = 1152;
/** Seconds of TCP_LINGER2: unless set, and at most. */
export const FIN_WAIT_2_DEFAULT: u32 = 60;
const FIN_WAIT_2_MOST: i32 = 120;
/** Retransmissions of a SYN that fit into the time that it has (timers.ts: SYN_TIMEOUT). */
const SYN_COUNT_DEFAULT: u32 = 7;
/** `struct linger`: l_onoff and l_linger, both int. */
const LINGER_BYTES: u32 = 8;
const scratch: usize = memory.data(16, 8);

/** Sets an option with a number for a value. */
export function tcpSetOption(t: Tcb, option: u32, value: u32): i32 {
  const slot = slotSize(PoolId.Standard);
  switch (option) {
    case EndpointOption.NoDelay:
      if (value) t.raise(TcbFlag.NoDelay);
      else t.clear(TcbFlag.NoDelay);
      // What waits goes at once, corked or not.
      if (value && t.hasWork && t.sendHead !== null && t.sndMax != t.sndEnd) t.work.push = true;
      markDirty(t);
      return 0;
    case EndpointOption.Cork:
      if (value) t.raise(TcbFlag.Cork);
      else t.clear(TcbFlag.Cork);
      markDirty(t);
      return 0;
    case EndpointOption.QuickAck: {
      const s = settingsEdit(t.settings);
      s.ackEvery = value ? 1 : 2;
      if (value && t.has(TcbFlag.AckDelayed)) {
        t.raise(TcbFlag.AckNow);
        markDirty(t);
      }
      return keep(t);
    }
    case EndpointOption.KeepAlive:
      if (value) {
        t.raise(TcbFlag.KeepAlive);
        keepAliveFrom(t, stepTime());
      } else {
        t.clear(TcbFlag.KeepAlive);
        t.keepaliveAt = NEVER;
      }
      return 0;
    case EndpointOption.KeepIdle: {
      if (!value || value > KEEPALIVE_SECONDS_MAX) return -Errno.EINVAL;
      settingsEdit(t.settings).keepaliveIdle = value;
      const result = keep(t);
      keepAliveFrom(t, t.receivedAt);
      return result;
    }
    case EndpointOption.KeepInterval:
      if (!value || value > KEEPALIVE_SECONDS_MAX) return -Errno.EINVAL;
      settingsEdit(t.settings).keepaliveInterval = value;
      return keep(t);
    case EndpointOption.KeepCount:
      if (!value || value > KEEPALIVE_COUNT_MAX) return -Errno.EINVAL;
      settingsEdit(t.settings).keepaliveCount = <u8>value;
      return keep(t);
    case EndpointOption.UserTimeout:
      if (<i32>value < 0) return -Errno.EINVAL;
      settingsEdit(t.settings).userTimeout = value;
      return keep(t);
    case EndpointOption.SynCount:
      if (!value || value > SYN_COUNT_MAX) return -Errno.EINVAL;
      settingsEdit(t.settings).synCount = <u8>value;
      return keep(t);
    case EndpointOption.FinWait2:
      settingsEdit(t.settings).finWait2 =
        <i32>value < 0 ? -1 : <i16>min<i32>(<i32>value, FIN_WAIT_2_MOST);
      return keep(t);
    case EndpointOption.MaxSegment:
      if (value && (value < MAX_SEGMENT_LEAST || value > MAX_SEGMENT_MOST)) return -Errno.EINVAL;
      settingsEdit(t.settings).maxSegment = <u16>value;
      return keep(t);
    case EndpointOption.WindowClamp:
      if (!value && t.state != State.Closed) return -Errno.EINVAL;
      settingsEdit(t.settings).windowClamp = value
        ? max<u32>(value, WINDOW_CLAMP_LEAST)
        : u32.MAX_VALUE;
      return keep(t);
    case EndpointOption.ReceiveLowWater:
      // As Linux has it: a negative value is as much as there can be.
      settingsEdit(t.settings).receiveLowWater = min<u32>(max<u32>(value, 1), i32.MAX_VALUE);
      return keep(t);
    case EndpointOption.NotSentLowWater:
      settingsEdit(t.settings).notSentLowWater = value;
      return keep(t);
    case EndpointOption.DeferAccept:
      if (!workEnsure(t)) return -Errno.ENOBUFS;
      listenerDefer(t, <u32>max<i32>(<i32>value, 0));
      return 0;
    case EndpointOption.FastOpen:
      if (<i32>value < 0 || (t.state != State.Closed && t.state != State.Listen))
        return -Errno.EINVAL;
      settingsEdit(t.settings).fastOpen = <u16>min<u32>(value, u16.MAX_VALUE);
      return keep(t);
    case EndpointOption.FastOpenConnect:
      if (value > 1 || t.state != State.Closed) return -Errno.EINVAL;
      settingsEdit(t.settings).put(SettingBit.FastOpenConnect, value != 0);
      return keep(t);
    case EndpointOption.MaxPacingRate:
      settingsEdit(t.settings).maxPacingRate = value == u32.MAX_VALUE ? 0 : value;
      return keepRate(t);
    case EndpointOption.TypeOfService:
      settingsEdit(t.settings).typeOfService = <u8>value;
      return keep(t);
    case EndpointOption.Ecn:
      if (value > <u32>EcnMode.Accurate) return -Errno.EINVAL;
      if (t.state > State.Listen || t.remotePort) return -Errno.EISCONN;
      ecnSetMode(t, value);
      return 0;
    case EndpointOption.TimeToLive:
      if (<i32>value != -1 && (!value || value > 255)) return -Errno.EINVAL;
      settingsEdit(t.settings).timeToLive = <i32>value == -1 ? TIME_TO_LIVE : <u8>value;
      return keep(t);
    case EndpointOption.Mark:
      if (<i32>value < 0) return -Errno.EINVAL;
      settingsEdit(t.settings).mark = value;
      return keep(t);
    case EndpointOption.ReuseAddress:
      settingsEdit(t.settings).put(SettingBit.ReuseAddress, value != 0);
      return keep(t);
    case EndpointOption.ReusePort:
      settingsEdit(t.settings).put(SettingBit.ReusePort, value != 0);
      return keep(t);
    case EndpointOption.ReceiveBuffer:
      t.fixedBuffers |= <u8>FixedBuffer.Receive;
      t.receiveLimit = <u16>min<u32>(max<u32>((value + slot - 1) / slot, 2), slots() >> 2);
      return 0;
    case EndpointOption.SendBuffer:
      t.fixedBuffers |= <u8>FixedBuffer.Send;
      t.sendLimit = min<u32>(max<u32>(value, 2 * slot), (slots() >> 2) * slot);
      return 0;
    default:
      return -Errno.ENOPROTOOPT;
  }
}

/** The value of an option that has a number. */
export function tcpGetOption(t: Tcb, option: u32): i32 {
  const s = t.settings;
  switch (option) {
    case EndpointOption.NoDelay:
      return t.has(TcbFlag.NoDelay);
    case EndpointOption.Cork:
      return t.has(TcbFlag.Cork);
    case EndpointOption.QuickAck:
      return s.ackEvery == 1;
    case EndpointOption.KeepAlive:
      return t.has(TcbFlag.KeepAlive);
    case EndpointOption.KeepIdle:
      return s.keepaliveIdle;
    case EndpointOption.KeepInterval:
      return s.keepaliveInterval;
    case EndpointOption.KeepCount:
      return s.keepaliveCount;
    case EndpointOption.UserTimeout:
      return s.userTimeout;
    case EndpointOption.SynCount:
      return s.synCount ? <u32>s.synCount : SYN_COUNT_DEFAULT;
    case EndpointOption.FinWait2:
      return s.finWait2 ? <i32>s.finWait2 : <i32>FIN_WAIT_2_DEFAULT;
    case EndpointOption.MaxSegment:
      if (t.state <= State.Listen) return s.maxSegment ? <u32>s.maxSegment : MSS_DEFAULT;
      return t.sndMss ? <u32>t.sndMss : mssDefault(t.remote);
    case EndpointOption.WindowClamp:
      return s.windowClamp == u32.MAX_VALUE ? 0 : s.windowClamp;
    case EndpointOption.ReceiveLowWater:
      return s.receiveLowWater;
    case EndpointOption.NotSentLowWater:
      return s.notSentLowWater;
    case EndpointOption.DeferAccept:
      return t.hasWork ? listenerDeferral(t) : 0;
    case EndpointOption.FastOpen:
      return s.fastOpen;
    case EndpointOption.FastOpenConnect:
      return s.has(SettingBit.FastOpenConnect);
    case EndpointOption.MaxPacingRate:
      return s.maxPacingRate ? <i32>min<u64>(s.maxPacingRate, u32.MAX_VALUE) : -1;
    case EndpointOption.TypeOfService:
      return s.typeOfService;
    case EndpointOption.Ecn:
      return ecnMode(t);
    case EndpointOption.TimeToLive:
      return s.timeToLive;
    case EndpointOption.Mark:
      return s.mark;
    case EndpointOption.ReuseAddress:
      return s.has(SettingBit.ReuseAddress);
    case EndpointOption.ReusePort:
      return s.has(SettingBit.ReusePort);
    case EndpointOption.ReceiveBuffer:
      return t.receiveLimit * slotSize(PoolId.Standard);
    case EndpointOption.SendBuffer:
      return sendMost(t);
    default:
      return -Errno.ENOPROTOOPT;
  }
}

/** Sets an option whose value is the `length` bytes at `from`. */
export function tcpSetOptionData(t: Tcb, option: u32, from: usize, length: u32): i32 {
  switch (option) {
    case EndpointOption.Linger: {
      if (length < LINGER_BYTES) return -Errno.EINVAL;
      const seconds = load<u32>(from, 4);
      settingsEdit(t.settings).linger = load<u32>(from)
        ? <u16>min<u32>(seconds, LINGER_OFF - 1)
        : LINGER_OFF;
      return keep(t);
    }
    case EndpointOption.Congestion: {
      if (!length) break;
      const id = congestionNamed(from, min<u32>(length, CONGESTION_NAME - 1));
      if (id < 0) return -Errno.ENOENT;
      congestionChoose(t, id);
      return 0;
    }
    case EndpointOption.MaxPacingRate:
      if (length < 8) break;
      settingsEdit(t.settings).maxPacingRate =
        load<u64>(from) == u64.MAX_VALUE ? 0 : load<u64>(from);
      return keepRate(t);
    default:
  }
  if (length < 4) return -Errno.EINVAL;
  return tcpSetOption(t, option, load<u32>(from));
}

/** Writes an option's value to `into`, cut to `length` bytes; returns how many. */
export function tcpGetOptionData(t: Tcb, option: u32, into: usize, length: u32): i32 {
  let from = scratch;
  let bytes: u32 = 4;
  switch (option) {
    case EndpointOption.Linger: {
      const seconds = t.settings.linger;
      store<u32>(scratch, seconds != LINGER_OFF);
      store<u32>(scratch, seconds == LINGER_OFF ? 0 : <u32>seconds, 4);
      bytes = LINGER_BYTES;
      break;
    }
    case EndpointOption.Congestion:
      memory.fill(scratch, 0, CONGESTION_NAME);
      putCongestionName(t.congestion, scratch);
      bytes = CONGESTION_NAME;
      break;
    case EndpointOption.Info:
      from = tcpInfo(t, stepTime());
      bytes = INFO_BYTES;
      break;
    default: {
      const number = tcpGetOption(t, option);
      // -1 is a value: of TCP_LINGER2, of a rate without limit.
      if (number < -1) return number;
      store<u32>(scratch, number);
      if (option == EndpointOption.MaxPacingRate && length >= 8) {
        const rate = t.settings.maxPacingRate;
        store<u64>(scratch, rate ? rate : u64.MAX_VALUE);
        bytes = 8;
      }
    }
  }
  bytes = min<u32>(bytes, length);
  memory.copy(into, from, bytes);
  return bytes;
}

/** Makes the draft `t`'s settings. */
function keep(t: Tcb): i32 {
  const made = settingsKeep(t.settings);
  if (made === null) return -Errno.ENOBUFS;
  t.settings = made;
  return 0;
}

function keepRate(t: Tcb): i32 {
  const result = keep(t);
  if (!result) pacingLimited(t);
  return result;
}

/** With SO_KEEPALIVE on: the peer is questioned when it has been silent for the idle time since `from`. */
function keepAliveFrom(t: Tcb, from: u64): void {
  if (!t.has(TcbFlag.KeepAlive)) return;
  if (t.state < State.Established || t.state == State.TimeWait) return;
  t.keepaliveAt = from + <u64>t.settings.keepaliveIdle * SECOND;
  schedule(t);
}


@inline function slots(): u32 {
  return min<u32>(poolOf(PoolId.Standard).slots, 0x3ffff);
}
