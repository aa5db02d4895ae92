// WasmEdge's sock_getaddrinfo as wasmedge_wasi_socket calls it: with a list of its own for the answer.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct sockaddr_of { uint8_t family; uint32_t length; uint8_t *data; };
struct info {
  uint16_t flags;
  uint8_t family, type, protocol;
  uint32_t address_length;
  struct sockaddr_of *address;
  char *name;
  uint32_t name_length;
  struct info *next;
};
_Static_assert(sizeof(struct info) == 28 && sizeof(struct sockaddr_of) == 12, "as WasmEdge has them");

__attribute__((import_module("wasi_snapshot_preview1"), import_name("sock_getaddrinfo"))) uint32_t
sock_getaddrinfo(const char *node, uint32_t node_length, const char *service, uint32_t service_length, const struct info *hints,
                 struct info **list, uint32_t most, uint32_t *count);

enum { MOST = 10, INET4 = 1, INET6 = 2, DATAGRAM = 1, STREAM = 2, TCP = 1, UDP = 2 };
enum { PASSIVE = 1, CANONICAL = 2, NUMERIC = 4, NUMERIC_SERVICE = 8, MAPPED = 16, ALL = 32, CONFIGURED = 64 };

static struct info nodes[MOST];
static struct sockaddr_of addresses[MOST];
static uint8_t data[MOST][26];
static char name[30];

static void fresh(void) {
  memset(nodes, 0, sizeof nodes);
  memset(data, 0xee, sizeof data);
  for (int i = 0; i < MOST; i++) {
    addresses[i] = (struct sockaddr_of){INET4, 14, data[i]};
    nodes[i].address = &addresses[i];
    nodes[i].name = name;
    nodes[i].next = i + 1 < MOST ? &nodes[i + 1] : NULL;
  }
}

static uint32_t ask(const char *node, const char *service, struct info hints, uint32_t most, uint32_t *count) {
  struct info *list = nodes;
  // Rust's strings: with a NUL at the end that is counted.
  return sock_getaddrinfo(node, (uint32_t)strlen(node) + 1, service, (uint32_t)strlen(service) + 1, &hints, &list, most, count);
}

static void say(const char *node, const char *service, struct info hints, uint32_t most) {
  uint32_t count = 0;
  fresh();
  const uint32_t error = ask(node, service, hints, most, &count);
  printf("%s %s:", node, service);
  if (error) printf(" error %u", (unsigned)error);
  for (uint32_t i = 0; i < count; i++) {
    const uint8_t *at = data[i];
    printf(" %d/%d/%d/%u ", nodes[i].family, nodes[i].type, nodes[i].protocol, (unsigned)nodes[i].address_length);
    if (addresses[i].family == INET4) printf("%d.%d.%d.%d", at[2], at[3], at[4], at[5]);
    else for (int byte = 6; byte < 22; byte += 2) printf("%s%x", byte > 6 ? ":" : "", at[byte] << 8 | at[byte + 1]);
    printf(",%d", at[0] << 8 | at[1]);
    if (nodes[i].name_length) printf(" \"%.*s\"", (int)nodes[i].name_length, name);
  }
  printf("\n");
}

int main(void) {
  const struct info stream4 = {.flags = PASSIVE, .family = INET4, .type = STREAM, .protocol = TCP}; // the crate's hints
  say("web.test", "http", stream4, MOST);
  say("web.test", "http", (struct info){.type = STREAM}, MOST);
  say("web.test", "domain", (struct info){.family = INET4}, MOST);
  say("web.test", "53", (struct info){.family = INET4, .protocol = UDP}, 1);
  say("alias.test", "80", (struct info){.flags = CANONICAL, .family = INET6, .type = STREAM}, MOST);
  say("four.test", "80", (struct info){.family = INET6, .type = STREAM}, MOST);
  say("four.test", "80", (struct info){.flags = MAPPED, .family = INET6, .type = STREAM}, MOST);
  say("web.test", "80", (struct info){.flags = MAPPED | ALL, .family = INET6, .type = STREAM}, MOST);
  say("web.test", "80", (struct info){.flags = CONFIGURED, .type = STREAM}, MOST);
  say("2001:db8::7", "80", (struct info){.flags = NUMERIC, .type = STREAM}, MOST);
  say("192.0.2.9", "", stream4, MOST);
  say("192.0.2.9", "80", (struct info){.flags = MAPPED, .family = INET6, .type = STREAM}, MOST);
  say("", "80", (struct info){.type = STREAM}, MOST);
  say("", "80", (struct info){.flags = PASSIVE, .type = STREAM}, MOST);
  say("localhost", "80", stream4, MOST);
  say("none.test", "80", stream4, MOST);
  say("web.test", "80", (struct info){.flags = NUMERIC}, MOST);
  say("web.test", "http", (struct info){.flags = NUMERIC_SERVICE}, MOST);
  say("web.test", "nothing", stream4, MOST);
  say("web.test", "http", (struct info){.type = DATAGRAM}, MOST);
  say("", "", stream4, MOST);
  say("", "80", (struct info){.flags = CANONICAL}, MOST);
  say("web.test", "80", (struct info){.flags = 128}, MOST);
  say("web.test", "80", (struct info){.family = 3}, MOST);
  say("web.test", "80", (struct info){.type = STREAM, .protocol = UDP}, MOST);
  say("web.test", "80", stream4, 0);

  // A list whose second node is not all the program's own: nothing of it is written.
  uint32_t count = 99;
  const uintptr_t end = __builtin_wasm_memory_size(0) * 65536;
  const struct { const char *what; struct info *node; struct sockaddr_of *address; uint8_t *bytes; } wrong[] = {
      {"node", (struct info *)(end - sizeof(struct info) + 1), NULL, NULL},
      {"address", NULL, (struct sockaddr_of *)(end - sizeof(struct sockaddr_of) + 1), NULL},
      {"data", NULL, NULL, (uint8_t *)(end - 13)},
      {"far", (struct info *)0xfffffff0u, NULL, NULL},
  };
  for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    fresh();
    if (wrong[i].node) nodes[0].next = wrong[i].node;
    if (wrong[i].address) nodes[1].address = wrong[i].address;
    if (wrong[i].bytes) addresses[1].data = wrong[i].bytes;
    const uint32_t error = ask("web.test", "http", stream4, MOST, &count);
    printf("%s at the edge: error %u, %s\n", wrong[i].what, (unsigned)error, count == 99 && data[0][0] == 0xee ? "untouched" : "written");
  }
  // The last address at which it is all there.
  fresh();
  addresses[1].data = (uint8_t *)(end - 14);
  printf("just inside: error %u", (unsigned)ask("web.test", "http", stream4, MOST, &count));
  printf(", %u\n", (unsigned)count);
}
