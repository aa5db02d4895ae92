#include "names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

static const uint8_t server_mac[6] = {0x52, 0x54, 0, 0, 0, 1}, server[4] = {10, 0, 0, 1};

static void inject(struct skerry *machine, const uint8_t *bytes, uint32_t length) {
  struct skerry_frame frame = {.runs = 1, .run = {{bytes, length}}};
  if (skerry_inject(machine, 0, &frame) >= 0) return;
  fprintf(stderr, "the machine takes no frame\n");
  exit(3);
}

static void swap(uint8_t *a, uint8_t *b, int length) {
  while (length--) {
    uint8_t byte = a[length];
    a[length] = b[length];
    b[length] = byte;
  }
}

static void reply(struct skerry *machine, uint8_t *frame, names_answer *answer) {
  memcpy(frame, frame + 6, 6);
  memcpy(frame + 6, server_mac, 6);
  uint8_t *ip = frame + ETHERNET_HEADER, *udp = ip + IPV4_HEADER, *dns = udp + 8;
  if (get16(frame + 12) == ETHERTYPE_ARP) {
    if (frame[21] != 1 || memcmp(frame + 38, server, 4)) return;
    frame[21] = 2;
    memcpy(frame + 32, frame + 22, 10);
    memcpy(frame + 22, server_mac, 6);
    memcpy(frame + 28, server, 4);
    inject(machine, frame, 42);
    return;
  }
  if (get16(frame + 12) != ETHERTYPE_IPV4 || ip[9] != PROTOCOL_UDP || get16(udp + 2) != 53) return;
  uint8_t *end = dns + 12;
  while (*end) end += *end + 1;
  end = answer(dns, end + 5);
  if (!end) return;
  swap(ip + 12, ip + 16, 4);
  swap(udp, udp + 2, 2);
  put16(udp + 4, (uint32_t)(end - udp));
  put16(udp + 6, 0);
  put16(ip + 2, (uint32_t)(end - ip));
  put16(ip + 10, 0);
  put16(ip + 10, ~wire_fold(wire_sum(ip, IPV4_HEADER, 0)) & 0xffffu);
  inject(machine, frame, (uint32_t)(end - frame));
}

void names_run(struct skerry *machine, names_answer *answer) {
  skerry_step(machine);
  struct skerry_frame taken;
  while (skerry_take(machine, 0, &taken) == 1) {
    static uint8_t frame[4096];
    uint32_t length = 0;
    for (uint32_t i = 0; i < taken.runs; i++) {
      memcpy(frame + length, taken.run[i].bytes, taken.run[i].length);
      length += taken.run[i].length;
    }
    reply(machine, frame, answer);
  }
}
