import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";

/** A port of this computer that nobody uses. */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
}

/** Boots the image for the time of `work`, which gets the port that leads to it. */
export async function withMachine(work) {
  const port = await freePort();
  const words = ["--no-install", "skerry", "run", "--port", String(port)];
  const machine = spawn("npx", words, { stdio: ["ignore", "pipe", "pipe"], detached: true });
  let output = "";
  for (const stream of [machine.stdout, machine.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk) => (output += chunk));
  }
  const ended = once(machine, "close");
  try {
    while (!output.includes("(Ctrl-C ends the machine)")) {
      if (machine.exitCode !== null) throw new Error(output);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await work(port);
  } finally {
    if (machine.exitCode === null) process.kill(-machine.pid, "SIGINT");
    await ended;
  }
}
