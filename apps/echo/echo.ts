import { DatagramHandler, Handler, Loop } from "skerry/loop";
import { Address } from "skerry/net";

/** Sends back what comes, over TCP and UDP, IPv4 and IPv6 (RFC 862). */

const PORT: u16 = 7;

class Stream extends Handler {
  received(bytes: Uint8Array): void {
    this.connection.write(bytes);
  }
}

class Datagrams extends DatagramHandler {
  received(bytes: Uint8Array, from: Address): void {
    // What another echo has sent would go to and fro for ever.
    if (from.port != PORT) this.port.send(bytes, from);
  }
}

const loop = new Loop();
loop.listen(PORT, () => new Stream()).value;
loop.bind(PORT, new Datagrams()).value;
console.log(`echo: serving port=${PORT} protocols=tcp,udp`);
loop.run();
