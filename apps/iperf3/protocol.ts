/**
 * The protocol of iperf3, as its versions 3.12 to 3.20 speak it (esnet/iperf: src/iperf_api.h,
 * src/iperf.h). A client opens a control connection and sends a cookie; from then on each side
 * moves the other through states of one byte. Parameters and results cross as JSON behind a length
 * of four bytes, most significant first. Data connections begin with the same cookie.
 *
 *     client ── cookie ─────────────────────► server
 *            ◄─ ParamExchange ───────────────
 *            ── length, parameters ─────────►
 *            ◄─ CreateStreams ───────────────
 *            ══ data connections, cookie ═══►   UDP: "9876", answered by "6789"
 *            ◄─ TestStart, TestRunning ──────
 *            ══ data, either way ════════════
 *            ── TestEnd ────────────────────►
 *            ◄─ ExchangeResults ─────────────
 *            ── length, results ────────────►
 *            ◄─ length, results ─────────────
 *            ◄─ DisplayResults ──────────────
 *            ── Done ───────────────────────►
 */
export const enum State {
  TestStart = 1,
  TestRunning = 2,
  TestEnd = 4,
  ParamExchange = 9,
  CreateStreams = 10,
  ClientTerminate = 12,
  ExchangeResults = 13,
  DisplayResults = 14,
  Done = 16,
  /** -1: another test is running. */
  AccessDenied = 0xff,
  /** -2: why follows as two numbers of four bytes, iperf's own and errno. */
  ServerError = 0xfe,
}

/** Why a test is refused: iperf's own numbers, which the client puts into words. */
export const enum Refusal {
  None = 0,
  Duration = 5,
  Streams = 6,
  BlockSize = 7,
  Omit = 12,
  NotImplemented = 13,
  UdpBlockSize = 20,
  Parameters = 114,
}

export const PORT: u16 = 5201;
/** A UUID's worth of text and its end. */
export const COOKIE_BYTES: u32 = 37;
export const PARAMETERS_MAX: u32 = 8192;
/** Streams in one direction. */
export const STREAMS_MAX: u32 = 128;
export const BLOCK_MAX: u32 = 1 << 20;
export const UDP_BLOCK_MIN: u32 = 16;
/** What fits a frame of Ethernet: larger datagrams would travel as fragments, which nobody joins. */
export const UDP_BLOCK_MAX: u32 = 1472;
export const DURATION_MAX: u32 = 86400;
export const OMIT_MAX: u32 = 600;
/** What opens a UDP stream, and its answer, as they stand in the datagram: "9876", "6789". */
export const UDP_HELLO: u32 = 0x3637_3839;
export const UDP_ANSWER: u32 = 0x3938_3736;
/** What older clients say instead, in their own byte order. */
export const UDP_HELLO_OLD: u32 = 123456789;
