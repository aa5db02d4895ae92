import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { note } from "./progress.ts";

/** How long to wait before looking again, ms. */
const POLL_MS = 100;

/** Takes the lock, or says which process has it; 0 for one that has only just gone. */
function take(path: string): number | null {
  try {
    writeFileSync(path, String(process.pid), { flag: "wx" });
    return null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  try {
    return Number(readFileSync(path, "utf8"));
  } catch {
    return 0;
  }
}

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // somebody else's
  }
}

/**
 * Does `work` while no other process does work under the same lock: a file that holds the number
 * of the process. One that ended without removing it is no hindrance.
 */
export async function exclusively<T>(path: string, work: () => Promise<T>): Promise<T> {
  let said = false;
  for (let holder = take(path); holder !== null; holder = take(path)) {
    if (holder !== 0 && !runs(holder)) {
      rmSync(path, { force: true });
      continue;
    }
    if (holder !== 0 && !said) note(`  waits for the build of process ${holder}`);
    said ||= holder !== 0;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}
