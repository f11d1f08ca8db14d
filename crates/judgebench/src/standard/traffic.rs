//! Traffic models: a plain service with a base rate of failures, and the shop of `taxiway demo` as it behaves when it is
//! told to (`examples/shop`): same mix of endpoints, same times, same failures.

use taxiway_model::counts::Counts;
use taxiway_model::evidence::Classes;
use taxiway_stats::histogram::{self, SCALE};
use taxiway_stats::math::{ln, normal_cdf};

use crate::random::{Random, Table};

/// What is released.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Service {
    /// One endpoint, this share of whose requests fails; log-normal latencies, median 100 ms, sigma 0.6.
    Plain(f64),
    /// The demo's shop: three endpoints, no failures, some 6 ms a request.
    Shop,
}

/// How the new version differs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Behaviour {
    /// Not at all.
    Healthy,
    /// So many times as many failures.
    FailsTimes(f64),
    /// So many times as slow.
    TakesTimes(f64),
    /// `errors`: 5 % of the requests fail.
    Errors,
    /// `one-endpoint`: 30 % of the requests to one endpoint fail.
    OneEndpoint,
    /// `late`: 20 % fail from the 40th second of an instance's life on.
    Late,
    /// `overload`: an instance can serve three eighths of all the traffic (450 of the demo's 1,200 requests a second).
    Overload,
    /// `outage`: from the sixth second on both versions fail.
    Outage,
    /// `slow-start`: instances need five seconds to get ready.
    SlowStart,
    /// `crash`: instances end right after their start.
    Crash,
    /// `leak`: an instance runs out of memory after 1,024 requests.
    Leak,
}

impl Behaviour {
    /// Whether nothing is wrong with the version: whoever sends it back is wrong.
    pub fn is_healthy(self) -> bool {
        matches!(self, Self::Healthy | Self::SlowStart)
    }
}

/// How one version answers.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Clone)]
struct Endpoint {
    class: &'static str,
    share: f64,
    failing: f64,
    law: Table,
}

/// What is different about a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Mood {
    /// Share of failing requests, whatever the endpoint.
    pub(super) failing: Option<f64>,
    /// Wait in a queue at the stretch's beginning and end, in microseconds.
    pub(super) wait_us: [f64; 2],
}

/// Longest latency in a table.
const LATENCY_US_MAX: f64 = 6e7;

/// The bucket of a millisecond, 64 for each doubling, and as many as reach beyond a minute.
const FIRST_BUCKET: i32 = 637;
const BUCKETS: usize = 1_050;

/// The shop's exponential tail on top of each endpoint's floor, in microseconds.
const SHOP_TAIL_US: f64 = 1_500.0;

/// Endpoint class, share of the load generator's requests, and floor in microseconds.
const SHOP: [(&str, f64, f64); 3] =
    [("checkout", 0.1, 7_500.0), ("other", 0.6, 4_500.0), ("search", 0.3, 6_000.0)];

impl Answers {
    /// The version that runs.
    pub(super) fn usual(service: Service) -> Self {
        Self::of(service, Behaviour::Healthy)
    }

    /// The new version; what changes with time is a [`Mood`].
    pub(super) fn of(service: Service, behaviour: Behaviour) -> Self {
        let times = match behaviour {
            Behaviour::TakesTimes(times) => times,
            _ => 1.0,
        };
        let endpoints = match service {
            Service::Plain(base) => {
                let failing = match behaviour {
                    Behaviour::FailsTimes(times) => base * times,
                    _ => base,
                };
                let law = law(1_000.0, |us| normal_cdf(ln(us / (1e5 * times)) / 0.6));
                vec![Endpoint { class: "other", share: 1.0, failing, law }]
            }
            Service::Shop => SHOP
                .iter()
                .map(|(class, share, floor)| {
                    let failing = match behaviour {
                        Behaviour::Errors => 0.05,
                        Behaviour::OneEndpoint if *class == "checkout" => 0.3,
                        _ => 0.0,
                    };
                    let below = |us: f64| {
                        let over = (us / times - floor).max(0.0);
                        1.0 - libm::exp(-over / SHOP_TAIL_US)
                    };
                    Endpoint { class, share: *share, failing, law: law(floor * times, below) }
                })
                .collect(),
        };
        Self { endpoints }
    }

    /// Adds so many answered requests.
    pub(super) fn answer(&self, requests: u64, mood: Mood, into: &mut Classes, random: &mut Random) {
        let (mut left, mut rest) = (requests, 1.0);
        for endpoint in &self.endpoints {
            let share = (endpoint.share / rest).min(1.0);
            let count = if share > 0.999_999 { left } else { binomial(left, share, random) };
            left -= count;
            rest -= endpoint.share;
            if count > 0 {
                endpoint.answer(count, mood, into, random);
            }
        }
    }
}

impl Endpoint {
    fn answer(&self, requests: u64, mood: Mood, into: &mut Classes, random: &mut Random) {
        if !into.contains_key(self.class) {
            into.insert(self.class.to_owned(), Counts::default());
        }
        let Some(counts) = into.get_mut(self.class) else { return };
        let bad = binomial(requests, mood.failing.unwrap_or(self.failing), random);
        counts.requests += requests;
        counts.status[1] += requests - bad;
        counts.status[4] += bad;
        let mut drawn = [0_u64; BUCKETS];
        let [first, last] = mood.wait_us;
        for _ in 0..requests {
            let mut bucket = self.law.draw(random) as i32;
            if first + last > 0.0 {
                let wait = first + (last - first) * random.uniform();
                bucket = histogram::index_of(histogram::upper_edge(bucket, SCALE) + wait, SCALE);
            }
            drawn[usize::try_from(bucket - FIRST_BUCKET).expect("nothing takes less than a millisecond")] +=
                1;
        }
        for (bucket, count) in (FIRST_BUCKET..).zip(drawn).filter(|(_, count)| *count > 0) {
            let bucket = i16::try_from(bucket).expect("a bucket of milliseconds to a minute");
            *counts.latency.buckets.entry(bucket).or_default() += count;
        }
    }
}

/// The buckets from `first_us` to a minute, weighed by a distribution function of microseconds.
fn law(first_us: f64, below: impl Fn(f64) -> f64) -> Table {
    let (first, last) = (histogram::index_of(first_us, SCALE), histogram::index_of(LATENCY_US_MAX, SCALE));
    let mut masses: Vec<f64> = (first..=last)
        .map(|index| below(histogram::upper_edge(index, SCALE)) - below(histogram::lower_edge(index, SCALE)))
        .collect();
    // Buckets that come once in a million million requests only make the table long.
    while masses.last().is_some_and(|mass| *mass < 1e-12) {
        masses.pop();
    }
    Table::new(first.into(), &masses)
}

/// How many of so many come true, each by itself: the gaps between two of them are geometric.
fn binomial(count: u64, chance: f64, random: &mut Random) -> u64 {
    if chance <= 0.0 || count == 0 {
        return 0;
    }
    if chance >= 1.0 {
        return count;
    }
    if chance > 0.5 {
        return count - binomial(count, 1.0 - chance, random);
    }
    let (scale, mut at, mut found) = (libm::log1p(-chance), 0.0, 0);
    loop {
        at += libm::floor(libm::log(random.uniform()) / scale) + 1.0;
        if at > count as f64 {
            return found;
        }
        found += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(service: Service, behaviour: Behaviour, mood: Mood) -> Classes {
        let mut classes = Classes::new();
        Answers::of(service, behaviour).answer(100_000, mood, &mut classes, &mut Random::new(&[5]));
        classes
    }

    /// 4.5 standard errors of a binomial share around it.
    fn is_share(count: u64, of: u64, share: f64) -> bool {
        let error = (share * (1.0 - share) / of as f64).sqrt();
        (count as f64 / of as f64 - share).abs() < 4.5 * error
    }

    #[test]
    fn the_shop_answers_as_it_is_told_to() {
        let healthy = answered(Service::Shop, Behaviour::Healthy, Mood::default());
        for (class, share, _) in SHOP {
            assert!(is_share(healthy[class].requests, 100_000, share), "{class}");
            assert_eq!(
                (healthy[class].errors(), healthy[class].latency.total()),
                (0, healthy[class].requests)
            );
        }
        let one = answered(Service::Shop, Behaviour::OneEndpoint, Mood::default());
        assert!(is_share(one["checkout"].errors(), one["checkout"].requests, 0.3));
        assert_eq!(one["other"].errors() + one["search"].errors(), 0);
        let down =
            answered(Service::Shop, Behaviour::Healthy, Mood { failing: Some(1.0), ..Mood::default() });
        assert_eq!(down["search"].errors(), down["search"].requests);
    }

    #[test]
    fn latencies_have_the_medians_they_should_have() {
        let median = |classes: &Classes, class: &str| {
            taxiway_model::counts::quantile_us(&classes[class].latency, 5_000).unwrap() as f64
        };
        let close = |found: f64, wanted: f64| (found / wanted - 1.0).abs() < 0.02;
        let plain = answered(Service::Plain(0.01), Behaviour::Healthy, Mood::default());
        assert!(close(median(&plain, "other"), 1e5) && is_share(plain["other"].errors(), 100_000, 0.01));
        let slow = answered(Service::Plain(0.01), Behaviour::TakesTimes(3.0), Mood::default());
        assert!(close(median(&slow, "other"), 3e5));
        let usual = 6_000.0 + SHOP_TAIL_US * std::f64::consts::LN_2;
        let shop = answered(Service::Shop, Behaviour::Healthy, Mood::default());
        assert!(close(median(&shop, "search"), usual));
        let waiting = Mood { wait_us: [5e5; 2], ..Mood::default() };
        let queued = answered(Service::Shop, Behaviour::Healthy, waiting);
        assert!(close(median(&queued, "search"), usual + 5e5));
    }
}
