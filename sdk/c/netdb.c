// <netdb.h> for C programs compiled for WASI (POSIX.1-2017; RFC 3493, 6): the kernel finds the names, and puts
// addresses in order; here they get the shape that programs want.

#include <netdb.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "skerry.h"

// ---- Services --------------------------------------------------------------------------------

enum { OVER_TCP = 1, OVER_UDP = 2 };

static const struct service {
  const char *name;
  uint16_t port;
  uint8_t over;
} services[] = {
    {"echo", 7, OVER_TCP | OVER_UDP},
    {"discard", 9, OVER_TCP | OVER_UDP},
    {"daytime", 13, OVER_TCP | OVER_UDP},
    {"chargen", 19, OVER_TCP | OVER_UDP},
    {"ftp-data", 20, OVER_TCP},
    {"ftp", 21, OVER_TCP},
    {"ssh", 22, OVER_TCP},
    {"telnet", 23, OVER_TCP},
    {"smtp", 25, OVER_TCP},
    {"time", 37, OVER_TCP | OVER_UDP},
    {"domain", 53, OVER_TCP | OVER_UDP},
    {"bootps", 67, OVER_UDP},
    {"bootpc", 68, OVER_UDP},
    {"tftp", 69, OVER_UDP},
    {"http", 80, OVER_TCP},
    {"pop3", 110, OVER_TCP},
    {"ntp", 123, OVER_UDP},
    {"imap2", 143, OVER_TCP},
    {"snmp", 161, OVER_TCP | OVER_UDP},
    {"snmp-trap", 162, OVER_TCP | OVER_UDP},
    {"ldap", 389, OVER_TCP | OVER_UDP},
    {"https", 443, OVER_TCP | OVER_UDP},
    {"submissions", 465, OVER_TCP},
    {"syslog", 514, OVER_UDP},
    {"submission", 587, OVER_TCP},
    {"ldaps", 636, OVER_TCP | OVER_UDP},
    {"domain-s", 853, OVER_TCP | OVER_UDP},
    {"imaps", 993, OVER_TCP},
    {"pop3s", 995, OVER_TCP},
    {"mqtt", 1883, OVER_TCP},
    {"mysql", 3306, OVER_TCP},
    {"sip", 5060, OVER_TCP | OVER_UDP},
    {"mdns", 5353, OVER_UDP},
    {"postgresql", 5432, OVER_TCP},
    {"redis", 6379, OVER_TCP},
    {"http-alt", 8080, OVER_TCP | OVER_UDP},
    {"mqtts", 8883, OVER_TCP},
};

static int over(const char *protocol) {
  if (!protocol) return OVER_TCP | OVER_UDP;
  return !strcmp(protocol, "tcp") ? OVER_TCP : !strcmp(protocol, "udp") ? OVER_UDP : 0;
}

static const struct service *service_named(const char *name, int protocols) {
  for (size_t i = 0; i < sizeof services / sizeof *services; i++)
    if (services[i].over & protocols && !strcmp(services[i].name, name)) return &services[i];
  return NULL;
}

static const struct service *service_at(unsigned port, int protocols) {
  for (size_t i = 0; i < sizeof services / sizeof *services; i++)
    if (services[i].over & protocols && services[i].port == port) return &services[i];
  return NULL;
}

static struct servent *servent_of(const struct service *found, int protocols) {
  static struct servent entry;
  static char *no_aliases[] = {NULL};
  if (!found) return NULL;
  entry.s_name = (char *)found->name;
  entry.s_aliases = no_aliases;
  entry.s_port = htons(found->port);
  entry.s_proto = found->over & protocols & OVER_TCP ? "tcp" : "udp";
  return &entry;
}

struct servent *getservbyname(const char *name, const char *protocol) {
  return servent_of(service_named(name, over(protocol)), over(protocol));
}

struct servent *getservbyport(int port, const char *protocol) {
  return servent_of(service_at(ntohs((uint16_t)port), over(protocol)), over(protocol));
}

// The port, or an EAI_ error. `over` becomes what of it the service runs over.
static int port_of(const char *service, int flags, int *over) {
  if (!service) return 0;
  char *end;
  const unsigned long port = strtoul(service, &end, 10);
  const bool digit = *service >= '0' && *service <= '9';
  if (digit && !*end) return port <= 65535 ? (int)port : EAI_SERVICE;
  if (flags & AI_NUMERICSERV) return EAI_NONAME;
  const struct service *found = service_named(service, *over);
  if (!found) return EAI_SERVICE;
  *over &= found->over;
  return found->port;
}

// ---- Answers of the kernel -------------------------------------------------------------------

enum { TYPE_A = 1, TYPE_PTR = 12, TYPE_AAAA = 28, HEAD = 8 };

struct answer {
  int length;
  _Alignas(8) uint8_t bytes[SKERRY_ANSWER_MAX];
};

static unsigned type_at(const uint8_t *record) { return record[0] | (unsigned)record[1] << 8; }
static unsigned length_at(const uint8_t *record) { return record[2] | (unsigned)record[3] << 8; }

// The record behind this one, or the first; NULL when there is none.
static const uint8_t *record_after(const struct answer *answer, const uint8_t *record) {
  const uint8_t *next = record ? record + HEAD + ((length_at(record) + 7) & ~7u) : answer->bytes;
  return next < answer->bytes + answer->length ? next : NULL;
}

// The next record with an address, or NULL.
static const uint8_t *address_after(const struct answer *answer, const uint8_t *record) {
  do record = record_after(answer, record);
  while (record && type_at(record) != TYPE_A && type_at(record) != TYPE_AAAA);
  return record;
}

// Asks the kernel: 0 or an EAI_ error.
static int ask(struct answer *answer, const char *name, int what) {
  answer->length = skerry_resolve(name, strlen(name), what, answer->bytes, sizeof answer->bytes);
  if (answer->length >= 0) return 0;
  switch (-answer->length) {
    case EINVAL:
    case ENOENT:
      return EAI_NONAME;
    case ETIMEDOUT:
    case ECONNREFUSED:
    case ENETUNREACH:
    case ENOBUFS:
    case EIO:
    case EBADMSG: // DNSSEC: as a server that validates has it, which says SERVFAIL
      return EAI_AGAIN;
    default:
      errno = -answer->length;
      return EAI_SYSTEM;
  }
}

// ---- getaddrinfo -----------------------------------------------------------------------------

#define MAPPED 0xffff00000000ull // ::ffff:a.b.c.d

union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

struct node {
  struct addrinfo info;
  union address address;
};

// An address as programs want it; `mapped`: one of IPv4, too, as one of IPv6.
static socklen_t address_of(const struct skerry_address *from, int port, bool mapped, union address *to) {
  memset(to, 0, sizeof *to);
  if (!mapped && !from->high && from->low >> 32 == MAPPED >> 32) {
    to->v4.sin_family = AF_INET;
    to->v4.sin_port = htons((uint16_t)port);
    to->v4.sin_addr.s_addr = htonl((uint32_t)from->low);
    return sizeof to->v4;
  }
  to->v6.sin6_family = AF_INET6;
  to->v6.sin6_port = htons((uint16_t)port);
  to->v6.sin6_scope_id = from->zone;
  for (int i = 0; i < 8; i++) {
    to->v6.sin6_addr.s6_addr[i] = (uint8_t)(from->high >> (56 - 8 * i));
    to->v6.sin6_addr.s6_addr[8 + i] = (uint8_t)(from->low >> (56 - 8 * i));
  }
  return sizeof to->v6;
}

// What is asked for, after `hints` have been looked at.
struct request {
  int flags, family, port;
  int over; // OVER_TCP, OVER_UDP
  int type, protocol; // what hints say; 0 for any
};

// Adds a node for each kind of socket behind `*tail`, and moves that on; false without memory.
static bool add(struct addrinfo ***tail, const struct request *request, const struct skerry_address *address) {
  static const struct { int over, type, protocol; } kinds[] = {
      {OVER_TCP, SOCK_STREAM, IPPROTO_TCP},
      {OVER_UDP, SOCK_DGRAM, IPPROTO_UDP},
  };
  const bool mapped = request->family == AF_INET6;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (!(request->over & kinds[i].over)) continue;
    struct node *node = calloc(1, sizeof *node);
    if (!node) return false;
    node->info.ai_flags = request->flags;
    node->info.ai_addrlen = address_of(address, request->port, mapped, &node->address);
    node->info.ai_family = node->address.any.sa_family;
    node->info.ai_socktype = kinds[i].type;
    node->info.ai_protocol = kinds[i].protocol;
    node->info.ai_addr = &node->address.any;
    **tail = &node->info;
    *tail = &node->info.ai_next;
  }
  return true;
}

// Which kinds of sockets the hints allow: 0, or an EAI_ error.
static int kinds_of(struct request *request) {
  const int type = request->type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
  const int protocol = request->protocol;
  const bool tcp = !protocol || protocol == IPPROTO_TCP;
  const bool udp = !protocol || protocol == IPPROTO_UDP;
  switch (type) {
    case 0:
      request->over = (tcp ? OVER_TCP : 0) | (udp ? OVER_UDP : 0);
      return request->over ? 0 : EAI_SOCKTYPE;
    case SOCK_STREAM:
      request->over = OVER_TCP;
      return tcp ? 0 : EAI_SOCKTYPE;
    case SOCK_DGRAM:
      request->over = OVER_UDP;
      return udp ? 0 : EAI_SOCKTYPE;
    default:
      return EAI_SOCKTYPE;
  }
}

// Finds a name's addresses, as AI_V4MAPPED and AI_ALL have it (RFC 3493, 6.1).
static int find(struct answer *answer, const char *node, const struct request *request) {
  const int common = (request->flags & AI_NUMERICHOST ? SKERRY_NUMERIC : 0) |
                     (request->flags & AI_ADDRCONFIG ? SKERRY_CONFIGURED : 0);
  const bool mapped = request->family == AF_INET6 && request->flags & AI_V4MAPPED;
  struct in_addr legacy;
  char text[INET_ADDRSTRLEN];
  // Forms that only inet_aton knows, such as 127.1.
  if ((request->family != AF_INET6 || mapped) && inet_aton(node, &legacy)) {
    node = inet_ntop(AF_INET, &legacy, text, sizeof text);
  }
  if (request->family == AF_UNSPEC || (mapped && request->flags & AI_ALL)) return ask(answer, node, common);
  if (request->family == AF_INET) return ask(answer, node, common | SKERRY_V4);
  const int error = ask(answer, node, common | SKERRY_V6);
  const bool none = error == EAI_NONAME || (!error && !address_after(answer, NULL));
  return none && mapped ? ask(answer, node, common | SKERRY_V4) : error;
}

static char *canonical_name(const struct answer *answer) {
  const unsigned length = length_at(answer->bytes);
  char *name = malloc(length + 1);
  if (!name) return NULL;
  memcpy(name, answer->bytes + HEAD, length);
  name[length] = 0;
  return name;
}

// The addresses of a program that names no node: any of its own, or the loopback's.
static bool add_own(struct addrinfo ***tail, const struct request *request) {
  const bool passive = request->flags & AI_PASSIVE;
  const struct skerry_address v4 = {.low = MAPPED | (passive ? INADDR_ANY : INADDR_LOOPBACK)};
  const struct skerry_address v6 = {.low = passive ? 0 : 1};
  return (request->family == AF_INET6 || add(tail, request, &v4)) &&
         (request->family == AF_INET || add(tail, request, &v6));
}

int getaddrinfo(const char *__restrict node, const char *__restrict service, const struct addrinfo *__restrict hints,
                struct addrinfo **__restrict result) {
  static const int known = AI_PASSIVE | AI_CANONNAME | AI_NUMERICHOST | AI_V4MAPPED | AI_ALL | AI_ADDRCONFIG | AI_NUMERICSERV;
  struct request request = {0};
  if (hints) {
    request.flags = hints->ai_flags;
    request.family = hints->ai_family;
    request.type = hints->ai_socktype;
    request.protocol = hints->ai_protocol;
  }
  if (!node && !service) return EAI_NONAME;
  if (request.flags & ~known || (request.flags & AI_CANONNAME && !node)) return EAI_BADFLAGS;
  if (request.family != AF_UNSPEC && request.family != AF_INET && request.family != AF_INET6) return EAI_FAMILY;
  const int kinds = kinds_of(&request);
  if (kinds) return kinds;
  request.port = port_of(service, request.flags, &request.over);
  if (request.port < 0) return request.port;

  struct addrinfo *list = NULL, **tail = &list;
  struct answer answer;
  bool whole = true;
  if (node) {
    const int error = find(&answer, node, &request);
    if (error) return error;
    for (const uint8_t *record = NULL; whole && (record = address_after(&answer, record));) {
      whole = add(&tail, &request, (const struct skerry_address *)(record + HEAD));
    }
    if (whole && !list) return EAI_NODATA;
    if (whole && request.flags & AI_CANONNAME) whole = (list->ai_canonname = canonical_name(&answer)) != NULL;
  } else {
    whole = add_own(&tail, &request);
  }
  if (!whole) {
    freeaddrinfo(list);
    return EAI_MEMORY;
  }
  *result = list;
  return 0;
}

void freeaddrinfo(struct addrinfo *list) {
  while (list) {
    struct addrinfo *next = list->ai_next;
    free(list->ai_canonname);
    free(list);
    list = next;
  }
}

const char *gai_strerror(int error) {
  switch (error) {
    case 0: return "Success";
    case EAI_BADFLAGS: return "Invalid flags";
    case EAI_NONAME: return "Name or service not known";
    case EAI_AGAIN: return "Temporary failure in name resolution";
    case EAI_FAIL: return "Name resolution failed";
    case EAI_NODATA: return "Name has no address of this kind";
    case EAI_FAMILY: return "Address family not supported";
    case EAI_SOCKTYPE: return "Socket type not supported";
    case EAI_SERVICE: return "Service not known for this socket type";
    case EAI_MEMORY: return "Out of memory";
    case EAI_SYSTEM: return "System error";
    case EAI_OVERFLOW: return "Buffer too small";
    default: return "Unknown error";
  }
}

// ---- getnameinfo -----------------------------------------------------------------------------

// The name under which an address's own name stands (RFC 1035, 3.5; RFC 3596, 2.5).
static void reverse_name(const uint8_t *bytes, int family, char *into) {
  if (family == AF_INET) {
    sprintf(into, "%u.%u.%u.%u.in-addr.arpa.", bytes[3], bytes[2], bytes[1], bytes[0]);
    return;
  }
  for (int i = 15; i >= 0; i--) into += sprintf(into, "%x.%x.", bytes[i] & 15, bytes[i] >> 4);
  strcpy(into, "ip6.arpa.");
}

// The name of an address, NUL at its end, into `into`: 0 or an EAI_ error.
static int name_of(const uint8_t *bytes, int family, char *into, size_t size) {
  static const uint8_t loopback[16] = {[15] = 1};
  struct answer answer;
  char reverse[80];
  if (family == AF_INET ? bytes[0] == 127 : !memcmp(bytes, loopback, 16)) {
    if (size < sizeof "localhost") return EAI_OVERFLOW;
    strcpy(into, "localhost");
    return 0;
  }
  reverse_name(bytes, family, reverse);
  const int error = ask(&answer, reverse, TYPE_PTR);
  if (error) return error;
  for (const uint8_t *record = NULL; (record = record_after(&answer, record));) {
    const unsigned length = length_at(record);
    if (type_at(record) != TYPE_PTR) continue;
    if (length >= size) return EAI_OVERFLOW;
    memcpy(into, record + HEAD, length);
    into[length] = 0;
    return 0;
  }
  return EAI_NONAME;
}

int getnameinfo(const struct sockaddr *__restrict address, socklen_t length, char *__restrict host,
                socklen_t host_length, char *__restrict service, socklen_t service_length, int flags) {
  const union address *from = (const union address *)address;
  const int family = length >= sizeof address->sa_family ? address->sa_family : AF_UNSPEC;
  const bool v4 = family == AF_INET && length >= sizeof from->v4;
  if (!v4 && !(family == AF_INET6 && length >= sizeof from->v6)) return EAI_FAMILY;
  const uint8_t *bytes = v4 ? (const uint8_t *)&from->v4.sin_addr : from->v6.sin6_addr.s6_addr;
  if (!(host && host_length) && !(service && service_length)) return EAI_NONAME;
  if (host && host_length) {
    const int error = flags & NI_NUMERICHOST ? EAI_NONAME : name_of(bytes, family, host, host_length);
    if (error && flags & NI_NAMEREQD) return error == EAI_AGAIN ? EAI_AGAIN : EAI_NONAME;
    if (error) {
      if (!inet_ntop(family, bytes, host, host_length)) return EAI_OVERFLOW;
      const size_t end = strlen(host);
      const uint32_t zone = v4 ? 0 : from->v6.sin6_scope_id;
      const size_t room = host_length - end;
      if (zone && (size_t)snprintf(host + end, room, "%%%u", (unsigned)zone) >= room) return EAI_OVERFLOW;
    } else if (flags & NI_NOFQDN) {
      host[strcspn(host, ".")] = 0;
    }
  }
  if (service && service_length) {
    const unsigned port = ntohs(v4 ? from->v4.sin_port : from->v6.sin6_port);
    const struct service *found = flags & NI_NUMERICSERV ? NULL : service_at(port, flags & NI_DGRAM ? OVER_UDP : OVER_TCP);
    const int written =
        found ? snprintf(service, service_length, "%s", found->name) : snprintf(service, service_length, "%u", port);
    if ((socklen_t)written >= service_length) return EAI_OVERFLOW;
  }
  return 0;
}

// ---- gethostbyname ---------------------------------------------------------------------------

int h_errno;

enum { HOST_ADDRESSES = 32 };

static struct {
  struct hostent entry;
  char name[NI_MAXHOST + 1];
  char *aliases[1];
  char *list[HOST_ADDRESSES + 1];
  uint8_t addresses[HOST_ADDRESSES][16];
} host;

static struct hostent *host_failed(int error) {
  h_errno = error == EAI_NONAME ? HOST_NOT_FOUND
            : error == EAI_NODATA ? NO_DATA
            : error == EAI_AGAIN  ? TRY_AGAIN
                                  : NO_RECOVERY;
  return NULL;
}

static struct hostent *host_made(int family, int count) {
  for (int i = 0; i < count; i++) host.list[i] = (char *)host.addresses[i];
  host.list[count] = NULL;
  host.entry = (struct hostent){
      .h_name = host.name,
      .h_aliases = host.aliases,
      .h_addrtype = family,
      .h_length = family == AF_INET ? 4 : 16,
      .h_addr_list = host.list,
  };
  return &host.entry;
}

struct hostent *gethostbyname2(const char *name, int family) {
  const struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_CANONNAME};
  struct addrinfo *list;
  const int error = family == AF_INET || family == AF_INET6 ? getaddrinfo(name, NULL, &hints, &list) : EAI_FAMILY;
  if (error) return host_failed(error);
  int count = 0;
  for (struct addrinfo *at = list; at && count < HOST_ADDRESSES; at = at->ai_next, count++) {
    const union address *address = (const union address *)at->ai_addr;
    if (family == AF_INET) memcpy(host.addresses[count], &address->v4.sin_addr, 4);
    else memcpy(host.addresses[count], &address->v6.sin6_addr, 16);
  }
  snprintf(host.name, sizeof host.name, "%s", list->ai_canonname);
  freeaddrinfo(list);
  return host_made(family, count);
}

struct hostent *gethostbyname(const char *name) { return gethostbyname2(name, AF_INET); }

struct hostent *gethostbyaddr(const void *address, socklen_t length, int family) {
  if (length != (family == AF_INET ? 4 : 16)) return host_failed(EAI_FAMILY);
  const int error = name_of(address, family, host.name, sizeof host.name);
  if (error) return host_failed(error);
  memcpy(host.addresses[0], address, length);
  return host_made(family, 1);
}

const char *hstrerror(int error) {
  static const char *const texts[] = {"Success", "Unknown host", "Temporary failure in name resolution",
                                      "Name resolution failed", "No address of this kind"};
  return error >= 0 && error < (int)(sizeof texts / sizeof *texts) ? texts[error] : "Unknown error";
}
