//! Free ports for instances.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::problem::Problem;

/// Where ports are taken from when the service names none. Below Linux's ephemeral range (32768 and up), where any
/// outgoing connection could take the port between our look and the instance's bind.
const USUAL: RangeInclusive<u16> = 20_000..=32_000;

/// How many ports are tried from the one that the service names.
const SPAN: u16 = 999;

/// How long the port of an instance that is gone is given to no other. A router that has not heard of the end yet would
/// send one version's requests to another's instance, and count them for the wrong one.
const REST: Duration = Duration::from_mins(1);

/// Ports in the hands of instances, also of those that wait for their restart, and ports at rest.
#[derive(Debug)]
pub(super) struct Ports {
    /// None: in somebody's hands. Otherwise since when at rest.
    taken: BTreeMap<u16, Option<Instant>>,
    start: u16,
}

impl Ports {
    /// `start` spreads the search, so that two supervisors on one machine do not try the same ports first.
    pub(super) const fn new(start: u16) -> Self {
        Self { taken: BTreeMap::new(), start }
    }

    /// A port that nobody listens on: the one the instance had (`mine`, 0 when none) where that is free, since the
    /// router knows it; otherwise one that is in nobody's hands. `port_from` zero takes any.
    pub(super) fn take(&mut self, mine: u16, port_from: u16, now: Instant) -> Result<u16, Problem> {
        self.taken.retain(|_, since| since.is_none_or(|since| now - since < REST));
        if mine != 0 && is_free(mine) {
            self.keep(mine);
            return Ok(mine);
        }
        let (range, skip) = if port_from == 0 {
            (USUAL, usize::from(self.start) % USUAL.len())
        } else {
            (port_from..=port_from.saturating_add(SPAN), 0)
        };
        let (from, to) = (*range.start(), *range.end());
        let mut order = range.clone().skip(skip).chain(range.take(skip));
        let port = order.find(|port| !self.taken.contains_key(port) && is_free(*port));
        let port = port.ok_or(Problem::NoPort { from, to })?;
        self.release(mine, now);
        self.keep(port);
        Ok(port)
    }

    /// The port is in an instance's hands.
    pub(super) fn keep(&mut self, port: u16) {
        if port != 0 {
            self.taken.insert(port, None);
        }
    }

    /// The instance is gone; its port rests.
    pub(super) fn release(&mut self, port: u16, now: Instant) {
        if port != 0 {
            self.taken.insert(port, Some(now));
        }
    }
}

/// Whether this process could listen on the port now.
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_keeps_its_port_and_gets_another_when_it_is_taken() {
        let (mut ports, now) = (Ports::new(77), Instant::now());
        let first = ports.take(0, 0, now).unwrap();
        assert_eq!(ports.take(first, 0, now).unwrap(), first);
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        assert_ne!(ports.take(first, 0, now).unwrap(), first);
        drop(held);
    }

    #[test]
    fn the_port_of_one_that_is_gone_rests() {
        let (mut ports, now) = (Ports::new(900), Instant::now());
        let first = ports.take(0, 0, now).unwrap();
        let second = ports.take(0, 0, now).unwrap();
        assert_ne!(first, second);
        ports.release(first, now);
        let third = ports.take(0, 0, now + Duration::from_secs(59)).unwrap();
        assert!(third != first && third != second);
        assert_eq!(ports.take(0, 0, now + Duration::from_secs(61)).unwrap(), first);
    }

    #[test]
    fn a_full_range_is_a_problem_with_its_bounds() {
        let mut ports = Ports::new(0);
        (50_000..=50_999).for_each(|port| ports.keep(port));
        assert_eq!(ports.take(0, 50_000, Instant::now()), Err(Problem::NoPort { from: 50_000, to: 50_999 }));
    }
}
