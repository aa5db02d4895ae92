// Sleeping, and what ends it: one timer, sixteen lines, and whatever sends the local APIC a message.
//
// Interrupts are enabled for the length of one `hlt`, and while a guest runs (guest.S), whose turn one ends: no
// code of the kernel's or the shim's runs beside another.
// What arrives in between stays pending in the controllers; `sti` lets nothing in before the
// instruction after it has begun, so that it ends the `hlt` at once: no wake-up is lost.
//
// Lines come through the two 8259A, behind the local APIC's LINT0. The kernel sees to the I/O APIC and
// to devices that send messages; they get addresses and vectors here.

#include "boot.h"
#include "cpu.h"

enum { NUMBERS = 64, NUMBER_TIMER = NUMBERS, NUMBER_SPURIOUS }; // as traps.S numbers its entries
enum { VECTOR_FIRST = 32, VECTOR_TIMER = VECTOR_FIRST + NUMBER_TIMER, VECTOR_SPURIOUS = 255 };
extern const u8 interrupt_entries[];
static u64 pending;
static u32 taken;       // the number of the interrupt taken last
static bool in_service; // the local APIC waits for the end of the interrupt taken last

// ---- Lines: 8259A data sheet; ELCR in 82371AB's, 4.2.6 ------------------------------------------
enum { LINES = 16, PIC_1 = 0x20, PIC_2 = 0xa0, ELCR_1 = 0x4d0, ELCR_2 = 0x4d1, CASCADE = 2 };
enum { ICW1_INIT_ICW4 = 0x11, ICW4_8086_AUTO_EOI = 0x03 };
static u32 line_masks = 0xffff & ~(1u << CASCADE);

static void both(u32 port, u32 first, u32 second) { // controllers' same port
  host_portOut8(PIC_1 + port, first);
  host_portOut8(PIC_2 + port, second);
}

static void lines_start(void) {
  both(0, ICW1_INIT_ICW4, ICW1_INIT_ICW4);
  both(1, VECTOR_FIRST, VECTOR_FIRST + 8);
  both(1, 1 << CASCADE, CASCADE);
  both(1, ICW4_8086_AUTO_EOI, ICW4_8086_AUTO_EOI); // with one interrupt a sleep, nothing to hold back
  both(1, line_masks & 0xff, line_masks >> 8);
}

// PCI's lines are level-triggered: firmware says so in the ELCR, and this makes sure, where it may be.
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
  both(1, line_masks & 0xff, line_masks >> 8);
}

u64 host_interruptsPending(void) {
  const u64 numbers = pending;
  pending = 0;
  return numbers;
}

// ---- The timer: the local APIC's (Intel SDM 3A, 10.5) -------------------------------------------
enum { ID = 0x20, SVR = 0xf0, EOI = 0xb0, TPR = 0x80, LVT_TIMER = 0x320, LVT_LINT0 = 0x350, LVT_LINT1 = 0x360 };
enum { INITIAL_COUNT = 0x380, CURRENT_COUNT = 0x390, DIVIDE = 0x3e0, DIVIDE_BY_16 = 3 };
enum { SVR_ENABLE = 1 << 8, EXTINT = 7 << 8, NMI = 4 << 8, MASKED = 1 << 16 };

static volatile u32 *apic;
static u64 timer_hertz, count_started;
static u64 timer_end; // when the timer fires, on host_monotonic's scale; 0 once its interrupt was taken

// Starts counting, masked, while clock.c finds the TSC's rate.
void timer_start(void) {
  const u64 x2apic = 1 << 10, enable = 1 << 11, base = read_msr(MSR_APIC_BASE);
  if (base & x2apic) write_msr(MSR_APIC_BASE, base & ~(x2apic | enable)); // the one way out of that mode
  write_msr(MSR_APIC_BASE, (base & ~x2apic) | enable);
  apic = paging_map_device(base & 0xffffff000u);
  const u32 set_up[][2] = {{SVR, SVR_ENABLE | VECTOR_SPURIOUS}, {TPR, 0}, {LVT_LINT0, EXTINT}, {LVT_LINT1, NMI},
                           {DIVIDE, DIVIDE_BY_16}, {LVT_TIMER, MASKED}, {INITIAL_COUNT, 0xffffffff}};
  for (u32 i = 0; i < sizeof set_up / sizeof *set_up; i++) apic[set_up[i][0] / 4] = set_up[i][1];
  count_started = rdtsc();
}

void timer_calibrate(void) {
  const u64 counted = 0xffffffff - apic[CURRENT_COUNT / 4];
  timer_hertz = multiply_divide(counted, tsc_hertz, rdtsc() - count_started);
  apic[INITIAL_COUNT / 4] = 0;
  apic[LVT_TIMER / 4] = VECTOR_TIMER; // once for each count
}

// One interrupt at `deadline`, or earlier: where the counter does not reach that far, and where the timer is
// armed for a moment before it. An interrupt too many costs less than arming anew each time, which wakes
// QEMU's main loop, the thread that also carries packets; so nothing ever stops the timer.
static void timer_arm(u64 now, u64 deadline) {
  if (timer_end > now && timer_end <= deadline) return;
  const u64 longest = 3000000000u; // times the rate still fits 64 bits
  const u64 ns = deadline <= now ? 0 : deadline - now < longest ? deadline - now : longest;
  const u64 count = ns * timer_hertz / 1000000000u + 1;
  apic[INITIAL_COUNT / 4] = count < 0xffffffff ? (u32)count : 0xffffffff;
  timer_end = now + ns;
}

// Intel SDM 3A, 10.11: to this processor, by its number; fixed, edge.
u64 host_interruptMessage(u32 number) {
  const u64 vector = VECTOR_FIRST + number, id = apic[ID / 4] >> 24;
  return number < NUMBERS ? vector << 32 | 0xfee00000 | id << 12 : 0;
}

// ---- Sleep ---------------------------------------------------------------------------------------
// Called by traps.S with interrupts off. A spurious one wants no answer (Intel SDM 3A, 10.9), and the
// 8259A's come as line 7 or 15, which nobody has opened or else is woken for nothing.
void interrupt_taken(u32 number) {
  if (number < NUMBERS) pending |= 1ull << number;
  if (number == NUMBER_TIMER) timer_end = 0;
  taken = number;
  in_service = number != NUMBER_SPURIOUS;
}

// Only when the device has been served: a level-triggered line would be found raised still. An interrupt of
// the 8259A's has nothing to end here, which does no harm.
static void end_of_interrupt(void) {
  if (in_service) apic[EOI / 4] = 0;
  in_service = false;
}

// Until `deadline` on host_monotonic's scale or an open line; sometimes sooner, never later.
void sleep_until(u64 deadline) {
  do {
    const u64 now = host_monotonic();
    if (deadline <= now) return;
    if (deadline != ~0ull) timer_arm(now, deadline);
    end_of_interrupt();
    __asm__ volatile("sti; hlt" ::: "memory");
  } while (taken == NUMBER_TIMER); // which may have been armed for an earlier moment
}

// Has a guest interrupted at `deadline`, or before.
void guest_slice(u64 deadline) {
  static u64 last;
  end_of_interrupt();
  if (deadline == last) return;
  last = deadline;
  timer_arm(host_monotonic(), deadline);
}

void interrupts_start(void) {
  for (u32 i = 0; i <= NUMBER_TIMER; i++) traps_gate(VECTOR_FIRST + i, interrupt_entries + 8 * i, IST_INTERRUPTS);
  traps_gate(VECTOR_SPURIOUS, interrupt_entries + 8 * NUMBER_SPURIOUS, IST_INTERRUPTS);
  lines_start();
}
