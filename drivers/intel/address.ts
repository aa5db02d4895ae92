import { warn } from "../../kernel/log";
import { Chip, IntelNic } from "./nic";
import { RAH0, RAL0 } from "./registers";

/** The NIC's own address (SDM 5.6.1; 82574 6.1.1.1). */

/** EEPROM read (13.4.4); not on the 82544. */
const EERD: u32 = 0x0014;
const EERD_START: u32 = 1 << 0;
const EERD_DATA_SHIFT: u32 = 16;
/** The address lies at bit 8 and done is bit 4; on the 82541, 82547 and 82574, and in QEMU's, at bit 2 and bit 1. */
const EERD_DONE: u32 = 1 << 4;
const EERD_ADDRESS_SHIFT: u32 = 8;
const EERD_DONE_41: u32 = 1 << 1;
const EERD_ADDRESS_SHIFT_41: u32 = 2;
/** Words 0x00 to 0x3f add up to this (5.6.35). */
const EEPROM_WORDS: u32 = 0x40;
const EEPROM_SUM: u32 = 0xbaba;

/**
 * The NIC's own address, or 0: from the EEPROM, or as the device itself took it from there at its
 * reset (13.5.2). The 82544 has no EERD.
 */
export function readAddress(nic: IntelNic): u64 {
  let mac: u64 = nic.chip == Chip.I82544 ? 0 : eepromAddress(nic);
  if (!validAddress(mac)) {
    const low = nic.read(RAL0);
    mac = ((<u64>bswap<u32>(low)) << 16) | bswap<u16>(<u16>nic.read(RAH0));
  }
  return validAddress(mac) ? mac : 0;
}

/** Neither zero nor a group address. */
function validAddress(mac: u64): bool {
  return mac != 0 && !((mac >> 40) & 1);
}

/** Words 0 to 2, or 0 when the EEPROM does not answer or its sum is wrong. */
function eepromAddress(nic: IntelNic): u64 {
  // Word 0 is asked for alike in both layouts of EERD, and the done bit tells which it is.
  nic.write(EERD, EERD_START);
  let shift: u32 = 0;
  let done: u32 = 0;
  for (let polls = 0; polls < 1000 && !done; polls++) {
    const value = nic.read(EERD);
    if (value & EERD_DONE) {
      done = EERD_DONE;
      shift = EERD_ADDRESS_SHIFT;
    } else if (value & EERD_DONE_41) {
      done = EERD_DONE_41;
      shift = EERD_ADDRESS_SHIFT_41;
    }
  }
  if (!done) return 0;
  let mac: u64 = 0;
  let sum: u32 = 0;
  for (let word: u32 = 0; word < EEPROM_WORDS; word++) {
    nic.write(EERD, EERD_START | (word << shift));
    let value = nic.read(EERD);
    for (let polls = 0; polls < 1000 && !(value & done); polls++) value = nic.read(EERD);
    if (!(value & done)) return 0;
    const data = value >> EERD_DATA_SHIFT;
    sum += data;
    if (word < 3) mac = (mac << 16) | bswap<u16>(<u16>data);
  }
  if ((sum & 0xffff) != EEPROM_SUM) {
    warn("intel")
      .text("EEPROM sum is wrong, using the address register")
      .key("sum")
      .hex(sum & 0xffff, 4)
      .end();
    return 0;
  }
  return mac;
}
