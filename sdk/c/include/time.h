/** wasi-libc's header, and what it leaves out. */
#ifndef SKERRY_TIME_H
#define SKERRY_TIME_H

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
