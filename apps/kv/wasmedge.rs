//! Sockets over the imports that WasmEdge adds to WASI preview 1, as its own crate declares them
//! (wasmedge_wasi_socket 0.5); Rust 1.63's std::net has none for WASI. IPv4 alone.

use std::io::{Error, Read, Result, Write};
use std::net::{Ipv4Addr, SocketAddrV4};

#[repr(C)]
struct Address {
    bytes: *const u8,
    length: usize,
}

#[repr(C)]
struct Buffer {
    at: *const u8,
    length: usize,
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
extern "C" {
    fn sock_open(family: u8, kind: u8, fd: *mut u32) -> u32;
    fn sock_bind(fd: u32, address: *const Address, port: u32) -> u32;
    fn sock_listen(fd: u32, backlog: u32) -> u32;
    fn sock_accept(fd: u32, accepted: *mut u32) -> u32;
    fn sock_connect(fd: u32, address: *const Address, port: u32) -> u32;
    fn sock_recv(fd: u32, into: *const Buffer, count: u32, flags: u16, got: *mut usize, out: *mut u16) -> u32;
    fn sock_send(fd: u32, from: *const Buffer, count: u32, flags: u16, sent: *mut usize) -> u32;
    fn sock_recv_from(
        fd: u32,
        into: *const Buffer,
        count: u32,
        address: *mut Address,
        flags: u16,
        port: *mut u16,
        got: *mut usize,
        out: *mut u16,
    ) -> u32;
    fn sock_send_to(
        fd: u32,
        from: *const Buffer,
        count: u32,
        address: *const Address,
        port: u32,
        flags: u16,
        sent: *mut usize,
    ) -> u32;
    fn sock_getlocaladdr(fd: u32, address: *mut Address, kind: *mut u32, port: *mut u32) -> u32;
    fn sock_getpeeraddr(fd: u32, address: *mut Address, kind: *mut u32, port: *mut u32) -> u32;
    fn sock_getsockopt(fd: u32, level: u32, name: u32, value: *mut i32, size: *mut u32) -> u32;
    fn sock_setsockopt(fd: u32, level: u32, name: u32, value: *const i32, size: u32) -> u32;
    fn sock_shutdown(fd: u32, how: u8) -> u32;
    fn fd_close(fd: u32) -> u32;
    fn poll_oneoff(list: *const Subscription, events: *mut Event, count: usize, found: *mut usize) -> u32;
}

const INET4: u8 = 1;
const DATAGRAM: u8 = 1;
const STREAM: u8 = 2;
const SOL_SOCKET: u32 = 0;
const SO_REUSEADDR: u32 = 0;
const SO_TYPE: u32 = 1;
const WRITE: u8 = 2;
const BACKLOG: u32 = 16;

fn checked(errno: u32) -> Result<()> {
    match errno {
        0 => Ok(()),
        _ => Err(Error::from_raw_os_error(errno as i32)),
    }
}

/// An open socket, closed when it is dropped.
pub struct Socket(u32);

impl Socket {
    fn open(kind: u8) -> Result<Socket> {
        let mut fd = 0;
        checked(unsafe { sock_open(INET4, kind, &mut fd) })?;
        Ok(Socket(fd))
    }

    fn bind(&self, to: SocketAddrV4) -> Result<()> {
        let bytes = to.ip().octets();
        checked(unsafe { sock_bind(self.0, &Address { bytes: bytes.as_ptr(), length: 4 }, to.port().into()) })
    }

    /// A stream that waits for connections.
    pub fn listener(at: SocketAddrV4) -> Result<Socket> {
        let socket = Socket::open(STREAM)?;
        checked(unsafe { sock_setsockopt(socket.0, SOL_SOCKET, SO_REUSEADDR, &1, 4) })?;
        socket.bind(at)?;
        checked(unsafe { sock_listen(socket.0, BACKLOG) })?;
        Ok(socket)
    }

    pub fn datagrams(at: SocketAddrV4) -> Result<Socket> {
        let socket = Socket::open(DATAGRAM)?;
        socket.bind(at)?;
        Ok(socket)
    }

    pub fn connect(to: SocketAddrV4) -> Result<Socket> {
        let socket = Socket::open(STREAM)?;
        let bytes = to.ip().octets();
        let address = Address { bytes: bytes.as_ptr(), length: 4 };
        checked(unsafe { sock_connect(socket.0, &address, to.port().into()) })?;
        Ok(socket)
    }

    pub fn accept(&self) -> Result<Socket> {
        let mut fd = 0;
        checked(unsafe { sock_accept(self.0, &mut fd) })?;
        Ok(Socket(fd))
    }

    /// A datagram, cut to `into`, and who sent it.
    pub fn receive_from(&self, into: &mut [u8]) -> Result<(usize, SocketAddrV4)> {
        let mut storage = [0u8; 128]; // the family in two bytes, then the address
        let mut address = Address { bytes: storage.as_mut_ptr(), length: storage.len() };
        let list = Buffer { at: into.as_ptr(), length: into.len() };
        let (mut port, mut got, mut flags) = (0, 0, 0);
        checked(unsafe { sock_recv_from(self.0, &list, 1, &mut address, 0, &mut port, &mut got, &mut flags) })?;
        assert_eq!(storage[..2], [INET4, 0]);
        Ok((got, SocketAddrV4::new(Ipv4Addr::new(storage[2], storage[3], storage[4], storage[5]), port)))
    }

    pub fn send_to(&self, from: &[u8], to: SocketAddrV4) -> Result<usize> {
        let bytes = to.ip().octets();
        let address = Address { bytes: bytes.as_ptr(), length: 4 };
        let list = Buffer { at: from.as_ptr(), length: from.len() };
        let mut sent = 0;
        checked(unsafe { sock_send_to(self.0, &list, 1, &address, to.port().into(), 0, &mut sent) })?;
        Ok(sent)
    }

    pub fn local(&self) -> Result<SocketAddrV4> {
        self.end(sock_getlocaladdr)
    }

    pub fn peer(&self) -> Result<SocketAddrV4> {
        self.end(sock_getpeeraddr)
    }

    fn end(&self, call: unsafe extern "C" fn(u32, *mut Address, *mut u32, *mut u32) -> u32) -> Result<SocketAddrV4> {
        let mut bytes = [0u8; 16];
        let mut address = Address { bytes: bytes.as_mut_ptr(), length: bytes.len() };
        let (mut kind, mut port) = (0, 0);
        checked(unsafe { call(self.0, &mut address, &mut kind, &mut port) })?;
        assert_eq!(kind, 4); // of IPv4
        Ok(SocketAddrV4::new(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]), port as u16))
    }

    pub fn is_stream(&self) -> Result<bool> {
        let (mut value, mut size) = (0, 4);
        checked(unsafe { sock_getsockopt(self.0, SOL_SOCKET, SO_TYPE, &mut value, &mut size) })?;
        Ok(value == STREAM as i32)
    }

    /// Says that nothing more will be sent.
    pub fn finish(&self) -> Result<()> {
        checked(unsafe { sock_shutdown(self.0, WRITE) })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        unsafe { fd_close(self.0) };
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let list = Buffer { at: into.as_ptr(), length: into.len() };
        let (mut got, mut flags) = (0, 0);
        checked(unsafe { sock_recv(self.0, &list, 1, 0, &mut got, &mut flags) })?;
        Ok(got)
    }
}

impl Write for Socket {
    fn write(&mut self, from: &[u8]) -> Result<usize> {
        let list = Buffer { at: from.as_ptr(), length: from.len() };
        let mut sent = 0;
        checked(unsafe { sock_send(self.0, &list, 1, 0, &mut sent) })?;
        Ok(sent)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

// ---- Waiting for one of several -----------------------------------------------------------------

const FD_READ: u64 = 1;

#[repr(C)]
struct Subscription {
    user: u64,
    tag: u64, // a byte, and then as far as the union is aligned
    fd: u32,
    rest: [u64; 3],
}

#[repr(C)]
#[derive(Clone)]
struct Event {
    user: u64,
    error: u16,
    tag: u8,
    rest: [u64; 2],
}

/// Waits until one of the sockets has something to read: which of them do.
pub fn readable(sockets: &[&Socket]) -> Result<Vec<usize>> {
    let subscribe = |(i, socket): (usize, &&Socket)| Subscription { user: i as u64, tag: FD_READ, fd: socket.0, rest: [0; 3] };
    let list: Vec<Subscription> = sockets.iter().enumerate().map(subscribe).collect();
    let mut events = vec![Event { user: 0, error: 0, tag: 0, rest: [0; 2] }; list.len()];
    let mut found = 0;
    checked(unsafe { poll_oneoff(list.as_ptr(), events.as_mut_ptr(), list.len(), &mut found) })?;
    Ok(events[..found].iter().map(|event| event.user as usize).collect())
}
