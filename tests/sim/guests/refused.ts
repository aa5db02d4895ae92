import { HttpServer } from "skerry/http";
import { DatagramHandler, Loop } from "skerry/loop";
import { Address, TcpListener, TcpStream, UdpSocket, resolve } from "skerry/net";

/** Tries what its spec does not allow, or what cannot be, and says what it is told. */

class Deaf extends DatagramHandler {
  received(_bytes: Uint8Array, _from: Address): void {}
}

const NOBODY = Address.parse("10.0.0.2", 9)!;
const OTHER = Address.parse("10.0.0.1", 22)!;

console.log(TcpListener.bind(81).error!.message);
console.log(UdpSocket.bind(53).error!.message);
console.log(new HttpServer((_request, _response) => {}).listen(8080).error!.message);
console.log(new Loop().bind(69, new Deaf()).error!.message);
console.log(TcpStream.connectTo(OTHER).error!.message);
console.log(resolve("example.org", 80).error!.message);
console.log(TcpStream.connectTo(NOBODY).error!.message);
const listener = TcpListener.bind(80).value;
console.log(TcpListener.bind(80).error!.message);
listener.close();
TcpListener.bind(82).value;
console.log("not reached");
