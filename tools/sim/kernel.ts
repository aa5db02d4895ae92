import { readFileSync } from "node:fs";
import { SourceMap } from "node:module";

/** A compiled kernel: one for all the machines of a process. */
export interface Kernel {
  module: WebAssembly.Module;
  /** 64 KiB pages that its static data needs: RAM begins behind them. */
  staticPages: number;
  /** TypeScript position of a byte offset in the module, if its source map is there. */
  locate(offset: number): string | undefined;
}

const compiled = new Map<string, Kernel>();

/** Compiles a kernel.wasm, once per path. */
export function loadKernel(path: string): Kernel {
  let kernel = compiled.get(path);
  if (!kernel) {
    const bytes = readFileSync(path);
    let map: SourceMap | undefined;
    const locate = (offset: number): string | undefined => {
      map ??= new SourceMap(JSON.parse(readFileSync(`${path}.map`, "utf8")));
      const entry = map.findEntry(0, offset);
      if (!("originalSource" in entry)) return undefined;
      return `${entry.originalSource}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
    };
    kernel = {
      module: new WebAssembly.Module(bytes),
      staticPages: importedMemoryPages(bytes, path),
      locate,
    };
    compiled.set(path, kernel);
  }
  return kernel;
}

/** The minimum of the memory that a module imports (WebAssembly core specification, 5.5.5). */
function importedMemoryPages(bytes: Uint8Array, path: string): number {
  let at = 8;
  const leb = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  const skipName = (): void => {
    const length = leb();
    at += length;
  };
  while (at < bytes.length) {
    const id = bytes[at++]!;
    const end = leb() + at;
    if (id === 2) {
      for (let count = leb(); count > 0; count--) {
        skipName();
        skipName();
        const kind = bytes[at++];
        if (kind === 0) leb();
        else if (kind === 3) at += 2;
        else {
          if (kind === 1) at++;
          const limits = bytes[at++]!;
          const minimum = leb();
          if (kind === 2) return minimum;
          if (limits & 1) leb();
        }
      }
    }
    at = end;
  }
  throw new Error(`${path} imports no memory: build it with --importMemory`);
}

/** Adds TypeScript positions to the stack of an error that came through the kernel. */
export function explain(error: Error, kernel: Kernel): void {
  error.stack = (error.stack ?? String(error)).replace(
    /\(?wasm:\/\/wasm\/\S*?:wasm-function\[\d+\]:0x([0-9a-f]+)\)?/g,
    (frame, offset: string) => {
      const position = kernel.locate(parseInt(offset, 16));
      return position ? `(${position})` : frame;
    },
  );
}
