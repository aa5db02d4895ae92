/** build/skerry-hosted with three cards, a router between three networks of Linux's: both families. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Namespace, namespaceTrouble } from "../../tools/qemu/namespace.ts";
import { HostedMachine } from "./machine.ts";

const trouble = namespaceTrouble();
const CARDS = [0, 1, 2];
const host = (i: number): string => `10.77.${i + 1}.1`;
const router = (i: number): string => `10.77.${i + 1}.254`;
const host6 = (i: number): string => `fd00:77:${i + 1}::1`;
const router6 = (i: number): string => `fd00:77:${i + 1}::ff`;

describe("skerry-hosted forwards between TAPs", { skip: trouble ?? false }, () => {
  let networks: Namespace[];
  let machine: HostedMachine;

  before(async () => {
    networks = CARDS.map((i) => {
      const network = new Namespace({ address: `${host(i)}/24`, address6: `${host6(i)}/64` });
      network.run(["ip", "route", "add", "default", "via", router(i)]);
      network.run(["ip", "-6", "route", "add", "default", "via", router6(i)]);
      return network;
    });
    const cards = CARDS.map((i) => `eth${i}=${router(i)}/24,${router6(i)}/64`);
    machine = new HostedMachine(networks, `${cards.join(" ")} forward=on`);
    for (const i of CARDS) await machine.hasAddresses(`eth${i}`, router(i), router6(i));
  });
  after(async () => {
    await machine.stop();
    for (const network of networks) network.delete();
  });

  const run = async (from: number, ...words: string[]): Promise<string> => {
    const { status, stdout, stderr } = await networks[from]!.runAsync(words, 60_000);
    assert.equal(status, 0, `${words.join(" ")}\n${stdout}${stderr}\n${machine.output}`);
    return stdout;
  };

  test("every network reaches every other", async () => {
    for (const from of CARDS) {
      for (const to of CARDS.filter((it) => it !== from)) {
        for (const address of [host(to), host6(to)]) {
          const stdout = await run(
            from,
            "ping",
            "-n",
            "-c",
            "3",
            "-i",
            "0.05",
            "-w",
            "10",
            address,
          );
          assert.match(stdout, / 0% packet loss/);
        }
      }
    }
  });

  test("as a hop that traceroute sees, by the address of the card that the packet came by", async () => {
    for (const [to, by] of [
      [host(2), router(0)],
      [host6(2), router6(0)],
    ] as const) {
      const stdout = await run(0, "traceroute", "-n", "-q", "1", "-w", "5", to);
      assert.match(stdout, new RegExp(`\n 1  ${by}  [0-9.]+ ms\n 2  ${to}  [0-9.]+ ms\n$`));
    }
  });
});
