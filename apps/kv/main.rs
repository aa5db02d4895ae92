//! A key-value store that lives in memory, in plain Rust: lines of `set KEY VALUE`, `get KEY`, `list`,
//! `bye` and `stop` over TCP; the same, one to a datagram, over UDP. `kv PORT [ADDRESS:PORT]` begins with
//! all that the store at that address has.

mod wasmedge;

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use wasmedge::Socket;

const LONGEST_LINE: usize = 4096;

#[derive(Default)]
struct Store(BTreeMap<String, String>);

impl Store {
    /// The answer to one line; none ends the connection.
    fn answer(&mut self, line: &str) -> Option<String> {
        let mut words = line.trim_end().splitn(3, ' ');
        let command = words.next().unwrap_or("");
        Some(match (command, words.next(), words.next()) {
            ("set", Some(key), Some(value)) => {
                self.0.insert(key.into(), value.into());
                "ok\n".into()
            }
            ("get", Some(key), None) => match self.0.get(key) {
                Some(value) => format!("{value}\n"),
                None => format!("no {key}\n"),
            },
            ("list", None, None) => {
                let lines = self.0.iter().map(|(key, value)| format!("set {key} {value}\n"));
                lines.collect::<String>() + "end\n"
            }
            ("bye", None, None) => return None,
            ("stop", None, None) => std::process::exit(0),
            _ => "? set KEY VALUE, get KEY, list, bye, stop\n".into(),
        })
    }
}

struct Client {
    socket: Socket,
    input: Vec<u8>,
}

impl Client {
    /// Answers the lines that have come. False if the connection is over.
    fn serve(&mut self, store: &mut Store) -> Result<bool> {
        let mut buffer = [0; 1024];
        let count = self.socket.read(&mut buffer)?;
        self.input.extend_from_slice(&buffer[..count]);
        while let Some(end) = self.input.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            match store.answer(&String::from_utf8_lossy(&line)) {
                Some(text) => self.socket.write_all(text.as_bytes())?,
                None => {
                    self.socket.finish()?;
                    return Ok(false);
                }
            }
        }
        Ok(count > 0 && self.input.len() <= LONGEST_LINE)
    }
}

/// All that another store has.
fn copy(from: SocketAddrV4) -> Result<Store> {
    let mut socket = Socket::connect(from)?;
    socket.write_all(b"list\nbye\n")?;
    let mut text = String::new();
    socket.read_to_string(&mut text)?;
    let mut store = Store::default();
    for line in text.lines().filter(|line| *line != "end") {
        store.answer(line);
    }
    println!("copied {} keys from {}", store.0.len(), socket.peer()?);
    Ok(store)
}

fn main() -> Result<()> {
    let usage = |_| Error::new(ErrorKind::InvalidInput, "usage: kv PORT [ADDRESS:PORT]");
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().unwrap_or_default().parse().map_err(|_| usage(()))?;
    let mut store = match arguments.next() {
        Some(address) => copy(address.parse().map_err(|_| usage(()))?)?,
        None => Store::default(),
    };
    let at = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port);
    let (listener, datagrams) = (Socket::listener(at)?, Socket::datagrams(at)?);
    assert!(listener.is_stream()? && !datagrams.is_stream()?);
    println!("serving on {}", listener.local()?);
    let mut clients: Vec<Client> = Vec::new();
    loop {
        let mut sockets = vec![&listener, &datagrams];
        sockets.extend(clients.iter().map(|client| &client.socket));
        let ready = wasmedge::readable(&sockets)?;
        // From the last one on, so that taking one out leaves the places of the others.
        for place in ready.into_iter().rev() {
            match place {
                0 => {
                    let socket = listener.accept()?;
                    println!("connection from {}", socket.peer()?.ip());
                    clients.push(Client { socket, input: Vec::new() });
                }
                1 => {
                    let mut buffer = [0; LONGEST_LINE];
                    let (length, from) = datagrams.receive_from(&mut buffer)?;
                    if let Some(text) = store.answer(&String::from_utf8_lossy(&buffer[..length])) {
                        datagrams.send_to(text.as_bytes(), from)?;
                    }
                }
                _ => {
                    if !matches!(clients[place - 2].serve(&mut store), Ok(true)) {
                        clients.remove(place - 2);
                    }
                }
            }
        }
    }
}
