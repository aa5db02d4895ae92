import assert from "node:assert/strict";
import { GuestCall } from "../../kernel/guest/calls.ts";
import { encodeSpecs } from "../../tools/guest/spec.ts";
import { call, type Script, type ScriptMemory } from "../../tools/sim/guest/scripted.ts";
import { SECOND } from "../../tools/sim/simulation.ts";
import { guestSpec } from "./guest-programs.ts";
import { simulate } from "./harness.ts";

/**
 * Every pointer of every call at the end of a guest's memory: what it points to may end there, and one byte further
 * the call is EFAULT. A call that is not in the table fails the test.
 */

const PAGES = 2;
const END = PAGES * 65536;
const FAULT = 21;
const NONBLOCK = 4;
const LOOPBACK = 0xffff_7f00_0001n;
const PORT = 700;

/** Something that a call points to: `bytes` long, with other pointers at offsets in it. */
interface Pointer {
  bytes: number;
  /** What stands in it, from its first byte on. */
  holds?: Uint8Array;
  inside?: readonly (readonly [offset: number, to: Pointer])[];
}
type Argument = number | bigint | Pointer;

const room = (bytes: number): Pointer => ({ bytes });
const text = (word: string): Pointer => ({ bytes: word.length, holds: Buffer.from(word) });
const u32s = (...words: number[]): Uint8Array => new Uint8Array(new Uint32Array(words).buffer);

/** A list of one buffer of four bytes. */
const buffers: Pointer = { bytes: 8, holds: u32s(0, 4), inside: [[0, room(4)]] };
/** WasmEdge's reference to an address. */
const reference = (bytes: number, family?: number): Pointer => {
  const at = { bytes, ...(family !== undefined && { holds: Buffer.from([family]) }) };
  return { bytes: 8, holds: u32s(0, bytes), inside: [[0, at]] };
};
const addressOf = (port: number): Pointer => {
  const holds = Buffer.alloc(24);
  holds.writeBigUInt64LE(LOOPBACK, 8);
  holds.writeUInt16LE(port, 16);
  return { bytes: 24, holds };
};
const message: Pointer = {
  bytes: 16,
  holds: u32s(0, 1, 0, 0),
  inside: [
    [0, buffers],
    [8, addressOf(PORT)],
  ],
};
/** WasmEdge's node for an address found: 28 bytes, a `sockaddr` of 12, its data; and room for a name. */
const node: Pointer = {
  bytes: 28,
  holds: u32s(0, 0, 0, 0, 0, 4, 0),
  inside: [
    [12, { bytes: 12, holds: u32s(1, 14, 0), inside: [[8, room(14)]] }],
    [16, room(4)],
  ],
};
const canonical = Buffer.from([2, 0, 1, 2, 1]);
const clock: Pointer = { bytes: 48, holds: Buffer.alloc(48) };

/** Descriptors of a guest that has one directory, in the order in which they are made. */
const enum Fd {
  Directory = 3,
  File = 4,
  Listener = 5,
  Stream = 6,
  Accepted = 7,
  Datagrams = 8,
  Event = 9,
  Timer = 10,
  Epoll = 11,
}

/** Each call's arguments, all of them right: the pointers are moved. */
const CALLS: Partial<Record<keyof typeof GuestCall, readonly Argument[]>> = {
  args_get: [room(8), room(10)],
  args_sizes_get: [room(4), room(4)],
  environ_get: [room(4), room(4)],
  environ_sizes_get: [room(4), room(4)],
  clock_res_get: [1, room(8)],
  clock_time_get: [1, 0n, room(8)],
  fd_fdstat_get: [Fd.File, room(24)],
  fd_filestat_get: [Fd.File, room(64)],
  fd_pread: [Fd.File, buffers, 1, 0n, room(4)],
  fd_prestat_get: [Fd.Directory, room(8)],
  fd_prestat_dir_name: [Fd.Directory, room(4), 4],
  fd_pwrite: [Fd.File, buffers, 1, 0n, room(4)],
  fd_read: [Fd.File, buffers, 1, room(4)],
  fd_readdir: [Fd.Directory, room(100), 100, 0n, room(4)],
  fd_seek: [Fd.File, 0n, 0, room(8)],
  fd_tell: [Fd.File, room(8)],
  fd_write: [Fd.File, buffers, 1, room(4)],
  path_create_directory: [Fd.Directory, text("new"), 3],
  path_filestat_get: [Fd.Directory, 0, text("file"), 4, room(64)],
  path_filestat_set_times: [Fd.Directory, 0, text("file"), 4, 0n, 0n, 0],
  path_link: [Fd.Directory, 0, text("file"), 4, Fd.Directory, text("link"), 4],
  path_open: [Fd.Directory, 0, text("file"), 4, 0, 2n, 0n, 0, room(4)],
  path_readlink: [Fd.Directory, text("soft"), 4, room(4), 4, room(4)],
  path_remove_directory: [Fd.Directory, text("none"), 4],
  path_rename: [Fd.Directory, text("soft"), 4, Fd.Directory, text("soft"), 4],
  path_symlink: [text("file"), 4, Fd.Directory, text("soft"), 4],
  path_unlink_file: [Fd.Directory, text("none"), 4],
  poll_oneoff: [clock, room(32), 1, room(4)],
  random_get: [room(8), 8],
  sock_accept: [Fd.Listener, 0, room(4)],
  sock_recv: [Fd.Stream, buffers, 1, 0, room(4), room(2)],
  sock_send: [Fd.Stream, buffers, 1, 0, room(4)],
  sock_open: [1, 1, room(4)],
  sock_bind: [Fd.Datagrams, reference(4), PORT],
  sock_connect: [Fd.Stream, reference(128, 1), PORT],
  sock_accept_v1: [Fd.Listener, room(4)],
  sock_recv_from: [Fd.Datagrams, buffers, 1, reference(16), 0, room(4), room(2)],
  sock_recv_from_v2: [Fd.Datagrams, buffers, 1, reference(128), 0, room(2), room(4), room(2)],
  sock_send_to: [Fd.Datagrams, buffers, 1, reference(4), PORT, 0, room(4)],
  sock_getsockopt: [Fd.Stream, 0, 1, room(4), { bytes: 4, holds: u32s(4) }],
  sock_setsockopt: [Fd.Stream, 0, 0, room(4), 4],
  sock_getlocaladdr: [Fd.Stream, reference(4), room(4), room(4)],
  sock_getlocaladdr_v2: [Fd.Stream, reference(128), room(4)],
  sock_getpeeraddr: [Fd.Stream, reference(4), room(4), room(4)],
  sock_getpeeraddr_v2: [Fd.Stream, reference(128), room(4)],
  sock_getaddrinfo: [
    ...[text("192.0.2.1"), 9, text("80"), 2, { bytes: 28, holds: canonical }],
    ...[{ bytes: 4, inside: [[0, node]] as const }, 1, room(4)],
  ],
  bind: [Fd.Datagrams, addressOf(PORT)],
  connect: [Fd.Stream, addressOf(PORT)],
  accept: [Fd.Listener, room(24), 0],
  send: [Fd.Stream, room(4), 4, 0],
  receive: [Fd.Stream, room(4), 4, 0],
  send_to: [Fd.Datagrams, room(4), 4, addressOf(PORT)],
  receive_from: [Fd.Datagrams, room(4), 4, room(24)],
  local_address: [Fd.Stream, room(24)],
  peer_address: [Fd.Stream, room(24)],
  set_option_data: [Fd.Stream, 9, room(8), 8],
  get_option_data: [Fd.Stream, 9, room(8), 8],
  send_message: [Fd.Datagrams, message, 0],
  receive_message: [Fd.Datagrams, message, 0],
  poll: [room(8), 1, 0n],
  epoll_ctl: [Fd.Epoll, 1, Fd.Event, room(16)],
  epoll_wait: [Fd.Epoll, room(16), 1, 0n],
  pipe: [0, room(8)],
  pair: [1, 0, room(8)],
  timerfd_settime: [Fd.Timer, 0, room(16), room(16)],
  timerfd_gettime: [Fd.Timer, room(16)],
  resolve: [text("192.0.2.1"), 9, 0x40000, room(64), 64],
  lease: [Fd.Stream, room(12)],
  lease_from: [Fd.Stream, room(12), room(24)],
  interface_info: [1, room(44)],
  interface_address: [1, 0, room(32)],
};

/** Calls that point to nothing; these end the guest: `abort` shows what it can of its texts. */
const WITHOUT = new Set(
  (
    "fd_advise fd_allocate fd_close fd_datasync fd_fdstat_set_flags fd_fdstat_set_rights fd_filestat_set_size " +
    "fd_filestat_set_times fd_renumber fd_sync proc_exit proc_raise sched_yield sock_shutdown sock_listen socket " +
    "listen set_option get_option available duplicate duplicate_to close_on_exec epoll_create eventfd " +
    "timerfd_create release send_file abort"
  ).split(" "),
);

/** All pointers among a call's arguments, those in others too. */
function pointersIn(of: readonly Argument[]): Pointer[] {
  const within = (one: Pointer): Pointer[] => [
    one,
    ...(one.inside ?? []).flatMap(([, to]) => within(to)),
  ];
  return of.flatMap((one) => (typeof one === "object" ? within(one) : []));
}

/** Puts what a pointer points to at `places`' address for it, or somewhere: its address. */
function place(memory: ScriptMemory, one: Pointer, places: Map<Pointer, number>): number {
  const at = places.get(one) ?? 1024 + 512 * places.size;
  places.set(one, at);
  const inside = (one.inside ?? []).map(
    ([offset, to]) => [offset, place(memory, to, places)] as const,
  );
  const bytes = new Uint8Array(one.bytes);
  bytes.set(one.holds ?? []);
  const view = new DataView(bytes.buffer);
  for (const [offset, to] of inside) view.setUint32(offset, to, true);
  memory.bytes.set(
    bytes.subarray(0, Math.max(0, Math.min(one.bytes, END - at))),
    Math.min(at, END),
  );
  return at;
}

function* descriptors(memory: ScriptMemory): Script {
  const address = memory.reserve(24);
  const word = memory.reserve(8);
  const into = memory.reserve(8);
  const made = (fd: number, wanted: Fd): void => assert.equal(fd, wanted);
  memory.bytes.set(Buffer.from("filesoft"), word);
  memory.bytes.set(addressOf(PORT + 1).holds!, address);
  yield* call("path_open", Fd.Directory, 0, word, 4, 1, 0x1fffffn, 0n, 0, into);
  assert.equal(memory.view.getUint32(into, true), Fd.File);
  yield* call("path_symlink", word, 4, Fd.Directory, word + 4, 4);
  made(yield* call("socket", 1, 2, 0), Fd.Listener);
  yield* call("bind", Fd.Listener, address);
  yield* call("listen", Fd.Listener, 4);
  const stream = yield* call("socket", 1, 2, 0);
  yield* call("connect", stream, address);
  made(stream, Fd.Stream);
  made(yield* call("accept", Fd.Listener, 0, 0), Fd.Accepted);
  made(yield* call("socket", 2, 2, 0), Fd.Datagrams);
  memory.bytes.set(addressOf(PORT).holds!, address);
  yield* call("bind", Fd.Datagrams, address);
  made(yield* call("eventfd", 0n, 0), Fd.Event);
  made(yield* call("timerfd_create", 1, 0), Fd.Timer);
  made(yield* call("epoll_create", 0), Fd.Epoll);
  for (let fd = Fd.Listener; fd <= Fd.Timer; fd++) {
    yield* call("fd_fdstat_set_flags", fd, NONBLOCK);
  }
}

simulate("what a call points to may end where the guest's memory does, and no further", (world) => {
  const wrong: string[] = [];
  let tried = 0;
  const guest = {
    name: "edges",
    pages: PAGES,
    *script(memory: ScriptMemory): Script {
      yield* descriptors(memory);
      for (const [name, args] of Object.entries(CALLS) as [keyof typeof GuestCall, Argument[]][]) {
        for (const [index, pointer] of pointersIn(args).entries()) {
          for (const [where, at] of [
            ["inside", END - pointer.bytes],
            ["one byte over", END - pointer.bytes + 1],
            ["at the end", END],
            ["around", 0x1_0000_0000 - pointer.bytes + 1],
            ["far", 0xfffffff0],
          ] as const) {
            const places = new Map([[pointer, at]]);
            const given = args.map((one) =>
              typeof one === "object" ? place(memory, one, places) : one,
            );
            const result = yield* call(name, ...given);
            const faulted = Math.abs(result) === FAULT;
            tried++;
            if (faulted !== (where !== "inside")) {
              wrong.push(`${name}, pointer ${index} ${where}: ${result}`);
            }
          }
        }
      }
      yield* call("proc_exit", 0);
    },
  };
  const spec = guestSpec("edges", {
    arguments: ["one"],
    environment: { A: "1" },
    files: [{ path: "/tmp", ram: 65536 }],
  });
  const { machine } = world.ready({
    memory: 64 << 20,
    guests: [guest],
    setup: encodeSpecs([spec]),
  });
  machine.expectLine(/edges ended code=0/, 60 * SECOND);
  assert.deepEqual(wrong, []);
  const names = Object.keys(GuestCall).filter((name) => Number.isNaN(Number(name)));
  assert.deepEqual(
    names.filter((name) => !(name in CALLS) && !WITHOUT.has(name)),
    [],
    "calls that the table does not have",
  );
  assert.ok(tried > 500, `${tried}`);
});
