//! Listening sockets: one per core on the same port, so that the kernel spreads connections and no
//! core waits for another.

use crate::error::Error;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

/// Connections the kernel keeps until a core takes them; it cuts this to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Looks up `host:port`. An address of the loopback name may have two families.
pub fn resolve(address: &str, what: &'static str) -> Result<Vec<SocketAddr>, Error> {
    let bad = |why: String| Error::BadAddress { address: address.to_owned(), what, why };
    let found: Vec<_> = address.to_socket_addrs().map_err(|error| bad(error.to_string()))?.collect();
    match found.first() {
        None => Err(bad("nothing is known under that name".into())),
        Some(first) if first.port() == 0 => Err(bad("port 0 is no port".into())),
        Some(_) => Ok(found),
    }
}

/// Opens sockets for every core on an address.
pub fn open(address: &str, cores: usize) -> Result<Vec<TcpListener>, Error> {
    let mut sockets = Vec::new();
    let mut unavailable = None;
    for found in resolve(address, "listen address")? {
        match open_one(found, cores) {
            Ok(opened) => sockets.extend(opened),
            Err(source) if source.kind() == io::ErrorKind::AddrInUse => {
                return Err(Error::PortTaken { address: address.to_owned(), source });
            }
            Err(source) => unavailable = Some(source),
        }
    }
    match unavailable {
        // One family of two missing (no IPv6, say) is fine; nothing at all is not.
        Some(source) if sockets.is_empty() => {
            Err(Error::CannotListen { address: address.to_owned(), source })
        }
        _ => Ok(sockets),
    }
}

fn open_one(address: SocketAddr, cores: usize) -> io::Result<Vec<TcpListener>> {
    // Shared ports are shared with anyone of the same user, another proxy included. A socket that
    // does not share tells whether someone is there; connections that linger do not count.
    drop(listener(address, false)?);
    (0..cores).map(|_| listener(address, true)).collect()
}

fn listener(address: SocketAddr, share: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if share {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
