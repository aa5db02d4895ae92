/** wasi-libc's header, and what it leaves out. */
#ifndef SKERRY_STDLIB_H
#define SKERRY_STDLIB_H

#include_next <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Makes and opens a file of a name that nobody has: the six X at the end of `name` are replaced. */
int mkstemp(char *name);

#ifdef __cplusplus
}
#endif

#endif
