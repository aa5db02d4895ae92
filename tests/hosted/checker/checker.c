// checker: what the soak's checker says of a conversation. A client's ten octets are overtaken by its ACKs of
// a stream of so many thousand octets; the server answers them 999 ms after they came.

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "../soak/checker.c"

static jmp_buf failed;

void wrong(const char *format, ...) {
  va_list words;
  va_start(words, format);
  vprintf(format, words);
  va_end(words);
  longjmp(failed, 1);
}

void given_up(uint16_t port) { wrong("the connection of port %u is given up", port); }

enum { CLIENT_ISS = 100, SERVER_ISS = 500, OCTETS = 1000, OVERTAKEN = 10 };

struct frame { int from; uint32_t length; uint8_t bytes[FRAME_MOST]; };
static uint64_t now;

static struct frame sent(int from, uint32_t flags, uint32_t seq, uint32_t ack, uint32_t length) {
  static const uint8_t nobody[6], payload[OCTETS], mss[4] = {OPTION_MSS, 4, 1460 >> 8, 1460 & 255};
  struct segment segment = {
      .source = 0x0a000001u + (uint32_t)from, .destination = 0x0a000002u - (uint32_t)from,
      .source_port = 5000, .destination_port = 5000, .seq = seq, .ack = ack, .flags = flags, .window = 65535,
      .ttl = 64, .options_length = flags & SYN ? sizeof mss : 0, .payload = payload, .length = length,
  };
  struct frame frame = {.from = from};
  frame.length = wire_frame(frame.bytes, nobody, nobody, &segment, mss);
  checker_sent(from, frame.bytes, frame.length, now);
  return frame;
}

static void arrives(struct frame frame) { checker_delivered(1 - frame.from, frame.bytes, frame.length, now); }

int main(int count, char **words) {
  if (count != 2) {
    fprintf(stderr, "Usage: %s THOUSANDS\n", *words);
    return 2;
  }
  if (setjmp(failed)) return 1;
  checker_reset(false, false);
  arrives(sent(0, SYN, CLIENT_ISS, 0, 0));
  arrives(sent(1, SYN | ACK, SERVER_ISS, CLIENT_ISS + 1, 0));
  arrives(sent(0, ACK, CLIENT_ISS + 1, SERVER_ISS + 1, 0));
  struct frame late = sent(0, ACK, CLIENT_ISS + 1, SERVER_ISS + 1, OVERTAKEN);
  uint32_t seq = SERVER_ISS + 1;
  for (int left = atoi(words[1]); left; left--, seq += OCTETS) {
    arrives(sent(1, ACK, seq, CLIENT_ISS + 1, OCTETS));
    arrives(sent(0, ACK, CLIENT_ISS + 1 + OVERTAKEN, seq + OCTETS, 0));
  }
  arrives(late);
  now += 999 * MILLISECOND;
  sent(1, ACK, seq, CLIENT_ISS + 1, 0);
  printf("nothing wrong");
  return 0;
}
