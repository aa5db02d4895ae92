/**
 * The register file of the RTL8139C(L) (data sheet rev. 1.4, chapter 5) and what the RTL8139C+ (rev.
 * 1.6) adds: offsets, how wide an access may be, and which bits software may set.
 */

export const IDR = 0x00;
export const MAR = 0x08;
export const TSD = 0x10;
export const TSAD = 0x20;
export const RBSTART = 0x30;
export const CR = 0x37;
export const CAPR = 0x38;
export const CBR = 0x3a;
export const IMR = 0x3c;
export const ISR = 0x3e;
export const TCR = 0x40;
export const RCR = 0x44;
export const MPC = 0x4c;
export const CR9346 = 0x50;
export const MSR = 0x58;
export const MULINT = 0x5c;
export const TSTATUS = 0x60;
export const BMCR = 0x62;
export const BMSR = 0x64;
export const ANAR = 0x66;
export const ANLPAR = 0x68;
export const ANER = 0x6a;
// C+ only.
export const TNPDS = 0x20;
export const THPDS = 0x28;
export const TPPOLL = 0xd9;
export const CPCR = 0xe0;
export const RDSAR = 0xe4;
export const ETTHR = 0xec;

export const enum Cr {
  BUFE = 1 << 0,
  TE = 1 << 2,
  RE = 1 << 3,
  RST = 1 << 4,
}

export const enum Isr {
  ROK = 1 << 0,
  RER = 1 << 1,
  TOK = 1 << 2,
  TER = 1 << 3,
  RXOVW = 1 << 4,
  LINKCHG = 1 << 5,
  FOVW = 1 << 6,
  TDU = 1 << 7,
}

export const enum Rcr {
  AAP = 1 << 0,
  APM = 1 << 1,
  AM = 1 << 2,
  AB = 1 << 3,
  AR = 1 << 4,
  AER = 1 << 5,
  WRAP = 1 << 7,
}

export const enum Cpcr {
  CPTX = 1 << 0,
  CPRX = 1 << 1,
  MULRW = 1 << 3,
  DAC = 1 << 4,
  RXCHKSUM = 1 << 5,
}

/** One register: bytes of an access, the bits that may be written (0: none), and its name. */
export interface Register {
  at: number;
  width: 1 | 2 | 4;
  writable: number;
  name: string;
}

const list = (
  name: string,
  at: number,
  count: number,
  width: 1 | 2 | 4,
  writable: number,
): Register[] =>
  Array.from({ length: count }, (_, i) => ({
    at: at + i * width,
    width,
    writable,
    name: count > 1 ? `${name}${i}` : name,
  }));

const ALL = 0xffffffff;

const COMMON: Register[] = [
  ...list("IDR", IDR, 2, 4, ALL),
  ...list("MAR", MAR, 2, 4, ALL),
  ...list("CR", CR, 1, 1, 0x1c),
  ...list("IMR", IMR, 1, 2, 0xe1ff),
  ...list("ISR", ISR, 1, 2, 0xe1ff),
  // HWVERID lies between; TXRR and MXDMA, CRC, loopback, gap.
  ...list("TCR", TCR, 1, 4, 0x030707f1),
  ...list("RCR", RCR, 1, 4, 0x0f03ffbf),
  ...list("MPC", MPC, 1, 4, ALL),
  ...list("9346CR", CR9346, 1, 1, 0xce),
  ...list("MSR", MSR, 1, 1, 0xc0),
  ...list("MULINT", MULINT, 1, 2, 0x0fff),
  ...list("BMCR", BMCR, 1, 2, 0x3300),
  ...list("BMSR", BMSR, 1, 2, 0),
  ...list("ANAR", ANAR, 1, 2, 0x25ff),
  ...list("ANLPAR", ANLPAR, 1, 2, 0),
  ...list("ANER", ANER, 1, 2, 0),
];

const CLASSIC: Register[] = [
  ...list("TSD", TSD, 4, 4, 0x003f3fff),
  ...list("TSAD", TSAD, 4, 4, ALL),
  ...list("RBSTART", RBSTART, 1, 4, ALL),
  ...list("CAPR", CAPR, 1, 2, 0xffff),
  ...list("CBR", CBR, 1, 2, 0),
  ...list("TSAD (status)", TSTATUS, 1, 2, 0),
];

const PLUS: Register[] = [
  ...list("TNPDS", TNPDS, 2, 4, ALL),
  ...list("THPDS", THPDS, 2, 4, ALL),
  ...list("TPPoll", TPPOLL, 1, 1, 0xc1),
  ...list("C+CR", CPCR, 1, 2, 0x007b),
  ...list("RDSAR", RDSAR, 2, 4, ALL),
  ...list("ETThR", ETTHR, 1, 1, 0x3f),
];

/** By offset; where the modes give an offset two meanings, that of the mode. */
export function registersOf(plus: boolean): Map<number, Register> {
  const all = plus ? [...COMMON, ...CLASSIC, ...PLUS] : [...COMMON, ...CLASSIC];
  return new Map(all.map((register) => [register.at, register]));
}
