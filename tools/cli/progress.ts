/** Says what a slow step is doing, and how long it took. */

function write(text: string): void {
  process.stderr.write(text);
}

/** A duration for people: `340 ms`, `2.1 s`, `3 min 20 s`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 99_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** Runs `work` under a line `label … 2.1 s`. */
export async function step<T>(label: string, work: () => Promise<T> | T): Promise<T> {
  const start = performance.now();
  write(`  ${label} … `);
  try {
    const result = await work();
    write(`${duration(performance.now() - start)}\n`);
    return result;
  } catch (error) {
    write("failed\n");
    throw error;
  }
}

/** A line about what happens next or what was decided. */
export function note(text: string): void {
  write(`${text}\n`);
}
