import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { SECOND } from "../../tools/sim/simulation.ts";
import { cProgram, nativeProgram } from "./guest-programs.ts";
import { simulate, type StationOptions } from "./harness.ts";

/**
 * What guests' calls say, held against Linux: the same source, compiled for both, prints the same. What Linux printed
 * is kept in a `.linux` beside it, since a machine's own network, limits and load are no business of a simulation;
 * after a change of a source `RECORD=1` writes it anew, as root, in a network namespace that `setUp` prepares.
 * Recorded on Linux 6.18.
 */
function holds(name: string, what: string, setUp: string[], options: StationOptions = {}): void {
  const source = `tests/sim/guests/${name}.c`;
  const linux = `tests/sim/guests/${name}.linux`;
  if (process.env["RECORD"]) {
    const script = [...setUp, 'exec "$0"'].join(" && ");
    const words = ["--net", "sh", "-c", script, nativeProgram(source)];
    const { status, stdout, stderr } = spawnSync("unshare", words, { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    writeFileSync(linux, stdout);
  }
  simulate(what, (world) => {
    const guests = [cProgram(source, name)];
    const { machine } = world.ready({ memory: 64 << 20, guests, ...options });
    machine.expectLine(new RegExp(`guest: ${name} ended code=0`), 20 * SECOND);
    // What the kernel says in between begins with the time.
    const said = machine.console.filter((line) => !/^\d+\.\d{6} /.test(line));
    assert.deepEqual(said, readFileSync(linux, "utf8").trim().split("\n"));
  });
}

holds("calls", "sockets, polls, events, timers and descriptors say what they do on Linux", [
  "ip link set lo up",
]);

holds(
  "ifaddrs",
  "interfaces have the addresses that they have on Linux",
  [
    "ip link set lo up",
    "ip tuntap add eth0 mode tap",
    "ip link set eth0 up",
    "ip addr add 10.0.0.2/24 brd + dev eth0",
    "ip addr add 2001:db8::2/64 dev eth0 nodad",
    "ip addr add fe80::5054:ff:fe5a:101/64 dev eth0 nodad",
  ],
  { ip6: "2001:db8::2/64" },
);
