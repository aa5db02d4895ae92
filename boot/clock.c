// Time: the TSC, its rate asked for or measured, and checked.
//
// Who knows the rate: KVM's clock, the processor (CPUID 15h and 16h), the hypervisor (CPUID
// 40000010h). Where none does, it is measured against a timer of known rate. With two sources, they
// are compared, and a difference is said on the console.

#include "boot.h"
#include "cpu.h"

#define SECOND 1000000000u
#define WINDOW_US 5000u
#define PIT_HERTZ 1193182u
#define PM_TIMER_HERTZ 3579545u // ACPI 4.8.3.3

u64 tsc_hertz;
static u64 tsc_zero, ns_per_tick_32; // nanoseconds per tick, 32 bits after the point

// ---- Rates that somebody knows ---------------------------------------------------------------

// KVM's clock page gives nanoseconds = ticks << shift * multiplier / 2^32 (Linux, Documentation/virt/kvm).
static u64 rate_from_kvm(void) {
  enum { FEATURE_CLOCKSOURCE2 = 1 << 3 };
  const u32 msr_system_time = 0x4b564d01;
  struct cpuid id = cpuid_hypervisor(0x40000000);
  if (id.ebx != 0x4b4d564b || id.ecx != 0x564b4d56) return 0; // "KVMKVMKVM"
  if (!(cpuid(0x40000001).eax & FEATURE_CLOCKSOURCE2)) return 0;
  static volatile struct {
    u32 version, padding;
    u64 tsc, time;
    u32 multiplier;
    int8_t shift;
    u8 flags, padding_2[2];
  } clock __attribute__((aligned(64)));
  write_msr(msr_system_time, physical_of((const void *)&clock) | 1);
  u32 multiplier = clock.multiplier;
  int shift = clock.shift;
  write_msr(msr_system_time, 0);
  if (!multiplier || shift < -31 || shift > 31) return 0;
  u64 rate = ((u64)SECOND << 32) / multiplier;
  return shift < 0 ? rate << -shift : rate >> shift;
}

static u64 rate_from_cpuid(void) {
  u32 leaves = cpuid(0).eax;
  if (leaves >= 0x15) {
    struct cpuid id = cpuid(0x15); // TSC = crystal * ebx / eax
    if (id.eax && id.ebx && id.ecx) return (u64)id.ecx * id.ebx / id.eax;
  }
  struct cpuid hypervisor = cpuid_hypervisor(0x40000000);
  if (hypervisor.eax >= 0x40000010) {
    u64 rate = cpuid(0x40000010).eax * 1000ull;
    if (rate) return rate;
  }
  return leaves >= 0x16 ? (cpuid(0x16).eax & 0xffff) * 1000000ull : 0;
}

// ---- Rates that are measured -----------------------------------------------------------------

// Channel 0 counts down from 65536 and can be read as it runs (8254 data sheet, counter latch).
static u32 read_pit(void) {
  host_portOut8(0x43, 0x00);
  u32 low = host_portIn8(0x40);
  return 0u - (host_portIn8(0x40) << 8 | low);
}

static u32 read_pm_timer(void) { return host_portIn32(acpi.pm_timer); }

struct reference {
  const char *name;
  u32 (*read)(void);
  u32 hertz, mask;
  struct sample {
    u64 tsc;
    u32 count;
  } first;
};

// One reading and the TSC at its middle: the tightest of a few, since any may be interrupted.
static struct sample sample(const struct reference *reference) {
  struct sample best = {0, 0};
  u64 narrowest = ~0ull;
  for (u32 i = 0; i < 8; i++) {
    u64 before = rdtsc();
    u32 count = reference->read();
    u64 width = rdtsc() - before;
    if (width >= narrowest) continue;
    narrowest = width;
    best = (struct sample){before + width / 2, count};
  }
  return best;
}

static u32 elapsed(const struct reference *reference, struct sample now) {
  return (now.count - reference->first.count) & reference->mask;
}

static bool is_running(const struct reference *reference) {
  u32 first = reference->read();
  for (u32 i = 0; i < 10000; i++) {
    if (reference->read() != first) return true;
  }
  return false;
}

// ---- The clock ---------------------------------------------------------------------------------

void clock_start(u64 tsc_at_entry) {
  tsc_zero = tsc_at_entry;
  host_portOut8(0x43, 0x34); // channel 0, rate generator, from 65536
  host_portOut8(0x40, 0);
  host_portOut8(0x40, 0);
  struct reference all[] = {
      {"the ACPI timer", read_pm_timer, PM_TIMER_HERTZ, 0xffffff, {0, 0}},
      {"the PIT", read_pit, PIT_HERTZ, 0xffff, {0, 0}},
  };
  struct {
    const char *name;
    u64 hertz;
  } rates[4];
  u32 count = 0;
  const char *names[] = {"KVM's clock", "CPUID"};
  const u64 known[] = {rate_from_kvm(), rate_from_cpuid()};
  for (u32 i = 0; i < 2; i++) {
    if (!known[i]) continue;
    rates[count].name = names[i];
    rates[count++].hertz = known[i];
  }

  struct reference *running[2];
  u32 runners = 0;
  for (u32 i = acpi.pm_timer ? 0 : 1; i < 2; i++) {
    if (is_running(&all[i])) running[runners++] = &all[i];
  }
  for (u32 i = 0; i < runners; i++) running[i]->first = sample(running[i]);
  for (u32 i = 0; i < runners; i++) {
    struct sample now;
    do {
      now = sample(running[i]);
    } while (elapsed(running[i], now) < running[i]->hertz / (1000000 / WINDOW_US));
    rates[count].name = running[i]->name;
    rates[count++].hertz =
        multiply_divide(now.tsc - running[i]->first.tsc, running[i]->hertz, elapsed(running[i], now));
  }

  if (!count) panic("no timer tells the rate of the TSC: no KVM clock, CPUID, ACPI timer or PIT");
  tsc_hertz = rates[0].hertz;
  ns_per_tick_32 = multiply_divide(SECOND, 1ull << 32, tsc_hertz);
  for (u32 i = 1; i < count; i++) {
    u64 a = rates[0].hertz, b = rates[i].hertz;
    if ((a > b ? a - b : b - a) < a / 100) continue;
    print("boot: the TSC runs at %lu Hz by %s but at %lu Hz by %s; taking the first\n", a,
          rates[0].name, b, rates[i].name);
  }
}

u64 host_monotonic(void) {
  static u64 last;
  u64 low, high;
  __asm__("mulq %3" : "=a"(low), "=d"(high) : "a"(rdtsc() - tsc_zero), "r"(ns_per_tick_32) : "cc");
  u64 now = high << 32 | low >> 32;
  if (now > last) last = now;
  return last;
}

u64 clock_tsc_at(u64 nanoseconds) { return tsc_zero + multiply_divide(nanoseconds, tsc_hertz, SECOND); }

// ---- The calendar: CMOS RTC (MC146818A data sheet) -------------------------------------------

static u32 cmos(u32 index) {
  host_portOut8(0x70, index);
  return host_portIn8(0x71);
}

u64 host_wallClock(void) {
  enum { SECONDS, MINUTES, HOURS, DAY, MONTH, YEAR, CENTURY, FIELDS };
  enum { STATUS_A = 0x0a, STATUS_B = 0x0b, UPDATING = 0x80, BINARY = 0x04, HOURS_24 = 0x02, PM = 0x80 };
  static const u8 registers[FIELDS] = {0x00, 0x02, 0x04, 0x07, 0x08, 0x09, 0x32};
  u32 now[FIELDS], again[FIELDS];
  u32 changed = 1;
  // Two equal readings with no update under way; the bound is for a chip that is not there.
  for (u32 tries = 0; changed && tries < 10000; tries++) {
    if (cmos(STATUS_A) & UPDATING) continue;
    changed = 0;
    for (u32 i = 0; i < FIELDS; i++) {
      again[i] = now[i];
      now[i] = cmos(i == CENTURY && acpi.century ? acpi.century : registers[i]);
      changed |= tries == 0 || now[i] != again[i];
    }
  }
  if (changed) return 0;

  u32 mode = cmos(STATUS_B);
  bool afternoon = !(mode & HOURS_24) && now[HOURS] & PM;
  if (!(mode & HOURS_24)) now[HOURS] &= ~(u32)PM;
  for (u32 i = 0; i < FIELDS && !(mode & BINARY); i++) now[i] = (now[i] >> 4) * 10 + (now[i] & 15);
  if (!(mode & HOURS_24)) now[HOURS] = now[HOURS] % 12 + (afternoon ? 12 : 0);
  u32 century = acpi.century && now[CENTURY] >= 19 && now[CENTURY] < 30 ? now[CENTURY] : 20;
  if (now[SECONDS] > 59 || now[MINUTES] > 59 || now[HOURS] > 23 || now[DAY] - 1 > 30 ||
      now[MONTH] - 1 > 11 || now[YEAR] > 99) {
    return 0;
  }

  // Days since 1970 of a date in the Gregorian calendar, counting years from March.
  u64 year = century * 100 + now[YEAR] - (now[MONTH] < 3);
  u64 month = (now[MONTH] + 9) % 12;
  u64 days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + now[DAY] - 1;
  u64 since_1970 = days - 719468;
  return (((since_1970 * 24 + now[HOURS]) * 60 + now[MINUTES]) * 60 + now[SECONDS]) * SECOND;
}
