import { CUSTOMER_TAG } from "./frames.ts";
import { Link, type Port } from "./link.ts";

/** A switch's end of a trunk: each VLAN is a link of its own, on which hosts know nothing of tags (IEEE 802.1Q). */
export class Trunk implements Port {
  readonly name = "trunk";
  private readonly vlans: { type: number; id: number; link: Link; port: Port }[] = [];

  constructor(readonly link: Link) {
    link.attach(this);
  }

  /** The link of a VLAN. */
  vlan(id: number, type = CUSTOMER_TAG): Link {
    const link = new Link(this.link.simulation);
    const port: Port = {
      name: `VLAN ${id}`,
      receive: (frame, damaged) => {
        if (!damaged) this.link.send(this, tagged(frame, id, type));
      },
    };
    link.attach(port);
    this.vlans.push({ type, id, link, port });
    return link;
  }

  receive(frame: Uint8Array, damaged: boolean): void {
    if (damaged) return;
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    const [type, id] = [view.getUint16(12), view.getUint16(14) & 0xfff];
    const vlan = this.vlans.find((one) => one.type === type && one.id === id);
    if (!vlan) return;
    const bytes = new Uint8Array(Math.max(60, frame.length - 4));
    bytes.set(frame.subarray(0, 12));
    bytes.set(frame.subarray(16), 12);
    vlan.link.send(vlan.port, bytes);
  }
}

/** A frame with a tag: what pads it stays. */
export function tagged(
  frame: Uint8Array,
  id: number,
  type = CUSTOMER_TAG,
  priority = 0,
): Uint8Array {
  const bytes = new Uint8Array(frame.length + 4);
  bytes.set(frame.subarray(0, 12));
  bytes.set([type >> 8, type & 255, (priority << 5) | (id >> 8), id & 255], 12);
  bytes.set(frame.subarray(12), 16);
  return bytes;
}
