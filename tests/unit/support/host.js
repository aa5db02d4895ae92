/**
 * The host interface for unit tests: no devices, a clock that stands where the test puts it, the
 * console in a string, and "entropy" that is the same in each run. `control` is for the tests.
 */
export function host(memory) {
  let clock = 0n;
  let ramBytes = 4 << 20;
  let seed = 1n;
  let text = new Uint8Array(0);
  let ended = 0;
  /** PCI configuration space: words by bus, device, function and offset; none, no PCI. */
  const words = new Map();
  let selected = 0;
  const bytes = (at, length) => new Uint8Array(memory().buffer, at >>> 0, length >>> 0);
  const string = (at, length) => new TextDecoder().decode(bytes(at, length));
  const absent = () => -1;
  const ignored = () => {};
  /** splitmix64. */
  const random = () => {
    seed = BigInt.asUintN(64, seed + 0x9e3779b97f4a7c15n);
    let z = seed;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return z ^ (z >> 31n);
  };
  return {
    host: {
      consoleWrite(at, length) {
        const more = new Uint8Array(text.length + length);
        more.set(text);
        more.set(bytes(at, length), text.length);
        text = more;
      },
      exit(code) {
        throw new Error(`exit ${code}`);
      },
      restart() {
        throw new Error("restart");
      },
      panic(at, length) {
        ended++;
        throw new Error(`panic: ${string(at, length)}`);
      },
      monotonic: () => clock,
      wallClock: () => 0n,
      entropy(into, length) {
        const target = bytes(into, length);
        for (let i = 0; i < target.length; i++) target[i] = Number(random() & 0xffn);
      },
      bootInfo(into) {
        const pages = Math.ceil(ramBytes / 65536);
        const ram = memory().grow(pages) * 65536;
        const info = new DataView(memory().buffer, into >>> 0);
        info.setUint32(0, 2, true);
        info.setUint32(32, ram, true);
        info.setUint32(36, ramBytes, true);
        info.setUint32(40, ramBytes / 1024, true);
      },
      portIn8: absent,
      portIn16: absent,
      portIn32(port) {
        if (words.size === 0) return -1;
        if (port === 0xcf8) return selected | 0;
        return port === 0xcfc ? (words.get(selected & 0xffffff)?.value ?? -1) | 0 : -1;
      },
      portOut8: ignored,
      portOut16: ignored,
      portOut32(port, value) {
        if (port === 0xcf8) selected = value >>> 0;
        const word = port === 0xcfc ? words.get(selected & 0xffffff) : undefined;
        if (!word) return;
        const decoding = words.get((selected & 0xffff00) | 4).value & 3;
        const at = selected & 0xfc;
        if (at >= 0x10 && at < 0x28 && decoding) throw new Error("BAR moved while it is decoded");
        word.value = ((word.value & ~word.writable) | (value & word.writable)) >>> 0;
      },
      mmioMap: () => 0,
      mmioRead8: absent,
      mmioRead16: absent,
      mmioRead32: absent,
      mmioWrite8: ignored,
      mmioWrite16: ignored,
      mmioWrite32: ignored,
      dmaRead16: (at) => new DataView(memory().buffer).getUint16(at >>> 0, true),
      dmaRead32: (at) => new DataView(memory().buffer).getInt32(at >>> 0, true),
      dmaRead64: (at) => new DataView(memory().buffer).getBigInt64(at >>> 0, true),
      dmaWrite16: (at, value) => new DataView(memory().buffer).setUint16(at >>> 0, value, true),
      dmaWrite32: (at, value) => new DataView(memory().buffer).setInt32(at >>> 0, value, true),
      dmaWrite64: (at, value) => new DataView(memory().buffer).setBigInt64(at >>> 0, value, true),
      prefetch: ignored,
      dmaReadBarrier: ignored,
      dmaWriteBarrier: ignored,
      dmaFullBarrier: ignored,
      interruptMessage: (number) => (BigInt(0x40 + number) << 32n) | 0xfee01000n,
      interruptOpen: () => 0,
      interruptMask: ignored,
      interruptsPending: () => 0n,
    },
    control: {
      setClock(ns) {
        clock = BigInt.asUintN(64, ns);
      },
      setRam(length) {
        ramBytes = length >>> 0;
      },
      consoleLength: () => text.length,
      consoleTake(into) {
        bytes(into, text.length).set(text);
        text = new Uint8Array(0);
      },
      random: () => random(),
      reseed(value) {
        seed = BigInt.asUintN(64, value);
      },
      panics: () => ended,
      pciWord(at, value, writable) {
        words.set(at >>> 0, { value: value >>> 0, writable: writable >>> 0 });
      },
      pciClear: () => words.clear(),
    },
  };
}
