import { Mount } from "../files/mount";
import { ramInit } from "../files/ram";
import { treeRoot } from "../files/tree";
import { VOLUME_LEAST, Volume } from "../files/volume";
import { error } from "../log";
import { boot, reserve, reserveUncleared, unreserved } from "../memory";
import { packCount, packOpen } from "../pack";
import { OpenFile, openNode } from "./files";
import { Guest } from "./guest";
import { RIGHTS_ALL, RIGHTS_DIRECTORY } from "./wasi/rights";

/**
 * The directories that a guest finds open when it begins, from descriptor 3 on, as its spec says. One that may
 * do everything and of whose files nothing is said has all of the image's under `/`, if there are any,
 * and `/tmp` of 1 MiB, or what there is room for.
 */

const MOUNTS_DEFAULT: u32 = 2;
const RAM_DEFAULT: u32 = 1 << 20;
/** Of the memory that is left, as a shift, what all `/tmp` that nobody asked for may take. */
const RAM_SHARE: u32 = 3;
const PAGE: u32 = 4096;

const slash: usize = memory.data<u8>([0x2f]);
const tmp: usize = memory.data<u8>([0x2f, 0x74, 0x6d, 0x70]);

let devices: u32 = 0;

/** Opens the image's pack. Start-up only, before the first guest. */
export function mountsInit(): void {
  if (!packCount() && boot.packLength) packOpen(boot.pack, boot.packLength);
}

/**
 * Makes the mounts of a guest, one of `left` that are still to have theirs: false, which the log explains, if
 * there is not the memory. Start-up only.
 */
export function mountsMake(guest: Guest, left: u32): bool {
  const spec = guest.spec;
  const count = spec.mountCount;
  guest.mounts = reserve(max<u32>(count, MOUNTS_DEFAULT) * offsetof<Mount>(), 8);
  guest.mountCount = 0;
  if (!count && !spec.restricted) {
    makeDefaults(guest, left);
    return true;
  }
  for (let i: u32 = 0; i < count; i++) {
    const wanted = spec.mount(i);
    if (!wanted.ram) {
      add(guest, wanted.path, wanted.pathLength).root = treeRoot(wanted.tree, wanted.treeLength);
      continue;
    }
    const bytes = wanted.bytes & ~(PAGE - 1);
    if (bytes < VOLUME_LEAST || bytes > unreserved()) {
      guest
        .nameIn(error("guest"))
        .text(" not started: there is no memory for ")
        .bytes(wanted.path, wanted.pathLength)
        .key("KiB")
        .number(wanted.bytes >> 10)
        .end();
      return false;
    }
    addRam(guest, wanted.path, wanted.pathLength, bytes);
  }
  return true;
}

function makeDefaults(guest: Guest, left: u32): void {
  if (packCount()) add(guest, slash, 1).root = treeRoot(slash, 0);
  const bytes = min<u32>(RAM_DEFAULT, (unreserved() >> RAM_SHARE) / left) & ~(PAGE - 1);
  if (bytes >= VOLUME_LEAST) addRam(guest, tmp, 4, bytes);
}

function add(guest: Guest, path: usize, length: u32): Mount {
  const mount = mountAt(guest, guest.mountCount++);
  mount.device = ++devices;
  mount.path = path;
  mount.pathLength = length;
  return mount;
}

function addRam(guest: Guest, path: usize, length: u32, bytes: u32): void {
  const mount = add(guest, path, length);
  mount.bytes = bytes;
  mount.volume = changetype<Volume>(reserveUncleared(bytes, PAGE));
}


@inline function mountAt(guest: Guest, index: u32): Mount {
  return changetype<Mount>(guest.mounts + <usize>index * offsetof<Mount>());
}

/** Empties a guest's RAM directories and opens all its mounts, each time it is started. */
export function mountsOpen(guest: Guest): void {
  for (let i: u32 = 0; i < guest.mountCount && guest.descriptors.hasRoom(); i++) {
    const mount = mountAt(guest, i);
    if (mount.volume !== null) {
      mount.root = ramInit(changetype<usize>(mount.volume), mount.bytes).root;
    }
    const fd = openNode(guest, mount, mount.root, RIGHTS_DIRECTORY, RIGHTS_ALL);
    changetype<OpenFile>(guest.descriptors.at(fd)).preopened = true;
  }
}
