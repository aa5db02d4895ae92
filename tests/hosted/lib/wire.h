// Frames as a program outside the kernel reads and makes them: Ethernet, IPv4 and TCP by the RFCs' texts,
// with nothing of net/wire.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ETHERNET_HEADER = 14, IPV4_HEADER = 20, TCP_HEADER = 20, FRAME_MOST = 1514 };
enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_ARP = 0x0806, ETHERTYPE_IPV6 = 0x86dd, ETHERTYPE_RARP = 0x8035 };
enum { PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17 };

/// Control bits (RFC 9293, 3.1); AE as RFC 9768, 3.1 assigns it.
enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32, ECE = 64, CWR = 128, AE = 256 };

/// Option kinds that occur (RFC 9293, 3.2; 7323; 2018; 7413; 9768).
enum {
  OPTION_END = 0, OPTION_NOP = 1, OPTION_MSS = 2, OPTION_SCALE = 3, OPTION_SACK_PERMITTED = 4,
  OPTION_SACK = 5, OPTION_TIMESTAMPS = 8, OPTION_FAST_OPEN = 34, OPTION_ACCECN0 = 172, OPTION_ACCECN1 = 174,
};

struct options {
  bool has_mss, has_scale, sack_permitted, has_timestamps, fast_open;
  uint16_t mss;
  uint8_t scale;
  uint32_t ts_value, ts_echo;
  uint32_t sacks;
  struct { uint32_t left, right; } sack[4];
};

/// A TCP segment in an Ethernet frame.
struct segment {
  uint32_t source, destination;
  uint16_t source_port, destination_port;
  uint32_t seq, ack;
  uint32_t flags;
  uint16_t window, urgent;
  uint8_t tos, ttl;
  struct options options;
  uint32_t options_length;
  const uint8_t *payload;
  uint32_t length;
};

static inline uint32_t get16(const uint8_t *at) { return (uint32_t)at[0] << 8 | at[1]; }
static inline uint32_t get32(const uint8_t *at) { return get16(at) << 16 | get16(at + 2); }
static inline void put16(uint8_t *at, uint32_t value) { at[0] = (uint8_t)(value >> 8), at[1] = (uint8_t)value; }
static inline void put32(uint8_t *at, uint32_t value) { put16(at, value >> 16), put16(at + 2, value); }

/// Whether sequence number `a` is after `b` (RFC 9293, 3.4).
static inline bool after(uint32_t a, uint32_t b) { return (int32_t)(a - b) > 0; }

/// One's complement sum of `length` bytes on top of `sum` (RFC 1071); fold and complement for the field.
uint32_t wire_sum(const uint8_t *bytes, size_t length, uint32_t sum);
uint16_t wire_fold(uint32_t sum);

/// What a frame is.
enum kind { KIND_TCP, KIND_OTHER, KIND_WRONG };

/// Reads a frame. KIND_WRONG: `*complaint` says what no correct host sends.
enum kind wire_parse(const uint8_t *frame, uint32_t length, struct segment *segment, const char **complaint);

/// Reads TCP options; a complaint, or NULL.
const char *wire_options(const uint8_t *bytes, uint32_t length, struct options *options);

/// Writes a frame of `segment` with `options_length` raw option bytes (a multiple of 4) and checksums;
/// `frame` has FRAME_MOST bytes. Returns its length.
uint32_t wire_frame(uint8_t *frame, const uint8_t to[6], const uint8_t from[6], const struct segment *segment,
                    const uint8_t *options);

/// Makes the checksums of an IPv4 frame, and of the TCP, UDP or ICMP in it, right for its lengths, if they
/// can be.
void wire_mend(uint8_t *frame, uint32_t length);

/// Writes an ARP request or reply (RFC 826) of 60 bytes.
void wire_arp(uint8_t frame[60], const uint8_t to[6], uint16_t operation, const uint8_t mac[6], uint32_t ip,
              const uint8_t target_mac[6], uint32_t target);

/// One line about a segment, as tcpdump would say it, in a buffer that the next call overwrites.
const char *wire_describe(const struct segment *segment);
