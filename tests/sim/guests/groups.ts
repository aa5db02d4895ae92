import { Address, Result, UdpSocket } from "skerry/net";
import { Done } from "skerry/errors";

/** Joins a group by its sources, says what cannot be, then what it hears and from whom. */

const GROUP = Address.parse("239.1.2.3", 0)!;
const A = Address.parse("10.0.0.1", 0)!;
const B = Address.parse("10.0.0.9", 0)!;

function fails(result: Result<Done>): void {
  console.log(result.failed ? result.error!.message : "done");
}

const socket = UdpSocket.bind(7).value;
fails(socket.joinGroup(A));
fails(socket.leaveGroup(GROUP));
fails(socket.blockSource(GROUP, A));
fails(socket.joinGroup(GROUP, 9));
socket.joinGroup(GROUP).value;
fails(socket.joinGroup(GROUP));
socket.blockSource(GROUP, A).value;
fails(socket.blockSource(GROUP, A));
fails(socket.joinSource(GROUP, B));
fails(socket.unblockSource(GROUP, B));
socket.unblockSource(GROUP, A).value;
socket.leaveGroup(GROUP).value;
socket.hearsAllGroups = false;
socket.joinSource(GROUP, A).value;
fails(socket.leaveSource(GROUP, B));
const bytes = new Uint8Array(100);
console.log("ready");
while (true) {
  const length = socket.receive(bytes);
  console.log(`${String.UTF8.decodeUnsafe(bytes.dataStart, length)} from ${socket.from.host}`);
}
