#include "wire.h"

#include <stdio.h>
#include <string.h>

uint32_t wire_sum(const uint8_t *bytes, size_t length, uint32_t sum) {
  uint64_t total = sum;
  for (; length >= 4; bytes += 4, length -= 4) total += get32(bytes);
  if (length >= 2) total += (uint64_t)get16(bytes) << 16, bytes += 2, length -= 2;
  if (length) total += (uint64_t)*bytes << 24;
  total = (total & 0xffffffff) + (total >> 32);
  total = (total & 0xffffffff) + (total >> 32);
  uint32_t halves = (uint32_t)(total >> 16) + (uint32_t)(total & 0xffff);
  return (halves & 0xffff) + (halves >> 16);
}

uint16_t wire_fold(uint32_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)sum;
}

/// The sum of the pseudo-header (RFC 9293, 3.1).
static uint32_t pseudo(const uint8_t *ip, uint32_t protocol, uint32_t length) {
  return wire_fold(wire_sum(ip + 12, 8, 0) + protocol + length);
}

const char *wire_options(const uint8_t *bytes, uint32_t length, struct options *options) {
  *options = (struct options){0};
  for (uint32_t at = 0; at < length;) {
    uint8_t kind = bytes[at];
    if (kind == OPTION_NOP) {
      at++;
      continue;
    }
    if (kind == OPTION_END) {
      while (++at < length)
        if (bytes[at]) return "something behind the end of the options (RFC 9293, 3.2)";
      return NULL;
    }
    if (at + 2 > length) return "an option is cut off (RFC 9293, 3.2)";
    uint32_t size = bytes[at + 1];
    if (size < 2 || at + size > length) return "an option's length is wrong (RFC 9293, 3.2)";
    const uint8_t *value = bytes + at + 2;
    switch (kind) {
      case OPTION_MSS:
        if (size != 4) return "an MSS option's length is wrong (RFC 9293, 3.2)";
        options->has_mss = true;
        options->mss = (uint16_t)get16(value);
        break;
      case OPTION_SCALE:
        if (size != 3) return "a Window Scale option's length is wrong (RFC 7323, 2.2)";
        options->has_scale = true;
        options->scale = *value;
        if (*value > 14) return "a window scale beyond 14 (RFC 7323, 2.3)";
        break;
      case OPTION_SACK_PERMITTED:
        if (size != 2) return "a SACK-Permitted option's length is wrong (RFC 2018, 2)";
        options->sack_permitted = true;
        break;
      case OPTION_SACK:
        if (size < 10 || (size - 2) % 8) return "a SACK option's length is wrong (RFC 2018, 3)";
        options->sacks = (size - 2) / 8;
        for (uint32_t i = 0; i < options->sacks; i++)
          options->sack[i].left = get32(value + 8 * i), options->sack[i].right = get32(value + 8 * i + 4);
        break;
      case OPTION_TIMESTAMPS:
        if (size != 10) return "a Timestamps option's length is wrong (RFC 7323, 3.2)";
        options->has_timestamps = true;
        options->ts_value = get32(value);
        options->ts_echo = get32(value + 4);
        break;
      case OPTION_FAST_OPEN: options->fast_open = true; break;
      case OPTION_ACCECN0:
      case OPTION_ACCECN1: break;
      default: return "an option of no known kind";
    }
    at += size;
  }
  return NULL;
}

enum kind wire_parse(const uint8_t *frame, uint32_t length, struct segment *segment, const char **complaint) {
  const char *wrong = NULL;
#define WRONG(text) return *complaint = (text), KIND_WRONG
  if (length < ETHERNET_HEADER || length > FRAME_MOST) WRONG("a frame of no Ethernet length");
  uint32_t type = get16(frame + 12);
  if (type == ETHERTYPE_ARP || type == ETHERTYPE_RARP) {
    if (length < 42) WRONG("a short ARP packet (RFC 826, RFC 903)");
    return KIND_OTHER;
  }
  if (type == ETHERTYPE_IPV6) {
    if (length < ETHERNET_HEADER + 40) WRONG("a short IPv6 header (RFC 8200, 3)");
    if (frame[ETHERNET_HEADER] >> 4 != 6) WRONG("an IPv6 header of another version");
    if (get16(frame + ETHERNET_HEADER + 4) > length - ETHERNET_HEADER - 40) WRONG("an IPv6 payload that is cut off");
    return KIND_OTHER;
  }
  if (type != ETHERTYPE_IPV4) WRONG("an Ethernet type that was never spoken");
  const uint8_t *ip = frame + ETHERNET_HEADER;
  if (length < ETHERNET_HEADER + IPV4_HEADER || ip[0] >> 4 != 4) WRONG("no IPv4 header (RFC 791, 3.1)");
  uint32_t header = (ip[0] & 15) * 4u, total = get16(ip + 2);
  if (header < IPV4_HEADER || total < header || ETHERNET_HEADER + total > length)
    WRONG("IPv4 lengths that lie (RFC 791, 3.1)");
  if (wire_fold(wire_sum(ip, header, 0)) != 0xffff) WRONG("a wrong IPv4 checksum (RFC 791, 3.1)");
  if (!ip[8]) WRONG("a TTL of 0 (RFC 1122, 3.2.1.7)");
  if (get16(ip + 6) & 0x3fff) WRONG("a fragment, from a host that makes none");
  if (ip[9] != PROTOCOL_TCP) return KIND_OTHER;
  const uint8_t *tcp = ip + header;
  uint32_t rest = total - header;
  if (rest < TCP_HEADER) WRONG("a short TCP header (RFC 9293, 3.1)");
  uint32_t offset = (tcp[12] >> 4) * 4u;
  if (offset < TCP_HEADER || offset > rest) WRONG("a TCP data offset that lies (RFC 9293, 3.1)");
  if (wire_fold(wire_sum(tcp, rest, pseudo(ip, PROTOCOL_TCP, rest))) != 0xffff)
    WRONG("a wrong TCP checksum (RFC 9293, 3.1)");
  *segment = (struct segment){
      .source = get32(ip + 12),
      .destination = get32(ip + 16),
      .source_port = (uint16_t)get16(tcp),
      .destination_port = (uint16_t)get16(tcp + 2),
      .seq = get32(tcp + 4),
      .ack = get32(tcp + 8),
      .flags = get16(tcp + 12) & 0x1ff,
      .window = (uint16_t)get16(tcp + 14),
      .urgent = (uint16_t)get16(tcp + 18),
      .tos = ip[1],
      .ttl = ip[8],
      .options_length = offset - TCP_HEADER,
      .payload = tcp + offset,
      .length = rest - offset,
  };
  if (tcp[12] & 0x0e) WRONG("reserved bits that are set (RFC 9293, 3.1)");
  wrong = wire_options(tcp + TCP_HEADER, offset - TCP_HEADER, &segment->options);
  if (wrong) WRONG(wrong);
#undef WRONG
  return KIND_TCP;
}

uint32_t wire_frame(uint8_t *frame, const uint8_t to[6], const uint8_t from[6], const struct segment *s,
                    const uint8_t *options) {
  uint32_t header = TCP_HEADER + s->options_length, total = IPV4_HEADER + header + s->length;
  memcpy(frame, to, 6);
  memcpy(frame + 6, from, 6);
  put16(frame + 12, ETHERTYPE_IPV4);
  uint8_t *ip = frame + ETHERNET_HEADER, *tcp = ip + IPV4_HEADER;
  memset(ip, 0, IPV4_HEADER + TCP_HEADER);
  ip[0] = 0x45;
  ip[1] = s->tos;
  put16(ip + 2, total);
  put16(ip + 6, 0x4000); // do not fragment
  ip[8] = s->ttl ? s->ttl : 64;
  ip[9] = PROTOCOL_TCP;
  put32(ip + 12, s->source);
  put32(ip + 16, s->destination);
  put16(tcp, s->source_port);
  put16(tcp + 2, s->destination_port);
  put32(tcp + 4, s->seq);
  put32(tcp + 8, s->ack);
  put16(tcp + 12, header / 4 << 12 | s->flags);
  put16(tcp + 14, s->window);
  put16(tcp + 18, s->urgent);
  if (s->options_length) memcpy(tcp + TCP_HEADER, options, s->options_length);
  if (s->length) memcpy(tcp + header, s->payload, s->length);
  wire_mend(frame, ETHERNET_HEADER + total);
  return ETHERNET_HEADER + total;
}

/// The same of an IPv6 packet, whose extension headers are gone through (RFC 8200, 4 and 8.1).
static void mend6(uint8_t *ip, uint32_t length) {
  enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, DESTINATION = 60, ICMPV6 = 58, HEADER = 40 };
  if (length < HEADER) return;
  uint32_t next = ip[6], at = HEADER, end = HEADER + get16(ip + 4);
  if (end > length) return;
  while (at + 8 <= end && (next == HOP_BY_HOP || next == ROUTING || next == DESTINATION || next == FRAGMENT)) {
    if (next == FRAGMENT && get16(ip + at + 2)) return; // no sum of one is of use
    uint32_t size = next == FRAGMENT ? 8 : (ip[at + 1] + 1u) * 8;
    next = ip[at];
    at += size;
  }
  uint32_t field = next == PROTOCOL_TCP ? 16 : next == PROTOCOL_UDP ? 6 : next == ICMPV6 ? 2 : 0;
  if (!field || at > end || end - at < field + 2) return;
  put16(ip + at + field, 0);
  uint32_t sum = wire_fold(wire_sum(ip + 8, 32, 0) + next + (end - at));
  put16(ip + at + field, (uint16_t)~wire_fold(wire_sum(ip + at, end - at, sum)));
}

void wire_mend(uint8_t *frame, uint32_t length) {
  if (length > ETHERNET_HEADER && get16(frame + 12) == ETHERTYPE_IPV6)
    return mend6(frame + ETHERNET_HEADER, length - ETHERNET_HEADER);
  if (length < ETHERNET_HEADER + IPV4_HEADER || get16(frame + 12) != ETHERTYPE_IPV4) return;
  uint8_t *ip = frame + ETHERNET_HEADER;
  uint32_t header = (ip[0] & 15) * 4u, total = get16(ip + 2);
  if (header < IPV4_HEADER || ETHERNET_HEADER + header > length) return;
  put16(ip + 10, 0);
  put16(ip + 10, (uint16_t)~wire_fold(wire_sum(ip, header, 0)));
  if (total < header || ETHERNET_HEADER + total > length) return;
  uint8_t *body = ip + header;
  uint32_t rest = total - header, at, sum;
  switch (ip[9]) {
    case PROTOCOL_TCP: at = 16, sum = pseudo(ip, PROTOCOL_TCP, rest); break;
    case PROTOCOL_UDP: at = 6, sum = pseudo(ip, PROTOCOL_UDP, rest); break;
    case PROTOCOL_ICMP: at = 2, sum = 0; break;
    default: return;
  }
  if (rest < at + 2) return;
  put16(body + at, 0);
  put16(body + at, (uint16_t)~wire_fold(wire_sum(body, rest, sum)));
}

void wire_arp(uint8_t frame[60], const uint8_t to[6], uint16_t operation, const uint8_t mac[6], uint32_t ip,
              const uint8_t target_mac[6], uint32_t target) {
  memset(frame, 0, 60);
  memcpy(frame, to, 6);
  memcpy(frame + 6, mac, 6);
  put16(frame + 12, ETHERTYPE_ARP);
  put16(frame + 14, 1); // Ethernet
  put16(frame + 16, ETHERTYPE_IPV4);
  frame[18] = 6;
  frame[19] = 4;
  put16(frame + 20, operation);
  memcpy(frame + 22, mac, 6);
  put32(frame + 28, ip);
  memcpy(frame + 32, target_mac, 6);
  put32(frame + 38, target);
}

const char *wire_describe(const struct segment *s) {
  static char text[512];
  static const char names[] = "FSRPAUEWN"; // one a bit, from the lowest
  char flags[10];
  int n = 0;
  for (int i = 0; i < 9; i++)
    if (s->flags >> i & 1) flags[n++] = names[i];
  flags[n] = 0;
  n = snprintf(text, sizeof text, "%u.%u.%u.%u:%u > %u.%u.%u.%u:%u [%s] seq %u ack %u win %u len %u", s->source >> 24,
               s->source >> 16 & 255, s->source >> 8 & 255, s->source & 255, s->source_port, s->destination >> 24,
               s->destination >> 16 & 255, s->destination >> 8 & 255, s->destination & 255, s->destination_port, flags,
               s->seq, s->ack, s->window, s->length);
  if (s->options.has_timestamps)
    n += snprintf(text + n, sizeof text - (size_t)n, " ts %u/%u", s->options.ts_value, s->options.ts_echo);
  for (uint32_t i = 0; i < s->options.sacks; i++)
    n += snprintf(text + n, sizeof text - (size_t)n, " sack %u-%u", s->options.sack[i].left, s->options.sack[i].right);
  return text;
}
