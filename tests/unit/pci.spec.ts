import { NO_LINE } from "../../drivers/device";
import {
  PciBar,
  PciFunction,
  pciBar,
  pciCapability,
  pciCount,
  pciDisable,
  pciEnable,
  pciFunction,
  pciProbe,
  pciRead32,
} from "../../drivers/pci";
import { consoleText, pciClear, pciWord } from "./support/host";

const bar = changetype<PciBar>(memory.data(offsetof<PciBar>(), 8));

function address(bus: u32, slot: u32, func: u32): u32 {
  return (bus << 16) | (slot << 11) | (func << 8);
}

/** A function with nothing but its head: decoding on, INTA on line 11. */
function put(at: u32, id: u32, classCode: u32, header: u32): void {
  pciWord(at, id, 0);
  pciWord(at | 0x04, 3, 0xffff);
  pciWord(at | 0x08, (classCode << 8) | 2, 0);
  pciWord(at | 0x0c, header << 16, 0);
  pciWord(at | 0x3c, 0x010b, 0xff);
}

function putBridge(at: u32, secondary: u32, header: u32 = 1): void {
  put(at, 0x244e8086, 0x060400, header);
  pciWord(at | 0x18, secondary << 8, 0);
}

function nic(): PciFunction {
  return pciFunction(pciCount() - 1);
}

describe("the PCI walk", () => {
  beforeEach(() => {
    pciClear();
    consoleText();
    put(0, 0x12378086, 0x060000, 0);
  });

  it("says when there is no bus", () => {
    pciClear();
    expect(pciProbe()).toBe(false);
    expect(pciCount()).toBe(0);
  });

  it("finds functions and what they say of themselves", () => {
    put(address(0, 3, 0), 0x100e8086, 0x020000, 0);
    expect(pciProbe()).toBe(true);
    expect(pciCount()).toBe(2);
    expect(nic().vendor).toBe(0x8086);
    expect(nic().device).toBe(0x100e);
    expect(nic().classCode).toBe(0x020000);
    expect(nic().revision).toBe(2);
    expect(nic().bus).toBe(0);
    expect(nic().slot).toBe(3);
    expect(nic().func).toBe(0);
    expect(nic().line).toBe(11);
  });

  it("looks at further functions only where the header says there are", () => {
    put(address(0, 1, 0), 0x70008086, 0x060100, 0);
    put(address(0, 1, 1), 0x70108086, 0x010180, 0);
    pciProbe();
    expect(pciCount()).toBe(2, "a single-function device may answer for all eight");
    put(address(0, 1, 0), 0x70008086, 0x060100, 0x80);
    put(address(0, 1, 7), 0x70118086, 0x010180, 0);
    pciProbe();
    expect(pciCount()).toBe(4);
    expect(nic().func).toBe(7);
  });

  it("goes down bridges behind bridges, whatever the order of their numbers", () => {
    putBridge(address(0, 30, 0), 5);
    putBridge(address(5, 0, 0), 200);
    putBridge(address(0, 31, 0), 2);
    put(address(200, 4, 0), 0x100f8086, 0x020000, 0);
    put(address(2, 4, 0), 0x100e8086, 0x020000, 0);
    pciProbe();
    expect(pciCount()).toBe(6);
    expect(nic().bus).toBe(200);
  });

  it("follows every root of a host bridge with several", () => {
    put(0, 0x12378086, 0x060000, 0x80);
    put(address(0, 0, 2), 0x12378086, 0x060000, 0);
    put(address(2, 1, 0), 0x100e8086, 0x020000, 0);
    pciProbe();
    expect(nic().bus).toBe(2);
  });

  it("comes to an end when bridges point at themselves, back, or nowhere", () => {
    putBridge(address(0, 1, 0), 0);
    putBridge(address(0, 2, 0), 3);
    putBridge(address(3, 0, 0), 3);
    putBridge(address(3, 1, 0), 0);
    putBridge(address(0, 4, 0), 3);
    expect(pciProbe()).toBe(true);
    expect(pciCount()).toBe(6);
    expect(consoleText().split("\n").length).toBe(4);
  });

  it("stops adding, and says so, when its table is full", () => {
    for (let slot: u32 = 1; slot < 32; slot++) {
      for (let func: u32 = 0; func < 8; func++) {
        put(address(0, slot, func), 0x00011234, 0xff0000, 0x80);
      }
    }
    pciProbe();
    expect(pciCount()).toBe(128);
    expect(consoleText().includes("table full")).toBe(true);
  });

  it("knows no line without a pin, or where the firmware has none", () => {
    const lines: u32[] = [0x000b, 0x01ff, 0x0100, 0x0110];
    for (let i = 0; i < lines.length; i++) {
      put(address(0, 3, 0), 0x100e8086, 0x020000, 0);
      pciWord(address(0, 3, 0) | 0x3c, lines[i], 0);
      pciProbe();
      expect(nic().line).toBe(NO_LINE);
    }
  });
});

describe("a function's registers", () => {
  const at = address(0, 3, 0);
  beforeEach(() => {
    const at = address(0, 3, 0);
    pciClear();
    put(0, 0x12378086, 0x060000, 0);
    put(at, 0x100e8086, 0x020000, 0);
    pciWord(at | 0x10, 0xfebc0000, 0xfffe0000);
    pciWord(at | 0x14, 0xc001, 0xffffffc0);
    pciWord(at | 0x18, 0x0000000c, 0xffffc000);
    pciWord(at | 0x1c, 0x00000020, 0xffffffff);
    pciWord(at | 0x20, 0, 0);
    pciWord(at | 0x24, 0x0000d001, 0x0000ff00);
    pciProbe();
  });

  it("are sized and left as they were", () => {
    pciBar(nic(), 0, bar);
    expect(bar.base).toBe(0xfebc0000);
    expect(bar.size).toBe(0x20000);
    expect(bar.io).toBe(false);
    expect(pciRead32(address(0, 3, 0), 0x10)).toBe(0xfebc0000);
    expect(pciRead32(address(0, 3, 0), 0x04) & 3).toBe(3);
  });

  it("may be ports, of 32 bits or 16", () => {
    pciBar(nic(), 1, bar);
    expect(bar.io).toBe(true);
    expect(bar.base).toBe(0xc000);
    expect(bar.size).toBe(64);
    pciBar(nic(), 5, bar);
    expect(bar.base).toBe(0xd000);
    expect(bar.size).toBe(256);
  });

  it("may be 64 bits wide", () => {
    pciBar(nic(), 2, bar);
    expect(bar.base).toBe(0x20_0000_0000);
    expect(bar.size).toBe(0x4000);
    expect(pciRead32(address(0, 3, 0), 0x1c)).toBe(0x20);
  });

  it("may be missing", () => {
    pciBar(nic(), 4, bar);
    expect(bar.size).toBe(0);
    pciBar(nic(), 6, bar);
    expect(bar.size).toBe(0);
  });

  it("are switched on with bus mastering and interrupts, and off again", () => {
    pciWord(address(0, 3, 0) | 0x04, 0x0401, 0xffff);
    pciEnable(nic());
    expect(pciRead32(address(0, 3, 0), 0x04)).toBe(0x0007);
    pciDisable(nic());
    expect(pciRead32(address(0, 3, 0), 0x04)).toBe(0x0403);
  });

  it("have no words from 256 on where there are only ports", () => {
    const at = address(0, 3, 0);
    pciWord(at | 0x100, 0x00010001, 0);
    expect(pciRead32(at, 0x100)).toBe(0xffff_ffff);
  });

  it("list capabilities, and a list that goes round has an end", () => {
    const at = address(0, 3, 0);
    expect(pciCapability(nic(), 5)).toBe(0);
    pciWord(at | 0x04, 0x00100000, 0xffff);
    pciWord(at | 0x34, 0xdc, 0);
    pciWord(at | 0xdc, 0xe401, 0);
    pciWord(at | 0xe4, 0xf007, 0);
    pciWord(at | 0xf0, 0xdc05, 0);
    expect(pciCapability(nic(), 7)).toBe(0xe4);
    expect(pciCapability(nic(), 5)).toBe(0xf0);
    expect(pciCapability(nic(), 0x11)).toBe(0);
    pciWord(at | 0x34, 0x10, 0);
    expect(pciCapability(nic(), 1)).toBe(0, "a pointer into the header is none");
  });
});
