// Sleeping, and what ends it: one timer and sixteen lines.
//
// Interrupts are enabled for the length of one `hlt` and no longer, so no code runs beside another
// and nothing needs a lock. What arrives in between stays pending in the controllers; `sti` lets
// nothing in before the instruction after it has begun, so it ends the `hlt` at once: no wake-up
// is lost.
//
// Lines come through the two 8259A, which every PC has, behind the local APIC's LINT0. The I/O APIC
// needs routing tables from AML; what would use it replaces `line_*` below and nothing else.

#include "boot.h"
#include "cpu.h"

enum { VECTOR_LINES = 32, VECTOR_TIMER = 48, VECTOR_SPURIOUS = 255 };
enum { LINES = 16, NUMBER_TIMER = LINES, NUMBER_SPURIOUS }; // as traps.S numbers its entries

extern const u8 interrupt_entries[];
static u32 pending;

// ---- Lines: 8259A data sheet; ELCR in 82371AB's, 4.2.6 ------------------------------------------

enum { PIC_1 = 0x20, PIC_2 = 0xa0, ELCR_1 = 0x4d0, ELCR_2 = 0x4d1, CASCADE = 2 };
enum { ICW1_INIT_ICW4 = 0x11, ICW4_8086 = 0x01, OCW2_EOI = 0x20, OCW3_READ_ISR = 0x0b };

static u32 line_masks = 0xffff & ~(1u << CASCADE);

static void lines_write_masks(void) {
  host_portOut8(PIC_1 + 1, line_masks & 0xff);
  host_portOut8(PIC_2 + 1, line_masks >> 8);
}

static void lines_start(void) {
  const u8 words[][2] = {{VECTOR_LINES, VECTOR_LINES + 8}, {1 << CASCADE, CASCADE}, {ICW4_8086, ICW4_8086}};
  host_portOut8(PIC_1, ICW1_INIT_ICW4);
  host_portOut8(PIC_2, ICW1_INIT_ICW4);
  for (u32 i = 0; i < 3; i++) {
    host_portOut8(PIC_1 + 1, words[i][0]);
    host_portOut8(PIC_2 + 1, words[i][1]);
  }
  lines_write_masks();
}

static bool line_is_spurious(u32 line) {
  const u32 controller = line < 8 ? PIC_1 : PIC_2;
  if (line % 8 != 7) return false;
  host_portOut8(controller, OCW3_READ_ISR);
  return !(host_portIn8(controller) & 1u << 7);
}

static void line_taken(u32 line) {
  const bool real = !line_is_spurious(line);
  if (real) pending |= 1u << line;
  if (real && line >= 8) host_portOut8(PIC_2, OCW2_EOI);
  if (real || line >= 8) host_portOut8(PIC_1, OCW2_EOI); // the cascade is real either way
}

// PCI's lines are level-triggered and shared. Firmware says so in the ELCR for those that it routes;
// this makes sure of it, among the lines that may be.
u32 host_interruptOpen(u32 line) {
  const u32 may_be_level = 0xdef8;
  if (line >= LINES || !(may_be_level & 1u << line)) return false;
  const u32 port = line < 8 ? ELCR_1 : ELCR_2;
  host_portOut8(port, host_portIn8(port) | 1u << line % 8);
  host_interruptMask(line, false);
  return true;
}

void host_interruptMask(u32 line, u32 masked) {
  if (line >= LINES || line == CASCADE) return;
  line_masks = masked ? line_masks | 1u << line : line_masks & ~(1u << line);
  lines_write_masks();
}

u32 host_interruptsPending(void) {
  const u32 lines = pending;
  pending = 0;
  return lines;
}

// ---- The timer: the local APIC's (Intel SDM 3A, 10.5) -------------------------------------------

enum { SVR = 0xf0, EOI = 0xb0, TPR = 0x80, LVT_TIMER = 0x320, LVT_LINT0 = 0x350, LVT_LINT1 = 0x360 };
enum { INITIAL_COUNT = 0x380, CURRENT_COUNT = 0x390, DIVIDE = 0x3e0, DIVIDE_BY_16 = 3 };
enum { SVR_ENABLE = 1 << 8, EXTINT = 7 << 8, NMI = 4 << 8, MASKED = 1 << 16, TSC_DEADLINE = 2 << 17 };

static volatile u32 *apic;
static bool has_deadline;
static u64 timer_hertz, count_started;

// Starts counting, masked, while clock.c finds the TSC's rate.
void timer_start(void) {
  enum { HAS_APIC = 1 << 9, HAS_DEADLINE = 1 << 24, GLOBAL_ENABLE = 1 << 11, X2APIC = 1 << 10 };
  const struct cpuid features = cpuid(1);
  const u64 base = read_msr(MSR_APIC_BASE);
  if (!(features.edx & HAS_APIC) || base & X2APIC) panic("no local APIC in its first mode to sleep by");
  write_msr(MSR_APIC_BASE, base | GLOBAL_ENABLE);
  apic = paging_map_device(base & 0xffffff000u);
  has_deadline = features.ecx & HAS_DEADLINE;
  apic[SVR / 4] = SVR_ENABLE | VECTOR_SPURIOUS;
  apic[TPR / 4] = 0;
  apic[LVT_LINT0 / 4] = EXTINT;
  apic[LVT_LINT1 / 4] = NMI;
  apic[DIVIDE / 4] = DIVIDE_BY_16;
  apic[LVT_TIMER / 4] = MASKED;
  apic[INITIAL_COUNT / 4] = 0xffffffff;
  count_started = rdtsc();
}

void timer_calibrate(void) {
  const u64 counted = 0xffffffff - apic[CURRENT_COUNT / 4];
  timer_hertz = multiply_divide(counted, tsc_hertz, rdtsc() - count_started);
  apic[INITIAL_COUNT / 4] = 0;
  apic[LVT_TIMER / 4] = has_deadline ? TSC_DEADLINE | VECTOR_TIMER : VECTOR_TIMER;
}

// One interrupt at `deadline`, or earlier where the counter does not reach that far.
static void timer_arm(u64 now, u64 deadline) {
  const u64 longest_ns = 3000000000u; // times the rate still fits 64 bits
  const u64 ns = deadline - now < longest_ns ? deadline - now : longest_ns;
  if (has_deadline) {
    write_msr(MSR_TSC_DEADLINE, clock_tsc_at(now + ns));
  } else {
    const u64 count = ns * timer_hertz / 1000000000u + 1;
    apic[INITIAL_COUNT / 4] = count < 0xffffffff ? (u32)count : 0xffffffff;
  }
}

static void timer_stop(void) {
  if (has_deadline) write_msr(MSR_TSC_DEADLINE, 0);
  else apic[INITIAL_COUNT / 4] = 0;
}

// ---- Sleep ---------------------------------------------------------------------------------------

// Called by traps.S with interrupts off. A spurious one wants no answer (Intel SDM 3A, 10.9).
void interrupt_taken(u32 number) {
  if (number < LINES) line_taken(number);
  if (number == NUMBER_TIMER) apic[EOI / 4] = 0;
}

// Until `deadline` on host_monotonic's scale or an open line; sometimes sooner, never later.
void sleep_until(u64 deadline) {
  const u64 never = ~0ull;
  if (deadline != never) {
    const u64 now = host_monotonic();
    if (deadline <= now) return;
    timer_arm(now, deadline);
  }
  __asm__ volatile("sti; hlt; cli" ::: "memory");
  if (deadline != never) timer_stop();
}

void interrupts_start(void) {
  for (u32 number = 0; number <= NUMBER_TIMER; number++) {
    traps_gate(VECTOR_LINES + number, interrupt_entries + 8 * number, 0);
  }
  traps_gate(VECTOR_SPURIOUS, interrupt_entries + 8 * NUMBER_SPURIOUS, 0);
  lines_start();
}
