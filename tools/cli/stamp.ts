import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Skips work whose inputs have not changed. A stamp beside the output records a hash of what the
 * work depended on; contents count, not dates, so a checkout or a touched file costs no rebuild.
 */

export type Hash = string;

/** Hash of some bytes or text. */
export function hashOf(data: Uint8Array | string): Hash {
  return createHash("sha256").update(data).digest("hex").slice(0, 32);
}

/** Hash of a file's content, or `absent`: that a file is not there is an input, too. */
export function hashOfFile(path: string): Hash {
  return existsSync(path) ? hashOf(readFileSync(path)) : "absent";
}

interface Record {
  /** What the work was told: options, versions. */
  key: Hash;
  /** The files that it read. */
  files: { [path: string]: Hash };
}

/**
 * Runs `work` unless `outputs` exist and were made from the same `key` and files. `work` returns
 * the paths of the files it read, which it may learn only by running.
 */
export async function once(
  stamp: string,
  key: Hash,
  outputs: string[],
  work: () => Promise<Iterable<string>>,
): Promise<void> {
  if (existsSync(stamp) && outputs.every((path) => existsSync(path))) {
    const last = JSON.parse(readFileSync(stamp, "utf8")) as Record;
    const same = Object.entries(last.files).every(([path, hash]) => hashOfFile(path) === hash);
    if (last.key === key && same) return;
  }
  const files: Record["files"] = {};
  for (const path of await work()) files[path] = hashOfFile(path);
  mkdirSync(dirname(stamp), { recursive: true });
  // Whole or not at all, however this process ends.
  writeFileSync(`${stamp}.part`, JSON.stringify({ key, files } satisfies Record));
  renameSync(`${stamp}.part`, stamp);
}
