/**
 * What a guest imports: the module `skerry`, whose contract is sdk/c/include/skerry.h, and what the other files of
 * this folder need of WASI preview 1. Calls of `skerry` answer 0 or more, or a negated `Errno`.
 */

export const STREAM: u32 = 1;
export const DATAGRAM: u32 = 2;
/** A socket's domain: IPv6, and IPv4 by its mapped addresses. */
export const INET6: u32 = 10;
/** Of `accept`: the new descriptor does not wait. */
export const NONBLOCK: u32 = 4;
/** Of `sockShutdown`: no more is sent. */
export const SHUT_WRITE: u32 = 2;

/** Of poll, epoll and their answers. */
export const READABLE: u32 = 1;
export const WRITABLE: u32 = 4;
export const ERROR: u32 = 8;
export const HANGUP: u32 = 16;

export const EPOLL_ADD: u32 = 1;
export const EPOLL_DELETE: u32 = 2;
export const EPOLL_MODIFY: u32 = 3;
/** Bytes of an epoll's event: what came to pass, four bytes of nothing, and the number it was asked for with. */
export const EPOLL_EVENT: u32 = 16;
export const EPOLL_DATA: u32 = 8;


@external("skerry", "socket")
export declare function socket(type: u32, domain: u32, protocol: u32): i32;


@external("skerry", "bind")
export declare function bind(fd: i32, address: usize): i32;


@external("skerry", "listen")
export declare function listen(fd: i32, backlog: u32): i32;


@external("skerry", "accept")
export declare function accept(fd: i32, peer: usize, flags: u32): i32;


@external("skerry", "connect")
export declare function connect(fd: i32, address: usize): i32;


@external("skerry", "send")
export declare function send(fd: i32, from: usize, length: u32, flags: u32): i32;


@external("skerry", "receive")
export declare function receive(fd: i32, into: usize, length: u32, flags: u32): i32;


@external("skerry", "send_to")
export declare function sendTo(fd: i32, from: usize, length: u32, to: usize): i32;


@external("skerry", "receive_from")
export declare function receiveFrom(fd: i32, into: usize, length: u32, from: usize): i32;


@external("skerry", "local_address")
export declare function localAddress(fd: i32, into: usize): i32;


@external("skerry", "set_option")
export declare function setOption(fd: i32, option: u32, value: u32): i32;


@external("skerry", "set_option_data")
export declare function setOptionData(fd: i32, option: u32, from: usize, length: u32): i32;

/** `what`: 0 for addresses. Bytes of records, as `Layout.Record` in syscalls.ts has them. */
@external("skerry", "resolve")
export declare function resolve(name: usize, length: u32, what: u32, into: usize, most: u32): i32;


@external("skerry", "poll")
export declare function poll(list: usize, count: u32, ns: i64): i32;


@external("skerry", "epoll_create")
export declare function epollCreate(flags: u32): i32;


@external("skerry", "epoll_ctl")
export declare function epollControl(epoll: i32, operation: u32, fd: i32, event: usize): i32;


@external("skerry", "epoll_wait")
export declare function epollWait(epoll: i32, events: usize, count: u32, ns: i64): i32;


@external("wasi_snapshot_preview1", "fd_close")
export declare function fdClose(fd: i32): i32;


@external("wasi_snapshot_preview1", "fd_fdstat_set_flags")
export declare function fdSetFlags(fd: i32, flags: u32): i32;


@external("wasi_snapshot_preview1", "sock_shutdown")
export declare function sockShutdown(fd: i32, how: u32): i32;


@external("wasi_snapshot_preview1", "clock_time_get")
export declare function clockTime(clock: u32, precision: u64, into: usize): i32;
