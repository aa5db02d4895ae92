import { Writer, equals, isDigit } from "../text";

/** Dates of HTTP (RFC 9110, 5.6.7): one form is written, three are read. Times are UTC. */

const DAY: i64 = 86400;
/** Of the Gregorian calendar. */
const MEAN_YEAR: i64 = 31556952;
const DAYS = "SunMonTueWedThuFriSat";
const MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec";

/** Bytes of "Sun, 06 Nov 1994 08:49:37 GMT". */
export const DATE_BYTES: u32 = 29;

/** Days since 1970-01-01 of a day in the Gregorian calendar; months from 1. */
function daysFromCivil(year: i32, month: i32, day: i32): i64 {
  // Years that begin in March put the leap day last.
  const shifted = month <= 2 ? year - 1 : year;
  const era = shifted / 400;
  const ofEra = shifted - era * 400;
  const ofYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return <i64>era * 146097 + ofEra * 365 + ofEra / 4 - ofEra / 100 + ofYear - 719468;
}

/** Writes `seconds` since 1970, below the year 10000. */
export function writeDate(to: Writer, seconds: i64): void {
  const days = seconds / DAY;
  const rest = <i32>(seconds % DAY);
  const shifted = days + 719468;
  const era = shifted / 146097;
  const ofEra = <i32>(shifted - era * 146097);
  const yearOfEra = (ofEra - ofEra / 1460 + ofEra / 36524 - ofEra / 146096) / 365;
  const ofYear = ofEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100);
  const fromMarch = (5 * ofYear + 2) / 153;
  const day = ofYear - (153 * fromMarch + 2) / 5 + 1;
  const month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9;
  const year = <i32>era * 400 + yearOfEra + <i32>(month <= 2);
  three(to, DAYS, <i32>((days + 4) % 7));
  to.byte(0x2c).byte(0x20).padded(day, 2).byte(0x20);
  three(to, MONTHS, month - 1);
  to.byte(0x20).padded(year, 4).byte(0x20);
  to.padded(rest / 3600, 2)
    .byte(0x3a)
    .padded((rest / 60) % 60, 2);
  to.byte(0x3a)
    .padded(rest % 60, 2)
    .text(" GMT");
}

function three(to: Writer, names: string, index: i32): void {
  for (let i = index * 3; i < index * 3 + 3; i++) to.byte(names.charCodeAt(i));
}

/** Which of the three-letter names stands at `at`, or -1. */
function nameAt(at: usize, names: string): i32 {
  for (let i = 0; i < names.length; i += 3) {
    if (
      load<u8>(at) == names.charCodeAt(i) &&
      load<u8>(at + 1) == names.charCodeAt(i + 1) &&
      load<u8>(at + 2) == names.charCodeAt(i + 2)
    ) {
      return i / 3;
    }
  }
  return -1;
}

/** Two digits, or -1. */
function two(at: usize): i32 {
  const tens: u32 = load<u8>(at);
  const ones: u32 = load<u8>(at + 1);
  return isDigit(tens) && isDigit(ones) ? (tens - 0x30) * 10 + ones - 0x30 : -1;
}

/** Seconds of the day in "08:49:37", or -1. A leap second counts as the one before. */
function timeAt(at: usize): i32 {
  const hour = two(at);
  const minute = two(at + 3);
  const second = two(at + 6);
  if (load<u8>(at + 2) != 0x3a || load<u8>(at + 5) != 0x3a) return -1;
  if (<u32>hour > 23 || <u32>minute > 59 || <u32>second > 60) return -1;
  return hour * 3600 + minute * 60 + min(second, 59);
}

function lastDay(year: i32, month: i32): i32 {
  if (month == 2) return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/** Seconds since 1970, or -1 if the parts (months from 0) make no time that we can hold. */
function assemble(year: i32, month: i32, day: i32, time: i32): i64 {
  if (year < 1970 || month < 0 || day < 1 || time < 0 || day > lastDay(year, month + 1)) return -1;
  return daysFromCivil(year, month + 1, day) * DAY + time;
}

/**
 * Reads a date: seconds since 1970, or -1 if it is none, or before 1970. `today`, seconds since
 * 1970, places a year of two digits: never more than 50 years ahead (RFC 9110, 5.6.7).
 */
export function parseDate(at: usize, length: u32, today: i64): i64 {
  // Sun, 06 Nov 1994 08:49:37 GMT
  if (length == DATE_BYTES && load<u8>(at + 3) == 0x2c) {
    if (nameAt(at, DAYS) < 0 || load<u8>(at + 4) != 0x20 || load<u8>(at + 7) != 0x20) return -1;
    if (load<u8>(at + 11) != 0x20 || load<u8>(at + 16) != 0x20) return -1;
    if (!equals(at + 25, 4, " GMT")) return -1;
    const century = two(at + 12);
    const year = two(at + 14);
    if (century < 0 || year < 0) return -1;
    return assemble(century * 100 + year, nameAt(at + 8, MONTHS), two(at + 5), timeAt(at + 17));
  }
  // Sun Nov  6 08:49:37 1994
  if (length == 24) {
    if (nameAt(at, DAYS) < 0 || load<u8>(at + 3) != 0x20 || load<u8>(at + 7) != 0x20) return -1;
    if (load<u8>(at + 10) != 0x20 || load<u8>(at + 19) != 0x20) return -1;
    const tens: u32 = load<u8>(at + 8);
    const ones: u32 = <u32>load<u8>(at + 9) - 0x30;
    const day = tens == 0x20 ? (ones < 10 ? <i32>ones : -1) : two(at + 8);
    const century = two(at + 20);
    const year = two(at + 22);
    if (century < 0 || year < 0) return -1;
    return assemble(century * 100 + year, nameAt(at + 4, MONTHS), day, timeAt(at + 11));
  }
  // Sunday, 06-Nov-94 08:49:37 GMT
  if (length < 30 || length > 33) return -1;
  const nameLength = length - 24;
  if (!equals(at, nameLength, longDay(nameAt(at, DAYS)))) return -1;
  at += nameLength;
  if (load<u8>(at) != 0x2c || load<u8>(at + 1) != 0x20) return -1;
  if (load<u8>(at + 4) != 0x2d || load<u8>(at + 8) != 0x2d || load<u8>(at + 11) != 0x20) return -1;
  if (!equals(at + 20, 4, " GMT")) return -1;
  const short = two(at + 9);
  if (short < 0) return -1;
  const thisYear = 1970 + <i32>(today / MEAN_YEAR);
  let year = thisYear - (thisYear % 100) + short;
  if (year > thisYear + 50) year -= 100;
  return assemble(year, nameAt(at + 5, MONTHS), two(at + 2), timeAt(at + 12));
}

function longDay(day: i32): string {
  switch (day) {
    case 0:
      return "Sunday";
    case 1:
      return "Monday";
    case 2:
      return "Tuesday";
    case 3:
      return "Wednesday";
    case 4:
      return "Thursday";
    case 5:
      return "Friday";
    case 6:
      return "Saturday";
    default:
      return "";
  }
}
