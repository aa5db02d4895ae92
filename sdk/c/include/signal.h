/**
 * wasi-libc's header, and what sdk/c/signal.c adds to it. No signal ever comes from outside, and writing to
 * a closed connection is EPIPE and no signal; `raise` and `kill` of oneself call the handler.
 */
#ifndef _WASI_EMULATED_SIGNAL
#define _WASI_EMULATED_SIGNAL
#endif
#include_next <signal.h>

#ifndef SKERRY_SIGNAL_H
#define SKERRY_SIGNAL_H

#include <__typedef_sigset_t.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef SIG_BLOCK
#define SIG_BLOCK 0
#define SIG_UNBLOCK 1
#define SIG_SETMASK 2
#endif
#ifndef SA_RESTART
#define SA_NOCLDSTOP 1
#define SA_NOCLDWAIT 2
#define SA_SIGINFO 4
#define SA_ONSTACK 0x08000000
#define SA_RESTART 0x10000000
#define SA_NODEFER 0x40000000
#define SA_RESETHAND 0x80000000
#endif

typedef struct {
  int si_signo, si_errno, si_code;
} siginfo_t;

struct sigaction {
  union {
    void (*sa_handler)(int);
    void (*sa_sigaction)(int, siginfo_t *, void *);
  } __handler;
  sigset_t sa_mask;
  int sa_flags;
};
#define sa_handler __handler.sa_handler
#define sa_sigaction __handler.sa_sigaction

int kill(pid_t pid, int signal);
int sigaction(int signal, const struct sigaction *__restrict to, struct sigaction *__restrict old);
int sigemptyset(sigset_t *set);
int sigfillset(sigset_t *set);
int sigaddset(sigset_t *set, int signal);
int sigdelset(sigset_t *set, int signal);
int sigismember(const sigset_t *set, int signal);
int sigprocmask(int how, const sigset_t *__restrict to, sigset_t *__restrict old);

#ifdef __cplusplus
}
#endif

#endif
