/**
 * Registers and descriptors of the Realtek RTL8139 family, by the names of its data sheets. Sections
 * of chapter 5 refer to the RTL8139C(L) (rev. 1.4), which is the classic chip; 6.33 and what is
 * marked C+ to the RTL8139C+ (rev. 1.6); PG to Realtek's programming guide for the classic mode.
 */

/** Bytes of register space that BAR 1 must offer (5). */
export const REGISTERS: u32 = 0x100;

/** The NIC's own address, loaded from the EEPROM; written in whole words (5). */
export const IDR0: u32 = 0x00;
export const IDR4: u32 = 0x04;
/** Multicast filter: 64 bits by a hash of the address, written in whole words (5). */
export const MAR0: u32 = 0x08;
export const MAR4: u32 = 0x0c;

/** Command (5.4). */
export const CR: u32 = 0x37;
export const CR_TE: u32 = 1 << 2;
export const CR_RE: u32 = 1 << 3;
export const CR_RST: u32 = 1 << 4;

/** Interrupt mask and status, where a bit written clears it (5.5, 5.6). */
export const IMR: u32 = 0x3c;
export const ISR: u32 = 0x3e;
export const ISR_ROK: u32 = 1 << 0;
export const ISR_RER: u32 = 1 << 1;
export const ISR_TOK: u32 = 1 << 2;
export const ISR_TER: u32 = 1 << 3;
/** The receive ring is full; in C+ mode, no descriptor is the chip's. */
export const ISR_RXOVW: u32 = 1 << 4;
/** With PUN, packet underrun, on the same bit. */
export const ISR_LINK: u32 = 1 << 5;
export const ISR_FOVW: u32 = 1 << 6;

/** Transmit configuration, writable while CR.TE is set (5.7). */
export const TCR: u32 = 0x40;
export const TCR_CLRABT: u32 = 1 << 0;
export const TCR_MXDMA_1024: u32 = 6 << 8;
/** The gap of IEEE 802.3: any other violates it. */
export const TCR_IFG: u32 = 3 << 24;

/** Receive configuration (5.8). */
export const RCR: u32 = 0x44;
export const RCR_AAP: u32 = 1 << 0;
export const RCR_APM: u32 = 1 << 1;
export const RCR_AM: u32 = 1 << 2;
export const RCR_AB: u32 = 1 << 3;
export const RCR_MXDMA_256: u32 = 4 << 8;
export const RCR_MXDMA_UNLIMITED: u32 = 7 << 8;
/** A ring of 64 KiB: frames go round its end, whatever WRAP says. */
export const RCR_RBLEN_64K: u32 = 3 << 11;
/** Bytes in the FIFO from which on the chip moves them: 512, or the whole frame. */
export const RCR_RXFTH_512: u32 = 5 << 13;
export const RCR_RXFTH_FRAME: u32 = 7 << 13;

/** Frames lost for want of room: 24 bits, cleared by a write (5). */
export const MPC: u32 = 0x4c;
export const MPC_MASK: u32 = 0x00ff_ffff;

/** EEPROM command: also the lock on the configuration registers and IDR (5.9). */
export const CR9346: u32 = 0x50;
export const CR9346_NORMAL: u32 = 0;
export const CR9346_CONFIG: u32 = 3 << 6;

/** Media status (5.12). */
export const MSR: u32 = 0x58;
export const MSR_LINKB: u32 = 1 << 2;
export const MSR_SPEED_10: u32 = 1 << 3;

/** Interrupts before a frame is whole (5.15). */
export const MULINT: u32 = 0x5c;

/** What we and the partner offered in auto-negotiation (5.20, 5.21; IEEE 802.3, 28.2.4.1). */
export const ANAR: u32 = 0x66;
export const ANLPAR: u32 = 0x68;
export const AN_10_FULL: u32 = 1 << 6;
export const AN_100_FULL: u32 = 1 << 8;

// ---- Classic mode ------------------------------------------------------------------------

/** Status and address of the four transmit buffers (5.2). */
export const TSD0: u32 = 0x10;
export const TSAD0: u32 = 0x20;
export const TSD_SIZE: u32 = 0x1fff;
/** Bytes in the FIFO from which on it is sent, in units of 32. */
export const TSD_ERTXTH_SHIFT: u32 = 16;
export const ERTXTH_MOST: u32 = 0x3f;
/** Status of all four (5.17): of each TABT, TUN and TOK, slot 0 in the lowest bit. */
export const TSAD: u32 = 0x60;
export const TSAD_TABT_SHIFT: u32 = 4;
export const TSAD_TUN_SHIFT: u32 = 8;
export const TSAD_TOK_SHIFT: u32 = 12;

/** Receive ring: where it is, up to where it has been read less 16, and up to where it is written (PG 2.4). */
export const RBSTART: u32 = 0x30;
export const CAPR: u32 = 0x38;
export const CBR: u32 = 0x3a;
export const CAPR_BEHIND: u32 = 16;

/** The header before each frame: status, and in the upper half its length with the FCS (5.1, PG 2.2). */
export const HEADER_ROK: u32 = 1 << 0;
export const HEADER: u32 = 4;
/** The length while the frame is still being written; known to drivers, not to the data sheet. */
export const LENGTH_UNFINISHED: u32 = 0xfff0;

// ---- C+ mode -----------------------------------------------------------------------------

/** Start of the transmit rings of normal and high priority, and of the receive ring: 64 bits each. */
export const TNPDS: u32 = 0x20;
export const THPDS: u32 = 0x28;
export const RDSAR: u32 = 0xe4;
/** They are multiples of this. */
export const RING_ALIGN: u32 = 256;

/** Says that there are descriptors to send. */
export const TPPOLL: u32 = 0xd9;
export const TPPOLL_NPQ: u32 = 1 << 6;

/** C+ command (6.33): comes before the addresses of the rings, which it may change. */
export const CPCR: u32 = 0xe0;
export const CPCR_CPTX: u32 = 1 << 0;
export const CPCR_CPRX: u32 = 1 << 1;
export const CPCR_MULRW: u32 = 1 << 3;
export const CPCR_RXCHKSUM: u32 = 1 << 5;

/** Early transmit threshold, in units of 32 bytes. */
export const ETTHR: u32 = 0xec;

/** In the first word of any descriptor. */
export const OWN: u32 = 1 << 31;
export const EOR: u32 = 1 << 30;
export const FS: u32 = 1 << 29;
export const LS: u32 = 1 << 28;

/** Of a receive descriptor that is done. */
export const RX_FAE: u32 = 1 << 27;
export const RX_FOVF: u32 = 1 << 22;
export const RX_RWT: u32 = 1 << 21;
export const RX_RES: u32 = 1 << 20;
export const RX_RUNT: u32 = 1 << 19;
export const RX_CRC: u32 = 1 << 18;
/** Protocol: 0 neither, 1 TCP, 2 UDP, 3 other IP. */
export const RX_PID_SHIFT: u32 = 16;
export const RX_PID_TCP: u32 = 1;
export const RX_PID_UDP: u32 = 2;
export const RX_IPF: u32 = 1 << 15;
export const RX_UDPF: u32 = 1 << 14;
export const RX_TCPF: u32 = 1 << 13;
/** Frame length with the FCS; before that, bytes of the buffer. */
export const RX_LENGTH: u32 = 0x1fff;

/** Of a transmit descriptor: a large send with its segment size in 11 bits, or the checksums to fill in. */
export const TX_LGSEN: u32 = 1 << 27;
export const TX_MSS_SHIFT: u32 = 16;
export const TX_MSS_MOST: u32 = 0x7ff;
export const TX_IPCS: u32 = 1 << 18;
export const TX_UDPCS: u32 = 1 << 17;
export const TX_TCPCS: u32 = 1 << 16;
/** Once it is done: FIFO underrun; error summary. */
export const TX_UNF: u32 = 1 << 25;
export const TX_TES: u32 = 1 << 23;
