//! Keys of a `CanaryConfig`, the document of its own in which a team says how its canaries are judged.

use super::{Kind, Need, Section, key};

/// The whole document.
pub(in crate::document) static CANARY_CONFIG: Section = Section {
    name: "canary config",
    doc: "How a canary is judged, and by which steps it grows.",
    one_of: &[],
    keys: &[
        key("apiVersion", Kind::Word(VERSIONS), Need::Required, "The version of this form: `analysis/v1`."),
        key("kind", Kind::Word(DOCUMENTS), Need::Required, "What the document is: `CanaryConfig`."),
        key("metadata", Kind::Section(&METADATA), Need::Required, "What it is called."),
        key("spec", Kind::Section(&SPEC), Need::Required, "What it says."),
    ],
};

const VERSIONS: &[(&str, &str)] = &[("analysis/v1", "the only one there is")];
const DOCUMENTS: &[(&str, &str)] = &[("CanaryConfig", "the only one there is")];

pub(in crate::document) static METADATA: Section = Section {
    name: "canary metadata",
    doc: "What the document is called.",
    one_of: &[],
    keys: &[
        key("name", Kind::Name, Need::Required, "Its name."),
        key("labels", Kind::Map(&Kind::Text), Need::Optional, "For other tools; not looked at."),
        key("annotations", Kind::Map(&Kind::Text), Need::Optional, "For other tools; not looked at."),
    ],
};

pub(in crate::document) static SPEC: Section = Section {
    name: "canary spec",
    doc: "Steps, metrics, and what a failure means.",
    one_of: &[],
    keys: &[
        key(
            "steps",
            Kind::Sections(&CANARY_STEP),
            Need::From("the strategy of the service"),
            "Shares of the traffic, rising to 100, each with its time.",
        ),
        key("metrics", Kind::Sections(&CANARY_METRIC), Need::Required, "What is looked at."),
        key(
            "rollback_on_failure",
            Kind::Flag,
            Need::Default("true"),
            "Whether a failed metric sends the release back; otherwise it holds.",
        ),
        key(
            "failure_count_threshold",
            Kind::Whole(1, 1_000),
            Need::Default("1"),
            "So many looks in a row a metric must fail before it counts as failed.",
        ),
    ],
};

pub(in crate::document) static CANARY_STEP: Section = Section {
    name: "canary step",
    doc: "A share of the traffic and its time.",
    one_of: &[],
    keys: &[
        key("percentage", Kind::Text, Need::Required, "The canary's share of the traffic: 1 is 1%."),
        key("duration", Kind::Span, Need::Required, "Time with fresh evidence that the step needs."),
        key("name", Kind::Name, Need::From("the share: `canary-5`"), "Its name, unique in the document."),
    ],
};

pub(in crate::document) static CANARY_METRIC: Section = Section {
    name: "canary metric",
    doc: "What is asked, in the words of a metric in `taxiway.yaml`, and what its value may be.",
    one_of: &[],
    keys: &[
        key("name", Kind::Name, Need::Required, "Its name; other queries may use it."),
        key("query", Kind::Text, Need::Optional, "PromQL; canary and baseline are told apart by labels."),
        key("bad", Kind::Text, Need::Optional, "What counts the bad ones, in the source's language."),
        key("good", Kind::Text, Need::Optional, "What counts the good ones, in place of `bad`."),
        key("total", Kind::Text, Need::Optional, "What counts all of them."),
        key("by", Kind::Text, Need::Optional, "Counts `bad` by type: the label that names it."),
        key("value", Kind::Text, Need::Optional, "The same as `query`, of a source without PromQL."),
        key("count", Kind::Text, Need::Optional, "Of a mean: what counts the values."),
        key("sum", Kind::Text, Need::Optional, "Of a mean: the sum of the values."),
        key("sum_of_squares", Kind::Text, Need::Optional, "Of a mean: the sum of their squares."),
        key("values", Kind::Text, Need::Optional, "Of a mean: what gives single values."),
        key("threshold", Kind::Section(&THRESHOLD), Need::Required, "What its value may be."),
        key("from_step", Kind::Whole(1, 500), Need::Default("1"), "First step at which it counts, from 1."),
        key(
            "for",
            Kind::Span,
            Need::Default("0s"),
            "So long it must fail without a break to count as failed.",
        ),
        key("good_for", Kind::Span, Need::Default("0s"), "So long it must be well without a break to pass."),
        key(
            "critical",
            Kind::Flag,
            Need::From("`rollback_on_failure`"),
            "Whether its failure sends the release back.",
        ),
        key("required", Kind::Flag, Need::Default("true"), "Whether it decides; `false` shows it only."),
        key(
            "weight",
            Kind::Whole(1, 1_000),
            Need::Default("1"),
            "Share of the false-alarm chance, relative to the other metrics.",
        ),
    ],
};

pub(in crate::document) static THRESHOLD: Section = Section {
    name: "canary threshold",
    doc: "Bounds on a metric; at least one.",
    one_of: &[],
    keys: &[
        key(
            "max_increase_ratio",
            Kind::Text,
            Need::Optional,
            "Times the baseline: 2.0 says that the canary must not be twice as bad.",
        ),
        key("max_absolute", Kind::Text, Need::Optional, "The value itself, in the unit of the query."),
        key(
            "max_absolute_ms",
            Kind::Text,
            Need::Optional,
            "The value in milliseconds, of a query in seconds.",
        ),
        key(
            "max_absolute_percent",
            Kind::Text,
            Need::Optional,
            "The value in percent, of a query that is a share.",
        ),
        key(
            "max_decrease_ratio",
            Kind::Text,
            Need::Optional,
            "Where lower is worse: 2.0 says that the canary must not have half of the baseline or less.",
        ),
        key("min_absolute", Kind::Text, Need::Optional, "The value itself, where lower is worse."),
        key(
            "min_absolute_percent",
            Kind::Text,
            Need::Optional,
            "The value in percent, where lower is worse.",
        ),
    ],
};
