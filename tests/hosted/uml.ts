/**
 * A second Linux, as a peer: Debian's User Mode Linux, a kernel that has VLANs, bridges and tunnels whatever the one
 * that runs the tests was built with. It boots in a second or two, from this machine's own files.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Namespace, TAP } from "../../tools/qemu/namespace.ts";

const MODULES = "/usr/lib/uml/modules";
const UML_TAP = "uml0";
const BRIDGE = "bridge0";
/** MiB. */
const MEMORY = 96;

/**
 * Its processes are traced by its first one, and would outlive it, but not their namespace of processes. There it must
 * not be process 1, to which signals mean something else.
 */
const ALONE = [
  ...["setpriv", "--pdeathsig", "KILL", "--"],
  ...["unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"],
  ...["sh", "-c", '"$@" </dev/null; exit $?', "sh"],
];

/** The kernel and its command line; `folder` is for its files. */
const kernel = (folder: string): string[] => [
  ...["linux.uml", `mem=${MEMORY}M`, "root=/dev/root", "rootfstype=hostfs", "rootflags=/"],
  ...["ro", "quiet", "con=null", "con0=null,fd:1", `uml_dir=${folder}/`],
];

/** Why there can be none here, or null: one is booted, and switched off. */
export function linuxTrouble(): string | null {
  if (!existsSync(MODULES)) return "needs Debian's user-mode-linux";
  const folder = mkdtempSync(join(tmpdir(), "skerry-uml-"));
  const [program, ...words] = [...ALONE, ...kernel(folder)];
  const init = ["init=/bin/busybox", "--", "poweroff", "-f"];
  const limit = { timeout: 60_000, killSignal: "SIGKILL" as const };
  const { status } = spawnSync(program!, [...words, ...init], limit);
  rmSync(folder, { recursive: true, force: true });
  return status === 0 ? null : "User Mode Linux does not run here";
}

/** The paths of modules, each behind those that it needs: modules.dep names them, the nearest first. */
function modulePaths(names: string[]): string[] {
  const folder = join(MODULES, readdirSync(MODULES)[0]!);
  const needs = new Map(
    readFileSync(join(folder, "modules.dep"), "utf8")
      .split("\n")
      .map((line) => line.split(/: *| /).filter(Boolean))
      .map(([path = "", ...others]) => [path, others]),
  );
  const paths = names.flatMap((name) => {
    const path = [...needs.keys()].find((one) => one.endsWith(`/${name}.ko`));
    assert.ok(path, `${folder} has no module ${name}`);
    return [...needs.get(path)!.reverse(), path];
  });
  return [...new Set(paths)].map((path) => join(folder, path));
}

export class LinuxPeer {
  /** What its console has said so far. */
  output = "";
  private readonly process: ChildProcess;

  /**
   * Boots it on the Ethernet of a namespace's TAP, where its card is `vec0`, with modules by name; then it runs the
   * lines of `script` and stays. `folder` is for its files. It ends with the namespace.
   *
   * Its TAP and the other are in a bridge of this machine's kernel: a packet socket on the one would not do, which
   * hears frames without their VLAN tags.
   */
  constructor(namespace: Namespace, folder: string, modules: string[], script: string[]) {
    mkdirSync(folder, { recursive: true });
    for (const words of [
      "sysctl -qw net.ipv6.conf.default.disable_ipv6=1",
      `ip tuntap add ${UML_TAP} mode tap`,
      `ip link add ${BRIDGE} type bridge`,
      ...[TAP, UML_TAP].map((tap) => `ip link set ${tap} master ${BRIDGE}`),
      ...[UML_TAP, BRIDGE].map((link) => `ip link set ${link} up`),
    ]) {
      const { status, stderr } = namespace.run(words.split(" "));
      assert.equal(status, 0, `${words}: ${stderr}`);
    }
    const init = join(folder, "init");
    const head = [
      "#!/bin/sh",
      "export PATH=/usr/sbin:/usr/bin:/sbin:/bin",
      "mount -t proc proc /proc",
      ...modulePaths(modules).map((path) => `busybox insmod ${path}`),
      "ip link set lo up",
      "ip link set vec0 up",
    ];
    writeFileSync(init, [...head, ...script, "exec sleep 1000000", ""].join("\n"), { mode: 0o755 });
    const card = `vec0:transport=tap,ifname=${UML_TAP}`;
    this.process = namespace.spawn([...ALONE, ...kernel(folder), `init=${init}`, card]);
    for (const stream of [this.process.stdout!, this.process.stderr!]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        this.output += chunk.replaceAll("\r", "");
      });
    }
  }

  /** Until it has said `pattern`; fails after three minutes, or when it ends. */
  async says(pattern: RegExp): Promise<void> {
    for (let i = 0; i < 1800 && !pattern.test(this.output); i++) {
      if (this.process.exitCode !== null) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.match(this.output, pattern);
  }
}
