// Runs inside a network namespace: asks `http://HOST/` until it is answered, then prints
// CLOCK_MONOTONIC in ns (process.hrtime) of that moment. With a PATH that is asked for, and the answer's
// body is printed after it. Usage: node first-answer.mjs HOST SECONDS [PATH]
//
// A new connection is tried every few ms, because a lost SYN would be repeated only after a
// second; one that is established is left to finish, however slow the guest is.
import { connect } from "node:net";

const [host, seconds, path] = process.argv.slice(2);
const EVERY_MS = 5;
const GIVE_UP_CONNECTING_MS = 100;

setTimeout(() => process.exit(1), Number(seconds) * 1000);

function attempt() {
  const socket = connect(80, host);
  let text = "";
  const timer = setTimeout(() => socket.destroy(), GIVE_UP_CONNECTING_MS);
  socket.on("connect", () => {
    clearTimeout(timer);
    socket.write(`GET ${path ?? "/"} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  });
  socket.on("data", (chunk) => (text += chunk.toString("latin1")));
  socket.on("end", () => {
    if (!text.startsWith("HTTP/1.1 ")) return;
    const body = path ? `${text.slice(text.indexOf("\r\n\r\n") + 4)}\n` : "";
    process.stdout.write(`${process.hrtime.bigint()}\n${body}`, () => process.exit(0));
  });
  socket.on("error", () => socket.destroy());
}

console.log("ready");
setInterval(attempt, EVERY_MS);
