import { parseDecimal, textFind } from "../text";

/**
 * Services by name, as RFC 6335's registry has them: for calls whose program has no table of its own, as C
 * programs have (sdk/c/netdb.c has the same).
 */

/** What a service runs over, as bits. */
export const OVER_TCP: u32 = 1;
export const OVER_UDP: u32 = 2;

/**
 * Name, port, and what it runs over: 1 TCP, 2 UDP, 3 both. One literal: what is put together when the module starts
 * wants memory that there is none of on metal.
 */
const SERVICES: string =
  "echo 7 3;discard 9 3;daytime 13 3;chargen 19 3;ftp-data 20 1;ftp 21 1;ssh 22 1;telnet 23 1;smtp 25 1;time 37 3;domain 53 3;bootps 67 2;bootpc 68 2;tftp 69 2;http 80 1;pop3 110 1;ntp 123 2;imap2 143 1;snmp 161 3;snmp-trap 162 3;ldap 389 3;https 443 3;submissions 465 1;syslog 514 2;submission 587 1;ldaps 636 3;domain-s 853 3;imaps 993 1;pop3s 995 1;mqtt 1883 1;mysql 3306 1;sip 5060 3;mdns 5353 2;postgresql 5432 1;redis 6379 1;http-alt 8080 3;mqtts 8883 1;";

const SPACE: u32 = 0x20;
const END: u32 = 0x3b;
const ZERO: u32 = 0x30;


@inline function unitAt(index: u32): u32 {
  return load<u16>(changetype<usize>(SERVICES) + ((<usize>index) << 1));
}

/** Whether the entry that begins at `index` has the name. */
function isNamed(index: u32, name: usize, length: u32): bool {
  for (let i: u32 = 0; i < length; i++) {
    if (unitAt(index + i) != <u32>load<u8>(name + i)) return false;
  }
  return unitAt(index + length) == SPACE;
}

/** The port of a name, and in the lower two bits what it runs over: `port << 2 | over`; 0 for none. Cost: the table. */
function serviceNamed(name: usize, length: u32): u32 {
  const units = <u32>SERVICES.length;
  for (let at: u32 = 0; at < units; at++) {
    if (isNamed(at, name, length)) {
      let port: u32 = 0;
      for (at += length + 1; unitAt(at) != SPACE; at++) port = port * 10 + unitAt(at) - ZERO;
      return (port << 2) | (unitAt(at + 1) - ZERO);
    }
    while (unitAt(at) != END) at++;
  }
  return 0;
}

/**
 * The port that `length` bytes of text mean, by number or unless `numeric` by name, of a service over any of
 * `over`: the port, and above bit 16 what of `over` it has. -1 for what is no number when it has to be, -2 for
 * no such service.
 */
export function servicePort(at: usize, length: u32, over: u32, numeric: bool): i32 {
  if (!length) return over << 16;
  const port = parseDecimal(at, length, 65535);
  if (port >= 0) return port | (over << 16);
  if (numeric) return -1;
  if (textFind(at, length, SPACE) != length || textFind(at, length, END) != length) return -2;
  const service = serviceNamed(at, length);
  const both = service & over;
  return both ? (service >> 2) | (both << 16) : -2;
}
