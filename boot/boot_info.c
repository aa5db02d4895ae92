// What the loader said, in either protocol: memory map, command line, ACPI's root.
//
// The loader's structures lie in RAM that is free from now on, so everything is copied before
// anyone takes a page. All of it comes from outside and is read within its stated bounds.
//
// PVH: Xen's public/arch-x86/hvm/start_info.h. Multiboot2: specification 2.0, section 3.6.

#include "boot.h"
#include "string.h"

#define MULTIBOOT2_MAGIC 0x36d76289u
#define PVH_MAGIC 0x336ec578u

enum { MAP_USABLE = 1, MAP_ACPI = 3, MAP_NVS = 4 }; // as E820 and both protocols number them

__attribute__((aligned(4096))) struct boot_page boot_page;
u32 command_line_length;
bool has_rsdp;

static void take_map_entry(u64 start, u64 length, u32 type) {
  if (type == MAP_USABLE) memory_add(start, length, MEMORY_FREE);
  if (type == MAP_ACPI || type == MAP_NVS) memory_add(start, length, MEMORY_FIRMWARE);
}

// Keeps at most a page of it, without a leading path of the image, which some loaders pass.
static void take_command_line(const char *text, u64 bound) {
  const char *end = text;
  while ((u64)(end - text) < bound && *end) end++;
  if (text < end && (*text == '/' || *text == '(')) {
    while (text < end && *text != ' ') text++;
  }
  while (text < end && *text == ' ') text++;
  u64 length = (u64)(end - text);
  if (length > sizeof boot_page.command_line) length = sizeof boot_page.command_line;
  memcpy(boot_page.command_line, text, length);
  command_line_length = (u32)length;
}

static void take_rsdp(const void *rsdp, u64 bound) {
  memcpy(boot_page.rsdp, rsdp, bound < sizeof boot_page.rsdp ? bound : sizeof boot_page.rsdp);
  has_rsdp = true;
}

static const void *low(u64 physical) { return (const void *)physical; }

struct pvh_start_info {
  u32 magic, version, flags, module_count;
  u64 modules, command_line, rsdp, map;
  u32 map_count, reserved; // since version 1
};
struct pvh_map_entry {
  u64 start, length;
  u32 type, reserved;
};

static void read_pvh(const struct pvh_start_info *info) {
  if (info->version < 1) panic("the loader gave no memory map (PVH version 0)");
  const struct pvh_map_entry *map = low(info->map);
  for (u32 i = 0; i < info->map_count; i++) take_map_entry(map[i].start, map[i].length, map[i].type);
  if (info->command_line) take_command_line(low(info->command_line), PAGE);
  if (info->rsdp && info->rsdp < LOW_END) take_rsdp(low(info->rsdp), sizeof boot_page.rsdp);
}

struct tag {
  u32 type, size;
};
struct tag_map {
  struct tag tag;
  u32 entry_size, entry_version;
};
struct tag_map_entry {
  u64 start, length;
  u32 type, reserved;
};
enum { TAG_END = 0, TAG_COMMAND_LINE = 1, TAG_MAP = 6, TAG_RSDP_1 = 14, TAG_RSDP_2 = 15 };

static void read_multiboot2(const u8 *info) {
  u32 total = *(const u32 *)info;
  for (u32 at = 8; at + sizeof(struct tag) <= total;) {
    const struct tag *tag = (const struct tag *)(info + at);
    u64 body = tag->size - sizeof *tag;
    if (tag->type == TAG_END || tag->size < sizeof *tag || tag->size > total - at) return;
    if (tag->type == TAG_COMMAND_LINE) take_command_line((const char *)(tag + 1), body);
    if (tag->type == TAG_RSDP_2 || (tag->type == TAG_RSDP_1 && !has_rsdp)) take_rsdp(tag + 1, body);
    if (tag->type == TAG_MAP) {
      const struct tag_map *map = (const struct tag_map *)tag;
      const u32 step = map->entry_size;
      for (u64 entry = sizeof *map; step >= 24 && entry + step <= tag->size; entry += step) {
        const struct tag_map_entry *e = (const struct tag_map_entry *)((const u8 *)map + entry);
        take_map_entry(e->start, e->length, e->type);
      }
    }
    at += (tag->size + 7) & ~7u;
  }
}

void boot_info_read(u32 magic, u32 information) {
  if (magic == MULTIBOOT2_MAGIC) {
    read_multiboot2(low(information));
  } else if (*(const u32 *)low(information) == PVH_MAGIC) {
    read_pvh(low(information));
  } else {
    panic("started by neither PVH nor Multiboot2");
  }
}

void host_bootInfo(u32 into) {
  // The same order as `BootInfo` in kernel/host.ts.
  struct boot_information {
    u32 kind, command_line_length, command_line, pack, pack_length, rsdp, ram, ram_length, machine_kib;
    u64 boot_ns;
  } *info = (struct boot_information *)(u64)into;
  enum { METAL = 1 };

  static u64 boot_ns;
  if (!boot_ns) boot_ns = host_monotonic();
  const struct range ram = paging_ram();
  const u32 pack_length = (u32)(pack_end - pack_start);
  *info = (struct boot_information){
      .kind = METAL,
      .command_line_length = command_line_length,
      .command_line = (u32)physical_of(boot_page.command_line),
      .pack = pack_length ? (u32)physical_of(pack_start) : 0,
      .pack_length = pack_length,
      .rsdp = has_rsdp ? (u32)physical_of(boot_page.rsdp) : 0,
      .ram = (u32)ram.start,
      .ram_length = (u32)(ram.end - ram.start),
      .machine_kib = memory_total_kib(),
      .boot_ns = boot_ns,
  };
}
