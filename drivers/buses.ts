import { Line, warn } from "../kernel/log";
import { Bus, Found } from "./bus";
import {
  CLASS_NETWORK,
  PciFunction,
  pciCount,
  pciDisable,
  pciFunction,
  pciPresent,
  pciProbe,
  pciRunning,
} from "./pci";
import {
  VirtioMmio,
  virtioMmioAt,
  virtioMmioCount,
  virtioMmioPresent,
  virtioMmioScan,
} from "./virtio/bus";

/** All buses as one: what drivers/manager.ts asks of any of them, bus by bus. */

/** Looks at every bus anew. `foundAt` then says what is there, in the order of buses and places. */
export function busesScan(): void {
  virtioMmioScan();
  if (!pciProbe() && !virtioMmioCount()) {
    warn("pci").text("no bus: neither ECAM nor configuration mechanism #1 answers").end();
  }
}

/** Things found. */
export function foundCount(): u32 {
  return pciCount() + virtioMmioCount();
}

/** What was found as number `index`, below `foundCount()`; to be copied, the next scan writes over it. */
export function foundAt(index: u32): Found {
  return index < pciCount() ? pciFunction(index) : virtioMmioAt(index - pciCount());
}

/** Whether it still answers at its place. */
export function foundPresent(found: Found): bool {
  if (found.kind == Bus.Pci) return pciPresent(changetype<PciFunction>(found));
  return virtioMmioPresent(changetype<VirtioMmio>(found));
}

/** Whether what answers there is still what a driver has started: a card may have been changed. */
export function foundRunning(found: Found): bool {
  if (found.kind == Bus.Pci) return pciRunning(changetype<PciFunction>(found));
  return virtioMmioPresent(changetype<VirtioMmio>(found));
}

/** Ends what it does on its bus, whatever its own registers say. */
export function foundSilence(found: Found): void {
  if (found.kind == Bus.Pci) pciDisable(changetype<PciFunction>(found));
}

/** Whether it says that it is a NIC. */
export function foundNetwork(found: Found): bool {
  return found.kind == Bus.Pci && changetype<PciFunction>(found).classCode >> 16 == CLASS_NETWORK;
}

/** `info("pci")`'s word for its bus. */
export function busName(found: Found): string {
  return found.kind == Bus.Pci ? "pci" : "virtio";
}

/** Where it is and what it is: `00:03.0 8086:100e`. */
export function describe(line: Line, found: Found): Line {
  if (found.kind != Bus.Pci) return line.hex(found.address, 8).text(" id ").number(found.id);
  const entry = changetype<PciFunction>(found);
  line.hex(entry.bus, 2).text(":").hex(entry.slot, 2).text(".").hex(entry.func, 1);
  return line.text(" ").hex(entry.vendor, 4).text(":").hex(entry.device, 4);
}

/** The same with its class, for the list of what there is. */
export function describeWhole(line: Line, found: Found): Line {
  describe(line, found);
  if (found.kind != Bus.Pci) return line;
  return line.key("class").hex(changetype<PciFunction>(found).classCode, 6);
}
