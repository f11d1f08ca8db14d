//! The split itself: pure decisions, many of them.

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};
use taxiway_model::route::{FreshRoute, HeaderRule, HeaderSource, RouteTable, Sticky};
use taxiway_model::weight::WeightBp;
use taxiway_proxy::split::{Dice, Point};
use taxiway_proxy::table::{Asked, Table};

use crate::world::{backends, table, with_canary};

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

/// Beside the canary, fresh instances of the baseline with a share of their own.
fn beside(percent: u16, fresh: u16, sticky: Sticky) -> Table {
    compiled(percent, |table| {
        table.listen.sticky = sticky;
        let version = table.baseline.as_ref().unwrap().fresh();
        table.backends.insert(version.clone(), backends(&["127.0.0.1:4"]));
        table.canary.as_mut().unwrap().fresh = Some(FreshRoute { version, weight: WeightBp::percent(fresh) });
    })
}

#[test]
fn a_fresh_baseline_gets_as_much_as_the_canary() {
    for percent in [1, 5, 50] {
        let table = beside(percent, percent, Sticky::None);
        let (fresh, _) = table.canary.as_ref().unwrap().fresh.unwrap();
        let mut dice = Dice::new(9);
        let headers = HeaderMap::new();
        let asked = Asked { headers: &headers, client: CLIENT };
        let mut counted = vec![0_u32; 3];
        for _ in 0..1_000_000 {
            counted[table.decide(asked, true, &mut dice).unwrap().version] += 1;
        }
        within_three_sigma(percent, counted[fresh]);
        within_three_sigma(percent, counted[table.canary.as_ref().unwrap().version]);
        assert!(percent < 50 || counted[table.baseline.unwrap()] == 0, "{counted:?}");
    }
}

#[test]
fn a_fresh_baseline_that_is_no_third_group_is_refused() {
    let refused = |change: &dyn Fn(&mut RouteTable)| {
        let mut source = with_canary(table("127.0.0.1:1", &["127.0.0.1:2"]), &["127.0.0.1:3"], 60);
        let version = source.baseline.as_ref().unwrap().fresh();
        source.backends.insert(version.clone(), backends(&["127.0.0.1:4"]));
        let weight = WeightBp::percent(40);
        source.canary.as_mut().unwrap().fresh = Some(FreshRoute { version, weight });
        change(&mut source);
        Table::compile(source).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(refused(&|_| {}), Ok(()));
    let is = |why: &str, change: &dyn Fn(&mut RouteTable)| {
        let error = refused(change).unwrap_err();
        assert!(error.contains(why), "{error}");
    };
    is("more than everything", &|source| source.canary.as_mut().unwrap().weight = WeightBp::percent(61));
    is("third group", &|source| source.baseline = None);
    is("third group", &|source| {
        let version = source.baseline.clone().unwrap();
        source.canary.as_mut().unwrap().fresh.as_mut().unwrap().version = version;
    });
    is("no entry in backends", &|source| {
        let version = source.baseline.as_ref().unwrap().fresh();
        source.backends.remove(&version);
    });
}

proptest! {
    #[test]
    fn who_is_in_a_fresh_baseline_stays_in_while_there_is_room(key in ".*", a in 0..=50_u16, b in 0..=50_u16) {
        let (low, high) = (a.min(b), a.max(b));
        let headers = HeaderMap::from_iter(
            HeaderValue::from_bytes(key.as_bytes()).ok().map(|value| ("x-user".parse().unwrap(), value)),
        );
        prop_assume!(!headers.is_empty());
        let choice = |percent: u16| {
            let table = beside(percent, percent, Sticky::Header { name: "x-user".into() });
            let asked = Asked { headers: &headers, client: CLIENT };
            let version = table.decide(asked, true, &mut Dice::new(1)).unwrap().version;
            (Some(version) == table.canary.as_ref().map(|canary| canary.version),
             Some(version) == table.canary.as_ref().and_then(|canary| canary.fresh).map(|(index, _)| index))
        };
        let ((was_in, was_beside), (is_in, is_beside)) = (choice(low), choice(high));
        prop_assert!(!was_in || is_in);
        prop_assert!(!was_beside || is_beside);
    }

    #[test]
    fn without_a_lease_nothing_goes_to_a_fresh_baseline(percent in 0..=50_u16, seed: u64) {
        let table = beside(percent, percent, Sticky::None);
        let headers = HeaderMap::new();
        let asked = Asked { headers: &headers, client: CLIENT };
        let choice = table.decide(asked, false, &mut Dice::new(seed)).unwrap();
        prop_assert_eq!(Some(choice.version), table.baseline);
    }

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
