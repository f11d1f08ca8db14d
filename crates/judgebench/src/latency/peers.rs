//! The field's judges of latency on the same requests, minute by minute.

use std::collections::BTreeMap;

use taxiway_model::counts::Histogram;
use taxiway_peers::kayenta::mann_whitney::Precision;
use taxiway_peers::kayenta::{Rigour, is_high};
use taxiway_peers::{Act, Play, Policy, Side, Signal, Stretch};
use taxiway_stats::histogram::{self, SCALE};

use crate::judges::{argo_policy, flagger_policy};

/// Their names, in the order of [`Watch::alarms`].
pub(super) const NAMES: [&str; 3] = ["argo-p95", "flagger-doc", "kay60"];

const RIGOUR: Rigour = Rigour::judge(Precision::Absolute);

/// Kayenta's first look, after so many minutes.
const FIRST_MINUTE: usize = 5;

/// The policies that are played.
pub(super) struct Peers([Policy; 2]);

impl Peers {
    /// Argo Rollouts, by an operator who knows the p95 and tolerates 20 %: the last minute's p95 above that, `interval: 1m`,
    /// fails on the fourth failure. Flagger as documented: p99 of the last minute at most 500 ms, `threshold: 5`. Latencies
    /// here are in milliseconds as they stand.
    pub(super) fn new(p95_ms: f64) -> Self {
        let as_is = |quantile| Signal::Latency { quantile, unit_us: 1.0 };
        let figures = BTreeMap::from([("request-duration".to_owned(), as_is(0.99))]);
        Self([
            argo_policy(NAMES[0], 1.2 * p95_ms, as_is(0.95)),
            flagger_policy("request-duration", [None, Some(500.0)], &figures),
        ])
    }

    pub(super) fn watch(&self) -> Watch<'_> {
        Watch {
            plays: self.0.each_ref().map(Policy::start),
            p95: [Vec::new(), Vec::new()],
            alarms: [None; NAMES.len()],
            minute: 0,
        }
    }
}

/// One canary as the peers see it.
pub(super) struct Watch<'a> {
    plays: [Box<dyn Play + 'a>; 2],
    p95: [Vec<f64>; 2],
    /// The second of each one's rollback.
    pub alarms: [Option<usize>; NAMES.len()],
    minute: usize,
}

impl Watch<'_> {
    /// Shows a minute of both sides, canary first.
    pub(super) fn minute(&mut self, seen: [&Histogram; 2]) {
        self.minute += 1;
        let sides = seen.map(|histogram| Side {
            total: histogram.total(),
            latency_us: histogram.buckets.iter().map(|(index, count)| (i32::from(*index), *count)).collect(),
            ..Side::default()
        });
        for (values, side) in self.p95.iter_mut().zip(&sides) {
            values.extend(histogram::quantile(&side.latency_us, 0.95, SCALE));
        }
        let [canary, baseline] = sides;
        let stretch = Stretch { until_ms: self.minute as u64 * 60_000, canary, baseline };
        for (play, alarm) in self.plays.iter_mut().zip(&mut self.alarms) {
            let outcome = if alarm.is_none() { play.feed(&stretch) } else { None };
            *alarm = alarm.or_else(|| {
                outcome.filter(|outcome| outcome.act == Act::Rollback).map(|one| one.at_ms as usize / 1_000)
            });
        }
        let kayenta = &mut self.alarms[2];
        if kayenta.is_none() && self.minute >= FIRST_MINUTE && is_high(&self.p95[1], &self.p95[0], &RIGOUR) {
            *kayenta = Some(self.minute * 60);
        }
    }
}
