// A division by zero, in a function that is inlined into one that is not.
#include <stdlib.h>

static volatile int two = 2;

static inline int quotient(const int *values, int index) {
  return values[index] / (index - two); // here
}

__attribute__((noinline)) static int sum(const int *values, int count) {
  int total = 0;
  for (int i = 0; i < count; i++)
    total += quotient(values, i);
  return total;
}

int main(int count, char **arguments) {
  const int values[] = {1, 2, 3, count};
  return sum(values, 4) == atoi(arguments[0]); // and from here
}
