import { addDevice } from "../../drivers/device";
import { clockUpdate } from "../../kernel/clock";
import { memoryInit } from "../../kernel/memory";
import {
  HEADROOM,
  Owner,
  Packet,
  PoolId,
  Purpose,
  allocate,
  poolOf,
  poolsInit,
} from "../../kernel/packet";
import { SECOND, timersAdvance } from "../../kernel/timer";
import { Interface, LinkKind, addInterface, interfacesInit } from "../../net/interface";
import {
  Neighbour,
  NeighbourState,
  findNeighbour,
  isKnown,
  neighbourFor,
  neighbourLearn,
  neighbourReached,
  neighbourSend,
  neighbourSetPermanent,
  neighbourStats,
  neighbourUpdate,
  neighboursFlush,
  neighboursInit,
} from "../../net/link/neighbour";
import { EthernetHeader } from "../../net/wire/ethernet";
import { v4Lo } from "../../net/wire/address";
import { setClock } from "./support/host";

const MAC_A: u64 = 0x5254_0000_000a;
const MAC_B: u64 = 0x5254_0000_000b;
const ENTRIES: u32 = 512;

let started = false;
let clock: u64 = 0;
let iface = changetype<Interface>(0);

function address(i: u32): u64 {
  return v4Lo(0x0a00_0000 + i);
}

/** Lets a time pass, a second at a step. */
function pass(seconds: u32): void {
  for (let i: u32 = 0; i < seconds; i++) {
    clock += SECOND;
    setClock(clock);
    timersAdvance(clockUpdate());
  }
}

function packet(): Packet {
  const made = changetype<Packet>(allocate(PoolId.Small, Purpose.Control, HEADROOM));
  made.length = 20;
  store<u8>(made.data, 0x45);
  return made;
}

/** Forgets what the device was given to send; the destination of the last frame, 0 without one. */
function sent(): u64 {
  let last: u64 = 0;
  const pending = iface.device.pending;
  for (let frame = pending.pop(); frame !== null; frame = pending.pop()) {
    last = changetype<EthernetHeader>(frame.data).destination;
    frame.release();
  }
  return last;
}

describe("the neighbour cache", () => {
  beforeEach(() => {
    if (!started) {
      started = true;
      memoryInit();
      poolsInit();
      interfacesInit();
      const device = addDevice();
      if (device !== null) iface = addInterface(device, LinkKind.Ethernet);
      iface.up = true;
      neighboursInit();
    }
    neighboursFlush(iface);
    sent();
    pass(2);
  });

  it("keeps what the operator set, whatever packets say", () => {
    expect(neighbourSetPermanent(iface, 0, address(1), MAC_A)).toBe(true);
    expect(neighbourUpdate(iface, 0, address(1), MAC_B)).toBe(true);
    neighboursFlush(iface);
    pass(700);
    const entry = findNeighbour(iface, 0, address(1));
    expect(entry !== null).toBe(true);
    if (entry === null) return;
    expect(entry.mac).toBe(MAC_A);
    expect(neighbourSend(entry, packet())).toBe(0);
    expect(sent()).toBe(MAC_A);
    // The operator may.
    neighbourSetPermanent(iface, 0, address(1), MAC_B);
    expect(entry.mac).toBe(MAC_B);
  });

  it("gives up what has not been used when it is full, never what is permanent", () => {
    const before = neighbourStats.evicted;
    for (let i: u32 = 100; i < 100 + 2 * ENTRIES; i++) {
      neighbourLearn(iface, 0, address(i), MAC_A);
      const busy = findNeighbour(iface, 0, address(100));
      if (busy !== null) neighbourSend(busy, packet());
      sent();
    }
    expect(neighbourStats.entries).toBe(ENTRIES);
    expect(neighbourStats.evicted - before > 0).toBe(true);
    expect(findNeighbour(iface, 0, address(1)) !== null).toBe(true);
    expect(findNeighbour(iface, 0, address(100)) !== null).toBe(true);
    expect(findNeighbour(iface, 0, address(99 + 2 * ENTRIES)) !== null).toBe(true);
    expect(findNeighbour(iface, 0, address(101)) === null).toBe(true);
  });

  it("drops an entry that nothing goes to, after ten minutes more", () => {
    neighbourLearn(iface, 0, address(50), MAC_A);
    pass(62);
    const entry = findNeighbour(iface, 0, address(50));
    expect(entry !== null).toBe(true);
    if (entry !== null) expect(entry.state).toBe(NeighbourState.Stale);
    pass(602);
    expect(findNeighbour(iface, 0, address(50)) === null).toBe(true);
  });

  it("sends to a stale neighbour at once, and asks it alone when five seconds have said nothing", () => {
    neighbourLearn(iface, 0, address(51), MAC_A);
    pass(32);
    const entry = changetype<Neighbour>(findNeighbour(iface, 0, address(51)));
    neighbourSend(entry, packet());
    expect(entry.state).toBe(NeighbourState.Delay);
    expect(iface.device.pendingLength).toBe(1);
    expect(sent()).toBe(MAC_A);
    pass(6);
    expect(entry.state).toBe(NeighbourState.Probe);
    expect(iface.device.pendingLength).toBe(1);
    expect(sent()).toBe(MAC_A);
  });

  it("needs no answer when what goes to it arrives", () => {
    neighbourLearn(iface, 0, address(53), MAC_A);
    const entry = changetype<Neighbour>(findNeighbour(iface, 0, address(53)));
    for (let i = 0; i < 4; i++) {
      pass(32);
      neighbourSend(entry, packet());
      expect(entry.state).toBe(NeighbourState.Delay);
      expect(entry.isReady).toBe(false);
      expect(entry.isReadyForOthers).toBe(true);
      neighbourReached(entry);
      expect(entry.state).toBe(NeighbourState.Reachable);
    }
    // Who has never answered is not known by it.
    const other = changetype<Neighbour>(neighbourFor(iface, 0, address(54)));
    neighbourReached(other);
    expect(other.state).toBe(NeighbourState.Incomplete);
    sent();
  });

  it("is ready for packets while it is asked, and not when it is silent", () => {
    neighbourLearn(iface, 0, address(52), MAC_A);
    const entry = changetype<Neighbour>(findNeighbour(iface, 0, address(52)));
    expect(entry.isReady).toBe(true);
    pass(62);
    // The next packet is what has it asked.
    expect(entry.state).toBe(NeighbourState.Stale);
    expect(entry.isReady).toBe(false);
    expect(isKnown(entry)).toBe(true);
    neighbourSend(entry, packet());
    pass(6);
    expect(entry.state).toBe(NeighbourState.Probe);
    expect(entry.isReady).toBe(true);
    // Three questions to it, then three to all (RFC 4861, 10).
    for (let i = 0; i < 20 && entry.state == NeighbourState.Probe; i++) {
      neighbourSend(entry, packet());
      pass(1);
    }
    expect(entry.state).toBe(NeighbourState.Incomplete);
    expect(entry.isReady || isKnown(entry)).toBe(false);
    for (let i = 0; i < 20 && entry.state == NeighbourState.Incomplete; i++) pass(1);
    expect(entry.state).toBe(NeighbourState.Failed);
    expect(entry.isReady || isKnown(entry)).toBe(false);
    sent();
  });

  it("gives back every packet when it is flushed", () => {
    const held = poolOf(PoolId.Small).owned(Owner.Stack);
    for (let i: u32 = 60; i < 70; i++) {
      const entry = neighbourFor(iface, 0, address(i));
      if (entry !== null) for (let n = 0; n < 50; n++) neighbourSend(entry, packet());
    }
    sent();
    // Four have all their room, and that is all there is: the others have it for one packet each.
    expect(neighbourStats.pending).toBe(4 * 48 + 6);
    neighboursFlush(iface);
    expect(neighbourStats.pending).toBe(0);
    expect(poolOf(PoolId.Small).owned(Owner.Stack)).toBe(held);
  });
});
