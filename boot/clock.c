// Time: the TSC, its rate asked for or measured, and checked.
//
// KVM's clock, the processor or the hypervisor may know it; ACPI's timer and the PIT serve to measure
// it. The first of these that answers is believed; one that contradicts it is told on the console.

#include "boot.h"
#include "cpu.h"

#define SECOND 1000000000u

u64 tsc_hertz;
static u64 tsc_zero, ns_per_tick_32; // nanoseconds per tick, 32 bits after the point

static void rate_is(u64 hertz, const char *by) {
  static const char *first;
  if (hertz && !first) {
    first = by;
    tsc_hertz = hertz;
  } else if (hertz && (hertz < tsc_hertz - tsc_hertz / 100 || hertz > tsc_hertz + tsc_hertz / 100)) {
    print("boot: the TSC runs at %llu Hz by %s, but at %llu Hz by %s\n", tsc_hertz, first, hertz, by);
  }
}

// KVM's clock page: nanoseconds = (ticks << shift) * multiplier / 2^32 (Linux, virt/kvm/x86/msr).
static u64 ask_kvm(void) {
  enum { FEATURE_CLOCKSOURCE2 = 1 << 3, MSR_SYSTEM_TIME_NEW = 0x4b564d01 };
  static volatile __attribute__((aligned(64))) struct {
    u32 version, unused[5], multiplier, shift; // of the last, a signed byte
  } page;
  if (!cpu_is_virtual() || cpuid(0x40000000).ebx != 0x4b4d564b) return 0; // "KVMK"
  if (!(cpuid(0x40000001).eax & FEATURE_CLOCKSOURCE2)) return 0;
  write_msr(MSR_SYSTEM_TIME_NEW, physical_of((const void *)&page) | 1);
  const u32 multiplier = page.multiplier;
  const int shift = (int8_t)page.shift;
  write_msr(MSR_SYSTEM_TIME_NEW, 0);
  const u64 rate = multiplier ? ((u64)SECOND << 32) / multiplier : 0;
  return shift < 0 ? rate << -shift : rate >> shift;
}

static u64 ask_cpuid(void) {
  const u32 leaves = cpuid(0).eax;
  const bool has_hypervisor_leaf = cpu_is_virtual() && cpuid(0x40000000).eax >= 0x40000010;
  const struct cpuid id = leaves >= 0x15 ? cpuid(0x15) : (struct cpuid){0, 0, 0, 0};
  if (id.eax && id.ebx && id.ecx) return (u64)id.ecx * id.ebx / id.eax; // crystal * ebx / eax
  if (has_hypervisor_leaf && cpuid(0x40000010).eax) return cpuid(0x40000010).eax * 1000ull;
  return leaves >= 0x16 ? (cpuid(0x16).eax & 0xffff) * 1000000ull : 0;
}

static u32 read_acpi_timer(void) { return host_portIn32(acpi.pm_timer); }

static u32 read_pit(void) { // channel 0, counting down; latched, for a whole value
  host_portOut8(0x43, 0x00);
  const u32 low = host_portIn8(0x40);
  return 0u - (host_portIn8(0x40) << 8 | low);
}

// One reading and the TSC at its middle: the tightest of a few, since anything may come between.
static u64 sample(u32 (*read)(void), u32 *count) {
  u64 narrowest = ~0ull, tsc = 0;
  for (u32 i = 0; i < 8; i++) {
    const u64 before = rdtsc();
    const u32 value = read();
    const u64 width = rdtsc() - before;
    if (width < narrowest) narrowest = width, tsc = before + width / 2, *count = value;
  }
  return tsc;
}

// The TSC's rate by a timer that counts up: 5 ms for the first, 1 ms where it is only a check.
static u64 measure(u32 (*read)(void), u32 hertz, u32 mask) {
  const u32 window = hertz / (tsc_hertz ? 1000 : 200);
  u32 start = 0, now = 0;
  const u64 tsc = sample(read, &start);
  for (u32 still = 0; still < 1000;) {
    const u64 tsc_now = sample(read, &now);
    const u32 passed = (now - start) & mask;
    if (passed >= window) return multiply_divide(tsc_now - tsc, hertz, passed);
    still = passed ? 0 : still + 1; // a timer that is not there stands still
  }
  return 0;
}

void clock_start(u64 tsc_at_entry) {
  tsc_zero = tsc_at_entry;
  rate_is(ask_kvm(), "KVM's clock");
  rate_is(ask_cpuid(), "CPUID");
  if (acpi.pm_timer) rate_is(measure(read_acpi_timer, 3579545, 0xffffff), "ACPI's timer"); // ACPI 4.8.3.3
  host_portOut8(0x43, 0x34); // 8254 data sheet: channel 0, rate generator, from 65536
  host_portOut8(0x40, 0);
  host_portOut8(0x40, 0);
  rate_is(measure(read_pit, 1193182, 0xffff), "the PIT");
  if (!tsc_hertz) panic("nothing tells the TSC's rate: no KVM clock, CPUID, ACPI timer or PIT");
  ns_per_tick_32 = multiply_divide(SECOND, 1ull << 32, tsc_hertz);
}

u64 host_monotonic(void) {
  static u64 last;
  const u64 now = (u64)((unsigned __int128)(rdtsc() - tsc_zero) * ns_per_tick_32 >> 32);
  if (now > last) last = now;
  return last;
}

// ---- The calendar: CMOS RTC (MC146818A data sheet) -----------------------------------------------
static u32 cmos(u32 index) { return host_portOut8(0x70, index), host_portIn8(0x71); }

u64 host_wallClock(void) {
  enum { STATUS_A = 0x0a, STATUS_B = 0x0b, UPDATING = 0x80, BINARY = 0x04, HOURS_24 = 0x02, PM = 0x80 };
  enum { SECONDS, MINUTES, HOURS, DAY, MONTH, YEAR, CENTURY, FIELDS };
  const u8 indices[FIELDS] = {0x00, 0x02, 0x04, 0x07, 0x08, 0x09, acpi.century};
  u32 f[FIELDS] = {0}, same = 0;
  // Two equal readings with no update under way; the bound is for a chip that is not there.
  for (u32 tries = 0; same < FIELDS && tries < 10000; tries++) {
    same = 0;
    for (u32 i = 0; i < FIELDS && !(cmos(STATUS_A) & UPDATING); i++) {
      const u32 value = cmos(indices[i]);
      same += value == f[i];
      f[i] = value;
    }
  }
  const u32 mode = cmos(STATUS_B);
  const bool afternoon = !(mode & HOURS_24) && f[HOURS] & PM;
  f[HOURS] &= ~(u32)PM;
  for (u32 i = 0; i < FIELDS && !(mode & BINARY); i++) f[i] = (f[i] >> 4) * 10 + (f[i] & 15);
  if (!(mode & HOURS_24)) f[HOURS] = f[HOURS] % 12 + (afternoon ? 12 : 0);
  if (same < FIELDS || f[SECONDS] > 59 || f[MINUTES] > 59 || f[HOURS] > 23) return 0;
  if (f[DAY] - 1 > 30 || f[MONTH] - 1 > 11 || f[YEAR] > 99) return 0;
  const u32 century = acpi.century && f[CENTURY] - 19 < 10 ? f[CENTURY] : 20;
  // Days of the Gregorian calendar before this one, counting years from March; then from 1970.
  const u64 year = century * 100 + f[YEAR] - (f[MONTH] < 3), month = (f[MONTH] + 9) % 12;
  const u64 days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + f[DAY] - 1;
  return (((days - 719468) * 24 + f[HOURS]) * 60 + f[MINUTES]) * 60 * SECOND + f[SECONDS] * (u64)SECOND;
}
