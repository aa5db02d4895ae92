/**
 * Registers of Intel's 8254x family, from the PCI/PCI-X Family of Gigabit Ethernet Controllers
 * Software Developer's Manual, chapter 13 ("SDM" below). Written for the model alone: the driver
 * has its own, so that a mistake in one shows against the other.
 */

export const CTRL = 0x0000;
export const STATUS = 0x0008;
export const EECD = 0x0010;
export const EERD = 0x0014;
export const CTRL_EXT = 0x0018;
export const MDIC = 0x0020;
export const FCAL = 0x0028;
export const FCAH = 0x002c;
export const FCT = 0x0030;
export const VET = 0x0038;
export const ICR = 0x00c0;
export const ITR = 0x00c4;
export const ICS = 0x00c8;
export const IMS = 0x00d0;
export const IMC = 0x00d8;
export const RCTL = 0x0100;
export const FCTTV = 0x0170;
export const TXCW = 0x0178;
export const TCTL = 0x0400;
export const TIPG = 0x0410;
export const AIT = 0x0458;
export const LEDCTL = 0x0e00;
export const PBA = 0x1000;
export const FCRTL = 0x2160;
export const FCRTH = 0x2168;
export const RDBAL = 0x2800;
export const RDBAH = 0x2804;
export const RDLEN = 0x2808;
export const RDH = 0x2810;
export const RDT = 0x2818;
export const RDTR = 0x2820;
export const RXDCTL = 0x2828;
export const RADV = 0x282c;
export const RSRPD = 0x2c00;
export const TDBAL = 0x3800;
export const TDBAH = 0x3804;
export const TDLEN = 0x3808;
export const TDH = 0x3810;
export const TDT = 0x3818;
export const TIDV = 0x3820;
export const TXDCTL = 0x3828;
export const TADV = 0x382c;
export const TSPMT = 0x3830;
export const RXCSUM = 0x5000;
export const MTA = 0x5200;
export const RAL = 0x5400;
export const RAH = 0x5404;
export const VFTA = 0x5600;
export const WUC = 0x5800;
export const WUFC = 0x5808;
export const MANC = 0x5820;

/** Statistics, cleared when read (SDM 13.7); the 64-bit ones when their high half is. */
export const CRCERRS = 0x4000;
export const RXERRC = 0x400c;
export const MPC = 0x4010;
export const PRC64 = 0x405c;
export const GPRC = 0x4074;
export const BPRC = 0x4078;
export const MPRC = 0x407c;
export const GPTC = 0x4080;
export const GORCL = 0x4088;
export const GOTCL = 0x4090;
export const RNBC = 0x40a0;
export const RUC = 0x40a4;
export const ROC = 0x40ac;
export const TORL = 0x40c0;
export const TOTL = 0x40c8;
export const TPR = 0x40d0;
export const TPT = 0x40d4;
export const PTC64 = 0x40d8;
export const MPTC = 0x40f0;
export const BPTC = 0x40f4;
export const TSCTC = 0x40f8;
export const STATISTICS_END = 0x4100;

/** CTRL (SDM 13.4.1). */
export const enum Ctrl {
  FD = 1,
  SLU = 1 << 6,
  RST = 1 << 26,
  PHY_RST = 1 << 31,
}

/** STATUS (SDM 13.4.2). */
export const enum Status {
  FD = 1,
  LU = 1 << 1,
  SPEED_1000 = 2 << 6,
}

/** EECD (SDM 13.4.3). */
export const enum Eecd {
  SK = 1,
  CS = 1 << 1,
  DI = 1 << 2,
  DO = 1 << 3,
  REQ = 1 << 6,
  GNT = 1 << 7,
  PRES = 1 << 8,
}

/** Interrupt causes (SDM 13.4.17). */
export const enum Cause {
  TXDW = 1,
  TXQE = 1 << 1,
  LSC = 1 << 2,
  RXDMT0 = 1 << 4,
  RXO = 1 << 6,
  RXT0 = 1 << 7,
  TXD_LOW = 1 << 15,
}

/** RCTL (SDM 13.4.22). */
export const enum Rctl {
  EN = 1 << 1,
  SBP = 1 << 2,
  UPE = 1 << 3,
  MPE = 1 << 4,
  LPE = 1 << 5,
  LBM = 3 << 6,
  BAM = 1 << 15,
  BSEX = 1 << 25,
  SECRC = 1 << 26,
}

/** TCTL (SDM 13.4.33). */
export const enum Tctl {
  EN = 1 << 1,
  PSP = 1 << 3,
}

/** RXCSUM (SDM 13.4.47). */
export const enum Rxcsum {
  IPOFL = 1 << 8,
  TUOFL = 1 << 9,
}

/** Receive descriptor status and errors, one 16-bit field (SDM 3.2.3.1, 3.2.3.2). */
export const enum RxStatus {
  DD = 1,
  EOP = 1 << 1,
  IXSM = 1 << 2,
  TCPCS = 1 << 5,
  IPCS = 1 << 6,
  PIF = 1 << 7,
  CE = 1 << 8,
  TCPE = 1 << 13,
  IPE = 1 << 14,
}

/** Transmit descriptor command byte (SDM 3.3.3.1, 3.3.6.1, 3.3.7.1). */
export const enum TxCommand {
  EOP = 1,
  IFCS = 1 << 1,
  IC = 1 << 2,
  TSE = 1 << 2,
  RS = 1 << 3,
  DEXT = 1 << 5,
  IDE = 1 << 7,
  /** TUCMD of a context descriptor. */
  TCP = 1,
  IP = 1 << 1,
}

/**
 * Registers that only hold what is written, and the bits of each that software may set; the
 * others are reserved and must be written as zero. What acts when it is touched is in the model.
 */
export const WRITABLE = new Map<number, number>([
  [CTRL, 0xdcfc1be9],
  [EECD, 0x0000007f],
  [CTRL_EXT, 0x00ffffff],
  [FCAL, 0xffffffff],
  [FCAH, 0x0000ffff],
  [FCT, 0x0000ffff],
  [VET, 0x0000ffff],
  [ITR, 0x0000ffff],
  [ICS, 0x0001ffff],
  [IMS, 0x0001ffff],
  [IMC, 0xffffffff],
  [RCTL, 0x06dfb3fe],
  [FCTTV, 0x0000ffff],
  [TXCW, 0xffffffff],
  [TCTL, 0x037ffffa],
  [TIPG, 0x3fffffff],
  [AIT, 0x0000ffff],
  [LEDCTL, 0xffffffff],
  [PBA, 0x0000ffff],
  [FCRTL, 0x8000fff8],
  [FCRTH, 0x8000fff8],
  [RDBAL, 0xfffffff0],
  [RDBAH, 0xffffffff],
  [RDLEN, 0x000fff80],
  [RDH, 0x0000ffff],
  [RDT, 0x0000ffff],
  [RDTR, 0x8000ffff],
  [RXDCTL, 0x013f3f3f],
  [RADV, 0x0000ffff],
  [RSRPD, 0x00000fff],
  [TDBAL, 0xfffffff0],
  [TDBAH, 0xffffffff],
  [TDLEN, 0x000fff80],
  [TDH, 0x0000ffff],
  [TDT, 0x0000ffff],
  [TIDV, 0x0000ffff],
  [TXDCTL, 0xff3f3f3f],
  [TADV, 0x0000ffff],
  [TSPMT, 0xffffffff],
  [RXCSUM, 0x000007ff],
  [WUC, 0x0000000f],
  [WUFC, 0x000f00ff],
  [MANC, 0xffffffff],
]);

/** Names for messages. */
export const NAMES = new Map<number, string>(
  Object.entries({
    CTRL,
    STATUS,
    EECD,
    EERD,
    CTRL_EXT,
    MDIC,
    ICR,
    ITR,
    ICS,
    IMS,
    IMC,
    RCTL,
    TCTL,
    TIPG,
    PBA,
    RDBAL,
    RDBAH,
    RDLEN,
    RDH,
    RDT,
    RDTR,
    RXDCTL,
    RADV,
    TDBAL,
    TDBAH,
    TDLEN,
    TDH,
    TDT,
    TIDV,
    TXDCTL,
    TADV,
    RXCSUM,
  }).map(([name, offset]) => [offset, name]),
);
