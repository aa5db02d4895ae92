import { Handler, Loop } from "skerry/loop";

/** Sends back what comes. */
class Echo extends Handler {
  opened(): void {
    console.log("hello, " + this.connection.peer.toString());
  }

  received(bytes: Uint8Array): void {
    this.connection.write(bytes);
  }
}

const loop = new Loop();
loop.listen(7, () => new Echo()).value;
console.log("echoing on port 7");
loop.run();
