import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { Failure, project } from "../cli/project.ts";
import { note, step } from "../cli/progress.ts";
import { hashOf } from "../cli/stamp.ts";
import { type Node, cpio } from "./cpio.ts";

/**
 * The guest that we measure ourselves against: Debian's kernel, busybox, nginx and iperf3, all from
 * Debian's packages, in an initial file system and without anything else that would take time:
 * no systemd, no udev, no disk. The kernel is booted uncompressed (PVH) because unpacking it would
 * cost an emulated CPU seconds.
 */

export interface LinuxGuest {
  kernel: string;
  initrd: string;
  append: string;
  /** Which Debian packages, for the report. */
  versions: string[];
}

const PACKAGES = [
  ...["busybox-static", "nginx", "iperf3", "libiperf0", "libsctp1"],
  ...["libc6", "libcrypt1", "libpcre2-8-0", "libssl3", "zlib1g"],
];

/** What runs in the guest, by its path in Debian's packages. */
const PROGRAMS = ["usr/sbin/nginx", "usr/bin/iperf3"];

/** Linux's drivers, as modules in the order in which they load. */
const VIRTIO = ["virtio_ring", "virtio", "failover", "net_failover"] as const;
const VIRTIO_PCI = ["virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci"] as const;
export const DRIVERS = {
  e1000: ["e1000"],
  e1000e: ["e1000e"],
  rtl8139: ["mii", "8139cp"],
  virtioPci: [...VIRTIO, ...VIRTIO_PCI, "virtio_net"],
  virtioMmio: [...VIRTIO, "virtio_mmio", "virtio_net"],
} as const;

const NGINX_CONF = `
user root;
worker_processes 1;
error_log /dev/null crit;
pid /run/nginx.pid;
events { worker_connections 4096; }
http {
  types { text/html html; text/css css; image/svg+xml svg; }
  default_type application/octet-stream;
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 65;
  keepalive_requests 1000000000;
  open_file_cache max=1000 inactive=1h;
  server { listen 80 backlog=4096; root /www; }
}
`;

const init = (address: string): string => `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
# Linux hands on what it does not know of its command line.
for module in $(echo "$modules" | /bin/busybox tr , ' '); do /bin/busybox insmod "/modules/$module.ko"; done
/bin/busybox ip link set lo up
/bin/busybox ip link set eth0 up
/bin/busybox ip address add ${address}/24 dev eth0
/usr/sbin/nginx -c /etc/nginx.conf
echo serving
/usr/bin/iperf3 -s -D
while true; do /bin/busybox sleep 3600; done
`;

function sh(command: string, ...words: string[]): Buffer {
  const { status, stdout, stderr, error } = spawnSync(command, words, { maxBuffer: 1 << 30 });
  if (status === 0) return stdout;
  throw new Failure(`${command} ${words.join(" ")}: ${error?.message ?? stderr.toString().trim()}`);
}

/** The ELF inside a bzImage: Linux's boot protocol gives its place at 0x248 and 0x24c. */
function unpackKernel(bzImage: string, out: string): void {
  const file = readFileSync(bzImage);
  const setupSectors = file[0x1f1]! || 4;
  const start = (setupSectors + 1) * 512 + file.readUInt32LE(0x248);
  // The payload ends in its unpacked length, which is not part of the xz stream.
  const payload = file.subarray(start, start + file.readUInt32LE(0x24c) - 4);
  const { status, stdout, stderr } = spawnSync("xz", ["-dc"], {
    input: payload,
    maxBuffer: 1 << 30,
  });
  if (status !== 0) throw new Failure(`xz on ${bzImage}: ${stderr.toString().trim()}`);
  writeFileSync(out, stdout);
}

/** Every shared library that a program of the unpacked tree needs, found in that tree. */
function librariesOf(tree: string, program: string, into: Map<string, Node>): void {
  const wanted = sh("objdump", "-p", program).toString();
  for (const [, name] of wanted.matchAll(/NEEDED\s+(\S+)/g)) {
    const path = ["lib", "usr/lib"]
      .map((folder) => join(tree, folder, "x86_64-linux-gnu", name!))
      .find((candidate) => existsSync(candidate));
    if (!path) throw new Failure(`no library ${name} in Debian's packages for ${program}`);
    const inGuest = `lib/x86_64-linux-gnu/${name}`;
    if (into.has(inGuest)) continue;
    into.set(inGuest, {
      kind: "file",
      content: readFileSync(realpathSync(path)),
      executable: true,
    });
    librariesOf(tree, realpathSync(path), into);
  }
}

/** Seconds to a guest's first answer, at most. */
export const BOOT_SECONDS = 40;
const BOOT_TRIES = 4;

/** What `boot` comes to, or another try: Debian's kernel does not always find out how fast an emulated clock runs. */
export async function bootLinux<T>(boot: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await boot();
    } catch (error) {
      if (tries === BOOT_TRIES) throw error;
      note("    Linux did not boot, again");
    }
  }
}

/** Fetches the packages (once) and makes the guest, which serves the files of `site`. */
export async function linuxGuest(site: string, address: string): Promise<LinuxGuest> {
  const folder = project("build", "bench");
  const tree = join(folder, "debian");
  const marker = join(tree, ".packages");
  mkdirSync(tree, { recursive: true });
  if (!existsSync(marker)) {
    const depends = sh("apt-cache", "depends", "linux-image-amd64").toString();
    const kernel = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
    if (!kernel) throw new Failure("apt knows no linux-image-amd64: run apt-get update");
    await step("fetch Debian's kernel, nginx, iperf3, busybox (75 MB, about a minute)", () => {
      const fetched = spawnSync("apt-get", ["-q", "download", kernel, ...PACKAGES], {
        cwd: folder,
        encoding: "utf8",
      });
      if (fetched.status !== 0) throw new Failure(`apt-get download: ${fetched.stderr.trim()}`);
    });
    const debs = readdirSync(folder).filter((name) => name.endsWith(".deb"));
    for (const deb of debs) sh("dpkg-deb", "-x", join(folder, deb), tree);
    writeFileSync(marker, debs.map((deb) => basename(deb, ".deb")).join("\n"));
  }
  const image = readdirSync(join(tree, "boot")).find((name) => name.startsWith("vmlinuz-"))!;
  const release = image.slice("vmlinuz-".length);
  const kernel = join(folder, "vmlinux");
  if (!existsSync(kernel)) {
    await step("unpack the kernel", () => unpackKernel(join(tree, "boot", image), kernel));
  }

  const read = (path: string): Uint8Array => readFileSync(join(tree, path));
  const text = (content: string): Node => ({ kind: "file", content: Buffer.from(content) });
  const nodes = new Map<string, Node>([
    ["dev/console", { kind: "character", major: 5, minor: 1 }],
    ["dev/null", { kind: "character", major: 1, minor: 3 }],
    ["dev/urandom", { kind: "character", major: 1, minor: 9 }],
    ["proc", { kind: "directory" }],
    ["sys", { kind: "directory" }],
    ["run", { kind: "directory" }],
    ["tmp", { kind: "directory" }],
    ["var/lib/nginx", { kind: "directory" }],
    ["var/log/nginx", { kind: "directory" }],
    ["etc/passwd", text("root:x:0:0::/:/bin/sh\n")],
    ["etc/group", text("root:x:0:\n")],
    ["etc/nginx.conf", text(NGINX_CONF)],
    ["init", { ...text(init(address)), executable: true } as Node],
    ["bin/busybox", { kind: "file", content: read("bin/busybox"), executable: true }],
    [
      "lib64/ld-linux-x86-64.so.2",
      {
        kind: "file",
        content: readFileSync(join(tree, "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")),
        executable: true,
      },
    ],
  ]);
  const modules = join(tree, "lib/modules", release, "kernel");
  const paths = readdirSync(modules, { recursive: true, encoding: "utf8" });
  for (const name of new Set<string>(Object.values(DRIVERS).flat())) {
    const path = paths.find((candidate) => basename(candidate) === `${name}.ko`);
    if (!path) throw new Failure(`Debian's kernel ${release} has no module ${name}`);
    nodes.set(`modules/${name}.ko`, { kind: "file", content: readFileSync(join(modules, path)) });
  }
  for (const program of PROGRAMS) {
    nodes.set(program, { kind: "file", content: read(program), executable: true });
    librariesOf(tree, join(tree, program), nodes);
  }
  for (const entry of readdirSync(site, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    nodes.set(`www/${path.slice(site.length + 1)}`, { kind: "file", content: readFileSync(path) });
  }
  const archive = cpio(nodes);
  const initrd = join(folder, `initrd-${hashOf(archive).slice(0, 8)}`);
  if (!existsSync(initrd)) writeFileSync(initrd, archive);
  const versions = readFileSync(marker, "utf8")
    .split("\n")
    .filter((name) => /^(linux-image|nginx|iperf3)/.test(name));
  return { kernel, initrd, append: "console=ttyS0 quiet rdinit=/init", versions };
}
