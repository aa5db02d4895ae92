// Says who it is: arguments and environment, in one line.
#include <stdio.h>

extern char **environ;

int main(int count, char **arguments) {
  char line[512];
  int length = snprintf(line, sizeof line, "I am %s of %d:", arguments[0], count);
  for (int i = 1; i < count; i++) length += snprintf(line + length, sizeof line - length, " %s", arguments[i]);
  for (char **variable = environ; *variable; variable++)
    length += snprintf(line + length, sizeof line - length, " {%s}", *variable);
  puts(line);
  return 0;
}
