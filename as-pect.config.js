import { host } from "./tests/unit/support/host.js";

/** Unit tests: each spec is compiled with what it imports and runs in Node against a fake host. */
export default {
  entries: ["tests/unit/**/*.spec.ts"],
  include: [],
  disclude: [/node_modules/],
  async instantiate(memory, createImports, instantiate, binary) {
    let exports;
    const imports = host(() => exports.memory);
    const instance = await instantiate(binary, createImports({ env: { memory }, ...imports }));
    exports = instance.exports;
    return instance;
  },
  outputBinary: false,
};
