// Sends UDP datagrams on a link as fast as it takes them: `blast INTERFACE TO-MAC FROM TO BYTES MILLISECONDS`, the
// addresses of one family, BYTES an IP packet's length. Says how many it has sent.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 64, IPV4 = 20, IPV6 = 40 };

static double seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int count, char **words) {
  static unsigned char frame[ETH_FRAME_LEN];
  if (count != 7) {
    fprintf(stderr, "Usage: %s INTERFACE TO-MAC FROM TO BYTES MILLISECONDS\n", words[0]);
    return 2;
  }
  unsigned index = if_nametoindex(words[1]);
  int bytes = atoi(words[5]), end = 0;
  if (sscanf(words[2], "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", frame, frame + 1, frame + 2, frame + 3, frame + 4,
             frame + 5, &end) != 6 || !index || bytes < 48 || bytes > ETH_DATA_LEN) {
    fprintf(stderr, "blast: no such interface, address or length\n");
    return 1;
  }
  frame[6] = 2;
  unsigned char *ip = frame + ETH_HLEN, *udp;
  if (inet_pton(AF_INET, words[3], ip + 12) == 1 && inet_pton(AF_INET, words[4], ip + 16) == 1) {
    frame[12] = 8, frame[13] = 0;
    ip[0] = 0x45, ip[2] = (unsigned char)(bytes >> 8), ip[3] = (unsigned char)bytes, ip[8] = 64, ip[9] = IPPROTO_UDP;
    unsigned total = 0;
    for (int i = 0; i < IPV4; i += 2) total += (unsigned)(ip[i] << 8 | ip[i + 1]);
    while (total >> 16) total = (total & 0xffff) + (total >> 16);
    ip[10] = (unsigned char)(~total >> 8), ip[11] = (unsigned char)~total;
    udp = ip + IPV4;
  } else if (inet_pton(AF_INET6, words[3], ip + 8) == 1 && inet_pton(AF_INET6, words[4], ip + 24) == 1) {
    frame[12] = 0x86, frame[13] = 0xdd;
    ip[0] = 0x60, ip[4] = (unsigned char)((bytes - IPV6) >> 8), ip[5] = (unsigned char)(bytes - IPV6);
    ip[6] = IPPROTO_UDP, ip[7] = 64;
    udp = ip + IPV6;
  } else {
    fprintf(stderr, "blast: two addresses of one family are wanted\n");
    return 1;
  }
  int length = bytes - (int)(udp - ip);
  udp[1] = udp[3] = 9, udp[4] = (unsigned char)(length >> 8), udp[5] = (unsigned char)length;

  int socket_ = socket(AF_PACKET, SOCK_RAW, 0);
  struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)index, .sll_halen = 6};
  if (socket_ < 0) return perror("blast: socket"), 1;
  struct iovec run = {frame, (size_t)(ETH_HLEN + bytes)};
  static struct mmsghdr batch[BATCH];
  for (int i = 0; i < BATCH; i++)
    batch[i].msg_hdr = (struct msghdr){.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &run, .msg_iovlen = 1};
  unsigned long long sent = 0;
  double begun = seconds(), until = begun + atof(words[6]) / 1000;
  do {
    int now = sendmmsg(socket_, batch, BATCH, 0);
    if (now < 0 && errno != ENOBUFS && errno != EAGAIN) return perror("blast: sendmmsg"), 1;
    if (now > 0) sent += (unsigned)now;
  } while (seconds() < until);
  printf("{\"sent\":%llu,\"seconds\":%.6f}\n", sent, seconds() - begun);
  return 0;
}
