//! The dependency that all versions share: a file or a TCP port outside this process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// How long a TCP dependency may take to accept a connection before it counts as down.
const CONNECT_MS_MAX: u64 = 200;

/// Where the shared dependency is.
#[derive(Clone, Debug)]
pub(crate) enum Dependency {
    /// Up while the file exists and its text does not begin with `down`.
    File(PathBuf),
    /// Up while the address accepts connections.
    Tcp(SocketAddr),
}

impl FromStr for Dependency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("tcp:") {
            Some(address) => address
                .parse()
                .map(Self::Tcp)
                .map_err(|_| format!("'{address}' is not an address such as 127.0.0.1:5432")),
            None => Ok(Self::File(PathBuf::from(text))),
        }
    }
}

impl Dependency {
    /// Asks the dependency now, as a request that needs it would.
    pub(crate) async fn is_up(&self) -> bool {
        match self {
            Self::File(path) => {
                tokio::fs::read_to_string(path).await.is_ok_and(|text| !text.trim_start().starts_with("down"))
            }
            Self::Tcp(address) => {
                let connect = tokio::net::TcpStream::connect(address);
                matches!(
                    tokio::time::timeout(Duration::from_millis(CONNECT_MS_MAX), connect).await,
                    Ok(Ok(_))
                )
            }
        }
    }
}
