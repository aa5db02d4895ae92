"""Runs a program at a terminal of Linux, types what stands on standard input, and prints as JSON what the terminal
has shown and what the program has said (both hexadecimal)."""

import json
import os
import select
import subprocess
import sys
import termios

master, slave = os.openpty()
attributes = termios.tcgetattr(slave)
attributes[0] |= 0o40000  # IUTF8, which the module does not name
termios.tcsetattr(slave, termios.TCSANOW, attributes)
typed = sys.stdin.buffer.read()
program = subprocess.Popen(sys.argv[1:], stdin=slave, stdout=subprocess.PIPE)
output = program.stdout.fileno()
shown = said = b""
while b"ready\n" not in said:
    said += os.read(output, 65536)
os.close(slave)
sent = 0
while True:
    writable = [master] if sent < len(typed) else []
    readable, writable, _ = select.select([master, output], writable, [], 30)
    if not readable and not writable:
        sys.exit("the terminal is silent")
    if writable:
        sent += os.write(master, typed[sent : sent + 256])
    if output in readable:
        part = os.read(output, 65536)
        if not part:
            break
        said += part
    if master in readable:
        try:
            shown += os.read(master, 65536)
        except OSError:  # all who had the terminal open are gone
            pass
program.wait()
while select.select([master], [], [], 0)[0]:
    try:
        shown += os.read(master, 65536)
    except OSError:
        break
print(json.dumps({"shown": shown.hex(), "said": said.hex()}))
