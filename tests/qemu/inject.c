// Sends frames, exactly as they are, out of a network interface: on standard input each comes
// after its length in 4 bytes, big-endian. Usage: inject INTERFACE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int count, char **words) {
  if (count != 2) return fprintf(stderr, "usage: inject INTERFACE\n"), 2;
  // Protocol 0: this socket receives nothing.
  int packets = socket(AF_PACKET, SOCK_RAW, 0);
  struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(words[1])};
  if (packets < 0 || !to.sll_ifindex) return perror(words[1]), 1;
  static unsigned char frame[65536];
  uint32_t length;
  while (fread(&length, sizeof length, 1, stdin) == 1) {
    length = ntohl(length);
    if (length > sizeof frame || fread(frame, 1, length, stdin) != length) return 2;
    if (sendto(packets, frame, length, 0, (struct sockaddr *)&to, sizeof to) < 0) return perror("sendto"), 1;
  }
  return 0;
}
