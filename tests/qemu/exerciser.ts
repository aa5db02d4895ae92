/** The other side of the exerciser app: what it sends, and what it says of what it got. */

/** The exerciser's stream of a seed, from the rule in apps/exerciser/generate.ts. */
export function stream(seed: number, length: number): Buffer {
  const words = new Uint32Array((length + 3) >> 2);
  for (let i = 0, x = seed; i < words.length; i++, x = (x + 0x9e3779b9) | 0) {
    let y = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
    y = Math.imul(y ^ (y >>> 15), 0x735a2d97);
    words[i] = y ^ (y >>> 15);
  }
  return Buffer.from(words.buffer, 0, length);
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

/** The CRC-32 of Ethernet and zip (ISO 3309), as 8 hexadecimal digits. */
export function crc32(data: Uint8Array): string {
  let crc = 0xffffffff;
  for (const byte of data) crc = CRC_TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (~crc >>> 0).toString(16).padStart(8, "0");
}

/** The answer to `PUT /sum`. */
export interface Sum {
  length: number;
  crc32: string;
}
