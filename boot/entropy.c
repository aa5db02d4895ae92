// Unpredictable bits: the processor's generator where it has one, and always the jitter of timing.
//
// Each sample is the last four words of a ChaCha20 block (RFC 8439, 2.3) keyed with a 256-bit pool.
// Half of the block becomes the pool; the other half may be given out, and tells nothing of it.

#include "boot.h"
#include "cpu.h"

enum { SAMPLES_AT_START = 512, SAMPLES_PER_CALL = 32 };

static u32 pool[8];
static bool has_rdrand, has_rdseed;

static u32 rotate(u32 value, u32 by) { return value << by | value >> (32 - by); }
static void quarter_round(u32 *s, u32 a, u32 b, u32 c, u32 d) {
  s[a] += s[b], s[d] = rotate(s[d] ^ s[a], 16);
  s[c] += s[d], s[b] = rotate(s[b] ^ s[c], 12);
  s[a] += s[b], s[d] = rotate(s[d] ^ s[a], 8);
  s[c] += s[d], s[b] = rotate(s[b] ^ s[c], 7);
}

static void stir(u64 first, u64 second, u32 output[8]) {
  u32 input[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}, s[16];
  memcpy(input + 4, pool, sizeof pool);
  memcpy(input + 12, &first, 8);
  memcpy(input + 14, &second, 8);
  memcpy(s, input, sizeof s);
  for (u32 i = 0; i < 20; i++) { // columns, then diagonals, ten times
    const u32 slant = i & 1;
    for (u32 c = 0; c < 4; c++) {
      quarter_round(s, c, 4 + (c + slant) % 4, 8 + (c + 2 * slant) % 4, 12 + (c + 3 * slant) % 4);
    }
  }
  for (u32 i = 0; i < 8; i++) {
    pool[i] = s[i] + input[i];
    output[i] = s[8 + i] + input[8 + i];
  }
}

static u64 hardware_random(void) {
  u64 value = 0;
  bool valid = false;
  for (u32 tries = 0; !valid && tries < 20; tries++) { // rdseed may run dry; rdrand hardly ever does
    if (has_rdseed && tries < 10) __asm__ volatile("rdseed %0" : "=r"(value), "=@ccc"(valid));
    else if (has_rdrand) __asm__ volatile("rdrand %0" : "=r"(value), "=@ccc"(valid));
  }
  return value;
}

// How long a look at the PIT takes: a trip through chipset or hypervisor, with a time of its own.
// Returns how often the time differed from the one before.
static u32 gather(u32 samples) {
  u32 output[8], differing = 0;
  for (u64 previous = 0; samples--;) {
    const u64 before = rdtsc();
    const u32 count = host_portIn8(0x40);
    const u64 took = rdtsc() - before;
    differing += took != previous;
    previous = took;
    stir(before << 8 | count, took ^ hardware_random(), output);
  }
  return differing;
}

void entropy_start(void) {
  has_rdrand = cpuid(1).ecx & 1 << 30;
  has_rdseed = cpuid(0).eax >= 7 && cpuid(7).ebx & 1 << 18;
  // Some processors answer the same for ever and call it random (AMD's family 15h, after a suspend).
  for (u32 i = 0; i < 4; i++) {
    if (hardware_random() == hardware_random()) has_rdrand = has_rdseed = false;
  }
  u32 output[8];
  stir(host_wallClock(), rdtsc(), output);
  // A machine whose every access takes equally long has little jitter to give: ask it for more.
  for (u32 round = 0; round < 64 && gather(SAMPLES_AT_START) < SAMPLES_AT_START / 8; round++) continue;
}

void host_entropy(u32 into, u32 length) {
  gather(SAMPLES_PER_CALL);
  u32 output[8];
  for (u32 bytes; length; into += bytes, length -= bytes) {
    stir(rdtsc(), 0, output);
    bytes = length < sizeof output ? length : sizeof output;
    memcpy((void *)(u64)into, output, bytes);
  }
}
