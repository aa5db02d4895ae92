import { translateModule } from "../aot/emit.ts";
import { importsHeader, leases } from "./imports.ts";

/** From a Wasm module to the C of a guest (boot/guest.c says how it lives). */

export interface GuestCode {
  /** As people and logs call it. */
  name: string;
  /** Of all that its C exports. */
  prefix: string;
  c: string;
  /** What `c` includes as its imports. */
  header: string;
  /** Its row in the image's table. */
  row: string;
}

/** Translates a module for the image; an error says what is wrong with it. */
export function guestCode(name: string, wasm: Uint8Array, sourceMap?: string): GuestCode {
  const prefix = `guest_${name.replace(/[^A-Za-z0-9]/g, "_")}`;
  const options = { name: prefix, ...(sourceMap === undefined ? {} : { sourceMap }) };
  const translation = translateModule(wasm, options);
  const { module, exports } = translation;
  const start = module.exports.find((item) => item.name === "_start");
  if (!start || start.kind !== 0) {
    throw new Error("it exports no function _start: it is a library and not a program");
  }
  const memory = module.memories[0];
  if (!memory) throw new Error("it has no memory");
  const entry = exports.get("_start")!;
  const pages = `${memory.min}u, ${Math.min(memory.max ?? 65535, 65535)}u`;
  return {
    name,
    prefix,
    c: translation.c,
    header: importsHeader(translation),
    row: `{${JSON.stringify(name)}, ${prefix}_instantiate, ${entry}, &${prefix}_instance_bytes, ${pages}, ${Number(leases(module))}}`,
  };
}

/** The image's table of guests, in C. */
export function guestTable(guests: GuestCode[]): string {
  const declared = guests.flatMap(({ prefix, row }) => {
    const entry = row.split(", ")[2]!;
    return [
      `void ${prefix}_instantiate(void);`,
      `void ${entry}(void);`,
      `extern const u64 ${prefix}_instance_bytes;`,
    ];
  });
  return [
    '#include "guest.h"',
    ...declared,
    "const struct guest_module guest_modules[] = {",
    ...guests.map(({ row }) => `  ${row},`),
    "};",
    `const u32 guest_module_count = ${guests.length};`,
    "",
  ].join("\n");
}
