// One lwIP stack: raw API, Ethernet and ARP, and one copy of each frame on its way to the other stack.

#include <lwip/etharp.h>
#include <lwip/init.h>
#include <lwip/netif.h>
#include <lwip/pbuf.h>
#include <lwip/tcp.h>
#include <lwip/timeouts.h>
#include <lwip/udp.h>
#include <netif/ethernet.h>
#include <string.h>

#include "../pair.h"
#include "node.h"

enum { PORT = 7000, QUEUE = 4096 };

static struct netif netif;
static int self;
static uint64_t count;
static uint32_t clock_ms;
static void (*deliver)(struct pbuf *);
static struct tcp_pcb *connections[MANY];
static int opened;
static struct udp_pcb *datagram_pcb;
static uint8_t data[CHUNK];

/// Frames that were injected and not dealt with.
static struct pbuf *queue[QUEUE];
static unsigned queue_head, queue_tail;

u32_t sys_now(void) { return clock_ms; }

static ip_addr_t address(int station) {
  ip_addr_t ip;
  IP4_ADDR(&ip, 10, 0, 0, station + 1);
  return ip;
}

// ---- The link -----------------------------------------------------------------------------------------

static err_t link_output(struct netif *from, struct pbuf *frame) {
  (void)from;
  deliver(frame);
  return ERR_OK;
}

static err_t netif_up(struct netif *into) {
  into->name[0] = 'm', into->name[1] = 'l';
  into->hwaddr_len = 6;
  memcpy(into->hwaddr, (uint8_t[]){2, 0, 0, 0, 0, (uint8_t)(self + 1)}, 6);
  into->mtu = 1500;
  into->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_LINK_UP;
  into->output = etharp_output;
  into->linkoutput = link_output;
  return ERR_OK;
}

static void node_open(int station, bool checksums, void (*to)(struct pbuf *)) {
  self = station;
  deliver = to;
  lwip_init();
  ip_addr_t ip = address(station), mask, none;
  IP4_ADDR(&mask, 255, 255, 255, 0);
  IP4_ADDR(&none, 0, 0, 0, 0);
  netif_add(&netif, &ip, &mask, &none, NULL, netif_up, ethernet_input);
  netif_set_default(&netif);
  if (!checksums) NETIF_SET_CHECKSUM_CTRL(&netif, NETIF_CHECKSUM_DISABLE_ALL);
  netif_set_up(&netif);
}

static void node_inject(struct pbuf *frame) {
  struct pbuf *copy = pbuf_alloc(PBUF_RAW, frame->tot_len, PBUF_POOL);
  MUST(copy && queue_tail - queue_head < QUEUE, "lwIP: no pbuf for a frame", frame->tot_len);
  uint8_t *into = copy->payload;
  for (; frame; frame = frame->next) {
    memcpy(into, frame->payload, frame->len);
    into += frame->len;
  }
  queue[queue_tail++ % QUEUE] = copy;
}

static bool node_turn(void) {
  bool any = queue_head != queue_tail;
  while (queue_head != queue_tail) {
    struct pbuf *frame = queue[queue_head++ % QUEUE];
    if (netif.input(frame, &netif) != ERR_OK) pbuf_free(frame);
  }
  return any;
}

static void node_tick(uint32_t ms) {
  if (ms == clock_ms) return;
  clock_ms = ms;
  sys_check_timeouts();
}

// ---- TCP ----------------------------------------------------------------------------------------------

static void send(struct tcp_pcb *pcb, const void *bytes, u16_t length, u8_t flags) {
  err_t error = tcp_write(pcb, bytes, length, flags);
  MUST(error == ERR_OK, "tcp_write", error);
  tcp_output(pcb);
}

/// Fills the send buffer.
static err_t on_sent(void *context, struct tcp_pcb *pcb, u16_t length) {
  (void)length;
  u8_t flags = (enum role)(uintptr_t)context == COPYING_SOURCE ? TCP_WRITE_FLAG_COPY : 0;
  while (tcp_sndbuf(pcb) >= CHUNK / 2 && tcp_write(pcb, data, CHUNK / 2, flags) == ERR_OK);
  tcp_output(pcb);
  return ERR_OK;
}

static void on_error(void *context, err_t error) { (void)context, (void)error; }

static err_t on_received(void *context, struct tcp_pcb *pcb, struct pbuf *bytes, err_t error) {
  (void)error;
  enum role role = (enum role)(uintptr_t)context;
  if (!bytes) {
    tcp_close(pcb);
    return ERR_OK;
  }
  u16_t length = bytes->tot_len;
  if (role != SINK) pbuf_copy_partial(bytes, data, length, 0);
  tcp_recved(pcb, length);
  pbuf_free(bytes);
  count += role == SINK || role == COPYING_SINK ? length : 1;
  if (role == ECHO || role == ASK) send(pcb, data, SMALL, TCP_WRITE_FLAG_COPY);
  return ERR_OK;
}

static err_t on_accepted(void *context, struct tcp_pcb *pcb, err_t error) {
  MUST(error == ERR_OK, "accept", error);
  tcp_arg(pcb, context);
  tcp_recv(pcb, on_received);
  tcp_err(pcb, on_error);
  tcp_nagle_disable(pcb);
  if ((enum role)(uintptr_t)context == ACCEPT) count++;
  return ERR_OK;
}

static err_t on_connected(void *context, struct tcp_pcb *pcb, err_t error) {
  MUST(error == ERR_OK, "connect", error);
  enum role role = (enum role)(uintptr_t)context;
  if (role == SOURCE || role == COPYING_SOURCE) {
    tcp_sent(pcb, on_sent);
    on_sent(context, pcb, 0);
  }
  if (role == ASK) send(pcb, data, SMALL, TCP_WRITE_FLAG_COPY);
  return ERR_OK;
}

// ---- UDP ----------------------------------------------------------------------------------------------

static void on_datagram(void *context, struct udp_pcb *pcb, struct pbuf *bytes, const ip_addr_t *from, u16_t port) {
  (void)context, (void)pcb, (void)from, (void)port;
  MUST(bytes->tot_len == DATAGRAM, "datagram", bytes->tot_len);
  pbuf_copy_partial(bytes, data, DATAGRAM, 0);
  pbuf_free(bytes);
  count++;
}

static void node_datagrams(void) {
  ip_addr_t to = address(!self);
  for (int i = 0; i < DATAGRAMS; i++) {
    struct pbuf *bytes = pbuf_alloc(PBUF_TRANSPORT, DATAGRAM, PBUF_RAM);
    MUST(bytes, "pbuf_alloc", 0);
    memcpy(bytes->payload, data, DATAGRAM);
    err_t error = udp_sendto(datagram_pcb, bytes, &to, PORT);
    MUST(error == ERR_OK, "udp_sendto", error);
    pbuf_free(bytes);
  }
}

// ---- Both ---------------------------------------------------------------------------------------------

static void node_serve(enum role role) {
  if (role == RECEIVE) {
    datagram_pcb = udp_new();
    udp_bind(datagram_pcb, IP_ANY_TYPE, PORT);
    udp_recv(datagram_pcb, on_datagram, NULL);
    return;
  }
  struct tcp_pcb *pcb = tcp_new();
  MUST(tcp_bind(pcb, IP_ANY_TYPE, PORT) == ERR_OK, "bind", 0);
  pcb = tcp_listen(pcb);
  tcp_arg(pcb, (void *)(uintptr_t)role);
  tcp_accept(pcb, on_accepted);
}

static void node_begin(enum role role) {
  if (role == RECEIVE) {
    datagram_pcb = udp_new();
    udp_bind(datagram_pcb, IP_ANY_TYPE, 0);
    return;
  }
  ip_addr_t to = address(!self);
  struct tcp_pcb *connection = tcp_new();
  MUST(connection && opened < MANY, "tcp_new", opened);
  connections[opened++] = connection;
  tcp_arg(connection, (void *)(uintptr_t)role);
  tcp_recv(connection, on_received);
  tcp_err(connection, on_error);
  tcp_nagle_disable(connection);
  err_t error = tcp_connect(connection, &to, PORT, on_connected);
  MUST(error == ERR_OK, "tcp_connect", error);
}

static void node_abort(void) {
  while (opened) tcp_abort(connections[--opened]);
}

static void node_close(void) {
  while (opened) tcp_close(connections[--opened]);
}

__attribute__((visibility("default"))) const struct node lwip_node = {node_open,  node_inject, node_turn,  node_tick,      node_serve,
                               node_begin, node_abort,  node_close, node_datagrams, &count};
