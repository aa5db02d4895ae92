import { E1000, type Variant, VARIANTS } from "./e1000.ts";
import { E1000e, VARIANT_82574 } from "./e1000e.ts";
import type { NicKind } from "./nic.ts";
import { type Chip, CHIPS, Rtl8139 } from "./rtl8139.ts";
import { Feature } from "./virtio.ts";
import { Net, VirtioNet, type VirtioOptions } from "./virtio-net.ts";

/** Every NIC model. Tests that any NIC must pass run over this list, most seeds on its first. */
export const NICS: readonly NicKind[] = [
  e1000("e1000", VARIANTS["82540EM"]),
  e1000("e1000-82544gc", VARIANTS["82544GC"]),
  e1000("e1000-82545em", VARIANTS["82545EM"]),
  { ...e1000("e1000e", VARIANT_82574), make: (options) => new E1000e(options) },
  rtl8139("rtl8139", CHIPS.classic),
  rtl8139("rtl8139c+", CHIPS.plus),
  virtio("virtio-net-pci", {}),
  // What devices were before 1.0: a header apart, no merged buffers, flags in place of the event index.
  virtio("virtio-net-pci,disable-modern=on", {
    kind: "legacy",
    without: [Feature.ANY_LAYOUT, Feature.EVENT_IDX, Net.MRG_RXBUF, Net.GUEST_TSO4],
  }),
];

/** Further kinds, for the tests of their own drivers. */
const MORE: readonly NicKind[] = [
  virtio("virtio-net-pci,vectors=3", { messages: 3 }),
  virtio("virtio-net-pci,transitional", { kind: "transitional" }),
  virtio("virtio-net-pci,disable-modern=on,vectors=3", { kind: "legacy", messages: 3 }),
  virtio("virtio-net-device", { kind: "mmio2" }),
  virtio("virtio-net-device,force-legacy=on", { kind: "mmio1" }),
  virtio("virtio-net-pci,short", { receiveSize: 32 }),
  virtio("virtio-net-pci,plain", {
    without: Object.values(Net).filter((bit) => bit !== Net.STATUS && bit !== Net.SPEED_DUPLEX),
  }),
];

function e1000(name: string, variant: Variant): NicKind {
  return {
    name,
    model: `Intel ${variant.name}`,
    mbit: 1000,
    checksums: true,
    checksIp: true,
    segmentation: variant.segmentation,
    segmentation6: variant === VARIANT_82574,
    copies: false,
    countsMissed: true,
    make: (options) => new E1000({ variant, ...options }),
  };
}

function rtl8139(name: string, chip: Chip): NicKind {
  return {
    name,
    model: chip.plus ? "Realtek RTL8139C+" : "Realtek RTL8139",
    mbit: 100,
    checksums: chip.plus,
    checksIp: chip.plus,
    segmentation: chip.plus,
    segmentation6: false,
    copies: !chip.plus,
    countsMissed: true,
    make: (options) => new Rtl8139({ chip, ...options }),
  };
}

function virtio(name: string, options: Partial<VirtioOptions>): NicKind {
  const has = (bit: number) => !options.without?.includes(bit);
  return {
    name,
    model: "virtio-net",
    mbit: 1000,
    ...(has(Net.SPEED_DUPLEX) && options.kind !== "legacy" ? {} : { mbitSaid: 10_000 }),
    checksums: has(Net.CSUM) && has(Net.GUEST_CSUM),
    checksIp: false,
    segmentation: has(Net.HOST_TSO4),
    segmentation6: has(Net.HOST_TSO6),
    copies: false,
    countsMissed: false,
    make: (more) => new VirtioNet({ ...options, ...more }),
  };
}

/** The kind of this name. */
export function nicKind(name: string): NicKind {
  const kind = [...NICS, ...MORE].find((candidate) => candidate.name === name);
  if (!kind)
    throw new Error(`no NIC model "${name}"; there is ${NICS.map((k) => k.name).join(", ")}`);
  return kind;
}
