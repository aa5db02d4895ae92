// <signal.h>: handlers, which only the program itself can call.

#include "internal.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <wasi/api.h>

enum { SIGNALS = 32 };

// What SIG_ERR and SIG_IGN are: functions, for small numbers are addresses of functions here.
void __SIG_ERR(int signal) { _Exit(128 + signal); }
void __SIG_IGN(int signal) { (void)signal; }

static struct sigaction actions[SIGNALS];
static sigset_t blocked, pending;

static int known(int signal) { return signal > 0 && signal < SIGNALS; }

// What becomes of a program that does not say (POSIX, signal.h): most signals end it.
static void by_default(int signal) {
  if (signal == SIGCHLD || signal == SIGURG || signal == SIGWINCH || signal == SIGCONT) return;
  _Exit(128 + signal);
}

static void deliver(int signal) {
  struct sigaction *const action = &actions[signal];
  void (*const handler)(int) = action->sa_handler;
  if (handler == SIG_IGN) return;
  if (handler == SIG_DFL) {
    by_default(signal);
    return;
  }
  if (action->sa_flags & SA_SIGINFO) {
    siginfo_t information = {.si_signo = signal};
    action->sa_sigaction(signal, &information, NULL);
  } else {
    if (action->sa_flags & (int)SA_RESETHAND) action->sa_handler = SIG_DFL;
    handler(signal);
  }
}

int raise(int signal) {
  if (!known(signal)) return result(-EINVAL);
  if (blocked >> signal & 1) pending |= 1ull << signal;
  else deliver(signal);
  return 0;
}

int kill(pid_t pid, int signal) {
  if (signal && !known(signal)) return result(-EINVAL);
  if (pid != getpid() && pid > 0) return result(-ESRCH);
  return signal ? raise(signal) : 0;
}

int sigaction(int signal, const struct sigaction *__restrict to, struct sigaction *__restrict old) {
  if (!known(signal) || (to && (signal == SIGKILL || signal == SIGSTOP))) return result(-EINVAL);
  if (old) *old = actions[signal];
  if (to) actions[signal] = *to;
  return 0;
}

void (*signal(int signal, void (*handler)(int)))(int) {
  struct sigaction old, to = {.sa_flags = SA_RESTART};
  to.sa_handler = handler;
  return sigaction(signal, &to, &old) ? SIG_ERR : old.sa_handler;
}

int sigprocmask(int how, const sigset_t *__restrict to, sigset_t *__restrict old) {
  if (old) *old = blocked;
  if (!to) return 0;
  if (how == SIG_BLOCK) blocked |= *to;
  else if (how == SIG_UNBLOCK) blocked &= ~*to;
  else if (how == SIG_SETMASK) blocked = *to;
  else return result(-EINVAL);
  for (int signal = 1; signal < SIGNALS; signal++) {
    if (!(pending & ~blocked & 1ull << signal)) continue;
    pending &= ~(1ull << signal);
    deliver(signal);
  }
  return 0;
}

int sigemptyset(sigset_t *set) { return *set = 0, 0; }

int sigfillset(sigset_t *set) { return *set = ~0ull, 0; }

int sigaddset(sigset_t *set, int signal) {
  if (!known(signal)) return result(-EINVAL);
  *set |= 1ull << signal;
  return 0;
}

int sigdelset(sigset_t *set, int signal) {
  if (!known(signal)) return result(-EINVAL);
  *set &= ~(1ull << signal);
  return 0;
}

int sigismember(const sigset_t *set, int signal) {
  return known(signal) ? (int)(*set >> signal & 1) : result(-EINVAL);
}
