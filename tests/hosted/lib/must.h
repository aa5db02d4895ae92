// How a program of the tests ends that has seen what must not be.
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn __attribute__((format(printf, 1, 2))) static void failed(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  printf("FAILED: ");
  vprintf(format, arguments);
  printf("\n");
  exit(1);
}

/// Ends the program with what is said behind it unless `condition` holds.
#define MUST(condition, ...)               \
  do {                                     \
    if (!(condition)) failed(__VA_ARGS__); \
  } while (0)
