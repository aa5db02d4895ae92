// The console: the screen, and COM1 with 115200 8N1 (16550A data sheet). Another kind is one more entry
// in `sinks`.

#include "boot.h"

#include <stdarg.h>

enum { THR = 0x3f8, RBR = THR, IER, FCR, LCR, MCR, LSR, MSR, SCR, DLL = THR, DLM };
enum { LCR_8N1 = 0x03, LCR_DLAB = 0x80, FCR_ENABLE_CLEAR = 0x07, MCR_DTR_RTS_OUT2 = 0x0b };
enum { IER_RECEIVED = 0x01, LSR_DR = 0x01, LSR_THRE = 0x20, LSR_TEMT = 0x40, FIFO_BYTES = 16, MOST_READS = 1 << 20 };

static bool has_serial;

// A FIFO empties in 1.4 ms; a port that takes a second is no longer there.
static void serial_wait(u32 status) {
  u32 reads = 0;
  while (has_serial && !(host_portIn8(LSR) & status)) has_serial = ++reads < MOST_READS;
}

static void serial_write(const char *text, u64 length) {
  static u32 room; // what the FIFO still takes before the next look at LSR
  for (u64 i = 0; has_serial && i < length; i++) {
    if (room < 2) {
      serial_wait(LSR_THRE);
      room = FIFO_BYTES;
    }
    if (text[i] == '\n') host_portOut8(THR, '\r');
    host_portOut8(THR, (u8)text[i]);
    room -= 1 + (text[i] == '\n');
  }
}

static struct sink {
  void (*write)(const char *text, u64 length);
  bool silent;
} sinks[] = {{serial_write, false}, {screen_write, false}};

void console_start(void) {
  const u16 set_up[][2] = {{IER, 0}, {LCR, LCR_DLAB}, {DLL, 1}, {DLM, 0}, // 115200 / 1
                           {LCR, LCR_8N1}, {FCR, FCR_ENABLE_CLEAR}, {MCR, MCR_DTR_RTS_OUT2}, {SCR, 0x5a}};
  for (u32 i = 0; i < sizeof set_up / sizeof *set_up; i++) host_portOut8(set_up[i][0], set_up[i][1]);
  has_serial = host_portIn8(SCR) == 0x5a; // a scratch register that remembers is a UART
  screen_start();
}

// `console=serial` or `console=screen` of the command line silences the other, if the one is there.
void console_choose(const char *line, u32 length) {
  const char *const choices[] = {"console=screen", "console=serial"}; // whom each silences: as in `sinks`
  const bool there[] = {screen_exists(), has_serial};
  for (u32 i = 0; i < 2; i++)
    for (u32 at = 0; at + 14 <= length; at++)
      if (there[i] && !memcmp(line + at, choices[i], 14)) sinks[i].silent = true;
}

// Until the last bit has left: before switching off.
void console_flush(void) { serial_wait(LSR_TEMT); }

void console_write(const char *text, u64 length) {
  for (u32 i = 0; i < sizeof sinks / sizeof *sinks; i++)
    if (!sinks[i].silent) sinks[i].write(text, length);
}

void host_consoleWrite(u32 text, u32 length) { console_write((const char *)(u64)text, length); }

// COM1's interrupt is edge-triggered, and stays so (PC AT). One that is missed, or goes elsewhere, delays what is
// typed until the kernel looks by itself.
u32 host_consoleRead(u32 into, u32 room) {
  enum { LINE = 4 };
  static bool open;
  if (!has_serial) return ~0u;
  if (!open) {
    host_portOut8(IER, IER_RECEIVED);
    host_interruptMask(LINE, false);
    open = true;
  }
  u8 *to = (u8 *)(u64)into;
  u32 count = 0;
  while (count < room && host_portIn8(LSR) & LSR_DR) to[count++] = (u8)host_portIn8(RBR);
  return count;
}

static void print_number(u64 value, u32 base, u32 width) {
  char digits[20];
  u32 start = sizeof digits;
  do {
    digits[--start] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value || sizeof digits - start < width);
  console_write(digits + start, sizeof digits - start);
}

// The little of printf that the shim needs: %s, %llu, %llx, %016llx.
void print(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  for (const char *at = format; *at; at++) {
    if (*at != '%') {
      console_write(at, 1);
    } else if (*++at == 's') {
      for (const char *text = va_arg(arguments, const char *); *text; text++) console_write(text, 1);
    } else {
      const u32 width = *at == '0' ? 16 : 0;
      at += width ? 5 : 2;
      print_number(va_arg(arguments, u64), *at == 'x' ? 16 : 10, width);
    }
  }
  va_end(arguments);
}
