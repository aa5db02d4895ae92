import { config } from "../../kernel/config";
import { random64 } from "../../kernel/random";
import { sipHash } from "../../kernel/siphash";
import { Feature } from "../../drivers/device";
import { Interface, interfaceAt } from "../interface";

/**
 * Interface identifiers, the lower half of an address that we make ourselves.
 *
 * Stable ones (RFC 7217, 5) are a keyed hash of prefix, interface and counter: the same each time on
 * one network, another on the next, and none tells the MAC address. An image keeps nothing from one
 * boot to the next, so its key is made of what stays: host name and MAC address. That is no secret to
 * who knows both, who could then guess the address but learns nothing new by it.
 */

const key: usize = memory.data(16, 8);
const name: usize = memory.data(64, 8);
const words: usize = memory.data(24, 8);

/** Makes the key. */
function keyFor(iface: Interface): void {
  memory.fill(name, 0, 64);
  memory.copy(name, config.hostname, config.hostnameLength);
  const mac = stationOf(iface);
  store<u64>(key, mac);
  store<u64>(key, 0, 8);
  const first = sipHash(key, name, 64);
  store<u64>(key, ~mac, 8);
  store<u64>(key, sipHash(key, name, 64));
  store<u64>(key, first, 8);
}

/**
 * What tells the interface from others (RFC 7217, 5, Net_Iface): its MAC address, with the number of a link that
 * has the same as a card, or none and takes the first card's.
 */
function stationOf(iface: Interface): u64 {
  const device = iface.device;
  if (!(device.features & Feature.Virtual)) return device.mac;
  const mac = device.mac ? device.mac : interfaceAt(0).device.mac;
  return mac | ((<u64>device.number) << 48);
}

/** The stable identifier on `iface` for a prefix; `tries` counts those that others had (7217, 6). */
export function opaqueIdentifier(iface: Interface, prefixHi: u64, tries: u32): u64 {
  keyFor(iface);
  store<u64>(words, prefixHi);
  store<u64>(words, stationOf(iface), 8);
  store<u64>(words, tries, 16);
  let identifier = sipHash(key, words, 24);
  while (isReserved(identifier)) {
    store<u64>(words, load<u64>(words, 16) + 256, 16);
    identifier = sipHash(key, words, 24);
  }
  return identifier;
}

/** A random identifier, for an address that is to last for a while (RFC 8981, 3.3.1). */
export function randomIdentifier(): u64 {
  let identifier = random64();
  while (isReserved(identifier)) identifier = random64();
  return identifier;
}

/** RFC 5453: the subnet-router anycast address, those of IANA's own block, and subnet anycast. */
function isReserved(identifier: u64): bool {
  return (
    !identifier ||
    identifier >> 24 == 0x0200_5eff_fe ||
    (identifier >= 0xfdff_ffff_ffff_ff80 && identifier <= 0xfdff_ffff_ffff_ffff)
  );
}
