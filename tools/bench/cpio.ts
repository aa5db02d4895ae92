/** A cpio archive in the `newc` format, which Linux takes as its initial file system. */

export type Node =
  | { kind: "file"; content: Uint8Array; executable?: boolean }
  | { kind: "directory" }
  | { kind: "link"; target: string }
  | { kind: "character"; major: number; minor: number };

const MODES = { file: 0o100000, directory: 0o040000, link: 0o120000, character: 0o020000 };

function padded(bytes: Uint8Array): Uint8Array[] {
  return [bytes, new Uint8Array(-bytes.length & 3)];
}

function entry(path: string, node: Node, inode: number): Uint8Array[] {
  const content =
    node.kind === "file"
      ? node.content
      : Buffer.from(node.kind === "link" ? node.target : "", "utf8");
  const permissions = node.kind === "file" && !node.executable ? 0o644 : 0o755;
  const name = Buffer.from(`${path}\0`, "utf8");
  const [major, minor] = node.kind === "character" ? [node.major, node.minor] : [0, 0];
  // Fields: inode, mode, uid, gid, links, mtime, size, device (2), device of a special file (2),
  // length of the name, checksum (unused in this variant).
  const fields = [
    ...[inode, MODES[node.kind] | permissions, 0, 0, 1, 0, content.length, 0, 0],
    ...[major, minor, name.length, 0],
  ];
  const header = "070701" + fields.map((field) => field.toString(16).padStart(8, "0")).join("");
  return [...padded(Buffer.concat([Buffer.from(header), name])), ...padded(content)];
}

/** Packs nodes by path (relative, without a leading slash); missing directories are made. */
export function cpio(nodes: Map<string, Node>): Uint8Array {
  const all = new Map<string, Node>();
  for (const [path, node] of nodes) {
    const parts = path.split("/");
    for (let length = 1; length < parts.length; length++) {
      const directory = parts.slice(0, length).join("/");
      if (!all.has(directory)) all.set(directory, { kind: "directory" });
    }
    all.set(path, node);
  }
  let inode = 1;
  const chunks = [...all].flatMap(([path, node]) => entry(path, node, inode++));
  const trailer = entry("TRAILER!!!", { kind: "file", content: new Uint8Array() }, 0);
  return Buffer.concat([...chunks, ...trailer]);
}
