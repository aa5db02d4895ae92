// <syslog.h>: the console.

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

static const char *program = "";
static int shows_process, mask = 0xff;

void openlog(const char *name, int options, int facility) {
  (void)facility;
  program = name ? name : "";
  shows_process = options & LOG_PID;
}

void closelog(void) { program = ""; }

int setlogmask(int to) {
  const int before = mask;
  if (to) mask = to;
  return before;
}

void vsyslog(int priority, const char *format, va_list arguments) {
  static const char *const names[] = {"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"};
  const int error = errno;
  char line[1024];
  if (!(mask & LOG_MASK(LOG_PRI(priority)))) return;
  int length = 0;
  // %m is what errno says; every other conversion is printf's.
  char extended[512];
  size_t at = 0;
  for (const char *from = format; *from && at < sizeof extended - 64; from++) {
    if (from[0] == '%' && from[1] == 'm') {
      for (const char *why = strerror(error); *why && at < sizeof extended - 4; why++) {
        if (*why == '%') extended[at++] = '%';
        extended[at++] = *why;
      }
      from++;
    } else {
      extended[at++] = *from;
      if (from[0] == '%' && from[1] == '%') extended[at++] = *++from;
    }
  }
  extended[at] = 0;
  length = vsnprintf(line, sizeof line, extended, arguments);
  const int ends = length > 0 && (size_t)length < sizeof line && line[length - 1] == '\n';
  fprintf(stderr, "%s%s%s%s: %s%s", program, shows_process ? "[1]" : "", *program ? " " : "", names[LOG_PRI(priority)],
          line, ends ? "" : "\n");
  errno = error;
}

void syslog(int priority, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsyslog(priority, format, arguments);
  va_end(arguments);
}
