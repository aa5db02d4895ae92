/**
 * Registers and descriptors that Intel's gigabit controllers have in common. Sections refer to the
 * "PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual" (317453); the 82574,
 * whose datasheet (317694) describes the same in its chapters 7 and 10, keeps them.
 */

// ---- Registers (13.2, table 13-2) --------------------------------------------------------

/** Bytes of register space that BAR 0 must offer (4.1, 13.1). */
export const REGISTERS: u32 = 0x20000;

/** Device control (13.4.1). */
export const CTRL: u32 = 0x0000;
export const CTRL_FD: u32 = 1 << 0;
export const CTRL_ASDE: u32 = 1 << 5;
export const CTRL_SLU: u32 = 1 << 6;
export const CTRL_FRCSPD: u32 = 1 << 11;
export const CTRL_FRCDPLX: u32 = 1 << 12;
export const CTRL_RST: u32 = 1 << 26;
export const CTRL_RFCE: u32 = 1 << 27;
export const CTRL_TFCE: u32 = 1 << 28;
export const CTRL_VME: u32 = 1 << 30;
export const CTRL_PHY_RST: u32 = 1 << 31;

/** Device status (13.4.2). */
export const STATUS: u32 = 0x0008;
export const STATUS_FD: u32 = 1 << 0;
export const STATUS_LU: u32 = 1 << 1;
export const STATUS_SPEED_SHIFT: u32 = 6;
/** What a read of a device that is no longer there gives. */
export const GONE: u32 = 0xffff_ffff;

/** Flow control: PAUSE address, type and time (13.4.8 to 13.4.11). */
export const FCAL: u32 = 0x0028;
export const FCAH: u32 = 0x002c;
export const FCT: u32 = 0x0030;
export const FCTTV: u32 = 0x0170;

/** Interrupt causes: read and clear, set mask, clear mask (13.4.17, 13.4.20, 13.4.21). */
export const ICR: u32 = 0x00c0;
export const IMS: u32 = 0x00d0;
export const IMC: u32 = 0x00d8;
export const CAUSE_LSC: u32 = 1 << 2;
export const CAUSE_RXO: u32 = 1 << 6;
export const CAUSE_RXT0: u32 = 1 << 7;
/** What ends a sleep: a packet, a receiver that ran out of room, the link. Transmit never does. */
export const CAUSES: u32 = CAUSE_LSC | CAUSE_RXO | CAUSE_RXT0;

/** Least time between two interrupts, in the timer's 256 ns: 50 µs (docs/performance.md has the figures). */
export const INTERRUPT_INTERVAL: u32 = 195;

/** Receive control (13.4.22). */
export const RCTL: u32 = 0x0100;
export const RCTL_EN: u32 = 1 << 1;
export const RCTL_UPE: u32 = 1 << 3;
export const RCTL_MPE: u32 = 1 << 4;
export const RCTL_BAM: u32 = 1 << 15;
/** BSIZE 00 without BSEX: the device takes each buffer to be 2,048 bytes long. */
export const RCTL_BSIZE_2048: u32 = 0 << 16;
export const RCTL_SECRC: u32 = 1 << 26;
export const RECEIVE_BUFFER: u32 = 2048;

/** Receive ring and its interrupt delay (13.4.25 to 13.4.30). */
export const RDBAL: u32 = 0x2800;
export const RDBAH: u32 = 0x2804;
export const RDLEN: u32 = 0x2808;
export const RDH: u32 = 0x2810;
export const RDT: u32 = 0x2818;
export const RDTR: u32 = 0x2820;

/** Transmit control (13.4.33): collision threshold and distance as 14.5 sets them for full duplex. */
export const TCTL: u32 = 0x0400;
export const TCTL_EN: u32 = 1 << 1;
export const TCTL_PSP: u32 = 1 << 3;
export const TCTL_CT: u32 = 0x0f << 4;
export const TCTL_COLD: u32 = 0x40 << 12;

/** Gap between frames (13.4.34). */
export const TIPG: u32 = 0x0410;

/** Transmit ring (13.4.36 to 13.4.41). */
export const TDBAL: u32 = 0x3800;
export const TDBAH: u32 = 0x3804;
export const TDLEN: u32 = 0x3808;
export const TDH: u32 = 0x3810;
export const TDT: u32 = 0x3818;
export const TIDV: u32 = 0x3820;

/** Receive checksum control (13.4.47). */
export const RXCSUM: u32 = 0x5000;
export const RXCSUM_IPOFL: u32 = 1 << 8;
export const RXCSUM_TUOFL: u32 = 1 << 9;

/** Multicast table of 128 words, and the first receive address (13.5.1 to 13.5.3). */
export const MTA: u32 = 0x5200;
export const MTA_WORDS: u32 = 128;
export const RAL0: u32 = 0x5400;
export const RAH0: u32 = 0x5404;
export const RAH_AV: u32 = 1 << 31;

/** Statistics, each cleared by reading it (13.7). */
export const STATISTICS: u32 = 0x4000;
export const STATISTICS_LAST: u32 = 0x40fc;
export const CRCERRS: u32 = 0x4000;
export const ALGNERRC: u32 = 0x4004;
export const SYMERRS: u32 = 0x4008;
export const RXERRC: u32 = 0x400c;
export const MPC: u32 = 0x4010;
export const ECOL: u32 = 0x4018;
export const LATECOL: u32 = 0x401c;
export const GPRC: u32 = 0x4074;
export const RUC: u32 = 0x40a4;
export const RFC: u32 = 0x40a8;
export const ROC: u32 = 0x40ac;
export const RJC: u32 = 0x40b0;

// ---- Descriptors -------------------------------------------------------------------------

/** Bytes of any descriptor; a ring's length is a multiple of eight of them (3.2.6, 3.4). */
export const DESCRIPTOR_SHIFT: u32 = 4;
export const RECEIVE_RING: u32 = 256;
export const TRANSMIT_RING: u32 = 128;

/**
 * Receive descriptor (3.2.3), second quadword: length in bits 0 to 15, packet checksum to 31,
 * status (3.2.3.1) to 39, errors (3.2.3.2) to 47. The first is the buffer's address.
 */
export const RX_DD: u32 = 1 << 0;
export const RX_EOP: u32 = 1 << 1;
export const RX_IXSM: u32 = 1 << 2;
/** The 82574 has a bit more for UDP, which is 0 elsewhere. */
export const RX_UDPCS: u32 = 1 << 4;
export const RX_TCPCS: u32 = 1 << 5;
export const RX_IPCS: u32 = 1 << 6;
/** CE, SE, SEQ, CXE, RXE: the frame itself is damaged. */
export const RX_DAMAGED: u32 = (1 << 0) | (1 << 1) | (1 << 2) | (1 << 4) | (1 << 7);
export const RX_TCPE: u32 = 1 << 5;
export const RX_IPE: u32 = 1 << 6;

/**
 * Transmit data descriptor (3.3.7), second quadword: length in bits 0 to 19, type to 23, command
 * to 31, status to 35, packet options from 40. The first is the buffer's address.
 */
export const TX_DTYP_DATA: u32 = 1 << 20;
export const TX_EOP: u32 = 1 << 24;
export const TX_IFCS: u32 = 1 << 25;
export const TX_TSE: u32 = 1 << 26;
export const TX_RS: u32 = 1 << 27;
export const TX_DEXT: u32 = 1 << 29;
export const TX_DATA: u32 = TX_DTYP_DATA | TX_DEXT | TX_IFCS;
export const TX_DD: u32 = 1 << 0;
export const TX_IXSM: u64 = 1 << 40;
export const TX_TXSM: u64 = 1 << 41;
/** Every descriptor of a packet that is segmented, with TCP's checksum filled in; IPv4's wants `TX_IXSM` too. */
export const TX_BURST: u64 = TX_TXSM | TX_DATA | TX_TSE;
/** In a context descriptor (3.3.6) these two bits say that the packet is TCP, and over IPv4. */
export const TX_CONTEXT_TCP: u32 = 1 << 24;
export const TX_CONTEXT_IPV4: u32 = 1 << 25;

/**
 * Most bytes of a data descriptor in a packet that the device segments: it reckons with no more than
 * four segments each when it makes room in its FIFO.
 */
export const TX_RUN_MAX: u32 = 4096;
export const TX_RUN_SEGMENTS: u32 = 4;
/** Bytes of the last descriptor of such a packet, and of a packet in one piece right after it. */
export const TX_SENTINEL: u32 = 4;

/** Descriptors after which one must report that it is done, so that a long batch frees as it goes. */
export const REPORT_EVERY: u32 = 32;

/** Receive descriptors handed back with one write of RDT. */
export const REFILL_BATCH: u32 = 32;

/** Bytes of an Ethernet header. */
export const ETHERNET_HEADER: u32 = 14;
/** Where an IPv4 header has its total length and its checksum (RFC 791, 3.1). */
export const IPV4_LENGTH: u32 = 2;
export const IPV4_CHECKSUM: u32 = 10;
/** Where an IPv6 header has its payload length (RFC 8200, 3). */
export const IPV6_LENGTH: u32 = 4;
