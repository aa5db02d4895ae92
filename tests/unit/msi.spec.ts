import { Device, InterruptKind, LINES, NO_LINE, deviceAt } from "../../drivers/device";
import { pciInterrupt } from "../../drivers/msi";
import { PciFunction, pciCount, pciFunction, pciProbe, pciRead32 } from "../../drivers/pci";
import { pciClear, pciWord } from "./support/host";

const AT: u32 = 3 << 11;

function device(index: u32): Device {
  const it = deviceAt(index);
  it.index = <u8>index;
  it.number = <u8>index;
  it.line = NO_LINE;
  return it;
}

/** A NIC on line 11 whose capability list starts at `first`. */
function nic(first: u32): PciFunction {
  pciClear();
  pciWord(0, 0x12378086, 0);
  pciWord(0x08, 0x06000000, 0);
  pciWord(0x0c, 0, 0);
  pciWord(AT, 0x10d38086, 0);
  pciWord(AT | 0x04, first ? 0x00100007 : 7, 0xffff);
  pciWord(AT | 0x08, 0x02000000, 0);
  pciWord(AT | 0x0c, 0, 0);
  pciWord(AT | 0x34, first, 0);
  pciWord(AT | 0x3c, 0x010b, 0xff);
  pciProbe();
  return pciFunction(pciCount() - 1);
}

/** PCI 3.0, 6.8.1. The fake host maps no registers, so that a table (6.8.2) is never to be had. */
describe("a function's interrupt", () => {
  it("is its line where it has no message", () => {
    const entry = nic(0);
    expect(pciInterrupt(entry, device(2))).toBe(InterruptKind.Line);
    expect(deviceAt(2).line).toBe(11);
    expect(pciRead32(AT, 0x04) & 0x400).toBe(0, "INTx stays on");
  });

  it("is one message, with the line off", () => {
    const entry = nic(0x50);
    pciWord(AT | 0x50, 0x0006_0005, 0x0071_0000); // 8 vectors on offer, 32 bits
    pciWord(AT | 0x54, 0, 0xffff_fffc);
    pciWord(AT | 0x58, 0xbeef_0000, 0xffff_ffff);
    expect(pciInterrupt(entry, device(5))).toBe(InterruptKind.Msi);
    expect(deviceAt(5).line).toBe(LINES + 5);
    expect(pciRead32(AT, 0x50) >>> 16).toBe(0x0007, "enabled, granted one vector");
    expect(pciRead32(AT, 0x54)).toBe(0xfee0_1000);
    expect(pciRead32(AT, 0x58)).toBe(0xbeef_0065, "what is reserved is kept");
    expect(pciRead32(AT, 0x04) & 0x400).toBe(0x400, "INTx is off");
  });

  it("of 64 bits with masks has vector 0 unmasked alone, and an upper half of 0", () => {
    const entry = nic(0x50);
    pciWord(AT | 0x50, 0x0180_0005, 0x0071_0000);
    pciWord(AT | 0x54, 0, 0xffff_fffc);
    pciWord(AT | 0x58, 7, 0xffff_ffff);
    pciWord(AT | 0x5c, 0, 0xffff);
    pciWord(AT | 0x60, 0xff, 0xff);
    expect(pciInterrupt(entry, device(0))).toBe(InterruptKind.Msi);
    expect(pciRead32(AT, 0x58)).toBe(0);
    expect(pciRead32(AT, 0x5c)).toBe(0x60);
    expect(pciRead32(AT, 0x60)).toBe(0xfe);
  });

  it("falls back from a table that cannot be reached, and switches it off", () => {
    const entry = nic(0x40);
    pciWord(AT | 0x40, 0x8004_5011, 0xc000_0000); // as firmware may leave it: enabled
    pciWord(AT | 0x44, 3, 0);
    pciWord(AT | 0x1c, 0, 0);
    pciWord(AT | 0x50, 0x0000_0005, 0x0071_0000);
    pciWord(AT | 0x54, 0, 0xffff_fffc);
    pciWord(AT | 0x58, 0, 0xffff_ffff);
    expect(pciInterrupt(entry, device(1))).toBe(InterruptKind.Msi);
    expect(pciRead32(AT, 0x40) >>> 31).toBe(0);
    expect(pciRead32(AT, 0x50) >>> 16).toBe(1);
  });
});
