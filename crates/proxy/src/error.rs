//! Why the proxy cannot start or cannot take a table: what, where, why, and what to do next.

use crate::table;
use std::io;
use std::path::PathBuf;
use taxiway_model::ids::{Generation, StreamId};

/// Why the proxy cannot do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A listen address is in use.
    #[error(
        "cannot listen on {address}: {source}; another program has the port (see `ss -ltnp`): stop it or choose another address"
    )]
    PortTaken {
        /// The address.
        address: String,
        /// From the system.
        source: io::Error,
    },
    /// A listen address cannot be used at all.
    #[error(
        "cannot listen on {address}: {source}; check that the address is one of this machine and that the port may be used (below 1024 needs a privilege)"
    )]
    CannotListen {
        /// The address.
        address: String,
        /// From the system.
        source: io::Error,
    },
    /// A listen address belongs to another service.
    #[error(
        "cannot listen on {address} for {stream}: {other} already does; give each service its own address"
    )]
    AddressOfAnother {
        /// The address.
        address: String,
        /// Who wants it.
        stream: StreamId,
        /// Who has it.
        other: StreamId,
    },
    /// Not `host:port`, or a host nobody knows.
    #[error("{address:?} ({what}) is not an address: {why}; write host:port, such as 127.0.0.1:8080")]
    BadAddress {
        /// The text.
        address: String,
        /// Where it stands.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// A certificate or key cannot be used.
    #[error("{path}: {why}; expected PEM with {expected}")]
    BadTls {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
        /// What should be in it.
        expected: &'static str,
    },
    /// The table itself.
    #[error("the table of {stream} cannot be served: {source}")]
    BadTable {
        /// The service.
        stream: StreamId,
        /// What is wrong.
        source: table::Error,
    },
    /// An older intent than one already seen.
    #[error(
        "generation {given} of {stream} is older than {seen}, which is in force; read the state again and decide anew"
    )]
    Old {
        /// The service.
        stream: StreamId,
        /// As asked.
        given: Generation,
        /// As in force.
        seen: Generation,
    },
    /// A newer intent than the table known here.
    #[error("generation {given} of {stream} is not known here ({seen} is in force); apply its table first")]
    NotApplied {
        /// The service.
        stream: StreamId,
        /// As asked.
        given: Generation,
        /// As in force.
        seen: Generation,
    },
    /// Everything was given back: an exposure needs a newer intent.
    #[error(
        "everything of {stream} was given back to the baseline at generation {seen}; a canary needs a newer one"
    )]
    Returned {
        /// The service.
        stream: StreamId,
        /// When it was given back.
        seen: Generation,
    },
    /// No such service.
    #[error("there is no service {0} here; apply its table first")]
    NoSuchService(StreamId),
    /// The table could not be kept on disk, and it exposes more than the one in force.
    #[error(
        "{path}: {source}; a table that exposes more is only served when it is kept: make room or repair the disk"
    )]
    CannotKeep {
        /// The file.
        path: PathBuf,
        /// From the system.
        source: io::Error,
    },
    /// The data directory cannot be used.
    #[error(
        "{path}: {source}; the proxy keeps its tables there: make the directory writable or name another with --dir"
    )]
    Directory {
        /// The directory or file in it.
        path: PathBuf,
        /// From the system.
        source: io::Error,
    },
    /// A proxy already serves this data directory.
    #[error(
        "{path}: another proxy serves this data directory; ask it to hand over (takeover) or shut it down first"
    )]
    AlreadyServed {
        /// The lock file.
        path: PathBuf,
    },
    /// The control socket cannot be made.
    #[error(
        "{path}: {source}; a socket's path has at most 107 bytes and its directory must be writable: choose another with --control-socket"
    )]
    ControlSocket {
        /// The socket.
        path: PathBuf,
        /// From the system.
        source: io::Error,
    },
    /// The old proxy did not hand over.
    #[error("{path}: {source}; nothing was changed: the old proxy goes on")]
    Takeover {
        /// The socket of the old proxy.
        path: PathBuf,
        /// From the system.
        source: io::Error,
    },
    /// The address for metrics cannot be used.
    #[error("cannot serve metrics on {address}: {source}; choose a free loopback address")]
    Metrics {
        /// The address.
        address: std::net::SocketAddr,
        /// From the system.
        source: io::Error,
    },
    /// Threads or runtimes could not be made.
    #[error("cannot start: {0}; the system is out of threads or file descriptors (see `ulimit -a`)")]
    Start(io::Error),
    /// The proxy is on its way out.
    #[error("this proxy is leaving; ask its successor on the same control socket")]
    Leaving,
}

impl Error {
    /// The generation in force, where the refusal knows one.
    pub fn generation(&self) -> Option<Generation> {
        match self {
            Self::Old { seen, .. } | Self::NotApplied { seen, .. } | Self::Returned { seen, .. } => {
                Some(*seen)
            }
            _ => None,
        }
    }
}
