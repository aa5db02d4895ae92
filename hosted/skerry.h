// Skerry machines inside a Linux process: the C interface of libskerry.so.
//
// A machine is the same kernel as on metal, with its own memory and one network card or several, whose
// frames the caller carries. Nothing here blocks, sleeps or starts a thread. The usual life:
//
//     struct skerry *m = skerry_start(&(struct skerry_config){.command_line = "ip=10.0.0.2/24"});
//     for (;;) {
//       uint64_t deadline = skerry_step(m);                  // does what is ready
//       while (skerry_take(m, 0, &frame) == 1) deliver(&frame);  // what it sends
//       wait until skerry_now(m) >= deadline or a frame comes; skerry_inject(m, 0, &frame);
//     }
//
// Rules for every call:
// - A machine is used by one thread at a time; different machines by different threads as they like.
// - Built with clang, the library keeps the thread's GS segment base for itself from the first call on.
//   (Linux programs on x86-64 do not use GS.)
// - Results are 0 or more for success, or -errno. -ESHUTDOWN: the machine has ended (`skerry_ended`).
// - Callbacks may not call functions on the machine that they are called for.
#ifndef SKERRY_H
#define SKERRY_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SKERRY_API __attribute__((visibility("default")))

/// One machine. Made by `skerry_start`, freed by `skerry_stop`.
struct skerry;

/// No deadline: only a frame, or a system call, gives the machine something to do.
#define SKERRY_NEVER UINT64_MAX

/// Bytes of the smallest and the largest frame, without frame check sequence: of the largest, four are a VLAN tag's.
#define SKERRY_FRAME_LEAST 14
#define SKERRY_FRAME_MOST 1518

/// Most network cards of a machine.
#define SKERRY_LINKS_MOST 8

/// What a machine is made of. All zero is a good one, apart from an address: it asks DHCP.
/// Nothing is referred to after `skerry_start` returns, except callbacks and their context.
struct skerry_config {
  /// The first card's address; all zero for 52:54:00:12:34:56. No group address. The others' count up from
  /// it in the last three bytes.
  uint8_t mac[6];
  /// Network cards: eth0, eth1, …, to the calls 0, 1, …. 0 for one; at most SKERRY_LINKS_MOST. Each keeps 256
  /// packets for what it receives.
  uint32_t links;
  /// Leaves checksums of TCP and UDP to whoever reads the sent frames (`SKERRY_CHECKSUM`), and
  /// believes those of received frames that are so marked; TCP's bulk data goes through the machine in
  /// packets of up to 64 KB, which become frames as they are taken. Otherwise the machine sums, and
  /// cuts, in software.
  bool checksum_offload;
  /// Time is CLOCK_MONOTONIC since start. Otherwise it begins at 0 and only `skerry_advance` moves it.
  bool real_clock;
  /// Bytes of RAM, 16 MiB to 2 GiB; 0 for 64 MiB. Pages that are never used cost nothing.
  uint32_t ram;
  /// Seeds the machine's random numbers: the same seed, clock and frames give the same run. 0 for
  /// unpredictable ones.
  uint64_t seed;
  /// The kernel command line, as in "ip=10.0.0.2/24 gw=10.0.0.1"; NULL for none. At most 4,096 bytes.
  const char *command_line;
  /// The file pack (`skerry` builds one from a site), copied; NULL for none.
  const void *pack;
  uint32_t pack_length;
  /// Called with what the machine prints, UTF-8, not terminated. NULL throws it away.
  void (*console)(void *context, const char *text, uint32_t length);
  /// Called once when the machine ends, with `skerry_ended`'s text, while the kernel's frames are
  /// still on the stack: a fuzzer calls abort() here. NULL for nothing.
  void (*ended)(void *context, const char *reason);
  /// Handed to both.
  void *context;
};

/// A frame: its bytes in up to three runs, destination address first, without check sequence.
struct skerry_frame {
  uint32_t runs;
  struct {
    const uint8_t *bytes;
    uint32_t length;
  } run[3];
  /// Bits below.
  uint32_t flags;
  /// With SKERRY_CHECKSUM, in a frame taken: the one's complement sum of the bytes from offset
  /// `checksum_start` to the end belongs, complemented, into the 16-bit field at `checksum_field`,
  /// which already holds the pseudo-header's sum.
  uint16_t checksum_start;
  uint16_t checksum_field;
};

enum {
  /// Taken: the transport checksum is not filled in. Injected: every checksum counts as right, filled
  /// in or not; needs `checksum_offload`.
  SKERRY_CHECKSUM = 1,
};

/// Brings a machine up: returns once its program has started. NULL with errno set: EINVAL for a
/// config out of bounds, ENOMEM for want of address space (8 GiB each) or memory, ECANCELED if the
/// machine ended while it started (its `ended` callback knows why).
SKERRY_API struct skerry *skerry_start(const struct skerry_config *config);

/// Frees the machine and all of its memory. NULL is ignored.
SKERRY_API void skerry_stop(struct skerry *machine);

/// Does what is ready, one round, and returns when to be called again on `skerry_now`'s scale: a moment
/// not after now for at once, SKERRY_NEVER for when a frame or a system call comes. Calling earlier does
/// no harm; later delays the machine's timers. Ends the life of the frames taken last.
SKERRY_API uint64_t skerry_step(struct skerry *machine);

/// Presses the power button: in the steps from now on the machine tells the network that it leaves, gives back what it
/// has leased, and ends with "exit 0", some 100 ms later by its clock. Again, or after its end: nothing.
SKERRY_API void skerry_power_off(struct skerry *machine);

/// Nanoseconds since the machine started.
SKERRY_API uint64_t skerry_now(const struct skerry *machine);

/// Moves a virtual clock on by `ns`. -EINVAL for a machine with a real clock, or if time would overflow.
SKERRY_API int skerry_advance(struct skerry *machine, uint64_t ns);

/// Gives the machine's card `link` a frame, copied before the call returns. The next `skerry_step` sees it.
/// -EINVAL: no such card, no frame, lengths out of bounds, or SKERRY_CHECKSUM on a machine that sums for itself.
/// -EAGAIN: all 256 receive buffers of the card are full; step the machine and inject again, or lose the frame as a
/// card would.
SKERRY_API int skerry_inject(struct skerry *machine, uint32_t link, const struct skerry_frame *frame);

/// Takes the next frame that the machine's card `link` sends. 1: `frame` refers to its bytes where they lie in
/// the machine's memory, until the next `skerry_take` of this card or `skerry_step` of this machine; so handing
/// it on to another machine's `skerry_inject` copies once. 0: there is none. -EINVAL: there is no such card.
/// Frames not taken stay, and hold the card up once 256 descriptors are full.
SKERRY_API int skerry_take(struct skerry *machine, uint32_t link, struct skerry_frame *frame);

/// A stretch of the machine's memory that is the caller's: for the pointers of system calls.
struct skerry_memory {
  /// Where the process sees it.
  uint8_t *bytes;
  /// Where the machine sees it: the pointer to pass for `bytes`.
  uint32_t address;
  /// 1 MiB.
  uint32_t length;
};

/// The caller's stretch; it stays where it is until `skerry_stop`.
SKERRY_API struct skerry_memory skerry_memory(struct skerry *machine);

/// A system call of sdk/assembly/syscalls.ts, by number. Never blocks: what cannot be done now is
/// -EAGAIN, and `Poll` names the sockets with news. Pointers are the machine's addresses
/// (`skerry_memory`); one that is out of its memory is -EFAULT. What a call queues goes out in the next
/// `skerry_step`. Errors are -errno with Linux's numbers.
SKERRY_API int32_t skerry_syscall(struct skerry *machine, uint32_t number, uint32_t a0, uint32_t a1,
                                  uint32_t a2, uint32_t a3, uint32_t a4);

/// NULL while the machine runs; then why it ended: "exit 0", "restart", "panic: …" or "trap: …". The text lives as
/// long as the machine.
SKERRY_API const char *skerry_ended(const struct skerry *machine);

#ifdef __cplusplus
}
#endif
#endif
