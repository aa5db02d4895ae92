import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { freePort } from "../../tools/qemu/ports.ts";
import { guest, wasi, withGuests } from "./guest-images.ts";
import { inFolder } from "./lib.ts";

/** Guests by their specs: what they are told, how many there are, and when they are started again. */

test("64 guests of one module, each with its own arguments and environment", async () => {
  await inFolder(async (folder) => {
    const module = wasi(folder, "args");
    const specs = Array.from({ length: 64 }, (_, i) =>
      guest(`guest-${i}`, "args", {
        arguments: [`number ${i}`, "last"],
        environment: i % 2 ? { ODD: "yes", EMPTY: "" } : {},
      }),
    );
    await withGuests([module], { specs }, async (machine) => {
      for (let i = 0; i < 64; i++) {
        await machine.waitFor(new RegExp(`guest: guest-${i} ended code=0\\r`), 60_000);
        const odd = i % 2 ? " {ODD=yes} {EMPTY=}" : "";
        const words = `I am guest-${i} of 3: number ${i} last${odd}\r`;
        assert.ok(machine.console.includes(words), `not said: ${words}`);
      }
    });
  });
});

/** Sends bytes over TCP, ends, and reads what comes; empty if the connection is reset. */
async function ask(port: number, bytes: Buffer): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.end(bytes);
  const parts: Buffer[] = [];
  try {
    for await (const part of socket as AsyncIterable<Buffer>) parts.push(part);
  } catch {
    return "";
  }
  return Buffer.concat(parts).toString();
}

test("on the processor, too, a guest reads packets where they lie, and nothing else", async () => {
  const port = await freePort();
  const forwards = [{ protocol: "tcp" as const, hostPort: port, guestPort: 9 }];
  const bytes = Buffer.from(Array.from({ length: 200_000 }, (_, i) => i * i + (i >> 8)));
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  const specs = [guest("lease", "lease", { restart: "always" })];
  await inFolder(async (folder) => {
    const modules = [wasi(folder, "lease")];
    await withGuests(modules, { specs, network: { kind: "user", forwards } }, async (machine) => {
      await machine.waitFor(/eth0 \d+\.\d+\.\d+\.\d+/, 60_000);
      await machine.waitFor(/sums on port 9/, 60_000);
      assert.equal(await ask(port, bytes), `200000 bytes, ${sum}, 0 held\n`);
      assert.match(machine.console, /leased at 0xc0000/);
      const starts = () => machine.console.match(/sums on port 9/g)!.length;
      for (const [i, word] of ["write", "late", "gone"].entries()) {
        await ask(port, Buffer.from(`${word} it`));
        await machine.waitFor(new RegExp(`(sums on port 9[^]*){${i + 2}}`), 60_000);
        assert.equal(starts(), i + 2);
        assert.equal(await ask(port, bytes), `200000 bytes, ${sum}, 0 held\n`);
      }
      assert.equal(machine.console.match(/guest lease: memory access out of bounds/g)!.length, 3);
      assert.doesNotMatch(machine.console, /after (close|release)|stranger|ended code/);
    });
  });
});

test("a window can be used again and again", async () => {
  await inFolder(async (folder) => {
    const specs = Array.from({ length: 60 }, (_, i) =>
      guest(`again-${i}`, "crash", { arguments: [i % 2 ? "trap" : "0"], restart: "always" }),
    );
    await withGuests([wasi(folder, "crash")], { specs }, async (machine) => {
      // There are 64 windows. Who traps has a report written, for which the others wait: some end oftener than others.
      const ends = () => machine.console.match(/guest: again-\d+ ended/g) ?? [];
      for (const limit = Date.now() + 180_000; ends().length < 300 && Date.now() < limit;) {
        assert.ok(!machine.ending, machine.tail());
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      assert.doesNotMatch(machine.console, /not started/);
      assert.ok(ends().length >= 300, `${ends().length} ends`);
    });
  });
});
