/** The boot shim, seen from outside: tests/qemu/boot/kernel.ts on QEMU's machines. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { before, describe, it } from "node:test";
import asc from "assemblyscript/asc";
import { translate } from "../../tools/aot/emit.ts";
import { Module } from "../../tools/aot/module.ts";
import { buildImage } from "../../tools/image/build.ts";

const FOLDER = "build/tests/boot";
const IMAGE = `${FOLDER}/boot.elf`;
const MOVED = `${FOLDER}/moved.elf`;
const PACK = Buffer.from(Array.from({ length: 70_000 }, (_, i) => (i * 7) & 0xff));

/** QEMU's exit statuses: see boot/power.c. */
const STATUS = { off: 0, panic: 201, wasmTrap: 203, exception: 205 };

interface Machine {
  machine?: "pc" | "q35" | "microvm";
  memory?: number;
  image?: string;
  exitDevice?: boolean;
  serial?: boolean;
  arguments?: string[];
  /** Called when QEMU has been started, with what gives the output so far; the machine is ended after it. */
  meanwhile?: (said: () => string) => Promise<void>;
}

/** Runs the kernel with a command line until the machine ends, or `meanwhile` has. */
function boot(
  commandLine: string,
  options: Machine = {},
): Promise<{ status: number; output: string }> {
  const {
    machine = "microvm",
    memory = 16,
    image = IMAGE,
    exitDevice = true,
    serial = true,
  } = options;
  const qemu = spawn(
    "qemu-system-x86_64",
    [
      ...["-M", machine, "-accel", "tcg", "-m", String(memory), "-display", "none", "-no-reboot"],
      ...["-nodefaults", "-serial", serial ? "stdio" : "none"],
      ...(exitDevice ? ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"] : []),
      ...["-kernel", image, "-append", commandLine, ...(options.arguments ?? [])],
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  let output = "";
  qemu.stdout.on("data", (chunk: Buffer) => (output += chunk.toString("latin1")));
  return new Promise((done, failed) => {
    const limit = setTimeout(() => {
      qemu.kill("SIGKILL");
      failed(new Error(`"${commandLine}" on ${machine} did not end; it said:\n${output}`));
    }, 120_000);
    options
      .meanwhile?.(() => output)
      .then(
        () => qemu.kill("SIGKILL"),
        (error: unknown) => (qemu.kill("SIGKILL"), failed(error)),
      );
    qemu.on("close", (status) => {
      clearTimeout(limit);
      done({ status: status ?? -1, output: output.replace(/\r/g, "") });
    });
  });
}

/** The `name=hexadecimal` lines. */
function values(output: string): Map<string, bigint> {
  const found = [...output.matchAll(/^(\w+)=([0-9a-f]{16})$/gm)];
  return new Map(found.map(([, name, value]) => [name!, BigInt(`0x${value}`)]));
}

/** The line of kernel.ts that holds `text`. */
function lineOf(text: string): number {
  const lines = readFileSync("tests/qemu/boot/kernel.ts", "utf8").split("\n");
  return lines.findIndex((line) => line.includes(text)) + 1;
}

/** The image with its segments' physical addresses and its PVH entry moved, as a loader may. */
function moveImage(by: bigint): Buffer {
  const elf = Buffer.from(readFileSync(IMAGE));
  const headers = Number(elf.readBigUInt64LE(0x20));
  for (let i = 0; i < elf.readUInt16LE(0x38); i++) {
    const header = headers + i * 56;
    const physical = header + 0x18;
    elf.writeBigUInt64LE(elf.readBigUInt64LE(physical) + by, physical);
    const PT_NOTE = 4;
    if (elf.readUInt32LE(header) !== PT_NOTE) continue;
    const entry = Number(elf.readBigUInt64LE(header + 8)) + 16;
    elf.writeBigUInt64LE(elf.readBigUInt64LE(entry) + by, entry);
  }
  return elf;
}

before(async () => {
  mkdirSync(FOLDER, { recursive: true });
  const { error, stderr } = await asc.main([
    ...[
      "tests/qemu/boot/kernel.ts",
      "--outFile",
      `${FOLDER}/kernel.wasm`,
      "--sourceMap",
      "--debug",
    ],
    ...["--runtime", "stub", "--importMemory", "--zeroFilledMemory", "--memoryBase", "4096"],
    ...["--use", "abort=tests/qemu/boot/kernel/abort", "-O3", "--noAssert"],
  ]);
  assert.equal(error, null, stderr.toString());
  const map = readFileSync(`${FOLDER}/kernel.wasm.map`, "utf8");
  const wasm = readFileSync(`${FOLDER}/kernel.wasm`);
  writeFileSync(`${FOLDER}/kernel.c`, translate(wasm, { name: "kernel", sourceMap: map }));
  writeFileSync(`${FOLDER}/pack`, PACK);
  const cc = process.env["CC"] ?? "gcc";
  await buildImage({
    kernelC: `${FOLDER}/kernel.c`,
    memoryPages: new Module(wasm).memories[0]!.min,
    pack: `${FOLDER}/pack`,
    out: IMAGE,
    cc,
  });
  writeFileSync(MOVED, moveImage(0x400000n));
});

describe("faults are named, with the TypeScript that made them", () => {
  const faults: [string, number, RegExp, string][] = [
    [
      "null",
      STATUS.exception,
      /#PF page fault.*\n.*read at 10: null pointer/,
      "return load<u32>(at)",
    ],
    ["wild", STATUS.exception, /read at e0000000: wild pointer/, 'told("wild")'],
    [
      "beyond",
      STATUS.exception,
      /read at 10000003f: past the end of linear memory/,
      'told("beyond")',
    ],
    ["image", STATUS.exception, /#PF page fault.*\n.*: wild pointer/, 'told("image")'],
    ["pack", STATUS.exception, /#PF page fault.*\n.*write at .*: read-only memory/, 'told("pack")'],
    ["recurse", STATUS.exception, /#PF page fault.*\n.*: stack overflow/, "descend(depth + 1)"],
    ["unreachable", STATUS.wasmTrap, /trap: unreachable/, 'told("unreachable")'],
    ["divide", STATUS.wasmTrap, /trap: integer divide by zero/, 'told("divide")'],
    ["nullcall", STATUS.wasmTrap, /trap: call through a null table entry/, "operation(1)"],
    ["panic", STATUS.panic, /panic: the sky fell/, "panic(line, lineLength)"],
  ];
  for (const [word, status, message, source] of faults) {
    it(word, async () => {
      const ended = await boot(word);
      assert.match(ended.output, message);
      assert.equal(ended.status, status, ended.output);
      const place = `tests/qemu/boot/kernel.ts:${lineOf(source)}`;
      assert.ok(ended.output.includes(place), `no ${place} in\n${ended.output}`);
      assert.match(
        ended.output,
        word === "recurse" ? /\n +and so on\n/ : /\n +by boot_main +boot\/main\.c:\d+\n/,
      );
    });
  }

  it("an inlined function is named, and so is where it was inlined", async () => {
    // The export's wrapper in the generated C takes in the one function that it calls.
    const { output } = await boot("unreachable");
    assert.match(
      output,
      / at w_\w+_init +tests\/qemu\/boot\/kernel\.ts:\d+\n {7}kernel_init +kernel\.c:\d+\n/,
    );
  });

  it("without the exit device the machine still ends", async () => {
    for (const machine of ["pc", "microvm"] as const) {
      const { status, output } = await boot("null", { machine, exitDevice: false });
      assert.equal(status, STATUS.off);
      assert.match(output, /null pointer/);
    }
  });
});

it("a panic and its backtrace stand on the screen of a machine without a serial port", async () => {
  const socket = `${FOLDER}/panic-monitor`;
  const memory = `${FOLDER}/vga`;
  for (const left of [socket, memory]) rmSync(left, { force: true });
  // The machine has switched off by then; QEMU keeps what it held.
  let cells = "";
  const meanwhile = async () => {
    while (!existsSync(socket)) await new Promise((later) => setTimeout(later, 100));
    const monitor = createConnection(socket);
    for (let tries = 0; tries < 50 && !cells.includes("kernel.ts"); tries++) {
      monitor.write(`pmemsave 0xb8000 4000 "${memory}"\n`);
      await new Promise((later) => setTimeout(later, 300));
      if (!existsSync(memory)) continue;
      cells = Buffer.from(readFileSync(memory).filter((_, at) => at % 2 === 0)).toString("latin1");
    }
    monitor.destroy();
  };
  const words = ["-monitor", `unix:${socket},server=on,wait=off`, "-no-shutdown", "-device", "VGA"];
  const { output } = await boot("panic", {
    machine: "pc",
    exitDevice: false,
    serial: false,
    arguments: words,
    meanwhile,
  });
  assert.equal(output, "");
  const lines = cells.match(/.{80}/gs)!;
  const place = `tests/qemu/boot/kernel.ts:${lineOf("panic(line, lineLength)")}`;
  assert.ok(
    lines.some((line) => /^\*\*\* panic: the sky fell *$/.test(line)),
    lines.join("\n"),
  );
  assert.ok(
    lines.some((line) => line.includes(place)),
    lines.join("\n"),
  );
});

describe("the end of the machine", () => {
  for (const machine of ["pc", "q35", "microvm"] as const) {
    it(`exit(0) switches ${machine} off, exit(7) is status 15`, async () => {
      assert.equal((await boot("exit0", { machine })).status, STATUS.off);
      assert.equal((await boot("exit7", { machine })).status, 15);
    });
  }
});

describe("a restart", () => {
  for (const machine of ["pc", "q35", "microvm"] as const) {
    it(`resets ${machine}`, async () => {
      const { status, output } = await boot("restart", { machine }); // QEMU ends at a reset
      assert.equal(status, STATUS.off, output);
      assert.equal(output, "");
    });
  }
});

describe("what the kernel is told", () => {
  const kibOf = (memory: number) => BigInt(memory) * 1024n;
  for (const [machine, memory, image] of [
    ["pc", 16, IMAGE],
    ["q35", 16, IMAGE],
    ["microvm", 16, IMAGE],
    ["pc", 4096, IMAGE],
    ["pc", 64, MOVED],
    ["microvm", 64, MOVED],
  ] as const) {
    it(`${machine} with ${memory} MiB${image === MOVED ? ", the image loaded 4 MiB higher" : ""}`, async () => {
      const { status, output } = await boot("info ip=10.0.0.2/24  x", { machine, memory, image });
      assert.equal(status, STATUS.off, output);
      const said = values(output);
      const get = (name: string) => said.get(name) ?? assert.fail(`no ${name} in ${output}`);
      assert.equal(get("kind"), 1n);
      assert.ok(get("machineKiB") <= kibOf(memory) && get("machineKiB") > kibOf(memory) - 1024n);
      // All but the image, the first two MiB and, on a large machine, what lies above 3 GiB.
      const most = BigInt(Math.min(memory, 3072)) << 20n;
      assert.ok(get("ramLength") > most - (10n << 20n) && get("ramLength") < most);
      assert.equal(said.has("badPage"), false);
      assert.ok(get("bootNs") > 0n && get("bootNs") < 60_000_000_000n);
      const now = BigInt(Date.now()) * 1_000_000n;
      const off = now - get("wallClock");
      assert.ok(off > -5_000_000_000n && off < 120_000_000_000n, `wall clock off by ${off} ns`);
      assert.equal(get("packLength"), BigInt(PACK.length));
      assert.equal(
        get("packSum"),
        BigInt(PACK.reduce((sum, byte, i) => sum + byte * (i & 0xff), 0)),
      );
      assert.equal(get("pack") % 4096n, 0n);
      assert.ok(get("pack") >= (image === MOVED ? 0x600000n : 0x200000n));
      assert.equal(get("rsdpSignature"), 0x2052545020445352n); // "RSD PTR "
      const root = machine === "microvm" ? 0x54445358n : 0x54445352n; // "XSDT", "RSDT"
      assert.equal(get("rootSignature"), root);
      assert.match(output, /^info ip=10\.0\.0\.2\/24 {2}x$/m);
    });
  }

  it("entropy differs from call to call and from boot to boot", async () => {
    const seen = new Set<string>();
    for (let i = 0; i < 3; i++) {
      const { output } = await boot("entropy");
      assert.match(output, /^last=0{16}$/m, "wrote past the end");
      for (const [, value] of output.matchAll(/^entropy=([0-9a-f]{16})$/gm)) seen.add(value!);
    }
    assert.equal(seen.size, 9);
  });
});

describe("who may touch what", () => {
  it("device registers are mapped by the page, and nothing else is", async () => {
    const { status, output } = await boot("mmio", { machine: "q35" });
    const said = values(output);
    for (const name of [
      "ofRam",
      "ofImage",
      "ofStatic",
      "ofFlash",
      "tooHigh",
      "acrossEnd",
      "aboveTooMuch",
    ]) {
      assert.equal(said.get(name), 0n, `${name} in ${output}`);
    }
    assert.equal(said.get("above4GiB"), 0xff000010n);
    assert.equal(said.get("aboveAgain"), 0xff000020n);
    assert.equal(said.get("aboveNext"), 0xff001000n);
    assert.equal(said.get("ioApic"), 0xfec00000n);
    assert.equal(said.get("again"), 0xfec00000n);
    assert.ok([0x11n, 0x20n].includes(said.get("ioApicVersion")!), output);
    assert.match(output, /read at fec01000: wild pointer, or device registers without mmioMap/);
    assert.equal(status, STATUS.exception);
  });

  it("no page is both writable and executable, and the low window holds no code", async () => {
    const socket = `${FOLDER}/monitor`;
    let table = "";
    const until = async (holds: () => boolean) => {
      while (!holds()) await new Promise((later) => setTimeout(later, 100));
    };
    const meanwhile = async (said: () => string) => {
      await until(() => said().includes("idle="));
      const monitor = createConnection(socket);
      monitor.on("data", (chunk) => (table += chunk.toString("latin1")));
      await until(() => table.endsWith("(qemu) "));
      table = "";
      monitor.write("info tlb\n");
      await until(() => table.endsWith("\n(qemu) "));
      monitor.destroy();
    };
    const monitor = ["-monitor", `unix:${socket},server=on,wait=off`];
    await boot("idle", { machine: "q35", memory: 64, arguments: monitor, meanwhile });
    const pages = [...table.matchAll(/([0-9a-f]{16}): ([0-9a-f]{16}) ([A-Z-]{9})/g)].map(
      ([, virtual, physical, flags]) => ({
        virtual: BigInt(`0x${virtual}`),
        physical: BigInt(`0x${physical}`),
        executable: !flags!.includes("X"),
        writable: flags!.includes("W"),
        user: flags!.includes("U"),
      }),
    );
    const executable = pages.filter((page) => page.executable);
    assert.ok(pages.length > 50 && executable.length > 0, table);
    for (const page of pages) {
      assert.ok(
        !(page.writable && page.executable),
        `${page.virtual.toString(16)} is writable code`,
      );
      assert.ok(!page.user);
      assert.notEqual(page.virtual, 0n);
    }
    const low = pages.filter((page) => page.virtual < 1n << 32n);
    const code = new Set(executable.map((page) => page.physical));
    assert.ok(executable.every((page) => page.virtual >= 0xffffffff80000000n));
    assert.ok(low.every((page) => !code.has(page.physical)));
    // Of the image only the pack and the page of boot information have an address below.
    const image = new Set(
      pages.filter((page) => page.virtual >= 0xffffffff80000000n).map((p) => p.physical),
    );
    const shared = low.filter((page) => image.has(page.physical));
    assert.equal(shared.length, 1);
    assert.ok(!shared[0]!.writable);
  });
});

describe("sleep", () => {
  for (const machine of ["pc", "q35", "microvm"] as const) {
    it(`ends at its deadline on ${machine}`, async () => {
      // Instructions drive the clock and idle time is skipped: what is late is ours, not the host's.
      const { status, output } = await boot("sleep", {
        machine,
        arguments: ["-icount", "shift=0,sleep=off"],
      });
      assert.equal(status, STATUS.off, output);
      const said = values(output);
      assert.equal(said.has("early"), false, output);
      assert.ok(said.get("latest")! < 200_000n, `late by ${said.get("latest")} ns`);
      assert.ok(said.get("slept")! >= 200_000_000n && said.get("slept")! < 260_000_000n, output);
    });

    it(`ends by a line, which neither storms nor is lost, on ${machine}`, async () => {
      const { status, output } = await boot("line", { machine });
      assert.equal(status, STATUS.off, output);
      const said = Object.fromEntries(values(output));
      assert.deepEqual(said, {
        open16: 0n,
        open2: 0n,
        open4: 1n,
        raised: 3n,
        quietLate: 1n,
        maskedLate: 1n,
      });
    });

    it(`ends by a message, once for each, on ${machine}`, async () => {
      const { status, output } = await boot("message", { machine });
      assert.equal(status, STATUS.off, output);
      const said = Object.fromEntries(values(output));
      assert.deepEqual(said, { none: 0n, raised: 3n, quietLate: 1n });
    });
  }
});
