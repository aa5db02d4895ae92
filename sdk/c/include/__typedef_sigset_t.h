/** In place of wasi-libc's, which has room for eight signals. */
#ifndef SKERRY_TYPEDEF_SIGSET_T_H
#define SKERRY_TYPEDEF_SIGSET_T_H

typedef unsigned long long sigset_t;

#endif
