import { Parameters, readParameters } from "../../apps/iperf3/parameters";
import { Refusal } from "../../apps/iperf3/protocol";

const text: usize = memory.data(4096, 8);
const p = changetype<Parameters>(memory.data(64, 8));

function read(json: string): u32 {
  const length = <u32>String.UTF8.encodeUnsafe(changetype<usize>(json), json.length, text);
  return readParameters(p, text, length);
}

describe("iperf3 parameters", () => {
  // As iperf 3.12 sent them for `-u -R -P 3 -b 50M -l 1448 -O 1`.
  it("are read as the client sends them", () => {
    expect<u32>(
      read(
        '{"udp":true,"omit":1,"time":10,"num":0,"blockcount":0,"parallel":3,"reverse":true,' +
          '"len":1448,"bandwidth":50000000,"pacing_timer":1000,"udp_counters_64bit":1,' +
          '"client_version":"3.12"}',
      ),
    ).toBe(Refusal.None);
    expect<bool>(p.udp).toBe(true);
    expect<bool>(p.reverse).toBe(true);
    expect<bool>(p.bidirectional).toBe(false);
    expect<bool>(p.wideCounters).toBe(true);
    expect<u32>(p.parallel).toBe(3);
    expect<u32>(p.block).toBe(1448);
    expect<u32>(p.omit).toBe(1);
    expect<u32>(p.duration).toBe(10);
    expect<u64>(p.rate).toBe(50000000);
  });

  it("have defaults", () => {
    expect<u32>(read('{"tcp":true}')).toBe(Refusal.None);
    expect<u32>(p.parallel).toBe(1);
    expect<u64>(p.rate).toBe(0);
    expect<bool>(p.udp).toBe(false);
  });

  it("are refused by iperf's own numbers", () => {
    expect<u32>(read('{"parallel":0}')).toBe(Refusal.Streams);
    expect<u32>(read('{"parallel":129}')).toBe(Refusal.Streams);
    expect<u32>(read('{"parallel":-1}')).toBe(Refusal.Streams);
    expect<u32>(read('{"time":86401}')).toBe(Refusal.Duration);
    expect<u32>(read('{"omit":601}')).toBe(Refusal.Omit);
    expect<u32>(read('{"len":1048577}')).toBe(Refusal.BlockSize);
    expect<u32>(read('{"udp":true,"len":15}')).toBe(Refusal.UdpBlockSize);
    expect<u32>(read('{"udp":true,"len":1473}')).toBe(Refusal.UdpBlockSize);
    expect<u32>(read('{"sctp":true}')).toBe(Refusal.NotImplemented);
    expect<u32>(read('{"tcp":tru')).toBe(Refusal.Parameters);
    expect<u32>(read("[]")).toBe(Refusal.Parameters);
  });

  it("stay within what arithmetic with them can hold", () => {
    expect<u32>(read('{"bandwidth":1000000000000000000,"window":99999999999}')).toBe(Refusal.None);
    expect<u64>(p.rate).toBe(1 << 44);
    expect<u32>(p.window).toBe(1 << 28);
    read('{"bandwidth":-5,"window":-5}');
    expect<u64>(p.rate).toBe(0);
    expect<u32>(p.window).toBe(0);
  });
});
