import { registerApp } from "../../../../kernel/app";
import { config } from "../../../../kernel/config";
import { interfaceAt } from "../../../../net/interface";
import { METRIC, RouteOrigin, routeAdd } from "../../../../net/route/table";
import { IpAddress } from "../../../../net/wire/address";

/**
 * A router with as many routes as the word `routes=` makes room for, half of each family, all by one neighbour
 * behind eth1: 10.0.1.2 and fd00:1::2. tools/bench/forwarding/forward.c knows the prefixes by the same `mix`.
 */

/** What the machine itself has and is given. */
const OWN: u32 = 64;

const prefix = changetype<IpAddress>(memory.data(16, 8));
const gateway = changetype<IpAddress>(memory.data(16, 8));

/** SplitMix64's output function (Steele, Lea, Flood, 2014). */
function mix(i: u64): u64 {
  let z = (i + 1) * 0x9e37_79b9_7f4a_7c15;
  z = (z ^ (z >> 30)) * 0xbf58_476d_1ce4_e5b9;
  z = (z ^ (z >> 27)) * 0x94d0_49bb_1331_11eb;
  return z ^ (z >> 31);
}

function start(): void {
  if (config.routes <= OWN) return;
  const iface = interfaceAt(1);
  const each = (config.routes - OWN) / 2;
  for (let i: u32 = 0; i < each; i++) {
    const bits = mix(i);
    // As the Internet's table has them, roughly: three in five as long as they are taken, the rest up to there.
    const short = <u32>(bits & 0xff) % 5 < 2;
    // 16.0.0.0 to 79.255.255.255.
    prefix.setV4(((<u32>(bits >> 32)) & 0x3fff_ffff) + 0x1000_0000);
    gateway.setV4(0x0a00_0102);
    routeAdd(
      prefix,
      short ? 16 + <u32>((bits >> 8) & 7) : 24,
      gateway,
      iface,
      METRIC,
      RouteOrigin.Static,
    );
    // 2000::/3
    prefix.set((bits >> 3) | 0x2000_0000_0000_0000, 0);
    gateway.set(0xfd00_0001_0000_0000, 2);
    routeAdd(
      prefix,
      short ? 32 + <u32>((bits >> 8) & 15) : 48,
      gateway,
      iface,
      METRIC,
      RouteOrigin.Static,
    );
  }
}

/** Nothing happens to it. */
function ready(): void {}

registerApp(start, ready);
