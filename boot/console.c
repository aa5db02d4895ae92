// The console: COM1, 115200 8N1. Another kind (a screen) is one more entry in `sinks`.
// Registers as in the 16550A's data sheet.

#include "boot.h"

#include <stdarg.h>

#define COM1 0x3f8u
enum { THR = 0, IER = 1, FCR = 2, LCR = 3, MCR = 4, LSR = 5, SCR = 7, DLL = 0, DLM = 1 };
enum { LCR_8N1 = 0x03, LCR_DLAB = 0x80, FCR_ENABLE_CLEAR = 0x07, MCR_DTR_RTS_OUT2 = 0x0b };
enum { LSR_THRE = 0x20, LSR_TEMT = 0x40, FIFO_BYTES = 16 };

static bool serial_present;

static void serial_start(void) {
  host_portOut8(COM1 + SCR, 0x5a); // a scratch register that remembers is a UART
  serial_present = host_portIn8(COM1 + SCR) == 0x5a;
  if (!serial_present) return;
  host_portOut8(COM1 + IER, 0);
  host_portOut8(COM1 + LCR, LCR_DLAB);
  host_portOut8(COM1 + DLL, 1); // 115200 / 1
  host_portOut8(COM1 + DLM, 0);
  host_portOut8(COM1 + LCR, LCR_8N1);
  host_portOut8(COM1 + FCR, FCR_ENABLE_CLEAR);
  host_portOut8(COM1 + MCR, MCR_DTR_RTS_OUT2);
}

static void serial_wait(u32 status) {
  while (!(host_portIn8(COM1 + LSR) & status)) __asm__ volatile("pause");
}

static void serial_write(const char *text, u64 length) {
  static u32 room; // what the FIFO still takes before the next look at LSR
  if (!serial_present) return;
  for (u64 i = 0; i < length; i++) {
    if (room < 2) {
      serial_wait(LSR_THRE);
      room = FIFO_BYTES;
    }
    if (text[i] == '\n') {
      host_portOut8(COM1 + THR, '\r');
      room--;
    }
    host_portOut8(COM1 + THR, (u8)text[i]);
    room--;
  }
}

static void (*const sinks[])(const char *text, u64 length) = {serial_write};

void console_start(void) { serial_start(); }

// Until the last bit has left: before switching off.
void console_flush(void) {
  if (serial_present) serial_wait(LSR_TEMT);
}

void console_write(const char *text, u64 length) {
  for (u32 i = 0; i < sizeof sinks / sizeof *sinks; i++) sinks[i](text, length);
}

void host_consoleWrite(u32 text, u32 length) { console_write((const char *)(u64)text, length); }

static void print_number(u64 value, u32 base, u32 width) {
  char digits[20];
  u32 count = 0;
  do {
    digits[count++] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value);
  while (count < width) digits[count++] = '0';
  while (count--) console_write(&digits[count], 1);
}

// The little of printf that the shim needs: %s, %.*s, %lu, %lx, %016lx.
void print(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  for (const char *at = format; *at; at++) {
    if (*at != '%') {
      const char *end = at;
      while (end[1] && end[1] != '%') end++;
      console_write(at, (u64)(end - at) + 1);
      at = end;
      continue;
    }
    at++;
    u32 width = 0;
    if (*at == '.') { // .*
      at += 2;
      u64 length = va_arg(arguments, u32);
      console_write(va_arg(arguments, const char *), length);
      continue;
    }
    while (*at >= '0' && *at <= '9') width = width * 10 + (u32)(*at++ - '0');
    if (*at == 's') {
      const char *text = va_arg(arguments, const char *);
      u64 length = 0;
      while (text[length]) length++;
      console_write(text, length);
    } else {
      print_number(va_arg(arguments, u64), *++at == 'x' ? 16 : 10, width);
    }
  }
  va_end(arguments);
}
