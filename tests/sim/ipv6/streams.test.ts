import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Connection, Program } from "../../../tools/sim/program.ts";
import { Random } from "../../../tools/sim/random.ts";
import { Domain } from "../../../tools/sim/sockets.ts";
import { MICROSECOND, SECOND } from "../../../tools/sim/simulation.ts";
import { tcpCounts } from "../../../tools/sim/statistics.ts";
import { held } from "../counters.ts";
import { inWorld, onEachNic } from "../harness.ts";

/**
 * Streams over IPv6 between two machines, by every NIC: what it can do for IPv4 alone the stack does, and what it can
 * do for both it is asked to do. The link's checker holds each frame's length and checksum against the rules.
 */

const PREFIX = "2001:db8::";
const PORT = 9;
const BYTES = 1 << 20;

describe("TCP over IPv6 between machines", () => {
  onEachNic((kind) => {
    for (const loss of [0, 0.002]) {
      test(`a megabyte each way, ${loss ? "some of it lost" : "nothing lost"}`, () => {
        inWorld(
          1,
          (world) => {
            const stations = [1, 2].map((host) =>
              world.ready({ ip: `10.0.0.${host}/24`, ip6: `${PREFIX}${host}/64`, commandLine: "" }),
            );
            // Until their addresses are found to be free.
            world.run(3 * SECOND);
            const bytes = new Uint8Array(BYTES);
            new Random(1).fill(bytes);
            const heard = [0, 0];
            const hears = (i: number) => (got: Uint8Array) => {
              const at = heard[i]!;
              assert.equal(
                Buffer.compare(got, bytes.subarray(at, at + got.length)),
                0,
                `${i}, ${at}`,
              );
              heard[i] = at + got.length;
            };
            const [to, from] = stations.map(({ machine }) => new Program(machine));
            const answer = (accepted: Connection): void => {
              accepted.onData = hears(0);
              accepted.send(bytes);
            };
            to!.listen(PORT, answer, 1, Domain.Inet6);
            const connection = from!.connect(`${PREFIX}1`, PORT);
            connection.onData = hears(1);
            connection.send(bytes);
            const done = (): boolean => heard.every((count) => count === BYTES);
            world.simulation.until(done, 600 * SECOND, "both streams");
            for (const [i, { sockets }] of [to!, from!].entries()) {
              const counts = tcpCounts(sockets);
              assert.equal(counts["checksumErrors"], 0);
              const { bursts } = stations[i]!.nic.counts;
              assert.equal(bursts > 0, kind.segmentation6, `${bursts} packets cut`);
            }
            to!.closeAll();
            from!.closeAll();
            world.run(300 * SECOND);
            for (const { machine } of stations) assert.equal(held(machine), 0);
          },
          { loss, delay: 20 * MICROSECOND, rate: 1e9 },
          kind.name,
        );
      });
    }
  });
});
