/** ACPI tables as firmware lays them out (ACPI Specification 6.4, 5.2; PCI Firmware 3.2, 4.1.2). */

export interface Tables {
  /** Multiple APIC Description Table. */
  madt?: {
    /** The machine has 8259s too. */
    pic: boolean;
    ioApics: { address: number; first: number }[];
    /** ISA lines that are level-triggered, active high, at an input of the same number. */
    level: number[];
  };
  /** Memory-mapped configuration: buses 0 to `lastBus`. */
  mcfg?: { base: number; lastBus: number };
}

/** The RSDP and all tables, to be put at `address`; the RSDP comes first. `wide`: an XSDT, else an RSDT. */
export function acpiTables({ madt, mcfg }: Tables, address: number, wide = true): Uint8Array {
  const bytes = new Uint8Array(4096);
  let end = 64;
  const place = (table: Uint8Array): number => {
    bytes.set(table, end);
    const at = address + end;
    end += (table.length + 15) & ~15;
    return at;
  };
  const listed: number[] = [];
  if (madt) {
    const entries: number[] = [0, 8, 0, 0, 1, 0, 0, 0];
    for (const [id, { address: at, first }] of madt.ioApics.entries()) {
      entries.push(1, 12, id, 0, ...dword(at), ...dword(first));
    }
    for (const line of madt.level) entries.push(2, 10, 0, line, ...dword(line), 0x0d, 0);
    const flags = madt.pic ? 1 : 0;
    listed.push(place(table("APIC", [...dword(0xfee00000), ...dword(flags), ...entries])));
  }
  if (mcfg) {
    const entry = [...dword(mcfg.base), ...dword(0), 0, 0, 0, mcfg.lastBus, ...dword(0)];
    listed.push(place(table("MCFG", [...dword(0), ...dword(0), ...entry])));
  }
  const root = place(
    table(
      wide ? "XSDT" : "RSDT",
      listed.flatMap((at) => (wide ? [...dword(at), 0, 0, 0, 0] : dword(at))),
    ),
  );
  bytes.set(new TextEncoder().encode("RSD PTR "));
  bytes[15] = wide ? 2 : 0;
  if (wide) {
    bytes.set([36, 0, 0, 0, ...dword(root), 0, 0, 0, 0], 20);
  } else bytes.set(dword(root), 16);
  bytes[8] = -bytes.subarray(0, 20).reduce((sum, byte) => sum + byte, 0);
  if (wide) bytes[32] = -bytes.subarray(0, 36).reduce((sum, byte) => sum + byte, 0);
  return bytes.subarray(0, end);
}

function dword(value: number): number[] {
  return [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24];
}

function table(signature: string, body: number[]): Uint8Array {
  const bytes = new Uint8Array(36 + body.length);
  bytes.set(new TextEncoder().encode(signature));
  bytes.set(dword(bytes.length), 4);
  bytes[8] = 1;
  bytes.set(new TextEncoder().encode("SKERRYTESTS"), 10);
  bytes.set(body, 36);
  bytes[9] = -bytes.reduce((sum, byte) => sum + byte, 0);
  return bytes;
}
