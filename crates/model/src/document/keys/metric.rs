//! Keys of a metric and its bands.

use super::{Kind, Need, Section, key};

pub(in crate::document) static METRIC: Section = Section {
    name: "metric",
    doc: "Bands of one metric, relative to the baseline and absolute.",
    one_of: &[],
    keys: &[
        key(
            "measure",
            Kind::Word(MEASURES),
            Need::From("the metric's name, where it is one of these"),
            "What is measured.",
        ),
        key(
            "source",
            Kind::Text,
            Need::From("the only one of `sources`"),
            "The name of the source its query is put to.",
        ),
        key("query", Kind::Text, Need::Optional, "PromQL, taken apart into counts where it can be."),
        key("bad", Kind::Text, Need::Optional, "What counts the bad ones, in the source's language."),
        key(
            "good",
            Kind::Text,
            Need::Optional,
            "What counts the good ones, in place of `bad`: fewer of them are worse.",
        ),
        key("total", Kind::Text, Need::Optional, "What counts all of them."),
        key(
            "by",
            Kind::Text,
            Need::Optional,
            "Counts `bad` by type: the label, field, attribute or group that names it. New types are judged.",
        ),
        key("value", Kind::Text, Need::Optional, "What gives a value, in the source's language."),
        key("count", Kind::Text, Need::Optional, "Of a mean: what counts the values."),
        key("sum", Kind::Text, Need::Optional, "Of a mean: the sum of the values."),
        key(
            "sum_of_squares",
            Kind::Text,
            Need::Optional,
            "Of a mean: the sum of their squares; without it a mean takes some 30 windows longer.",
        ),
        key(
            "values",
            Kind::Text,
            Need::Optional,
            "Of a mean: what gives single values: a column, a pattern with a group `value`, a histogram.",
        ),
        key(
            "unit",
            Kind::Word(UNITS),
            Need::From("a plain number"),
            "The unit of `value` or `query`, and of its bands.",
        ),
        key("kind", Kind::Word(KINDS), Need::Optional, "Bands to begin with, for a metric by query."),
        key(
            "objective",
            Kind::FineShare,
            Need::Optional,
            "Judges how fast the error budget of this objective is burnt; of the built-in failures without a query.",
        ),
        key("window", Kind::Span, Need::Default("30d"), "The time over which `objective` is to be kept."),
        key(
            "direction",
            Kind::Word(DIRECTIONS),
            Need::From("`lower_is_worse` with `good` and of business metrics, else `higher_is_worse`"),
            "Which way a metric by query is worse.",
        ),
        key(
            "tolerance",
            Kind::Percent,
            Need::From("the profile's"),
            "Up to this much worse than the baseline is tolerated.",
        ),
        key(
            "red",
            Kind::Multiple,
            Need::From("2x for errors, 1.5x for latency and means"),
            "Beyond this multiple of the baseline it goes back; where lower is worse, this many times lower.",
        ),
        key(
            "slack",
            Kind::Band,
            Need::From("0.1% for errors, none under `strict`"),
            "Share of requests added to what is tolerated, whatever the baseline; of a mean an amount.",
        ),
        key(
            "exclude",
            Kind::Percent,
            Need::From("the step's multiple"),
            "Of a mean: a change for the worse beyond this must be excluded before PROCEED, such as 5%.",
        ),
        key(
            "hold_above",
            Kind::Band,
            Need::From("1% for errors and restarts, 2s for latency"),
            "Above it the release holds, whatever the baseline.",
        ),
        key(
            "rollback_above",
            Kind::Band,
            Need::From("none; 1% for errors under `strict`, 3 for burn, 90% for memory with a limit"),
            "Above it the release goes back, whatever the baseline.",
        ),
        key("hold_below", Kind::Band, Need::From("none"), "Below it the release holds."),
        key("rollback_below", Kind::Band, Need::From("none"), "Below it the release goes back."),
        key(
            "critical",
            Kind::Flag,
            Need::Default("false"),
            "Whether a shown regression goes back at once, whatever the profile and however small.",
        ),
        key(
            "required",
            Kind::Flag,
            Need::From("true; false for `cost`"),
            "Whether it decides; `false` shows it only (dry run).",
        ),
        key(
            "weight",
            Kind::Whole(1, 1_000),
            Need::Default("3"),
            "Share of the false-alarm chance, relative to the other metrics.",
        ),
        key(
            "from_step",
            Kind::Name,
            Need::From(
                "the first step; in preset `canary` the second for burn, the third for business metrics",
            ),
            "The name of the first step at which it counts.",
        ),
        key(
            "endpoint",
            Kind::Name,
            Need::From("all requests"),
            "Only requests of this class of `traffic.endpoints`.",
        ),
        key("bad_for", Kind::Span, Need::Default("0s"), "So long it must fail without a break to go back."),
        key("good_for", Kind::Span, Need::Default("0s"), "So long it must be well without a break to pass."),
        key(
            "on_no_data",
            Kind::Word(MISSING),
            Need::Default("rollback"),
            "When its source answers and has nothing. It holds meanwhile.",
        ),
        key(
            "on_error",
            Kind::Word(MISSING),
            Need::Default("rollback"),
            "When its source does not answer. It holds meanwhile.",
        ),
    ],
};

/// What a metric may measure, in `measure` or by its name.
pub(in crate::document) const MEASURES: &[(&str, &str)] = &[
    ("error_rate", "share of failed requests: 5xx, timeouts, connection errors"),
    ("latency_p50", "the latency distribution, shown at its median"),
    ("latency_p90", "the same at p90"),
    ("latency_p95", "the same at p95"),
    ("latency_p99", "the same at p99"),
    ("throughput", "requests answered against the share routed: lost, hung and refused ones"),
    ("burn", "how fast the error budget of `objective` is burnt; bands are multiples, such as 3"),
    ("memory", "resident memory of an instance; bands are sizes, or shares of the declared limit"),
    ("cpu", "CPU of an instance; bands are cores, or shares of the declared limit; compared per request"),
    ("restarts", "share of instances that were restarted; a crash loop goes back by itself"),
    ("cost", "what 1,000 requests cost by `analysis.cost`; compared at equal load of an instance"),
];

const DIRECTIONS: &[(&str, &str)] = &[
    ("higher_is_worse", "failures, latencies"),
    ("lower_is_worse", "successes, conversions, revenue"),
    ("either", "what should not change"),
];

const MISSING: &[(&str, &str)] = &[
    ("rollback", "it goes back when that lasts longer than `deadlines.source`"),
    ("hold", "it waits until there is data or a person decides"),
    ("ignore", "it goes on without; only with `required: false`"),
];

const UNITS: &[(&str, &str)] = &[
    ("count", "a plain number: 3"),
    ("percent", "a share, of a query that gives 0 to 100: 5%"),
    ("ms", "a time, of a query in milliseconds: 500ms"),
    ("s", "a time, of a query in seconds: 500ms"),
    ("bytes", "a size: 64MiB"),
];

const KINDS: &[(&str, &str)] = &[
    ("business", "lower is worse; any shown drop holds, beyond 5% it goes back"),
    (
        "client_errors",
        "sessions with a new type of error, or all errors `by` type: any new one holds, above 0.1% of the sessions it goes back",
    ),
];

pub(in crate::document) static SLO: Section = Section {
    name: "slo",
    doc: "An objective for the built-in failures, judged by how fast its error budget is burnt.",
    one_of: &[],
    keys: &[
        key(
            "objective",
            Kind::FineShare,
            Need::Required,
            "The share of requests that must not fail: `99.9%`.",
        ),
        key("window", Kind::Span, Need::Default("30d"), "The time over which it is to be kept."),
    ],
};

pub(in crate::document) static COST: Section = Section {
    name: "cost",
    doc: "What resources cost, for the metric `cost`.",
    one_of: &[],
    keys: &[
        key("cpu_hour", Kind::Text, Need::Required, "A core for an hour, in the currency: 0.04."),
        key("memory_gib_hour", Kind::Text, Need::Default("0"), "A GiB of memory for an hour."),
        key("currency", Kind::Text, Need::Default("EUR"), "The currency, as it is shown."),
    ],
};
