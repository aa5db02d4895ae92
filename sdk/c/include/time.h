/** wasi-libc's header, and what it leaves out. */
#ifndef SKERRY_TIME_H
#define SKERRY_TIME_H

/* `clock` is sdk/c's: processor time, of which CLOCKS_PER_SEC are a second as ever. */
#ifndef _WASI_EMULATED_PROCESS_CLOCKS
#define _WASI_EMULATED_PROCESS_CLOCKS
#endif
#include_next <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Time here is UTC, whatever TZ says. */
void tzset(void);

#ifdef __cplusplus
}
#endif

#endif
