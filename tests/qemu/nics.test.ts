import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Machine, MachineType, Nic } from "../../tools/qemu/machine.ts";
import { GUEST_ADDRESS, type Namespace } from "../../tools/qemu/namespace.ts";
import { plainFrames } from "./capture.ts";
import { type Sum, crc32, stream } from "./exerciser.ts";
import {
  STATIC,
  damagedFrames,
  framesThat,
  inFolder,
  inside,
  noTap,
  onTap,
  sha256,
} from "./lib.ts";

/**
 * Every card on every kind of machine that takes it, against the host's kernel: bytes each way, a
 * cable that is pulled and put back, and no bad frame in the capture of it all.
 */

interface Row {
  machine: MachineType;
  nic: Nic;
  /** What the console calls it. */
  model: RegExp;
  append?: string;
  /** Bytes of the header that QEMU's dump has before each frame (capture.ts). */
  ownHeader?: number;
}

const CARDS: Omit<Row, "machine">[] = [
  { nic: "e1000", model: /82540EM/ },
  { nic: "e1000-82544gc", model: /82544GC/ },
  { nic: "e1000-82545em", model: /82545EM/ },
  { nic: "e1000e", model: /82574L/, ownHeader: 10 },
  { nic: "rtl8139", model: /RTL8139C\+/ },
  { nic: "rtl8139", model: /RTL8139 /, append: "rtl8139=classic" },
  { nic: "virtio-net-pci", model: /virtio-net/, ownHeader: 12 },
  {
    nic: "virtio-net-pci,disable-modern=on,disable-legacy=off",
    model: /virtio-net/,
    ownHeader: 12,
  },
];

const MACHINES = ["pc", "q35", "microvm"] as const;
const ROWS: Row[] = [
  ...(["pc", "q35"] as const).flatMap((machine) => CARDS.map((card) => ({ machine, ...card }))),
  { machine: "microvm", nic: "virtio-net-device", model: /virtio-net/, ownHeader: 12 },
];

const MEGABYTE = 1 << 20;
const URL = `http://${GUEST_ADDRESS}`;
const CURL = ["curl", "-sSf", "-m", "60"];

/** A megabyte from the machine and one to it, compared by sum. */
async function bothWays(namespace: Namespace, folder: string, seed: number): Promise<void> {
  const data = stream(seed, MEGABYTE);
  const file = join(folder, "bytes");
  await inside(namespace, ...CURL, "-o", file, `${URL}/bytes/${MEGABYTE}?seed=${seed}`);
  assert.equal(sha256(readFileSync(file)), sha256(data));
  writeFileSync(file, data);
  const answer = await inside(namespace, ...CURL, "-T", file, `${URL}/sum`);
  assert.deepEqual(JSON.parse(answer) as Sum, { length: MEGABYTE, crc32: crc32(data) });
}

/** The cable is pulled, and put back: each is told once, within a second or so. */
async function replug(machine: Machine): Promise<void> {
  await machine.monitor.setLink(0, false);
  await machine.waitFor(/eth0 link down/, 60_000);
  await machine.monitor.setLink(0, true);
  await machine.waitFor(/eth0 link down[^]*eth0 link up/, 60_000);
}

for (const machine of MACHINES) {
  describe(machine, () => {
    for (const { nic, model, append, ownHeader } of ROWS.filter((row) => row.machine === machine)) {
      test(`${nic}${append ? ` ${append}` : ""}`, { skip: noTap }, async () => {
        await inFolder(async (folder) => {
          const capture = join(folder, "capture.pcap");
          const words = [STATIC, ...(append ? [append] : [])].join(" ");
          const extra = { machine, nic, capture, append: words };
          await onTap("exerciser", extra, async (namespace, it) => {
            assert.match(it.console, model);
            await bothWays(namespace, folder, 1);
            await replug(it);
            await bothWays(namespace, folder, 2);
            assert.doesNotMatch(it.console, / (warn|error) .*(eth0|net:)/, it.tail());
          });
          if (ownHeader) plainFrames(capture, ownHeader);
          assert.ok((await framesThat(capture, "tcp.len > 0")).length > 1000);
          assert.deepEqual(await damagedFrames(capture), []);
        });
      });
    }
  });
}
