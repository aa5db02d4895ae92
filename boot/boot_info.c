// What the loader said, in either protocol: memory map, command line, ACPI's root.
//
// The loader's structures lie in RAM that is free from now on, so everything is copied before
// anyone takes a page. All of it comes from outside and is read within its stated bounds.
// PVH: Xen's public/arch-x86/hvm/start_info.h. Multiboot2: specification 2.0, section 3.6.

#include "boot.h"

enum { MAP_USABLE = 1, MAP_ACPI = 3, MAP_NVS = 4 }; // as E820 and both protocols number them

__attribute__((aligned(4096))) struct boot_page boot_page;
static u32 command_line_length;
bool has_rsdp;

static void take_map_entry(u64 start, u64 length, u32 type) {
  const bool firmware = type == MAP_ACPI || type == MAP_NVS;
  memory_add(type == MAP_USABLE ? MEMORY_RAM : firmware ? MEMORY_FIRMWARE : MEMORY_RESERVED, start, length);
}

static void add_words(const char *text, u64 length) {
  if (command_line_length && command_line_length < sizeof boot_page.command_line)
    boot_page.command_line[command_line_length++] = ' ';
  const u64 room = sizeof boot_page.command_line - command_line_length, kept = length < room ? length : room;
  memcpy(boot_page.command_line + command_line_length, text, kept);
  command_line_length += (u32)kept;
}

// Keeps at most a page of it, without a leading path of the image, which some loaders pass.
static void take_command_line(const char *text, u64 bound) {
  const char *end = text;
  while ((u64)(end - text) < bound && *end) end++;
  const bool has_path = text < end && (*text == '/' || *text == '(');
  while (has_path && text < end && *text != ' ') text++;
  while (text < end && *text == ' ') text++;
  add_words(text, (u64)(end - text));
}

static void take_rsdp(const void *rsdp, u64 bound) {
  has_rsdp = bound >= 20; // as long as its first version is
  memcpy(boot_page.rsdp, rsdp, bound < sizeof boot_page.rsdp ? bound : sizeof boot_page.rsdp);
}

struct pvh_start_info {
  u32 magic, version, flags, module_count;
  u64 modules, command_line, rsdp, map;
  u32 map_count, reserved; // since version 1
};
struct map_entry { u64 start, length; u32 type, reserved; }; // the same in both protocols

static void read_pvh(const struct pvh_start_info *info) {
  if (info->version < 1) panic("the loader gave no memory map (PVH version 0)");
  const struct map_entry *map = (const struct map_entry *)info->map;
  for (u32 i = 0; i < info->map_count; i++) take_map_entry(map[i].start, map[i].length, map[i].type);
  if (info->command_line) take_command_line((const char *)info->command_line, PAGE);
  if (info->rsdp && info->rsdp < LOW_END) take_rsdp((const void *)info->rsdp, 36);
}

struct tag { u32 type, size, entry_size, entry_version; }; // the last two in a memory map's
enum { TAG_HEAD = 8, TAG_END = 0, TAG_COMMAND_LINE = 1, TAG_MAP = 6, TAG_SCREEN = 8, TAG_RSDP_1 = 14, TAG_RSDP_2 = 15 };

static void take_screen(const void *body, u64 bound) {
  struct pixels found = {0};
  memcpy(&found, body, bound < sizeof found ? bound : sizeof found);
  screen_is(found);
}

static void read_multiboot2(const u8 *info) {
  const u32 total = *(const u32 *)info;
  for (u32 at = 8; at + TAG_HEAD <= total;) {
    const struct tag *tag = (const struct tag *)(info + at);
    if (tag->type == TAG_END || tag->size < TAG_HEAD || tag->size > total - at) return;
    const u8 *body = info + at + TAG_HEAD;
    const u64 bound = tag->size - TAG_HEAD;
    if (tag->type == TAG_COMMAND_LINE) take_command_line((const char *)body, bound);
    if (tag->type == TAG_RSDP_2 || (tag->type == TAG_RSDP_1 && !has_rsdp)) take_rsdp(body, bound);
    if (tag->type == TAG_SCREEN) take_screen(body, bound);
    for (u64 offset = 8; tag->type == TAG_MAP && offset + sizeof(struct map_entry) <= bound;) {
      const struct map_entry *entry = (const struct map_entry *)(body + offset);
      take_map_entry(entry->start, entry->length, entry->type);
      offset += tag->entry_size < sizeof *entry ? sizeof *entry : tag->entry_size;
    }
    at += (tag->size + 7) & ~7u;
  }
}

void boot_info_read(u32 magic, u32 information) {
  const u32 pvh = 0x336ec578, multiboot2 = 0x36d76289;
  const void *info = (const void *)(u64)information;
  add_words(built_in_words, built_in_words_length); // first: of a word given twice the last counts
  if (magic == multiboot2) read_multiboot2(info);
  else if (*(const u32 *)info == pvh) read_pvh(info);
  else panic("started by neither PVH nor Multiboot2");
  memory_settle();
  console_choose(boot_page.command_line, command_line_length);
}

// `BootInfo` in kernel/host.ts.
struct boot_information {
  u32 kind, command_line_length, command_line, pack, pack_length, setup, setup_length, rsdp, ram, ram_length, machine_kib;
  u64 boot_ns;
};

void host_bootInfo(u32 into) {
  const u32 metal = 1;
  const struct range ram = paging_ram();
  const u32 pack_length = (u32)(pack_end - pack_start), setup_length = (u32)(setup_end - setup_start);
  static u64 boot_ns;
  if (!boot_ns) boot_ns = host_monotonic();
  *(struct boot_information *)(u64)into = (struct boot_information){
      metal, command_line_length, (u32)physical_of(boot_page.command_line),
      pack_length ? (u32)physical_of(pack_start) : 0, pack_length,
      setup_length ? (u32)physical_of(setup_start) : 0, setup_length,
      has_rsdp ? (u32)physical_of(boot_page.rsdp) : 0, (u32)ram.start, (u32)(ram.end - ram.start),
      memory_total_kib(), boot_ns};
}
