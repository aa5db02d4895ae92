import { once } from "node:events";
import { type Server, type Socket, createServer } from "node:net";

/**
 * A place on a machine's Ethernet segment from which any bytes can be sent: the other end of
 * QEMU's `-netdev stream`, which carries each frame after its length in 4 bytes, big-endian.
 */
export class Segment {
  private socket: Socket | null = null;

  private constructor(private readonly server: Server) {}

  /** Listens at a Unix socket; `MachineOptions.segment` is told the same path. */
  static async listen(path: string): Promise<Segment> {
    const server = createServer();
    const segment = new Segment(server);
    server.on("connection", (socket) => {
      segment.socket = socket;
      socket.resume();
      socket.on("error", () => {}); // the machine ends
    });
    server.listen(path);
    await once(server, "listening");
    return segment;
  }

  /** Sends one frame, without preamble and checksum. Waits while the machine is slower than we. */
  async send(frame: Uint8Array): Promise<void> {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(frame.length);
    this.socket!.write(length);
    if (!this.socket!.write(frame)) await once(this.socket!, "drain");
  }

  close(): void {
    this.socket?.destroy();
    this.server.close();
  }
}
