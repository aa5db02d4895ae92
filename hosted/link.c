// A PCI bus with memory links on it. The card's data sheet stands in drivers/memory-link.ts.

#include <errno.h>
#include <string.h>

#include "machine.h"

enum {
  MAGIC = 0x00, FEATURES = 0x04, MAC_LOW = 0x08, MAC_HIGH = 0x0c, MTU = 0x10, AREA = 0x14,
  RECEIVE = 0x18, TRANSMIT = 0x1c, INTERRUPT = 0x20, CAUSE = 0x24,
};
enum { RING = 256, RECEIVED = 0x0000, SENT = 0x0040, RECEIVE_RING = 0x0080, TRANSMIT_RING = 0x1080 };
enum { MORE = 1, CHECKSUM = 2, SEGMENT_SHIFT = 16 };

#define MAGIC_VALUE 0x4c4d4b53u
#define ALL_ONES 0xffffffffu

struct descriptor {
  u32 address, length, flags;
  u16 start, field;
};

/// The last three bytes of an address: the first three are whose it is (IEEE 802, 8.2).
#define MAC_OWN 0xffffffull

void links_start(struct skerry *machine, const struct skerry_config *config) {
  u64 mac = 0;
  for (int i = 0; i < 6; i++) mac = mac << 8 | config->mac[i];
  if (!mac) mac = 0x525400123456;
  machine->link_count = config->links ? config->links : 1;
  for (u32 i = 0; i < machine->link_count; i++) {
    struct link *link = &machine->links[i];
    link->mac = (mac & ~MAC_OWN) | ((mac + i) & MAC_OWN);
    link->features = config->checksum_offload ? 7 : 0;
    link->bar = LINK_REGISTERS + i * LINK_REGISTERS_BYTES;
  }
}

// ---- Configuration space (PCI 3.0, 3.2.2.3.2 and 6.1) ------------------------------------------

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA 0xcfc
#define BUS 0x80000000u // bus 0; device 0 is the bridge, 1 the first card
#define DEVICE_SHIFT 11
#define DEVICE_BYTES (1u << DEVICE_SHIFT)

static u32 bridge_read(u32 at) {
  switch (at) {
    case 0x00: return 0x00005042 << 16 | 0x534b;
    case 0x08: return 0x06000000; // class: host bridge
  }
  return 0;
}

static u32 card_read(const struct skerry *machine, u32 index, u32 at) {
  switch (at) {
    case 0x00: return 0x4d4cu << 16 | 0x534b;
    case 0x04: return machine->links[index].command;
    case 0x08: return 0x02000000; // class: Ethernet controller
    case 0x10: return machine->links[index].bar;
    case 0x3c: return 1 << 8 | (LINK_LINE + index);
  }
  return 0;
}

u32 host_portIn32(u32 port) {
  const struct skerry *machine = host_machine();
  if (port == CONFIG_ADDRESS) return machine->config_address;
  u32 at = machine->config_address - BUS, device = at >> DEVICE_SHIFT, of_function = at % DEVICE_BYTES;
  if (port != CONFIG_DATA || device > machine->link_count || of_function > 0xff) return ALL_ONES;
  return device ? card_read(machine, device - 1, of_function) : bridge_read(of_function);
}

void host_portOut32(u32 port, u32 value) {
  struct skerry *machine = host_machine();
  if (port == CONFIG_ADDRESS) machine->config_address = value;
  u32 at = machine->config_address - BUS, device = at >> DEVICE_SHIFT;
  if (port != CONFIG_DATA || device < 1 || device > machine->link_count) return;
  struct link *link = &machine->links[device - 1];
  if (at % DEVICE_BYTES == 0x04) link->command = value & 0xffff;
  if (at % DEVICE_BYTES == 0x10) link->bar = value & ~(LINK_REGISTERS_BYTES - 1);
}

u32 host_mmioMap(u64 physical, u32 length) {
  u64 at = physical - LINK_REGISTERS, count = host_machine()->link_count;
  return at % LINK_REGISTERS_BYTES || at / LINK_REGISTERS_BYTES >= count || length > LINK_REGISTERS_BYTES
             ? 0
             : (u32)physical;
}

// ---- Registers -----------------------------------------------------------------------------------

/// The card whose registers `at` is in, as host_mmioMap gave them out.
static struct link *link_at(u32 at) { return &host_machine()->links[at / LINK_REGISTERS_BYTES % SKERRY_LINKS_MOST]; }

u32 host_mmioRead32(u32 at) {
  struct link *link = link_at(at);
  switch (at % LINK_REGISTERS_BYTES) {
    case MAGIC: return MAGIC_VALUE;
    case FEATURES: return link->features;
    case MAC_LOW: return (u32)link->mac;
    case MAC_HIGH: return (u32)(link->mac >> 32);
    case MTU: return 1500;
    case CAUSE: {
      bool cause = link->cause;
      link->cause = false;
      return cause;
    }
  }
  return ALL_ONES;
}

void host_mmioWrite32(u32 at, u32 value) {
  struct link *link = link_at(at);
  switch (at % LINK_REGISTERS_BYTES) {
    case AREA:
      link->area = value;
      link->receive_filled = link->transmit_filled = link->received = link->sent = link->taken = link->cut = 0;
      break;
    case RECEIVE: link->receive_filled = value; break;
    case TRANSMIT: link->transmit_filled = value; break;
    case INTERRUPT: link->interrupt = value; break;
  }
}

// ---- Interrupts ------------------------------------------------------------------------------------

// Nothing sleeps here: the caller of `skerry_step` sees the frame itself. The kernel only wants to
// know that the line works.
u32 host_interruptOpen(u32 line) { return line - LINK_LINE < host_machine()->link_count; }
void host_interruptMask(u32 line, u32 masked) { (void)line, (void)masked; }

u64 host_interruptsPending(void) {
  struct skerry *machine = host_machine();
  u32 lines = machine->pending;
  machine->pending = 0;
  return lines;
}

// ---- Frames ------------------------------------------------------------------------------------------

// A descriptor's address and length are 32 bits each, so what a broken driver may name lies in the
// machine's own window, and faults where it is not memory.
static struct descriptor *descriptor(const struct skerry *machine, const struct link *link, u32 ring, u32 count) {
  u8 *area = machine->memory.base + link->area;
  return (struct descriptor *)(area + ring) + count % RING;
}

int skerry_inject(struct skerry *machine, uint32_t index, const struct skerry_frame *frame) {
  if (machine->has_ended) return -ESHUTDOWN;
  if (index >= machine->link_count) return -EINVAL;
  struct link *link = &machine->links[index];
  if (!frame || frame->runs < 1 || frame->runs > 3) return -EINVAL;
  if (frame->flags & SKERRY_CHECKSUM && !link->features) return -EINVAL;
  u64 length = 0;
  for (u32 i = 0; i < frame->runs; i++) {
    if (!frame->run[i].bytes && frame->run[i].length) return -EINVAL;
    length += frame->run[i].length;
  }
  if (length < SKERRY_FRAME_LEAST || length > SKERRY_FRAME_MOST) return -EINVAL;
  if (!link->area || link->received == link->receive_filled) return -EAGAIN;

  struct descriptor *into = descriptor(machine, link, RECEIVE_RING, link->received);
  u8 *bytes = machine->memory.base + into->address;
  for (u32 i = 0; i < frame->runs; i++) {
    memcpy(bytes, frame->run[i].bytes, frame->run[i].length);
    bytes += frame->run[i].length;
  }
  into->length = (u32)length;
  into->flags = frame->flags & SKERRY_CHECKSUM ? CHECKSUM : 0;
  *(u32 *)(machine->memory.base + link->area + RECEIVED) = ++link->received;
  if (link->interrupt) {
    link->cause = true;
    machine->pending |= 1u << (LINK_LINE + index);
  }
  return 0;
}

static void link_finish(struct skerry *machine, struct link *link) {
  if (link->sent == link->taken) return;
  link->sent = link->taken;
  *(u32 *)(machine->memory.base + link->area + SENT) = link->sent;
}

void links_finish(struct skerry *machine) {
  for (u32 i = 0; i < machine->link_count; i++) link_finish(machine, &machine->links[i]);
}

// Fields of a frame to be cut: Ethernet's header is 14 bytes, IPv4's 20, IPv6's 40; TCP's are from its header on.
enum { IP = 14, IP_LENGTH = IP + 2, IP_CHECKSUM = IP + 10, IP6_LENGTH = IP + 4, TCP_SEQUENCE = 4, TCP_FLAGS = 13 };
enum { FIN = 0x01, PSH = 0x08 };

static inline u32 get16(const u8 *at) { return (u32)at[0] << 8 | at[1]; }
static void put16(u8 *at, u32 value) { at[0] = (u8)(value >> 8), at[1] = (u8)value; }

static void add32(u8 *at, u32 value) {
  u32 word;
  memcpy(&word, at, 4);
  word = __builtin_bswap32(__builtin_bswap32(word) + value);
  memcpy(at, &word, 4);
}

/// The one's complement sum `sum` with a word that was `before` as `after` (RFC 1624).
static u32 changed(u32 sum, u32 before, u32 after) {
  sum += (before ^ 0xffff) + after;
  sum = (sum & 0xffff) + (sum >> 16);
  return (sum & 0xffff) + (sum >> 16);
}

/// Writes the headers of the piece of `length` bytes from `at` on, the last one or not.
static void piece_headers(struct link *link, const u8 *whole, const struct descriptor *first, u32 at, u32 length,
                          bool last) {
  u8 *into = link->headers, *tcp = into + first->start;
  // As the piece before, but for its place in the stream.
  if (at && !last) return add32(tcp + TCP_SEQUENCE, length);
  memcpy(into, whole, first->length);
  u32 before, after = first->length - first->start + length; // of TCP's header and payload
  if (into[IP] >> 4 == 4) {
    u32 header = first->start - IP, total = get16(into + IP_LENGTH);
    before = total - header;
    put16(into + IP_LENGTH, header + after);
    put16(into + IP_CHECKSUM, changed(get16(into + IP_CHECKSUM) ^ 0xffff, total, header + after) ^ 0xffff);
  } else {
    before = get16(into + IP6_LENGTH);
    put16(into + IP6_LENGTH, after);
  }
  // The pseudo-header's sum, which stands where the checksum goes, has TCP's length in it.
  put16(into + first->field, changed(get16(into + first->field), before, after));
  add32(tcp + TCP_SEQUENCE, at);
  if (!last) tcp[TCP_FLAGS] &= (u8) ~(FIN | PSH);
}

/// The next piece of a frame that is to be cut: TCP, its headers in the first descriptor.
__attribute__((noinline)) static int take_piece(struct skerry *machine, struct link *link,
                                                const struct descriptor *first, struct skerry_frame *frame) {
  const u8 *base = machine->memory.base;
  u32 headers = first->length, at = link->cut, left = first->flags >> SEGMENT_SHIFT, total = 0, count = 1;
  frame->runs = 1;
  frame->run[0].bytes = link->headers;
  frame->run[0].length = headers;
  for (const struct descriptor *from = first; from->flags & MORE; count++) {
    from = descriptor(machine, link, TRANSMIT_RING, link->taken + count);
    u32 skip = at > total ? at - total : 0;
    if (left && skip < from->length) {
      u32 part = from->length - skip < left ? from->length - skip : left;
      frame->run[frame->runs].bytes = base + from->address + skip;
      frame->run[frame->runs++].length = part;
      left -= part;
    }
    total += from->length;
  }
  u32 length = (first->flags >> SEGMENT_SHIFT) - left;
  bool last = at + length >= total;
  piece_headers(link, base + first->address, first, at, length, last);
  link->cut = last ? 0 : at + length;
  if (last) link->taken += count;
  return 1;
}

int skerry_take(struct skerry *machine, uint32_t index, struct skerry_frame *frame) {
  if (machine->has_ended) return -ESHUTDOWN;
  if (index >= machine->link_count) return -EINVAL;
  struct link *link = &machine->links[index];
  link_finish(machine, link);
  if (link->taken == link->transmit_filled) return 0;
  const struct descriptor *from = descriptor(machine, link, TRANSMIT_RING, link->taken);
  frame->flags = from->flags & CHECKSUM ? SKERRY_CHECKSUM : 0;
  frame->checksum_start = from->start;
  frame->checksum_field = from->field;
  if (from->flags >> SEGMENT_SHIFT && from->length <= LINK_HEADERS_MOST) return take_piece(machine, link, from, frame);
  link->taken++;
  for (frame->runs = 0;; from = descriptor(machine, link, TRANSMIT_RING, link->taken++)) {
    frame->run[frame->runs].bytes = machine->memory.base + from->address;
    frame->run[frame->runs].length = from->length;
    if (++frame->runs == 3 || !(from->flags & MORE)) return 1;
  }
}
