import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { GUEST_ADDRESS } from "../../tools/qemu/namespace.ts";
import { type Sum, crc32, stream } from "./exerciser.ts";
import { curl, inFolder, inside, noTap, onTap, onUserNetwork, sha256 } from "./lib.ts";

/** From 1 byte to 64 MiB through the exerciser, both ways, every byte compared by checksum. */

/** Around a segment, a slot, a window, and then what takes a while. */
const SIZES = [1, 2, 1459, 1460, 1461, 4096, 65_535, 65_536, 1_000_003, 1 << 24, 1 << 26];

test("the CRC is the published one", () => {
  assert.equal(crc32(Buffer.from("123456789")), "cbf43926");
});

for (const where of ["QEMU's user network", "TAP"] as const) {
  const skip = where === "TAP" ? noTap : false;
  test(`transfers over ${where}`, { skip }, async (t) => {
    await inFolder(async (folder) => {
      const both = async (
        fetch: (...words: string[]) => Promise<unknown>,
        url: string,
      ): Promise<void> => {
        const got = join(folder, "got");
        const sent = join(folder, "sent");
        for (const size of SIZES) {
          const data = stream(size, size);
          await t.test(`${size} bytes from the machine`, async () => {
            await fetch("-o", got, `${url}/bytes/${size}?seed=${size}`);
            assert.equal(sha256(readFileSync(got)), sha256(data));
          });
          await t.test(`${size} bytes to the machine`, async () => {
            writeFileSync(sent, data);
            const answer = join(folder, "answer");
            await fetch("-o", answer, "-T", sent, `${url}/sum`);
            const sum = JSON.parse(readFileSync(answer, "utf8")) as Sum;
            assert.deepEqual(sum, { length: size, crc32: crc32(data) });
          });
        }
      };
      if (where === "TAP") {
        await onTap("exerciser", {}, (namespace) =>
          both(
            (...words) => inside(namespace, "curl", "-sSf", "-m", "60", ...words),
            `http://${GUEST_ADDRESS}`,
          ),
        );
      } else {
        await onUserNetwork("exerciser", {}, (url) =>
          both((...words) => curl("-f", ...words), url),
        );
      }
    });
  });
}
