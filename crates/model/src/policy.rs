//! How a canary is judged: bands, profiles, metrics (requirements R4 and its annex).

use crate::ids::MetricName;
use crate::metrics::{Shape, Source};
use crate::time::ForPeople;
use crate::weight::WeightBp;
use serde::{Deserialize, Serialize};

/// The rules of judgement for one release. Ratios and shares are basis points (10,000 = 1×),
/// rates parts per million.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnalysisPolicy {
    /// Which preset of bands the metrics come from.
    pub profile: Profile,
    /// What is looked at.
    pub metrics: Vec<MetricPolicy>,
    /// Chance, in parts per million, that a healthy release is called bad in all its looks together.
    pub false_alarm_ppm: u32,
    /// Chance, in parts per million, that an exclusion is wrong.
    pub false_pass_ppm: u32,
    /// What a step must have excluded before it may proceed: up to this weight, this many times
    /// the baseline's rate. Ordered by weight; the last entry holds above.
    pub exclude: Vec<Exclusion>,
    /// Most failed requests beyond the baseline's rate that the canary may cause; none: no cap.
    pub harm_budget_requests: Option<u64>,
    /// Evidence of the first time after instances start is shown but not judged.
    pub warm_up_ms: u64,
    /// Where metrics by query come from, each with its queries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// What resources cost; none where nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<Prices>,
    /// What becomes of a start of which the pre-flight warns.
    #[serde(default, skip_serializing_if = "is_default")]
    pub preflight: Preflight,
    /// Which instances of the running version the canary is compared with.
    #[serde(default, skip_serializing_if = "is_default")]
    pub baseline: Baseline,
}

/// Which instances of the running version a canary is compared with (R4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// Those that run anyway: the most requests, and so the earliest verdict.
    #[default]
    Stable,
    /// As many as the canary's, started with them and given as large a share: as young, as cold and as
    /// few, at the price of time.
    Fresh,
}

/// What becomes of a start of which the pre-flight warns (R4.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preflight {
    /// It starts, and the warnings are shown and recorded.
    #[default]
    Warn,
    /// It is refused.
    Refuse,
    /// Nobody looks.
    Off,
}

/// What resources cost, in millionths of the currency (R4.9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// A core for an hour.
    pub cpu_hour_micro: u64,
    /// A GiB of memory for an hour.
    pub memory_gib_hour_micro: u64,
    /// The currency, as its owner writes it.
    pub currency: String,
}

/// Presets of bands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Tolerance 10 % (errors) and 20 % (p95), red as in the annex's bands.
    Standard,
    /// Tolerance 0 and 20 %; any shown regression rolls back, so does an error rate above 1 %.
    Strict,
}

/// Up to `weight`, an increase to `ratio_bp` of the baseline must be excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    /// The rule holds up to this weight.
    pub up_to: WeightBp,
    /// Times the baseline, in basis points (100,000 is ten times).
    pub ratio_bp: u32,
}

/// One metric and its bands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricPolicy {
    /// Its name.
    pub name: MetricName,
    /// What it measures.
    pub measure: Measure,
    /// Up to this ratio to the baseline is tolerated (11,000 is 10 % worse).
    pub tolerance_bp: u32,
    /// Beyond this ratio it is red (20,000 is twice).
    pub red_bp: u32,
    /// Absolute slack added to the tolerated rate, in parts per million of requests.
    pub slack_ppm: u32,
    /// Absolute band: above it the release holds. In the unit of the measure ([`Measure`]).
    pub hold_above: Option<u64>,
    /// Absolute band: above it the release goes back. Same unit.
    pub rollback_above: Option<u64>,
    /// Whether PROCEED needs it; otherwise it is shown only (dry run).
    pub required: bool,
    /// Share of the false-alarm budget, relative to the other metrics.
    pub weight: u32,
    /// First step at which it counts.
    pub from_step: u16,
    /// Only this endpoint class; none: all requests.
    pub endpoint: Option<String>,
    /// How long a state must last to count; none: it counts at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasting: Option<Lasting>,
    /// Which way is worse. Where lower is worse, tolerance and red lie below 1x.
    #[serde(default, skip_serializing_if = "is_default")]
    pub direction: Direction,
    /// Whether a shown regression goes back at once, whatever the profile and however small.
    #[serde(default, skip_serializing_if = "is_default")]
    pub critical: bool,
    /// Absolute band: below it the release holds. Same unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_below: Option<u64>,
    /// Absolute band: below it the release goes back. Same unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_below: Option<u64>,
    /// What to do when its source answers that it has nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_no_data: Missing,
    /// What to do when its source does not answer, or not in a way that can be read.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_error: Missing,
    /// The unit of its values, for people.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unit: Unit,
    /// Of a mean: absolute slack added to what is tolerated, in millionths of the unit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub slack_micro: u64,
    /// Of a mean: a change beyond this must be excluded before PROCEED, in basis points of the
    /// baseline; none: the step's multiple.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_bp: Option<u32>,
}

/// The unit of values that a source gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A plain number.
    #[default]
    Count,
    /// 0 to 100.
    Percent,
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// A value in millionths of the unit, for people.
    pub fn words(self, micro: i64) -> String {
        let value = micro as f64 / 1e6;
        match self {
            Self::Count => format!("{value}"),
            Self::Percent => format!("{value}%"),
            Self::Ms => format!("{value} ms"),
            Self::S => format!("{value} s"),
            Self::Bytes if value >= 1_048_576.0 => format!("{:.1} MiB", value / 1_048_576.0),
            Self::Bytes => format!("{value} B"),
        }
    }
}

/// Which way a metric is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Failures, latencies, costs.
    #[default]
    HigherIsWorse,
    /// Successes, conversions, revenue.
    LowerIsWorse,
    /// What should not change: a canary that does less work than it should also looks fast.
    Either,
}

/// What missing evidence means, hardest first. It is never a bad result, and never health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// It holds, and goes back when it is still missing after the deadline of sources.
    #[default]
    Rollback,
    /// It holds until it is there or a person says otherwise.
    Hold,
    /// It goes on without; only for a metric that decides nothing.
    Ignore,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How long a state of a metric must last, without a break, to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lasting {
    /// So many windows of evidence it must fail before it has failed.
    pub failures: u32,
    /// So long it must fail before it has failed.
    pub bad_for_ms: u64,
    /// So long it must be well before it passes.
    pub good_for_ms: u64,
}

impl Lasting {
    /// For people: `fails after 2 looks and 1m`, `passes after 5m`.
    pub fn words(self) -> Vec<String> {
        let looks = (self.failures > 1).then(|| format!("{} looks", self.failures));
        let bad_for = (self.bad_for_ms > 0).then(|| ForPeople(self.bad_for_ms).to_string());
        let last: Vec<String> = [looks, bad_for].into_iter().flatten().collect();
        let fails = (!last.is_empty()).then(|| format!("fails after {}", last.join(" and ")));
        let passes = (self.good_for_ms > 0).then(|| format!("passes after {}", ForPeople(self.good_for_ms)));
        [fails, passes].into_iter().flatten().collect()
    }
}

/// What a metric measures, and in which unit its absolute bands and figures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "of", deny_unknown_fields)]
pub enum Measure {
    /// Share of failed requests: 5xx, timeouts, connection errors. Parts per million.
    ErrorRate,
    /// The latency distribution: p50, p95 and p99 together decide, this one is shown first.
    /// Microseconds.
    Latency {
        /// The quantile shown and held to the absolute bands, in basis points (9,500 is p95).
        quantile_bp: u16,
    },
    /// A share of counters of a source ([`crate::metrics::Shape::Counts`]); absolute bands in parts
    /// per million of what is counted.
    QueryCounts,
    /// The buckets of a source ([`crate::metrics::Shape::Buckets`]); absolute bands in microseconds.
    QueryBuckets {
        /// The quantile shown and held to the absolute bands, in basis points.
        quantile_bp: u16,
    },
    /// The values of a source ([`crate::metrics::Shape::Scalar`]); absolute bands in millionths.
    QueryValues {
        /// Values closer together than this rest on the same seconds.
        every_ms: u64,
    },
    /// The mean of values of a source ([`crate::metrics::Shape::Moments`]); absolute bands and figures
    /// in millionths.
    QueryMoments,
    /// Types of errors that are new ([`crate::metrics::Shape::Types`]); absolute bands in parts per
    /// million of the sessions.
    QueryTypes,
    /// How fast an SLO's error budget is burnt: failed requests over what the objective allows.
    /// Thousandths of the burn that spends the budget in exactly its window.
    Burn {
        /// The share of requests that may fail, in parts per million (1,000 for 99.9 %).
        budget_ppm: u32,
        /// The SLO's time window.
        window_ms: u64,
        /// What counts.
        by: Counter,
    },
    /// Requests against the share that was routed: lost, hung and refused ones. No bands; figures in
    /// parts per million of all requests.
    Throughput,
    /// Resident memory of an instance. Bytes.
    Memory,
    /// CPU of an instance; compared per request. Thousandths of a core.
    Cpu,
    /// Instances restarted. Parts per million of the instances.
    Restarts,
    /// What 1,000 requests cost by the declared prices. Millionths of the currency.
    Cost,
}

/// Between two values of an SLO that each count as one point in time.
pub const POINT_MS: u64 = 15_000;

/// What counts the requests of an SLO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counter {
    /// The router: failed requests.
    Router,
    /// A source, the bad ones.
    Bad,
    /// A source, the good ones.
    Good,
    /// Values of a source, each a point in time: bad above so many millionths.
    Above(u64),
    /// The same, bad below.
    Below(u64),
}

impl Measure {
    /// Whether it comes from a source by query.
    pub fn is_query(self) -> bool {
        matches!(
            self,
            Self::QueryCounts
                | Self::QueryBuckets { .. }
                | Self::QueryValues { .. }
                | Self::QueryMoments
                | Self::QueryTypes
                | Self::Burn { by: Counter::Bad | Counter::Good | Counter::Above(_) | Counter::Below(_), .. }
        )
    }

    /// Whether it reads what instances use, which windows hold only where something reads it.
    pub fn is_gauge(self) -> bool {
        matches!(self, Self::Memory | Self::Cpu | Self::Restarts | Self::Cost)
    }
}

/// As tolerance and red: the metric is not compared with the baseline.
pub const NOT_COMPARED_BP: u32 = u32::MAX;

impl MetricPolicy {
    /// A metric without bands, that decides and is not compared.
    pub fn plain(name: MetricName, measure: Measure) -> Self {
        Self {
            name,
            measure,
            tolerance_bp: NOT_COMPARED_BP,
            red_bp: NOT_COMPARED_BP,
            slack_ppm: 0,
            hold_above: None,
            rollback_above: None,
            required: true,
            weight: 1,
            from_step: 0,
            endpoint: None,
            lasting: None,
            direction: Direction::HigherIsWorse,
            critical: false,
            hold_below: None,
            rollback_below: None,
            on_no_data: Missing::Rollback,
            on_error: Missing::Rollback,
            unit: Unit::Count,
            slack_micro: 0,
            exclude_bp: None,
        }
    }

    /// What its source's silence means: nothing where it decides nothing.
    pub fn when_silent(&self) -> Missing {
        if self.required { self.on_error } else { Missing::Ignore }
    }

    /// What it means that its source has nothing, likewise.
    pub fn when_empty(&self) -> Missing {
        if self.required { self.on_no_data } else { Missing::Ignore }
    }

    /// Whether it is compared with the baseline, and not held to absolute bands alone.
    pub fn is_compared(&self) -> bool {
        self.tolerance_bp != NOT_COMPARED_BP
    }
}

impl AnalysisPolicy {
    /// A profile with the bands of the annex, as R4.3 has them.
    pub fn of(profile: Profile) -> Self {
        let (error_tolerance, error_slack, error_rollback) = match profile {
            Profile::Standard => (11_000, 1_000, None),
            Profile::Strict => (10_000, 0, Some(10_000)),
        };
        let name = |name: &str| MetricName::new(name).expect("a valid name");
        let error_rate = MetricPolicy {
            tolerance_bp: error_tolerance,
            red_bp: 20_000,
            slack_ppm: error_slack,
            hold_above: Some(10_000),
            rollback_above: error_rollback,
            weight: 3,
            ..MetricPolicy::plain(name("error_rate"), Measure::ErrorRate)
        };
        let latency = MetricPolicy {
            tolerance_bp: 12_000,
            red_bp: 15_000,
            hold_above: Some(2_000_000),
            weight: 3,
            ..MetricPolicy::plain(name("latency_p95"), Measure::Latency { quantile_bp: 9_500 })
        };
        let exclude = [(100, 100_000), (500, 50_000), (10_000, 20_000)];
        Self {
            profile,
            metrics: vec![error_rate, latency],
            false_alarm_ppm: 10_000,
            false_pass_ppm: 50_000,
            exclude: exclude
                .map(|(bp, ratio_bp)| Exclusion {
                    up_to: WeightBp::new(bp).expect("at most everything"),
                    ratio_bp,
                })
                .to_vec(),
            harm_budget_requests: None,
            warm_up_ms: 0,
            sources: Vec::new(),
            prices: None,
            preflight: Preflight::Warn,
            baseline: Baseline::Stable,
        }
    }

    /// The shape of a metric's query; none where it has none.
    pub fn shape_of(&self, metric: &MetricName) -> Option<&Shape> {
        let queries = self.sources.iter().flat_map(|source| &source.queries);
        queries.into_iter().find(|query| &query.metric == metric).map(|query| &query.shape)
    }

    /// What must be excluded at this weight, as a ratio in basis points.
    pub fn exclusion_at(&self, weight: WeightBp) -> Option<u32> {
        let rule = self.exclude.iter().find(|rule| weight <= rule.up_to).or(self.exclude.last());
        rule.map(|rule| rule.ratio_bp)
    }
}
