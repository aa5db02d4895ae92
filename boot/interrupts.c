// Sleeping, and what ends it: one timer and sixteen lines.
//
// Interrupts are enabled for the length of one `hlt` and no longer, so no code anywhere runs
// beside another and nothing needs a lock. What arrives in between stays pending in the
// controllers; `sti` lets nothing in before the instruction after it has begun, so it ends the
// `hlt` at once and no wake-up is lost.
//
// Lines come through the two 8259A, which every PC has, behind the local APIC's LINT0. The I/O APIC
// needs routing tables from AML; what would use it replaces `line_*` below and nothing else.

#include "boot.h"
#include "cpu.h"

#define VECTOR_LINES 32u
#define VECTOR_TIMER 48u
#define VECTOR_SPURIOUS 255u
enum { NUMBER_TIMER = 16 }; // as traps.S numbers them, after the lines

extern const u8 interrupt_entries[];
static u32 pending;

// ---- Lines: 8259A (data sheet), ELCR (82371AB data sheet, 4.2.6) -------------------------------

enum { PIC_1 = 0x20, PIC_2 = 0xa0, ELCR_1 = 0x4d0, ELCR_2 = 0x4d1, CASCADE = 2 };
enum { ICW1_INIT_ICW4 = 0x11, ICW4_8086 = 0x01, OCW2_EOI = 0x20, OCW3_READ_ISR = 0x0b };

static u32 line_masks = 0xffff & ~(1u << CASCADE);

static void line_masks_write(void) {
  host_portOut8(PIC_1 + 1, line_masks & 0xff);
  host_portOut8(PIC_2 + 1, line_masks >> 8);
}

static void lines_start(void) {
  host_portOut8(PIC_1, ICW1_INIT_ICW4);
  host_portOut8(PIC_2, ICW1_INIT_ICW4);
  host_portOut8(PIC_1 + 1, VECTOR_LINES);
  host_portOut8(PIC_2 + 1, VECTOR_LINES + 8);
  host_portOut8(PIC_1 + 1, 1 << CASCADE);
  host_portOut8(PIC_2 + 1, CASCADE);
  host_portOut8(PIC_1 + 1, ICW4_8086);
  host_portOut8(PIC_2 + 1, ICW4_8086);
  line_masks_write();
}

static bool line_is_spurious(u32 line) {
  u32 controller = line < 8 ? PIC_1 : PIC_2;
  host_portOut8(controller, OCW3_READ_ISR);
  return !(host_portIn8(controller) & 1u << line % 8);
}

static void line_taken(u32 line) {
  bool spurious = line % 8 == 7 && line_is_spurious(line);
  if (!spurious) pending |= 1u << line;
  if (!spurious && line >= 8) host_portOut8(PIC_2, OCW2_EOI);
  if (!spurious || line >= 8) host_portOut8(PIC_1, OCW2_EOI); // the cascade is real either way
}

// PCI's lines are level-triggered and shared. Firmware says so in the ELCR for those it routes; this
// makes it so for the one that is opened, among those where it may be.
u32 host_interruptOpen(u32 line) {
  const u32 may_be_level = 0xdef8;
  if (line > 15 || !(may_be_level & 1u << line)) return false;
  u32 port = line < 8 ? ELCR_1 : ELCR_2, bit = 1u << line % 8;
  u32 levels = host_portIn8(port);
  if (!(levels & bit)) host_portOut8(port, levels | bit);
  host_interruptMask(line, false);
  return true;
}

void host_interruptMask(u32 line, u32 masked) {
  if (line > 15 || line == CASCADE) return;
  line_masks = masked ? line_masks | 1u << line : line_masks & ~(1u << line);
  line_masks_write();
}

u32 host_interruptsPending(void) {
  u32 lines = pending;
  pending = 0;
  return lines;
}

// ---- The timer: the local APIC's (Intel SDM 3A, 10.5), else the PIT ----------------------------

enum { SVR = 0xf0, EOI = 0xb0, TPR = 0x80, LVT_TIMER = 0x320, LVT_LINT0 = 0x350, LVT_LINT1 = 0x360 };
enum { INITIAL_COUNT = 0x380, CURRENT_COUNT = 0x390, DIVIDE = 0x3e0, DIVIDE_BY_16 = 3 };
enum { SVR_ENABLE = 0x100, LVT_MASKED = 0x10000, LVT_DEADLINE = 0x40000, LVT_EXTINT = 0x700, LVT_NMI = 0x400 };
#define PIT_HERTZ 1193182u

static volatile u32 *apic; // NULL: no local APIC, the PIT serves
static bool has_deadline;
static u64 timer_hertz, count_started;

static u32 apic_read(u32 index) { return apic[index / 4]; }
static void apic_write(u32 index, u32 value) { apic[index / 4] = value; }

void interrupts_timer_start(void) {
  enum { HAS_APIC = 1 << 9, HAS_DEADLINE = 1 << 24, GLOBAL_ENABLE = 1 << 11, X2APIC = 1 << 10 };
  struct cpuid features = cpuid(1);
  if (!(features.edx & HAS_APIC)) return;
  u64 base = read_msr(MSR_APIC_BASE);
  if (base & X2APIC) return; // its registers are elsewhere, and only large machines start in it
  write_msr(MSR_APIC_BASE, base | GLOBAL_ENABLE);
  apic = paging_map_device(base & 0xffffff000u);
  has_deadline = features.ecx & HAS_DEADLINE;
  apic_write(SVR, SVR_ENABLE | VECTOR_SPURIOUS);
  apic_write(TPR, 0);
  apic_write(LVT_LINT0, LVT_EXTINT);
  apic_write(LVT_LINT1, LVT_NMI);
  apic_write(DIVIDE, DIVIDE_BY_16);
  apic_write(LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
  apic_write(INITIAL_COUNT, 0xffffffff);
  count_started = rdtsc();
}

// The APIC timer's rate, against a TSC whose rate has been found meanwhile.
void interrupts_timer_calibrate(void) {
  timer_hertz = PIT_HERTZ;
  if (!apic) return;
  u64 counted = 0xffffffff - apic_read(CURRENT_COUNT);
  timer_hertz = multiply_divide(counted, tsc_hertz, rdtsc() - count_started);
  apic_write(INITIAL_COUNT, 0);
  apic_write(LVT_TIMER, has_deadline ? LVT_DEADLINE | VECTOR_TIMER : VECTOR_TIMER);
}

static void timer_stop(void) {
  if (!apic) {
    host_interruptMask(0, true);
  } else if (has_deadline) {
    write_msr(MSR_TSC_DEADLINE, 0);
  } else {
    apic_write(INITIAL_COUNT, 0);
  }
}

// One interrupt at `deadline`, or earlier where the timer does not reach that far.
static void timer_arm(u64 now, u64 deadline) {
  if (apic && has_deadline) {
    write_msr(MSR_TSC_DEADLINE, clock_tsc_at(deadline));
    return;
  }
  const u64 longest_ns = apic ? 3000000000u : 50000000u, longest_count = apic ? 0xffffffff : 0xffff;
  u64 ns = deadline - now < longest_ns ? deadline - now : longest_ns;
  u64 count = ns * timer_hertz / 1000000000u + 1;
  if (count > longest_count) count = longest_count;
  if (apic) {
    apic_write(INITIAL_COUNT, (u32)count);
    return;
  }
  host_portOut8(0x43, 0x30); // channel 0, once
  host_portOut8(0x40, (u32)count & 0xff);
  host_portOut8(0x40, (u32)count >> 8);
  host_interruptMask(0, false);
}

// ---- Sleep -----------------------------------------------------------------------------------

// Called by traps.S with interrupts off.
void interrupt_taken(u32 number) {
  if (number < 16) {
    line_taken(number);
  } else if (number == NUMBER_TIMER) {
    apic_write(EOI, 0);
  } // a spurious one wants no answer (Intel SDM 3A, 10.9)
}

// Until `deadline` on host_monotonic's scale, an open line, or at worst somewhat sooner than either.
void sleep_until(u64 deadline) {
  const u64 never = ~0ull, century_ns = 3200000000000000000u;
  if (deadline != never) {
    u64 now = host_monotonic();
    if (deadline <= now) return;
    timer_arm(now, deadline < century_ns ? deadline : century_ns);
  }
  __asm__ volatile("sti; hlt; cli" ::: "memory");
  if (deadline != never) timer_stop();
}

void interrupts_start(void) {
  for (u32 line = 0; line < 16; line++) traps_gate(VECTOR_LINES + line, interrupt_entries + 8 * line, 0);
  traps_gate(VECTOR_TIMER, interrupt_entries + 8 * NUMBER_TIMER, 0);
  traps_gate(VECTOR_SPURIOUS, interrupt_entries + 8 * (NUMBER_TIMER + 1), 0);
  lines_start();
}
