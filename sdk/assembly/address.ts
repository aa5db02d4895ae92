/** Addresses of IPv4 and IPv6, in text and as the system calls have them. */

/** ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). */
const MAPPED: u64 = 0xffff_0000_0000;

/** An address and a port. Its fields lie as the system calls want them. */
@final
export class Address {
  high: u64 = 0;
  low: u64 = 0;
  port: u16 = 0;
  private reserved: u16 = 0;
  /** Of a link-local address: the number of its interface; 0 is the first that is up. */
  zone: u32 = 0;

  /** Of all addresses of the machine, for listening. */
  static any(port: u16): Address {
    const address = new Address();
    address.port = port;
    return address;
  }

  /** Of "10.0.0.1", "2001:db8::1" and the like; null for text that is no address. */
  static parse(text: string, port: u16): Address | null {
    const address = Address.any(port);
    const good = text.includes(":") ? parseV6(text, address) : parseV4(text, address);
    return good ? address : null;
  }

  get isV4(): bool {
    return this.high == 0 && this.low >> 32 == MAPPED >> 32;
  }

  /** "10.0.0.1", or an IPv6 address as RFC 5952 has it. */
  get host(): string {
    return this.isV4 ? v4Text(<u32>this.low) : v6Text(this.high, this.low);
  }

  /** "10.0.0.1:80", "[2001:db8::1]:80". */
  toString(): string {
    return this.isV4
      ? this.host + ":" + this.port.toString()
      : "[" + this.host + "]:" + this.port.toString();
  }
}

/** The IPv4 address at the head of `text`, or -1. */
function v4Of(text: string): i64 {
  const parts = text.split(".");
  if (parts.length != 4) return -1;
  let value: i64 = 0;
  for (let i = 0; i < 4; i++) {
    const part = parts[i];
    if (part.length == 0 || part.length > 3) return -1;
    if (part.length > 1 && part.charCodeAt(0) == 0x30) return -1;
    let byte: i64 = 0;
    for (let j = 0; j < part.length; j++) {
      const digit = part.charCodeAt(j) - 0x30;
      if (<u32>digit > 9) return -1;
      byte = byte * 10 + digit;
    }
    if (byte > 255) return -1;
    value = (value << 8) | byte;
  }
  return value;
}

function parseV4(text: string, into: Address): bool {
  const value = v4Of(text);
  if (value < 0) return false;
  into.low = MAPPED | (<u64>value);
  return true;
}

function hexDigit(code: i32): i32 {
  if (<u32>(code - 0x30) < 10) return code - 0x30;
  const letter = (code | 0x20) - 0x61;
  return <u32>letter < 6 ? letter + 10 : -1;
}

/** RFC 4291, 2.2. */
function parseV6(text: string, into: Address): bool {
  const groups = new StaticArray<u16>(8);
  let count = 0;
  /** Where "::" stands, or -1. */
  let gap = -1;
  let at = 0;
  if (text.startsWith("::")) {
    gap = 0;
    at = 2;
  }
  while (at < text.length) {
    if (count == 8) return false;
    let end = text.indexOf(":", at);
    if (end < 0) end = text.length;
    const part = text.substring(at, end);
    if (end == text.length && part.includes(".")) {
      const v4 = v4Of(part);
      if (v4 < 0 || count > 6) return false;
      groups[count++] = <u16>(v4 >> 16);
      groups[count++] = <u16>v4;
      break;
    }
    if (part.length == 0 || part.length > 4) return false;
    let group = 0;
    for (let i = 0; i < part.length; i++) {
      const digit = hexDigit(part.charCodeAt(i));
      if (digit < 0) return false;
      group = (group << 4) | digit;
    }
    groups[count++] = <u16>group;
    at = end + 1;
    if (at > text.length) break;
    if (at == text.length) return false; // it ends in one colon
    if (text.charCodeAt(at) == 0x3a) {
      if (gap >= 0) return false;
      gap = count;
      at++;
    }
  }
  if (gap < 0 ? count != 8 : count > 7) return false;
  const zeros = 8 - count;
  let high: u64 = 0;
  let low: u64 = 0;
  for (let i = 0; i < 8; i++) {
    let group: u64 = 0;
    if (gap < 0 || i < gap) group = groups[i];
    else if (i >= gap + zeros) group = groups[i - zeros];
    if (i < 4) high = (high << 16) | group;
    else low = (low << 16) | group;
  }
  into.high = high;
  into.low = low;
  return true;
}

function v4Text(value: u32): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}


@inline function groupOf(high: u64, low: u64, index: i32): u32 {
  return (<u32>((index < 4 ? high : low) >> (48 - ((index & 3) << 4)))) & 0xffff;
}

/** RFC 5952: lower case, and the longest run of zeros, the first of several, as "::". */
function v6Text(high: u64, low: u64): string {
  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < 8;) {
    let end = i;
    while (end < 8 && groupOf(high, low, end) == 0) end++;
    if (end - i > bestLength) {
      best = i;
      bestLength = end - i;
    }
    i = end + 1;
  }
  let text = "";
  for (let i = 0; i < 8; i++) {
    if (i == best) {
      text += "::";
      i += bestLength - 1;
      continue;
    }
    if (text.length && !text.endsWith(":")) text += ":";
    text += groupOf(high, low, i).toString(16);
  }
  return text;
}
