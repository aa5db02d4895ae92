#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/** What the programs of the tests hold against each other. */

_Noreturn __attribute__((format(printf, 1, 2))) static void failed(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  printf("FAILED: ");
  vprintf(format, arguments);
  printf("\n");
  exit(1);
}

/** Ends the program with what is said behind it unless `condition` holds. */
#define MUST(condition, ...)               \
  do {                                     \
    if (!(condition)) failed(__VA_ARGS__); \
  } while (0)
