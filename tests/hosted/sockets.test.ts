/** Socket calls one by one, on Linux and on Skerry: sockets.c has the scenarios. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { before, describe, test } from "node:test";
import { Namespace, namespaceTrouble } from "../../tools/qemu/namespace.ts";
import { libraryProgram } from "./program.ts";

let program = "";

/** Linux's part waits for its delayed ACKs in each scenario: so many parts wait at once. */
const PARTS = 4;
/**
 * How often Linux is asked again where the two differ: a few of its answers hold for 200 ms only (the cork's timer),
 * and the CPU may be elsewhere for as long.
 */
const AGAIN = 3;

type Difference = [theirs: number, ours: number, why: string];

/** Where Skerry answers otherwise on purpose: scenario and call, its answer, and why. sdk/c/README.md says so, too. */
const DELIBERATE: Record<string, Difference> = {
  "fresh_send 1 do_send(c, 9, 0)": [
    -32,
    -107,
    "POSIX: ENOTCONN, and a pipe that never was is not broken",
  ],
  "listener_send 1 do_send(l, 1, 0)": [-32, -107, "likewise"],
  "listener_connect 1 do_connect(l, port)": [
    -106,
    -95,
    "POSIX: EOPNOTSUPP for a socket that listens",
  ],
  "same_tuple 2 do_bind(d, INADDR_LOOPBACK, (uint16_t)port_of(c))": [
    -98,
    0,
    "a connection is no obstacle to a listener on its port: their segments are told apart by tuple",
  ],
  "time_wait_bind 4 do_bind(l, 0, port)": [-98, 0, "nor is one in TIME-WAIT"],
  "shut_read_data 3 do_receive(c, 4, 0)": [
    4,
    0,
    "POSIX: further receives are disabled; memory goes back",
  ],
  "shut_read_data 4 do_receive(c, 40, 0)": [6, 0, "likewise"],
  "shut_read_later_data 5 do_receive(c, 40, 0)": [10, 0, "likewise"],
  "reset_unaccepted 4 s < 0 ? s : 0": [
    0,
    -11,
    "a connection that is dead before it is accepted is not shown",
  ],
  "connect_port_0 1 do_connect(c, 0)": [
    -115,
    -22,
    "nobody can listen at port 0: nothing is sent to it",
  ],
  "connect_port_0 2 poll": [8221, 20, "likewise"],
  "connect_port_0 3 get SO_ERROR": [111, 0, "likewise"],
  "connect_port_0 4 poll": [8213, 20, "likewise"],
  "connect_closed_again 6 do_bind(c, 0, 0)": [
    0,
    -22,
    "POSIX: EINVAL, the socket is bound, or has been shut down",
  ],
  "connecting 16 get TCP_MAXSEG": [
    524,
    536,
    "what the options will take of each segment is not known before the peer's have come",
  ],
  "backlog_1 5 do_poll(c)": [4, 0, "as many wait as listen(2) says; Linux lets one more in"],
  "backlog_1 15 do_accept(l) > 0": [1, 0, "likewise"],
  "backlog_3 9 do_poll(c)": [4, 0, "likewise"],
  "backlog_3 17 do_accept(l) > 0": [1, 0, "likewise"],
  "deferrals 19 get TCP_DEFER_ACCEPT": [
    127,
    95,
    "rounded up to a time-out of our SYN and ACK, which are 32 s apart at most",
  ],
  "deferrals 23 get TCP_DEFER_ACCEPT": [247, 223, "likewise"],
  "quick 1 get TCP_QUICKACK": [
    1,
    0,
    "what the program has set; Linux's is a mode that comes and goes",
  ],
  "fast_open 8 get TCP_FASTOPEN": [4096, 65535, "there is no net.core.somaxconn"],
  "figures_open 17 tcpi_bytes_acked": [1, 0, "the SYN is no byte of the stream"],
  "figures_data 21 tcpi_bytes_acked": [1021, 1020, "likewise"],
  "figures_full 23 tcpi_bytes_acked": [501, 500, "likewise"],
  "figures_corked 18 tcpi_bytes_acked": [1, 0, "likewise"],
  "figures_ended 19 tcpi_bytes_acked": [102, 101, "likewise"],
  "figures_dead 21 tcpi_bytes_received": [
    100,
    0,
    "the counts go with the connection's working part",
  ],
  "figures_dead 25 tcpi_data_segs_in": [1, 0, "likewise"],
};

type Transcript = Map<string, string>;

function read(output: string, into: Transcript): void {
  for (const line of output.trim().split("\n")) {
    const [what, result] = line.split(" = ");
    into.set(what!, result!);
  }
}

/** What Linux says, in namespaces whose loopback is as large as Skerry's. */
async function askLinux(): Promise<Transcript> {
  const said: Transcript = new Map();
  const parts = Array.from({ length: PARTS }, async (_, part) => {
    const namespace = new Namespace();
    try {
      namespace.run(["ip", "link", "set", "lo", "mtu", "9000"]);
      const words = [program, "linux", `${part}`, `${PARTS}`];
      const { status, stdout, stderr } = await namespace.runAsync(words, 60_000);
      assert.equal(status, 0, stderr);
      return stdout;
    } finally {
      namespace.delete();
    }
  });
  for (const output of await Promise.all(parts)) read(output, said);
  return said;
}

function askSkerry(): Transcript {
  const said: Transcript = new Map();
  read(execFileSync(program, ["skerry"], { encoding: "utf8", timeout: 60_000 }), said);
  return said;
}

describe("sockets as Linux has them", { skip: namespaceTrouble() ?? false }, () => {
  let theirs: Transcript;
  let ours: Transcript;

  before(async () => {
    program = libraryProgram("sockets", "-D_GNU_SOURCE");
    theirs = await askLinux();
    ours = askSkerry();
  });

  test("the same calls were made on both, in 120 scenarios and more", () => {
    assert.deepEqual([...ours.keys()].sort(), [...theirs.keys()].sort());
    assert.ok(new Set([...ours.keys()].map((what) => what.split(" ")[0])).size >= 120);
  });

  test("each call's result, errno and poll bits are the same", async () => {
    function differences(): string[] {
      const different: string[] = [];
      for (const [what, result] of ours) {
        const said = theirs.get(what);
        const [linux, skerry] = DELIBERATE[what]?.slice(0, 2).map(String) ?? [said, said];
        if (said === linux && result === skerry) continue;
        different.push(`${what}: Linux ${said}, Skerry ${result}`);
      }
      return different;
    }
    let different = differences();
    for (let i = 0; i < AGAIN && different.length; i++) {
      theirs = await askLinux();
      const now = differences();
      different = different.filter((line) => now.some((other) => isSame(line, other)));
    }
    assert.deepEqual(different, []);
  });
});

/** Whether two differences are about the same call. */
function isSame(one: string, other: string): boolean {
  return one.split(": ")[0] === other.split(": ")[0];
}
