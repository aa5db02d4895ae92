import assert from "node:assert/strict";
import { test } from "node:test";
import { DeviceCommand } from "../../sdk/assembly/syscalls.ts";
import { Devices } from "../../tools/sim/devices.ts";
import type { LinkConditions } from "../../tools/sim/link.ts";
import { Program } from "../../tools/sim/program.ts";
import { Random } from "../../tools/sim/random.ts";
import { SocketOption } from "../../tools/sim/sockets.ts";
import { MICROSECOND, MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { inWorld, onEachNic, simulate, type Station, type World } from "./harness.ts";

/** Trouble in the middle of a connection that has to outlive it. */

/** A transfer from one machine to another, under way. */
class Transfer {
  private readonly bytes: Uint8Array;
  private heard = 0;
  private ended = false;

  constructor(
    private readonly world: World,
    from: Station,
    to: Station,
    address: string,
    length: number,
  ) {
    this.bytes = new Uint8Array(length);
    new Random(length).fill(this.bytes);
    new Program(to.machine).listen(9, (connection) => {
      connection.onData = (bytes) => {
        const wanted = this.bytes.subarray(this.heard, this.heard + bytes.length);
        assert.equal(Buffer.compare(bytes, wanted), 0, `the stream differs near ${this.heard}`);
        this.heard += bytes.length;
      };
      connection.onEnd = () => {
        this.ended = true;
        connection.close();
      };
    });
    const connection = new Program(from.machine).connect(address, 9);
    connection.onError = (errno) => assert.fail(`the connection failed: errno ${errno}`);
    connection.send(this.bytes);
    connection.end();
  }

  /** Lets time pass until this much has arrived. */
  reach(bytes: number): void {
    const what = () => `${this.heard} of ${this.bytes.length} bytes arrived`;
    this.world.simulation.until(() => this.heard >= bytes, 60 * SECOND, what);
  }

  /** Lets time pass until all of it has arrived. */
  finish(duration = 60 * SECOND): void {
    const what = () => `${this.heard} of ${this.bytes.length} bytes arrived`;
    this.world.simulation.until(() => this.ended, duration, what);
    assert.equal(this.heard, this.bytes.length);
  }
}

function pair(world: World): [Station, Station] {
  const stations: [Station, Station] = [
    world.ready({ ip: "10.0.0.2/24", commandLine: "" }),
    world.ready({ ip: "10.0.0.3/24", commandLine: "" }),
  ];
  world.run(SECOND);
  return stations;
}

onEachNic((kind) => {
  const on = (name: string, body: (world: World) => void, conditions?: Partial<LinkConditions>) =>
    simulate(name, body, conditions, kind.name);

  for (const side of ["sender", "receiver"] as const) {
    on(`the ${side}'s transmitter hangs: it is reset and the connection goes on`, (world) => {
      const [receiver, sender] = pair(world);
      const transfer = new Transfer(world, sender, receiver, "10.0.0.2", 4 << 20);
      transfer.reach(1 << 20);
      const { machine, nic } = side === "sender" ? sender : receiver;
      const { resets } = nic.counts;
      nic.faults.hang = 1;
      world.simulation.until(() => nic.hung, SECOND, "a hang");
      nic.faults.hang = 0;
      machine.expectLine(/transmitter hung/, 5 * SECOND);
      transfer.finish();
      assert.ok(nic.counts.resets > resets);
    });

    on(`the ${side}'s cable is out for 5 s`, (world) => {
      const [receiver, sender] = pair(world);
      const transfer = new Transfer(world, sender, receiver, "10.0.0.2", 4 << 20);
      transfer.reach(1 << 20);
      const { machine, nic } = side === "sender" ? sender : receiver;
      const { resets } = nic.counts;
      nic.carrier(false);
      machine.expectLine(/eth0 link down/, 2 * SECOND);
      world.run(5 * SECOND);
      nic.carrier(true);
      transfer.finish();
      assert.equal(nic.counts.resets, resets, "a dead link is not a hung transmitter");
    });
  }

  on("both devices are reset, unloaded and loaded under load", (world) => {
    const [receiver, sender] = pair(world);
    const transfer = new Transfer(world, sender, receiver, "10.0.0.2", 2 << 20);
    for (let i = 1; i <= 6; i++) {
      transfer.reach(i * 200_000);
      const devices = new Devices((i & 1 ? sender : receiver).machine);
      const ask = (command: DeviceCommand) => {
        assert.equal(devices.control(0, command), 0);
        world.run(300 * MILLISECOND);
      };
      if (i % 3) ask(DeviceCommand.Reset);
      else {
        ask(DeviceCommand.Unload);
        ask(DeviceCommand.Load);
      }
    }
    transfer.finish(120 * SECOND);
    for (const { machine } of [receiver, sender]) {
      assert.equal(machine.line(/hung|deaf|failed|gone/), undefined);
    }
  });

  on("every interrupt is lost: the machines poll", (world) => {
    const [receiver, sender] = pair(world);
    for (const { nic } of [receiver, sender]) nic.faults.interruptLoss = 1;
    const transfer = new Transfer(world, sender, receiver, "10.0.0.2", 1 << 20);
    transfer.finish();
  });

  on(
    "throughput: a clean link is filled",
    (world) => {
      const [receiver, sender] = pair(world);
      const transfer = new Transfer(world, sender, receiver, "10.0.0.2", 8 << 20);
      const start = world.simulation.now;
      transfer.finish();
      const megabits = ((8 << 20) * 8000) / (world.simulation.now - start);
      assert.ok(megabits > 0.8 * kind.mbit, `${megabits.toFixed(0)} Mbit/s`);
    },
    { delay: 20 * MICROSECOND },
  );
});

simulate("the receiver runs out of packets and recovers", (world) => {
  // Bursts at line rate into a machine that takes its time over each step.
  const receiver = world.ready({ ip: "10.0.0.2/24", commandLine: "", stepTime: 3 * MILLISECOND });
  const sender = world.ready({ ip: "10.0.0.3/24", commandLine: "" });
  const transfer = new Transfer(world, sender, receiver, "10.0.0.2", 1 << 20);
  transfer.finish(120 * SECOND);
});

simulate(
  "a buffer made smaller than what waits out of order does not stall the stream",
  (world) => {
    const { machine } = world.ready();
    const peer = world.peer();
    const program = new Program(machine);
    program.listen(9, (accepted) => {
      accepted.readLimit = 0;
      world.simulation.after(100 * MILLISECOND, () => {
        program.sockets.setOption(accepted.socket, SocketOption.ReceiveBuffer, 4096);
      });
    });
    const connection = peer.tcp("10.0.0.2", 9, 4000);
    connection.connect();
    const first = connection.sndNxt;
    const payload = new Uint8Array(1400);
    for (let i = 1; i < 12; i++) connection.send({ seq: first + i * 1400, payload });
    world.run(SECOND);
    peer.inbox.length = 0;
    connection.send({ seq: first, payload });
    connection.expect({ ack: first + 1400 });
  },
);

test("throughput: 0.1 % loss at 10 ms costs speed, not the connection", () => {
  inWorld(
    1,
    (world) => {
      const [receiver, sender] = pair(world);
      const transfer = new Transfer(world, sender, receiver, "10.0.0.2", 4 << 20);
      const start = world.simulation.now;
      transfer.finish(300 * SECOND);
      const megabits = ((4 << 20) * 8000) / (world.simulation.now - start);
      assert.ok(megabits > 3, `${megabits.toFixed(1)} Mbit/s`);
    },
    { delay: 5 * MILLISECOND, loss: 0.001, rate: 1e8 },
  );
});
