//! Free ports for instances.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;

use super::problem::Problem;

/// Where ports are taken from when the service names none. Below Linux's ephemeral range (32768 and up), where any
/// outgoing connection could take the port between our look and the instance's bind.
const USUAL: RangeInclusive<u16> = 20_000..=32_000;

/// How many ports are tried from the one that the service names.
const SPAN: u16 = 999;

/// A port that nobody listens on and that is in nobody's hands yet. `port_from` zero takes any; `start` spreads the
/// search, so that two supervisors on one machine do not try the same ones first.
pub(super) fn pick(port_from: u16, given: &BTreeSet<u16>, start: u16) -> Result<u16, Problem> {
    let (range, skip) = if port_from == 0 {
        (USUAL, usize::from(start) % USUAL.len())
    } else {
        (port_from..=port_from.saturating_add(SPAN), 0)
    };
    let (from, to) = (*range.start(), *range.end());
    let mut order = range.clone().skip(skip).chain(range.take(skip));
    order.find(|port| !given.contains(port) && is_free(*port)).ok_or(Problem::NoPort { from, to })
}

/// Whether this process could listen on the port now.
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_and_given_ports_are_passed_over() {
        let first = pick(0, &BTreeSet::new(), 77).unwrap();
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        let second = pick(first, &BTreeSet::new(), 0).unwrap();
        assert!(second > first);
        let third = pick(first, &BTreeSet::from([second]), 0).unwrap();
        assert!(third > second);
        drop(held);
    }

    #[test]
    fn a_full_range_is_a_problem_with_its_bounds() {
        let given = (50_000..=51_000).collect();
        assert_eq!(pick(50_000, &given, 0), Err(Problem::NoPort { from: 50_000, to: 50_999 }));
    }
}
