//! What to send, checked before anything is sent.

use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

use http::Uri;

/// The most connections one run may open.
pub(crate) const CONNECTIONS_MAX: usize = 10_000;

/// Paths with their relative weights, such as `/=6,/search=3,/checkout=1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix(Vec<(String, u32)>);

impl Mix {
    /// The path of request number `ticket`: pseudo-random by weight, the same in every run, in an order that no server
    /// can line up with.
    pub(crate) fn path(&self, ticket: u64) -> &str {
        let sum: u64 = self.0.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut at = scatter(ticket) % sum;
        for (path, weight) in &self.0 {
            if at < u64::from(*weight) {
                return path;
            }
            at -= u64::from(*weight);
        }
        unreachable!("the weights sum up to more than any remainder")
    }
}

/// A fixed pseudo-random number for each ticket.
pub(crate) const fn scatter(ticket: u64) -> u64 {
    let z = (ticket.wrapping_add(1)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 16
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut paths = Vec::new();
        for part in text.split(',') {
            let (path, weight) = part.rsplit_once('=').unwrap_or((part, "1"));
            if !path.starts_with('/') || path.parse::<Uri>().is_err() {
                return Err(format!("'{path}' is not a path; write for example /=6,/search=3,/checkout=1"));
            }
            let weight = weight.parse().ok().filter(|weight| (1..=1_000_000).contains(weight));
            let weight =
                weight.ok_or(format!("the weight in '{part}' is not a whole number from 1 to 1000000"))?;
            paths.push((path.to_owned(), weight));
        }
        Ok(Self(paths))
    }
}

/// A bounded run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `http://HOST:PORT`; the host has to be this machine.
    pub url: String,
    /// Requests due per second.
    pub rate_per_s: u32,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// Stop after this many seconds.
    pub seconds_max: Option<u32>,
    /// Stop after this many requests.
    pub requests_max: Option<u64>,
    /// Which paths.
    pub mix: Mix,
    /// That many users, each with a header `x-user` and the cookies that it was given; 0 sends neither.
    pub users: usize,
    /// HTTP/2 with prior knowledge instead of HTTP/1.1.
    pub h2c: bool,
    /// How long one request may take, connecting included.
    pub timeout: Duration,
}

/// A plan that cannot or must not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Not an `http://host:port`.
    #[error("'{0}' is not a URL such as http://127.0.0.1:8080 (https is not supported)")]
    Url(String),
    /// The host has no address.
    #[error("cannot find the address of '{host}'")]
    Resolve {
        /// The host as written.
        host: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The address is not this machine.
    #[error(
        "{0} is another machine; this tool only loads the machine it runs on, such as http://127.0.0.1:8080"
    )]
    NotLocal(SocketAddr),
    /// Neither seconds nor requests.
    #[error("the run has no end; give seconds or requests")]
    Endless,
    /// A number out of its range.
    #[error("{what} is {got}, it has to be from 1 to {max}")]
    Range {
        /// Which number.
        what: &'static str,
        /// What it is.
        got: u64,
        /// The most it may be.
        max: u64,
    },
}

/// A plan that can be run.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) plan: Plan,
    pub(crate) address: SocketAddr,
    pub(crate) authority: String,
    /// How many requests the run has.
    pub(crate) tickets: u64,
}

impl Plan {
    pub(crate) fn check(self) -> Result<Checked, PlanError> {
        let range = |what, got: u64, max: u64| {
            if (1..=max).contains(&got) { Ok(()) } else { Err(PlanError::Range { what, got, max }) }
        };
        range("the rate", u64::from(self.rate_per_s), 1_000_000)?;
        range("the number of connections", self.connections as u64, CONNECTIONS_MAX as u64)?;
        let by_time = self.seconds_max.map(|seconds| u64::from(seconds) * u64::from(self.rate_per_s));
        let tickets = match (by_time, self.requests_max) {
            (Some(a), Some(b)) => a.min(b),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => return Err(PlanError::Endless),
        };
        let bad_url = || PlanError::Url(self.url.clone());
        let uri: Uri = self.url.parse().map_err(|_| bad_url())?;
        let plain = uri.scheme_str() == Some("http") && matches!(uri.path(), "" | "/");
        let authority = uri.authority().filter(|_| plain).ok_or_else(bad_url)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(80);
        let resolve = |source| PlanError::Resolve { host: host.clone(), source };
        let address = (host.as_str(), port).to_socket_addrs().map_err(resolve)?.next().ok_or_else(bad_url)?;
        if !address.ip().is_loopback() {
            return Err(PlanError::NotLocal(address));
        }
        Ok(Checked { authority: authority.to_string(), address, tickets, plan: self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(url: &str) -> Plan {
        Plan {
            url: url.to_owned(),
            rate_per_s: 10,
            connections: 1,
            seconds_max: Some(3),
            requests_max: None,
            mix: "/".parse().unwrap(),
            users: 0,
            h2c: false,
            timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn another_machine_is_refused() {
        assert!(matches!(plan("http://192.0.2.1:80").check(), Err(PlanError::NotLocal(_))));
        assert!(matches!(plan("https://127.0.0.1").check(), Err(PlanError::Url(_))));
        assert!(matches!(plan("127.0.0.1").check(), Err(PlanError::Url(_))));
        assert_eq!(plan("http://127.0.0.1:8080").check().unwrap().tickets, 30);
        assert_eq!(plan("http://[::1]:8080").check().unwrap().address.port(), 8080);
    }

    #[test]
    fn a_run_without_an_end_is_refused() {
        let endless = Plan { seconds_max: None, ..plan("http://127.0.0.1:1") };
        assert!(matches!(endless.check(), Err(PlanError::Endless)));
    }

    #[test]
    fn a_mix_gives_each_path_its_share() {
        let mix: Mix = "/=6,/search=3,/checkout=1".parse().unwrap();
        let count = |path: &str| (0..100_000).filter(|ticket| mix.path(*ticket) == path).count();
        assert!((59_000..61_000).contains(&count("/")), "{}", count("/"));
        assert!((9_000..11_000).contains(&count("/checkout")), "{}", count("/checkout"));
        assert!("search".parse::<Mix>().is_err() && "/=0".parse::<Mix>().is_err());
    }
}
