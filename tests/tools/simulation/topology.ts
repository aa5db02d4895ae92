import assert from "node:assert/strict";
import { test } from "node:test";
import { Network, SECOND } from "skerry/sim";

/** The example of docs/simulation.md: three routers in a triangle, and a host behind two of them. */

test("what goes by one router goes by another when that is cut off", async () => {
  const network = await Network.create({ seed: 3 });
  const host = (lan: string, address: string, via: string) =>
    network.machine({
      links: [lan],
      network: { interfaces: { eth0: [address] }, routes: [{ to: "0.0.0.0/0", via }] },
    });
  const router = (interfaces: { [card: string]: string[] }, links: string[], routes: string[][]) =>
    network.machine({
      links,
      network: {
        forward: true,
        interfaces,
        routes: routes.map(([to, via], i) => ({ to: to!, via: via!, metric: i + 1 })),
      },
    });
  const left = host("left", "10.1.0.9/24", "10.1.0.1");
  const right = host("right", "10.2.0.9/24", "10.2.0.1");
  router(
    { eth0: ["10.1.0.1/24"], eth1: ["10.12.0.1/24"], eth2: ["10.13.0.1/24"] },
    ["left", "straight", "round"],
    [
      ["10.2.0.0/24", "10.12.0.2"],
      ["10.2.0.0/24", "10.13.0.3"],
    ],
  );
  router(
    { eth0: ["10.2.0.1/24"], eth1: ["10.12.0.2/24"], eth2: ["10.23.0.2/24"] },
    ["right", "straight", "back"],
    [
      ["10.1.0.0/24", "10.12.0.1"],
      ["10.1.0.0/24", "10.23.0.3"],
    ],
  );
  const third = router(
    { eth0: ["10.13.0.3/24"], eth1: ["10.23.0.3/24"] },
    ["round", "back"],
    [
      ["10.1.0.0/24", "10.13.0.1"],
      ["10.2.0.0/24", "10.23.0.2"],
    ],
  );
  network.run(4 * SECOND);

  const answered = (): boolean => {
    const ping = left.ping("10.2.0.9");
    network.run(SECOND);
    return ping.isAnswered();
  };
  assert.ok(answered());
  network.cut("straight");
  assert.ok(answered());
  network.silence(third);
  assert.ok(!answered());
  network.cut("straight", false);
  network.run(2 * SECOND);
  assert.ok(answered());
  assert.match(right.console.join("\n"), /eth0 10\.2\.0\.9\/24/);
  network.close();
});
