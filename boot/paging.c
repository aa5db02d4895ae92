// Who may touch what: the page tables that the machine runs on.
//
//   0                 nothing: a null pointer faults
//   4096 ..           the kernel's static data, on private pages (firmware owns the real ones)
//   .. 4 GiB          the kernel's RAM read-write, the file pack, command line and ACPI tables
//                     read-only, devices as they are asked for: all at their physical address
//   4 GiB ..          nothing: the 33-bit sums of Wasm addresses end here
//   -2 GiB ..         the image: code, constants, data, each with its own rights; stacks with a
//                     page of nothing below
//   -1 GiB ..         device registers for the shim itself
//
// Nothing is both writable and executable, and code and tables have no address in the low window.
// Intel SDM 3A, 4.5 (4-level paging), 11.5 (memory types).

#include "boot.h"
#include "cpu.h"
#include "string.h"

#define LARGE_PAGE 0x200000u
#define DEVICES 0xffffffffc0000000u
#define LOWEST_RAM 0x40000u // less than this for the kernel and there is no point in starting

enum { PRESENT = 1, WRITE = 2, WRITE_THROUGH = 8, CACHE_DISABLE = 0x10, LARGE = 0x80 };
#define NO_EXECUTE (1ull << 63)
#define ADDRESS 0x000ffffffffff000ull

enum { CR4_UMIP = 1 << 11, CR4_SMEP = 1 << 20, CR4_SMAP = 1 << 21 };
enum { EFER_NXE = 1 << 11 };

// Page tables come from here and are reached through the image's own mapping. entry.S used the
// first few for a start; they are free again after the switch.
enum { TABLES = 40, EARLY_TABLES = 7 };
__attribute__((aligned(4096))) u64 page_tables[TABLES][512];
static u32 tables_used = EARLY_TABLES, tables_limit = TABLES;

u64 load_offset;
static u64 *root;
static u64 no_execute; // NO_EXECUTE where the processor has it
static u64 static_end;
static struct range ram;

u64 physical_of(const void *high) { return (u64)high - 0xffffffff80000000u + load_offset; }

static void *high_of(u64 physical) { return (void *)(physical - load_offset + 0xffffffff80000000u); }

static u64 *table_allocate(void) {
  if (tables_used == tables_limit) return NULL;
  return memset(page_tables[tables_used++ % TABLES], 0, PAGE);
}

// The entry for `address` at `level` (1: 4 KiB, 2: 2 MiB), with the tables above it made where they
// are missing. NULL when there are no tables left or a large page is in the way.
static u64 *entry_at(u64 address, u32 level) {
  u64 *table = root;
  for (u32 above = 4;; above--) {
    u64 *entry = &table[address >> (12 + 9 * (above - 1)) & 511];
    if (above == level) return entry;
    if (!*entry) {
      u64 *next = table_allocate();
      if (!next) return NULL;
      *entry = physical_of(next) | PRESENT | WRITE;
    }
    if (*entry & LARGE) return NULL;
    table = high_of(*entry & ADDRESS);
  }
}

static void map(u64 address, u64 physical, u64 bytes, u64 rights) {
  for (u64 step; bytes; bytes -= step, address += step, physical += step) {
    bool large = address < LOW_END && bytes >= LARGE_PAGE && !((address | physical) % LARGE_PAGE);
    u64 *entry = entry_at(address, large ? 2 : 1);
    if (!entry) panic("out of page tables");
    *entry = physical | rights | PRESENT | (large ? LARGE : 0);
    step = large ? LARGE_PAGE : PAGE;
  }
}

static void map_image(const u8 *start, const u8 *end, u64 rights) {
  u64 bytes = ((u64)(end - start) + PAGE - 1) & ~(u64)(PAGE - 1);
  map((u64)start, physical_of(start), bytes, rights);
}

// Readable by the kernel at its physical address, in whole pages.
static void map_readable(u64 start, u64 end) {
  start &= ~(u64)(PAGE - 1);
  map(start, start, (end - start + PAGE - 1) & ~(u64)(PAGE - 1), no_execute);
}

static void unmap_guard(const u8 *guard) { *entry_at((u64)guard, 1) = 0; }

static const u8 *ist_guard(u32 index) { return ist_stacks + index * (PAGE + IST_STACK_BYTES); }

static void protect(void) {
  u64 cr4 = read_cr4();
  if (cpuid(0).eax >= 7) {
    struct cpuid features = cpuid(7);
    if (features.ebx & 1 << 7) cr4 |= CR4_SMEP;
    if (features.ebx & 1 << 20) cr4 |= CR4_SMAP;
    if (features.ecx & 1 << 2) cr4 |= CR4_UMIP;
  }
  write_cr4(cr4);
  if (cpuid(0x80000001).edx & 1 << 20) {
    write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_NXE);
    no_execute = NO_EXECUTE;
  }
}

// QEMU's emulator keeps a software TLB that starts small and is only ever enlarged at a flush that
// finds it crowded. So crowd and flush it, once, doubling each time: after that, memory accesses all
// over the machine's RAM run several times faster. A spare root entry lends 256 MiB of addresses, all
// on the same 2 MiB of the image.
static void grow_emulator_tlb(void) {
  struct cpuid hypervisor = cpuid_hypervisor(0x40000000);
  if (hypervisor.ebx != 0x54474354 || hypervisor.ecx != 0x43544743) return; // "TCGTCGTCGTCG"
  enum { SPARE = 256, ROUNDS = 9 };
  const u64 window = 0xffff800000000000u; // root[SPARE]
  const u64 here = physical_of(image_start) & ~(u64)(LARGE_PAGE - 1);
  u64 *directory = table_allocate(), *pointers = table_allocate();
  if (!directory || !pointers) panic("out of page tables");
  for (u32 i = 0; i < 512; i++) directory[i] = here | PRESENT | LARGE | no_execute;
  pointers[0] = physical_of(directory) | PRESENT;
  root[SPARE] = physical_of(pointers) | PRESENT;
  for (u32 round = 0; round < ROUNDS; round++) {
    for (u64 page = 0; page < 256u << round; page++) *(volatile u8 *)(window + page * PAGE);
    write_cr3(physical_of(root));
  }
  root[SPARE] = 0;
  write_cr3(physical_of(root));
  tables_used -= 2;
}

void paging_start(void) {
  const u64 image = physical_of(image_start);
  static_end = KERNEL_STATIC_END;
  if (static_end > image) panic("the kernel's static data reaches into the image");
  memory_remove(image, physical_of(image_end));
  const u64 private_pages = memory_take(static_end - PAGE);
  ram = memory_largest(static_end);
  if (!private_pages || ram.end - ram.start < LOWEST_RAM) panic("too little free RAM below 4 GiB");
  memset((void *)private_pages, 0, static_end - PAGE);

  protect();
  root = table_allocate();
  map_image(image_start, code_end, 0);
  map_image(constants_start, constants_end, no_execute);
  map_image(data_start, data_end, no_execute | WRITE);
  unmap_guard(kernel_stack_guard);
  for (u32 i = 0; i < IST_STACKS; i++) unmap_guard(ist_guard(i));

  map(PAGE, private_pages, static_end - PAGE, no_execute | WRITE);
  map(ram.start, ram.start, ram.end - ram.start, no_execute | WRITE);
  map_readable(physical_of(pack_start), physical_of(pack_end));
  map_readable(physical_of(&boot_page), physical_of(&boot_page + 1));
  for (u32 i = 0; i < acpi.table_count; i++) {
    const struct range table = acpi.tables[i];
    if (table.start < static_end) {
      has_rsdp = false; // hidden by static data: no half a tree
    } else if (!memory_has(MEMORY_FREE, table.start & ~(u64)(PAGE - 1), table.end)) {
      map_readable(table.start, table.end);
    }
  }
  write_cr3(physical_of(root));
  tables_limit += EARLY_TABLES;
  grow_emulator_tlb();
}

struct range paging_ram(void) { return ram; }

volatile void *paging_map_device(u64 physical) {
  static u64 next = DEVICES;
  map(next, physical & ~(u64)(PAGE - 1), PAGE, WRITE | WRITE_THROUGH | CACHE_DISABLE | no_execute);
  next += PAGE;
  return (volatile void *)(next - PAGE + physical % PAGE);
}

// 4 KiB pages, so that a neighbour's registers in the same 2 MiB stay out of reach.
u32 host_mmioMap(u64 physical, u32 length) {
  const u64 rights = PRESENT | WRITE | WRITE_THROUGH | CACHE_DISABLE | no_execute;
  const u64 end = physical + length;
  if (physical < static_end || physical >= LOW_END || end > LOW_END || !length) return 0;
  if (memory_has(MEMORY_FREE, physical, end) || memory_has(MEMORY_FIRMWARE, physical, end)) return 0;
  for (u64 page = physical & ~(u64)(PAGE - 1); page < end; page += PAGE) {
    u64 *entry = entry_at(page, 1);
    if (!entry) return 0;
    if (*entry && (*entry & (rights | ADDRESS)) != (page | rights)) return 0;
    *entry = page | rights;
  }
  return (u32)physical;
}

bool paging_is_guard(u64 address) {
  if (address - (u64)kernel_stack_guard < PAGE) return true;
  for (u32 i = 0; i < IST_STACKS; i++) {
    if (address - (u64)ist_guard(i) < PAGE) return true;
  }
  return false;
}

bool paging_is_code(u64 address) { return address >= (u64)image_start && address < (u64)code_end; }
