import { createServer } from "node:net";
import { Failure } from "../cli/project.ts";

/** TCP ports of the host's loopback. */

/** Resolves to the port bound: `port`, or a free one for 0. */
function tryPort(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : port));
    });
  });
}

/** A port that nothing listens on now. */
export function freePort(): Promise<number> {
  return tryPort(0);
}

/** Fails with one clear line if `port` cannot be listened on. */
export async function requirePort(port: number): Promise<void> {
  try {
    await tryPort(port);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "EADDRINUSE") {
      throw new Failure(`port ${port} of 127.0.0.1 is taken: choose another with PORT=`);
    }
    if (code === "EACCES") {
      throw new Failure(`port ${port} is for root only: choose one from 1024 with PORT=`);
    }
    throw new Failure(`port ${port} of 127.0.0.1: ${message}`);
  }
}
