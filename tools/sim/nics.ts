import { E1000, type Variant, VARIANTS } from "./e1000.ts";
import type { NicKind } from "./nic.ts";
import { type Chip, CHIPS, Rtl8139 } from "./rtl8139.ts";

/** Every NIC model. Tests that any NIC must pass run over this list, most seeds on its first. */
export const NICS: readonly NicKind[] = [
  e1000("e1000", VARIANTS["82540EM"]),
  e1000("e1000-82544gc", VARIANTS["82544GC"]),
  e1000("e1000-82545em", VARIANTS["82545EM"]),
  rtl8139("rtl8139", CHIPS.classic),
  rtl8139("rtl8139c+", CHIPS.plus),
];

function e1000(name: string, variant: Variant): NicKind {
  return {
    name,
    model: `Intel ${variant.name}`,
    mbit: 1000,
    checksums: true,
    segmentation: variant.segmentation,
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
    segmentation: chip.plus,
    copies: !chip.plus,
    countsMissed: true,
    make: (options) => new Rtl8139({ chip, ...options }),
  };
}

/** The kind of this name. */
export function nicKind(name: string): NicKind {
  const kind = NICS.find((candidate) => candidate.name === name);
  if (!kind)
    throw new Error(`no NIC model "${name}"; there is ${NICS.map((k) => k.name).join(", ")}`);
  return kind;
}
