// The console on a screen: VGA's text mode, or the pixels that the loader left us.
//
// What stands on the screen is kept here, because reading it back from a card is slow; so scrolling
// draws only what differs. Until the screen's memory is mapped, text is kept and shown then.
// A screen of pixels: Multiboot2 3.6.12; the font: boot/font.txt. VGA: IBM's PS/2 Hardware Technical
// Reference, "Video subsystem" (1992).

#include "boot.h"

enum { MOST_COLUMNS = 240, MOST_ROWS = 68, WIDTH = 8, HEIGHT = 16 };
enum { FIRST_GLYPH = ' ', UNKNOWN = 0x7f, VGA_UNKNOWN = 0xfe, TAB = 8 };
extern const u8 font[][HEIGHT]; // from a space on; the top row first, the left pixel its highest bit

static struct pixels screen; // of VGA text: width and height in characters
static volatile u8 *memory;  // where it can be reached, or NULL
static u32 columns, rows, scale, ink;
static u32 column, row; // where the next character goes; it begins a new row when this one is full
static char cells[MOST_ROWS * MOST_COLUMNS];

static void draw_text(u32 x, u32 y, u8 c) {
  const u16 grey_on_black = 0x0700;
  *(volatile u16 *)(memory + y * screen.pitch + x * 2) = grey_on_black | (c == UNKNOWN ? VGA_UNKNOWN : c);
}

// One row of a character's pixels, each `scale` wide.
static void draw_row(volatile u8 *at, u32 bits) {
  const u32 bytes = screen.bits_per_pixel / 8;
  for (u32 mask = 0x80; mask; mask >>= 1) {
    const u32 colour = bits & mask ? ink : 0;
    for (u32 i = 0; i < scale; i++, at += bytes) {
      if (bytes == 4) *(volatile u32 *)at = colour;
      if (bytes < 4) *(volatile u16 *)at = (u16)colour;
      if (bytes == 3) at[2] = (u8)(colour >> 16);
    }
  }
}

static void draw(u32 x, u32 y) {
  const u8 c = (u8)cells[y * columns + x];
  if (!memory) return;
  if (screen.kind == SCREEN_TEXT) {
    draw_text(x, y, c);
    return;
  }
  const u64 left = x * WIDTH * scale * (screen.bits_per_pixel / 8);
  volatile u8 *at = memory + (u64)y * HEIGHT * scale * screen.pitch + left;
  for (u32 i = 0; i < HEIGHT * scale; i++, at += screen.pitch) draw_row(at, font[c - FIRST_GLYPH][i / scale]);
}

static void draw_all(void) {
  for (u32 y = 0; y < rows; y++)
    for (u32 x = 0; x < columns; x++) draw(x, y);
}

static void put(u32 x, u32 y, char c) {
  char *cell = &cells[y * columns + x];
  if (*cell == c) return;
  *cell = c;
  draw(x, y);
}

// A new line; at the foot of the screen all move up.
static void next_row(void) {
  column = 0;
  if (row + 1 < rows) {
    row++;
    return;
  }
  for (u32 y = 0; y < rows; y++)
    for (u32 x = 0; x < columns; x++) put(x, y, y + 1 < rows ? cells[(y + 1) * columns + x] : ' ');
}

void screen_write(const char *text, u64 length) {
  for (u64 i = 0; columns && i < length; i++) {
    const u8 c = (u8)text[i];
    const bool continues = (c & 0xc0) == 0x80; // UTF-8's further bytes: the first has been shown
    if (continues || c == '\r') continue;
    if (c == '\n') next_row();
    if (c == '\t') column = (column + TAB) & ~(u32)(TAB - 1);
    if (c == '\n' || c == '\t') continue;
    if (column >= columns) next_row();
    put(column++, row, c < FIRST_GLYPH || c >= UNKNOWN ? UNKNOWN : (char)c);
  }
}

bool screen_exists(void) { return columns; }

static void begin(struct pixels found, u32 across, u32 down) {
  screen = found;
  columns = across < MOST_COLUMNS ? across : MOST_COLUMNS;
  rows = down < MOST_ROWS ? down : MOST_ROWS;
  if (!rows) columns = 0;
  column = row = 0;
  memset(cells, ' ', sizeof cells);
}

// Where the loader said that it left the screen.
void screen_is(struct pixels found) {
  const u32 bits = found.bits_per_pixel, least = 80 * WIDTH;
  if (found.kind == SCREEN_TEXT && found.pitch >= found.width * 2) begin(found, found.width, found.height);
  const bool deep = bits == 15 || bits == 16 || bits == 24 || bits == 32;
  if (found.kind != SCREEN_RGB || !deep || found.width < least) return;
  found.bits_per_pixel = bits == 15 ? 16 : (u8)bits;
  if (found.pitch / (found.bits_per_pixel / 8) < found.width) return;
  scale = 1 + found.height / 1440; // what is read from the same distance
  begin(found, found.width / (WIDTH * scale), found.height / (HEIGHT * scale));
  const u32 two_thirds = 0xaa; // of white
  ink = 0;
  for (u32 i = 0; i < 3; i++) ink |= (two_thirds << (found.colours[i].bits & 15) >> 8) << (found.colours[i].shift & 31);
}

// Before anything is known: a VGA in text mode, as BIOS starts it. Without a VGA all reads give ones.
void screen_start(void) {
  enum { GRAPHICS_INDEX = 0x3ce, GRAPHICS_DATA, MISCELLANEOUS = 6, GRAPHICS_MODE = 1, MAP = 0x0c, MAP_B8000 = 0x0c };
  enum { CRTC_INDEX = 0x3d4, CRTC_DATA, CURSOR_START = 0x0a, CURSOR_OFF = 0x20 };
  host_portOut8(GRAPHICS_INDEX, MISCELLANEOUS);
  if (host_portIn8(GRAPHICS_INDEX) != MISCELLANEOUS) return;
  const u32 mode = host_portIn8(GRAPHICS_DATA);
  if (mode & GRAPHICS_MODE || (mode & MAP) != MAP_B8000) return;
  host_portOut8(CRTC_INDEX, CURSOR_START);
  host_portOut8(CRTC_DATA, CURSOR_OFF);
  screen_is((struct pixels){.address = 0xb8000, .pitch = 160, .width = 80, .height = 25, .kind = SCREEN_TEXT});
}

// When the screen's memory can be reached, or must be, for a panic: shows what has been written so far.
void screen_show(void) {
  if (!columns || memory) return;
  const u64 bytes = (u64)screen.pitch * screen.height;
  memory = paging_map_screen(screen.address, bytes);
  for (u64 i = 0; memory && screen.kind == SCREEN_RGB && i + 8 <= bytes; i += 8) *(volatile u64 *)(memory + i) = 0;
  draw_all();
}
