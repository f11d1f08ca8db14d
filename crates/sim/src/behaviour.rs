//! How a version behaves: what it answers, how it starts, what it eats.

/// A version's honest behaviour, named as in the example service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behaviour {
    /// As good as any.
    Healthy,
    /// Fails 5 % of the requests.
    Errors,
    /// Three times as slow.
    Slow,
    /// Dies a moment after each start.
    Crash,
    /// Grows until its memory limit.
    Leak,
    /// Needs 20 s until it is ready.
    SlowStart,
    /// Is never ready.
    NeverReady,
    /// Fails from the 40th second of its traffic on.
    Late,
    /// Fails one endpoint only.
    OneEndpoint,
    /// Fails once it has half of the traffic.
    Overload,
    /// Cannot be started at all.
    Broken,
}

/// Every behaviour with its share of the draws.
pub const DRAWS: &[Behaviour] = &[
    Behaviour::Healthy,
    Behaviour::Healthy,
    Behaviour::Healthy,
    Behaviour::Healthy,
    Behaviour::Errors,
    Behaviour::Errors,
    Behaviour::Slow,
    Behaviour::Crash,
    Behaviour::Leak,
    Behaviour::SlowStart,
    Behaviour::NeverReady,
    Behaviour::Late,
    Behaviour::OneEndpoint,
    Behaviour::Overload,
    Behaviour::Broken,
];

/// Endpoint classes with their share of the requests in percent.
pub const CLASSES: &[(&str, u64)] = &[("api", 70), ("other", 30)];

/// Share of failed requests of a version without fault, parts per million.
const BASE_PPM: u64 = 1_000;

/// Buckets of the latency histogram for "three times as slow": log₂ 3 × 64.
const THREE_TIMES: i16 = 101;

/// What decides how requests are answered at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Time since the version's first request.
    pub(crate) served_ms: u64,
    /// Its share of the traffic in basis points.
    pub(crate) share_bp: u64,
    /// A dependency of both sides fails.
    pub(crate) outage: bool,
}

impl Behaviour {
    /// Chance of failure of a request of a class, parts per million.
    pub(crate) fn failing_ppm(self, class: &str, moment: Moment) -> u64 {
        let own = match self {
            Self::Errors => 50_000,
            Self::Late if moment.served_ms > 40_000 => 100_000,
            Self::OneEndpoint if class == "other" => 300_000,
            Self::Overload if moment.share_bp >= 5_000 => 200_000,
            _ => BASE_PPM,
        };
        if moment.outage { own.max(200_000) } else { own }
    }

    /// By how many buckets its latencies are shifted.
    pub(crate) fn shift(self) -> i16 {
        if self == Self::Slow { THREE_TIMES } else { 0 }
    }

    /// From start to ready beyond the usual; none: never.
    pub(crate) fn start_ms(self) -> Option<u64> {
        match self {
            Self::NeverReady => None,
            Self::SlowStart => Some(20_000),
            _ => Some(0),
        }
    }

    /// Whether a judge that sees enough traffic has a reason to stop it at a canary step.
    pub fn is_bad_at_once(self) -> bool {
        matches!(self, Self::Errors)
    }
}
