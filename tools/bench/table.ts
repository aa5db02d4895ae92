/** Three digits that mean something. */
export function figure(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);
}

/** Prints rows of cells under each other; the first column and column `unit` lean left. */
export function printTable(table: string[][], unit: number): void {
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  for (const row of table) {
    const cells = row.map((cell, column) =>
      column === 0 || column === unit
        ? cell.padEnd(widths[column]!)
        : cell.padStart(widths[column]!),
    );
    console.log(cells.join("  ").trimEnd());
  }
}
