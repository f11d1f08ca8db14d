//! The split itself: pure decisions, many of them.

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};
use taxiway_model::route::{HeaderRule, HeaderSource, RouteTable, Sticky};
use taxiway_model::weight::WeightBp;
use taxiway_proxy::split::{Dice, Point};
use taxiway_proxy::table::{Asked, Table};

use crate::world::{table, with_canary};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn compiled(percent: u16, change: impl FnOnce(&mut RouteTable)) -> Table {
    let mut source = with_canary(table("127.0.0.1:1", &["127.0.0.1:2"]), &["127.0.0.1:3"], percent);
    change(&mut source);
    Table::compile(source).unwrap()
}

/// How many of a million requests go to the canary.
fn canary_of_a_million(table: &Table, headers: impl Fn(u32) -> HeaderMap, seed: u64) -> u32 {
    let mut dice = Dice::new(seed);
    let canary = table.canary.as_ref().unwrap().version;
    (0..1_000_000)
        .map(|i| {
            let asked = Asked { headers: &headers(i), client: CLIENT };
            u32::from(table.decide(asked, true, &mut dice).unwrap().version == canary)
        })
        .sum()
}

fn within_three_sigma(percent: u16, canary: u32) {
    let (n, p) = (1e6, f64::from(percent) / 100.0);
    let sigma = (n * p * (1.0 - p)).sqrt();
    let off = (f64::from(canary) - n * p).abs();
    assert!(off <= 3.0 * sigma, "{percent} %: {canary} of 1,000,000 is {:.1} sigma off", off / sigma);
}

#[test]
fn a_million_requests_on_their_own_hit_the_weight() {
    for percent in [1, 5, 50] {
        let table = compiled(percent, |_| {});
        for seed in 1..=3 {
            within_three_sigma(percent, canary_of_a_million(&table, |_| HeaderMap::new(), seed));
        }
    }
}

#[test]
fn a_million_users_hit_the_weight_whatever_their_names_are() {
    for percent in [1, 5, 50] {
        let table = compiled(percent, |t| t.listen.sticky = Sticky::Header { name: "x-user".into() });
        let headers = |i: u32| HeaderMap::from_iter([("x-user".parse().unwrap(), HeaderValue::from(i))]);
        within_three_sigma(percent, canary_of_a_million(&table, headers, 1));
    }
}

#[test]
fn extreme_weights_are_exact() {
    assert_eq!(canary_of_a_million(&compiled(0, |_| {}), |_| HeaderMap::new(), 1), 0);
    assert_eq!(canary_of_a_million(&compiled(100, |_| {}), |_| HeaderMap::new(), 1), 1_000_000);
}

#[test]
fn the_hash_of_a_user_never_changes() {
    // These points are part of every running release: a new hash would move users in mid-release.
    let points = ["", "a", "user-1", "user-2"].map(|key| Point::of_key(key.as_bytes(), 7).get());
    assert_eq!(points, GOLDEN_POINTS);
}

const GOLDEN_POINTS: [u16; 4] = [6_802, 5_413, 8_064, 8_181];

proptest! {
    #[test]
    fn who_is_in_stays_in(key in ".*", salt: u64, a in 0..=10_000_u16, b in 0..=10_000_u16) {
        let (low, high) = (WeightBp::new(a.min(b)).unwrap(), WeightBp::new(a.max(b)).unwrap());
        let point = Point::of_key(key.as_bytes(), salt);
        prop_assert!(!point.within(low) || point.within(high));
        prop_assert!(!point.within(WeightBp::ZERO) && point.within(WeightBp::ALL));
    }

    #[test]
    fn without_a_lease_nothing_goes_to_the_canary(percent in 0..=100_u16, seed: u64, internal: bool) {
        let table = compiled(percent, |t| {
            let canary = t.canary.as_mut().unwrap();
            canary.mirror = WeightBp::ALL;
            let (name, values) = ("x-internal".to_owned(), Vec::new());
            canary.header = Some(HeaderRule { from: HeaderSource::Header, name, values });
        });
        let mut headers = HeaderMap::new();
        if internal {
            headers.insert("x-internal", HeaderValue::from_static("yes"));
        }
        let choice = table.decide(Asked { headers: &headers, client: CLIENT }, false, &mut Dice::new(seed)).unwrap();
        prop_assert_eq!((Some(choice.version), choice.mirror), (table.baseline, None));
    }
}
