// A plain HTTP server, as it would be written for Node. It knows nothing of Skerry: `node server.js`
// runs it, too, with PORT.

import { createServer } from "node:http";

const port = Number(globalThis.process?.env.PORT ?? 80);
const visits = new Map();

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

const pages = {
  "/": () => "hello from JavaScript\n",
  "/visits": (url) => {
    visits.set(url, (visits.get(url) ?? 0) + 1);
    return JSON.stringify([...visits]) + "\n";
  },
  "/primes": () => {
    const primes = [];
    for (let n = 2; primes.length < 25; n++) if (primes.every((p) => n % p)) primes.push(n);
    return primes.join(" ") + "\n";
  },
  "/later": async () => {
    await sleep(100);
    return "a tenth of a second later\n";
  },
};

createServer(async (request, response) => {
  const page = pages[request.url];
  const text = page ? await page(request.url) : `no page ${request.url}\n`;
  response.writeHead(page ? 200 : 404, { "content-type": "text/plain; charset=utf-8" });
  response.end(text);
}).listen(port, () => console.log(`serving on port ${port}`));
