import { Bus, Found } from "../../drivers/bus";
import { DEVICES_MAX, Device, addDevice } from "../../drivers/device";
import { deviceMemory, deviceMemoryRelease } from "../../drivers/device-memory";
import { PciFunction } from "../../drivers/pci";
import { CHIPS_MAX, chipAt, chipCount, chipFor, pciId, registerChip } from "../../drivers/registry";
import { memoryInit, unreserved } from "../../kernel/memory";

const found = changetype<PciFunction>(memory.data(offsetof<PciFunction>(), 8));

function begin(_entry: PciFunction, _device: Device): bool {
  return true;
}

function beginFound(_found: Found, _device: Device): bool {
  return true;
}

function ask(bus: Bus, id: u32, revision: u32): string {
  found.kind = bus;
  found.id = id;
  found.revision = revision;
  const chip = chipFor(found);
  return chip === null ? "" : chip.model;
}

describe("the registry", () => {
  it("knows a chip by bus, id and revision", () => {
    registerChip("a", Bus.Pci, pciId(0x10ec, 0x8139), "old", begin, 0, 0x1f);
    registerChip("a", Bus.Pci, pciId(0x10ec, 0x8139), "new", begin, 0x20);
    registerChip("b", Bus.VirtioMmio, 1, "mmio", beginFound);
    expect(ask(Bus.Pci, 0x813910ec, 0)).toBe("old");
    expect(ask(Bus.Pci, 0x813910ec, 0x1f)).toBe("old");
    expect(ask(Bus.Pci, 0x813910ec, 0x20)).toBe("new");
    expect(ask(Bus.Pci, 0x813910ec, 0xff)).toBe("new");
    expect(ask(Bus.Pci, 0x813810ec, 0x20)).toBe("");
    expect(ask(Bus.Pci, 1, 0)).toBe("", "the other bus's");
    expect(ask(Bus.VirtioMmio, 1, 0)).toBe("mmio");
  });

  it("has room for 16 drivers with four chips each, and more", () => {
    const before = chipCount();
    const drivers = [
      ["d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7"],
      ["d8", "d9", "d10", "d11", "d12", "d13", "d14", "d15"],
    ];
    for (let i = 0; i < 16; i++) {
      for (let chip: u32 = 0; chip < 4; chip++) {
        registerChip(drivers[i >> 3][i & 7], Bus.Pci, pciId(0x1000 + i, chip), "chip", begin);
      }
    }
    expect(chipCount()).toBe(before + 64);
    expect(chipCount() < CHIPS_MAX).toBe(true);
    expect(ask(Bus.Pci, pciId(0x100f, 3), 0)).toBe("chip");
    expect(chipFor(found)!.driver).toBe("d15");
    expect(chipAt(0).foundBytes).toBe(offsetof<PciFunction>());
  });
});

describe("memory of devices", () => {
  beforeAll(() => {
    memoryInit();
  });

  it("is aligned, zeroed, and used again by whoever wants as much", () => {
    const a = addDevice()!;
    const b = addDevice()!;
    const ring = deviceMemory(a, 5000, 4096);
    const state = deviceMemory(a, 100, 64);
    expect(ring & 4095).toBe(0);
    expect(state & 63).toBe(0);
    memory.fill(ring, 0xff, 5000);
    const other = deviceMemory(b, 100, 64);
    expect(other).not.toBe(state, "still held");
    deviceMemoryRelease(a);
    const left = unreserved();
    expect(deviceMemory(b, 100, 64)).toBe(state);
    expect(deviceMemory(b, 5000, 4096)).toBe(ring);
    for (let i = 0; i < 5000; i += 8) expect(load<u64>(ring + i)).toBe(0);
    expect(unreserved()).toBe(left);
    deviceMemoryRelease(b);
  });

  it("goes round a thousand times without taking more", () => {
    const a = addDevice()!;
    for (let i = 0; i < 3; i++) deviceMemory(a, 4096, 4096);
    deviceMemoryRelease(a);
    const left = unreserved();
    for (let round = 0; round < 1000; round++) {
      for (let i = 0; i < 3; i++) expect(deviceMemory(a, 4096, 4096) != 0).toBe(true);
      deviceMemoryRelease(a);
    }
    expect(unreserved()).toBe(left);
  });

  it("says so when the machine has no more", () => {
    const a = addDevice()!;
    expect(deviceMemory(a, 0x7fff_0000, 64)).toBe(0);
  });
});

describe("the table of devices", () => {
  it("has room for 32 NICs, the loopback and 15 links over links, then says so", () => {
    expect(DEVICES_MAX).toBe(32 + 1 + 15);
    let count: u32 = 0;
    // Four were taken above.
    while (addDevice() !== null) count++;
    expect(count + 4).toBe(DEVICES_MAX);
  });
});
