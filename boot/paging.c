// Who may touch what: the page tables that the machine runs on.
//
//   0          nothing: a null pointer faults
//   4096 ..    the kernel's static data, on private pages (firmware owns the real ones)
//   .. 4 GiB   the kernel's RAM read-write; the file pack, command line and ACPI tables read-only;
//              devices as they are asked for: all at their physical address, but those that have
//              theirs beyond 4 GiB
//   4 GiB ..   nothing: the 33-bit sums of Wasm addresses end here
//   -2 GiB ..  the image: code, constants, data, each with its rights; a page of nothing below a stack
//   -1 GiB ..  device registers for the shim itself, and from -512 MiB the screen
//
// Nothing is both writable and executable, and code and tables have no address in the low window.
// Intel SDM 3A, 4.5 (4-level paging), 11.5 (memory types).

#include "boot.h"
#include "cpu.h"

enum { LARGE_PAGE = 0x200000, LEAST_RAM = 0x100000 };
enum { PRESENT = 1, WRITE = 2, WRITE_THROUGH = 8, CACHE_DISABLE = 0x10, LARGE = 0x80 };
#define ADDRESS 0x000ffffffffff000ull
#define FLASH 0xff000000u
#define SCREEN (HIGH + 0x60000000)

// Page tables come from here, and are reached through the image's own mapping. entry.S used the
// first few for a start; they are free again after the switch.
enum { TABLES = 40, EARLY_TABLES = 7 };
__attribute__((aligned(4096))) u64 page_tables[TABLES][512];
static u32 tables_used = EARLY_TABLES, tables_limit = TABLES;

u64 load_offset;
static u64 *root, no_execute, device_rights, static_end;
static struct range ram;

u64 physical_of(const void *high) { return (u64)high - HIGH + load_offset; }

static u64 *table_allocate(void) {
  return tables_used < tables_limit ? memset(page_tables[tables_used++ % TABLES], 0, PAGE) : NULL;
}

// The entry for `address` at `level` (1: 4 KiB, 2: 2 MiB), with the tables above it made where they
// are missing. NULL when there are no tables left or a large page is in the way.
static u64 *entry_at(u64 address, u32 level) {
  u64 *table = root;
  for (u32 above = 4;; above--) {
    u64 *entry = &table[address >> (12 + 9 * (above - 1)) & 511];
    if (above == level) return entry;
    u64 *next = *entry ? NULL : table_allocate();
    if (next) *entry = physical_of(next) | PRESENT | WRITE;
    if (!*entry || *entry & LARGE) return NULL;
    table = (u64 *)((*entry & ADDRESS) - load_offset + HIGH);
  }
}

// Large pages in the low window and for the screen: of the image, single ones will be taken out.
static void map(u64 address, u64 physical, u64 bytes, u64 rights) {
  for (u64 step; bytes; bytes -= step, address += step, physical += step) {
    const bool may = address < LOW_END || address >= SCREEN;
    const bool large = may && bytes >= LARGE_PAGE && !((address | physical) % LARGE_PAGE);
    u64 *entry = entry_at(address, large ? 2 : 1);
    if (!entry) panic("out of page tables");
    *entry = physical | rights | PRESENT | (large ? LARGE : 0);
    step = large ? LARGE_PAGE : PAGE;
  }
}

static void map_image(const u8 *start, const u8 *end, u64 rights) {
  map((u64)start, physical_of(start), PAGE_UP((u64)(end - start)), rights);
}

// Readable by the kernel at its physical address, in whole pages.
static void map_readable(u64 start, u64 end) {
  map(PAGE_DOWN(start), PAGE_DOWN(start), PAGE_UP(end) - PAGE_DOWN(start), no_execute);
}

// Whether it is in a page of nothing, below a stack.
bool paging_is_guard(u64 address) {
  return root && address >= (u64)data_start && address < (u64)image_end && !*entry_at(address, 1);
}

static void protect(void) {
  const u64 PAT = 0x0007040600070106; // as after a reset, but entry 1, for WRITE_THROUGH, combines writes
  enum { CR4_UMIP = 1 << 11, CR4_SMEP = 1 << 20, CR4_SMAP = 1 << 21, EFER_NXE = 1 << 11 };
  const struct cpuid has = cpuid(0).eax >= 7 ? cpuid(7) : (struct cpuid){0, 0, 0, 0};
  u64 cr4;
  __asm__("mov %%cr4, %0" : "=r"(cr4));
  cr4 |= (has.ebx & 1 << 7 ? CR4_SMEP : 0) | (has.ebx & 1 << 20 ? CR4_SMAP : 0) | (has.ecx & 1 << 2 ? CR4_UMIP : 0);
  __asm__ volatile("mov %0, %%cr4" ::"r"(cr4) : "memory");
  if (cpuid(0x80000001).edx & 1 << 20) {
    write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_NXE);
    no_execute = 1ull << 63;
  }
  if (cpuid(1).edx & 1 << 16) write_msr(MSR_PAT, PAT);
  device_rights = PRESENT | WRITE | WRITE_THROUGH | CACHE_DISABLE | no_execute;
}

// QEMU's emulator keeps a software TLB that starts small, and doubles it only at a flush that finds
// it more than 70 % full. So fill and flush it until it spans the machine's RAM: random reads over
// 4 MiB then take 3 ns instead of 130. A spare root entry lends the addresses, all of them on the
// same 2 MiB of the image. To be done when PCI is set up: QEMU flushes, and may shrink, when BARs move.
void paging_grow_emulator_tlb(void) {
  enum { SPARE = 256, FIRST_SIZE = 256, LAST_SIZE = 65536 };
  const u64 window = 0xffff800000000000u; // root[SPARE]
  if (!cpu_is_virtual() || cpuid(0x40000000).ebx != 0x54474354) return; // "TCGT"
  u64 *directory = table_allocate(), *pointers = table_allocate();
  if (!pointers) return;
  const u64 here = physical_of(image_start) & ~(u64)(LARGE_PAGE - 1);
  for (u32 i = 0; i < 512; i++) directory[i] = here | PRESENT | LARGE | no_execute;
  pointers[0] = physical_of(directory) | PRESENT;
  root[SPARE] = physical_of(pointers) | PRESENT;
  for (u64 size = FIRST_SIZE; size <= LAST_SIZE && size < 2 * (ram.end - ram.start) / PAGE; size *= 2) {
    for (u64 page = 0; page < size * 3 / 4; page++) *(volatile u8 *)(window + page * PAGE);
    write_cr3(physical_of(root));
  }
  root[SPARE] = 0;
  write_cr3(physical_of(root));
  tables_used -= 2;
}

void paging_start(void) {
  const u64 image = physical_of(image_start);
  static_end = KERNEL_MEMORY_BYTES; // as kernel.wasm declares it: tools/image knows
  if (static_end > image) panic("the kernel's static data reaches up to where the image was loaded");
  memory_remove(image, physical_of(image_end));
  const u64 private_pages = memory_take(static_end - PAGE);
  ram = memory_largest(static_end);
  if (!private_pages || ram.end - ram.start < LEAST_RAM) panic("too little free RAM below 4 GiB");
  memset((void *)private_pages, 0, static_end - PAGE);

  protect();
  root = table_allocate();
  map_image(image_start, code_end, 0);
  map_image(constants_start, constants_end, no_execute);
  map_image(data_start, image_end, no_execute | WRITE);
  *entry_at((u64)kernel_stack_guard, 1) = 0;
  for (u32 i = 0; i < IST_STACKS; i++) *entry_at((u64)ist_stacks + i * (PAGE + IST_STACK_BYTES), 1) = 0;

  map(PAGE, private_pages, static_end - PAGE, no_execute | WRITE);
  map(ram.start, ram.start, ram.end - ram.start, no_execute | WRITE);
  map_readable(physical_of(pack_start), physical_of(setup_end));
  map_readable(physical_of(&boot_page), physical_of(&boot_page + 1));
  for (u32 i = 0; i < acpi.table_count; i++) {
    const u64 start = PAGE_DOWN(acpi.tables[i].start), end = PAGE_UP(acpi.tables[i].end);
    // Hidden by static data, or in RAM that anybody may take: rather none than half. Nobody takes the first
    // MiB, which a microvm's map calls RAM though its tables are there.
    const bool taken = end > FIRST_MIB && memory_has(MEMORY_RAM, start, end);
    if (start < static_end || taken) has_rsdp = false;
    else map_readable(start, end);
  }
  write_cr3(physical_of(root));
  tables_limit += EARLY_TABLES;
}

u64 paging_no_execute(void) { return no_execute; }
void paging_root_set(u32 index, u64 entry) { root[index] = entry; }

struct range paging_ram(void) { return ram; }

// One page of registers, for the shim.
volatile void *paging_map_device(u64 physical) {
  static u64 next = HIGH + 0x40000000;
  map(next, PAGE_DOWN(physical), PAGE, device_rights);
  next += PAGE;
  return (volatile void *)(next - PAGE + physical % PAGE);
}

// The screen's memory for the shim, its writes combined (PAT, SDM 11.12): uncached, a picture takes a
// blink. Before there are tables, it is where it is. NULL for what cannot be.
volatile void *paging_map_screen(u64 physical, u64 bytes) {
  if (!root) return physical + bytes <= LOW_END ? (volatile void *)physical : NULL;
  const u64 offset = physical % LARGE_PAGE;
  if (bytes > 1u << 28 || physical & ~(ADDRESS | (PAGE - 1))) return NULL;
  map(SCREEN + PAGE_DOWN(offset), PAGE_DOWN(physical), PAGE_UP(offset % PAGE + bytes), WRITE | WRITE_THROUGH | no_execute);
  return (volatile void *)(SCREEN + offset);
}

// Registers beyond 4 GiB borrow addresses of the last 16 MiB, where every PC has its firmware's flash:
// 0 when all are lent.
static u64 borrow(u64 start, u64 end) {
  static struct { u64 start, end, address; } lent[16];
  static u64 next = FLASH;
  for (u32 i = 0; i < sizeof lent / sizeof *lent; i++) {
    if (!lent[i].end) {
      if (end - start > LOW_END - next) return 0;
      lent[i].start = start, lent[i].end = end, lent[i].address = next;
      next += end - start;
    }
    if (start >= lent[i].start && end <= lent[i].end) return lent[i].address + (start - lent[i].start);
  }
  return 0;
}

// 4 KiB pages, so that a neighbour's registers in the same 2 MiB stay out of reach.
u32 host_mmioMap(u64 physical, u32 length) {
  const u64 end = physical + length, width = cpuid(0x80000008).eax & 0xff;
  if (physical < static_end || !length || end < physical || end > 1ull << width) return 0;
  if (end > FLASH && physical < LOW_END) return 0;
  if (memory_has(MEMORY_RAM, physical, end) || memory_has(MEMORY_FIRMWARE, physical, end)) return 0;
  const u64 first = PAGE_DOWN(physical), bytes = PAGE_UP(end) - first;
  const u64 address = physical < LOW_END ? first : borrow(first, first + bytes);
  for (u64 at = 0; address && at < bytes; at += PAGE) {
    const u64 wanted = (first + at) | device_rights;
    u64 *entry = entry_at(address + at, 1);
    if (!entry || (*entry && (*entry & (device_rights | ADDRESS)) != wanted)) return 0;
    *entry = wanted;
  }
  return address ? (u32)(address + physical % PAGE) : 0;
}
