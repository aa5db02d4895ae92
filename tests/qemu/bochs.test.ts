import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { imageOf } from "../../tools/cli/project.ts";
import { buildDisk } from "../../tools/image/disk.ts";
import { inFolder } from "./lib.ts";

/** Bochs: a PC, a BIOS and an 82540EM that share nothing with QEMU's. */

const BIOS = "/usr/share/bochs/BIOS-bochs-latest";
const VGA = "/usr/share/bochs/VGABIOS-lgpl-latest";
const TERMINAL = "/usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so";
const missing = [BIOS, VGA, TERMINAL].filter((file) => !existsSync(file));
const skip = missing.length > 0 && "needs the packages bochs, bochsbios, vgabios, bochs-term";

/** Its own network, on which a DHCP server answers as QEMU's does. */
const settings = (folder: string): string =>
  [
    "display_library: term",
    `romimage: file=${BIOS}`,
    `vgaromimage: file=${VGA}`,
    "cpu: model=corei7_haswell_4770, count=1, ips=50000000",
    "memory: guest=64, host=64",
    "ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14",
    `ata0-master: type=cdrom, path=${folder}/skerry.iso, status=inserted`,
    "boot: cdrom",
    `com1: enabled=1, mode=file, dev=${folder}/com1`,
    "pci: enabled=1, chipset=i440fx, slot1=e1000",
    'e1000: enabled=1, mac=52:54:00:12:34:56, ethmod=slirp, script=""',
    `log: ${folder}/log`,
    "",
  ].join("\n");

test("boots from the CD on Bochs, and gets an address by its E1000", { skip }, async () => {
  await inFolder(async (folder) => {
    const { image } = imageOf("http");
    const work = join(folder, "work");
    buildDisk({ image, out: join(folder, "skerry.iso"), work, append: "", timeout: 0 });
    writeFileSync(join(folder, "bochsrc"), settings(folder));
    writeFileSync(join(folder, "debugger"), "continue\n"); // Debian's build waits for this word
    // Its screen is a terminal, which `script` lends it.
    const command = `exec timeout --foreground 150 bochs -q -f ${folder}/bochsrc -rc ${folder}/debugger`;
    const words = ["-qec", command, "/dev/null"];
    const bochs = spawn("script", words, {
      stdio: "ignore",
      env: { ...process.env, TERM: "xterm" },
    });
    const said = (): string => {
      const file = join(folder, "com1");
      return existsSync(file) ? readFileSync(file, "latin1") : "";
    };
    try {
      for (const end = Date.now() + 120_000; !/10\.0\.2\.15\/24/.test(said());) {
        assert.ok(Date.now() < end && bochs.exitCode === null, said());
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      assert.match(said(), /pci: .* 8086:100e class=020000 driver=e1000/);
      assert.match(said(), /http: serving port=80/);
    } finally {
      // `script` ends what it runs, and hangs up on it.
      bochs.kill("SIGTERM");
      await once(bochs, "close");
    }
  });
});
