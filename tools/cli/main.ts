import { Command } from "commander";
import { check, format } from "./check.ts";
import { Failure } from "./project.ts";
import { test } from "./test.ts";

/** The `skerry` command. Every option is also an environment variable, so that make passes it on. */

const program = new Command("skerry")
  .description("Builds and runs operating-system images written in TypeScript.")
  .helpCommand(true)
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "skerry: ")) });

program
  .command("test")
  .description("run every test")
  .option("--only <suite...>", "only these suites: check, unit, aot, sim, qemu")
  .action(async (options: { only?: string[] }) => {
    process.exitCode = (await test(options.only)) ? 0 : 1;
  });

program
  .command("check")
  .description("check formatting and types")
  .action(async () => {
    const failed = (await check()).filter(({ passed }) => !passed);
    if (failed.length) throw new Failure(`check: ${failed.map(({ name }) => name).join(", ")}`);
  });

program.command("format").description("format every source in place").action(format);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  process.stderr.write(`skerry: ${error.message}\n`);
  process.exitCode = 1;
}
