// Two lwIP stacks: node.so, loaded twice, in two files, so that each has globals of its own.

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "../pair.h"
#include "node.h"

static const struct node *node[2];
static uint32_t rounds;

/// Both are up.
static bool joined;

static void carry(int to, struct pbuf *frame) {
  if (!joined) return; // the first announces itself to nobody
  frames++;
  node[to]->inject(frame);
}

static void to_client(struct pbuf *frame) { carry(0, frame); }
static void to_server(struct pbuf *frame) { carry(1, frame); }

void pair_open(bool checksums) {
  for (int i = 0; i < 2; i++) {
    void *object = dlopen(i ? LWIP_NODE_1 : LWIP_NODE_0, RTLD_NOW | RTLD_LOCAL);
    MUST(object, dlerror(), i);
    node[i] = dlsym(object, "lwip_node");
    MUST(node[i], "no lwip_node", i);
  }
  for (int i = 0; i < 2; i++) node[i]->open(i, checksums, i ? to_client : to_server);
  joined = true;
}

/// Rounds a millisecond.
static uint32_t pace = 1000;

static void tick(void) {
  rounds++;
  for (int i = 0; i < 2; i++) node[i]->tick(rounds / pace);
}

static void settle(void) {
  while (node[0]->turn() | node[1]->turn());
}

static void turns(void) {
  tick();
  node[1]->turn();
  node[0]->turn();
}

/// `count` connections at a time, and their end.
static void connect(int count, void (*end)(void)) {
  tick();
  for (int i = 0; i < count; i++) node[0]->begin(ACCEPT);
  settle();
  end();
  settle();
}

static void connect_abort(void) { connect(1, node[0]->abort); }
static void connect_abort_many(void) { connect(MANY, node[0]->abort); }
static void connect_close(void) { connect(1, node[0]->close); }

static void datagrams(void) {
  tick();
  node[0]->datagrams();
  settle();
}

static uint64_t at_client(void) { return *node[0]->count; }
static uint64_t at_server(void) { return *node[1]->count; }

#define BEGIN(name, server, client)    \
  static void begin_##name(void) {     \
    node[1]->serve(server);            \
    if (client >= 0) node[0]->begin(client); \
  }
BEGIN(bulk, SINK, SOURCE)
BEGIN(copied, COPYING_SINK, COPYING_SOURCE)
BEGIN(trips, ECHO, ASK)
BEGIN(connections, ACCEPT, -1)

static void begin_trips_many(void) {
  node[1]->serve(ECHO);
  node[0]->begin(ASK);
  // The others when the neighbour is known: of what waits for it, lwIP keeps one packet.
  for (int i = 0; i < 8; i++) turns();
  for (int i = 1; i < MANY; i++) node[0]->begin(ASK);
}

/// In slower motion, as TIME-WAIT is looked at twice a second.
static void begin_close(void) {
  pace = 1;
  begin_connections();
}
BEGIN(datagrams, RECEIVE, RECEIVE)

const struct workload workloads[] = {
    {"bulk", begin_bulk, turns, at_server},
    {"copied", begin_copied, turns, at_server},
    {"trips", begin_trips, turns, at_client},
    {"abort", begin_connections, connect_abort, at_server},
    {"close", begin_close, connect_close, at_server},
    {"trips-many", begin_trips_many, turns, at_client},
    {"abort-many", begin_connections, connect_abort_many, at_server},
    {"datagrams", begin_datagrams, datagrams, at_server},
    {0},
};
