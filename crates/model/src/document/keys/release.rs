//! Keys of how a version is released and judged.

use super::metric::{COST, METRIC, SLO};
use super::source::SOURCE;
use super::template::TEMPLATE_USE;
use super::{Kind, Need, Section, key};

/// A rule on a header or a cookie.
pub static HEADER_RULE: Section = Section {
    name: "header rule",
    doc: "Requests that carry a header or a cookie; exactly one of the two.",
    one_of: &["header", "cookie"],
    keys: &[
        key("header", Kind::Text, Need::Optional, "The header's name."),
        key("cookie", Kind::Text, Need::Optional, "The cookie's name."),
        key(
            "values",
            Kind::OneOrMany(&Kind::Text),
            Need::From("any value"),
            "Accepted values, compared exactly.",
        ),
    ],
};

pub(in crate::document) static STRATEGY: Section = Section {
    name: "strategy",
    doc: "A preset, changed where wanted, or steps of one's own.",
    one_of: &[],
    keys: &[
        key(
            "preset",
            Kind::Preset,
            Need::From("`canary`, unless there are steps"),
            "The preset the steps come from.",
        ),
        key("steps", Kind::Sections(&STEP), Need::Optional, "Steps of one's own, rising to 100%."),
        key(
            "kind",
            Kind::Word(KINDS),
            Need::From("the preset's, or `canary`"),
            "The family that steps of one's own belong to.",
        ),
        key(
            "bake",
            Kind::OneOrMany(&Kind::Span),
            Need::From("the preset's"),
            "Time with fresh evidence, in place of the preset's: one for every step that bakes, or a list.",
        ),
        key(
            "analysis",
            Kind::Flag,
            Need::From("the preset's"),
            "Whether the preset's steps with traffic are judged; rolling is not unless this is true.",
        ),
        key(
            "approval",
            Kind::List(&Kind::Name),
            Need::Optional,
            "Steps of the preset that a person has to promote.",
        ),
        key(
            "holdback",
            Kind::Share,
            Need::From("nothing: the last step has everything"),
            "Share that the old version keeps on the last step, up to 10%: a live baseline until the release is sealed.",
        ),
        key(
            "retire_after",
            Kind::Span,
            Need::From("24 h for blue-green, else 0 s"),
            "How long the old version keeps running after the release is sealed.",
        ),
    ],
};

const KINDS: &[(&str, &str)] = &[
    ("canary", "a share of the traffic, growing"),
    ("blue_green", "everything at once, between two full sets"),
    ("rolling", "instance by instance"),
    ("recreate", "stop the old, start the new; refused in production"),
];

pub(in crate::document) static STEP: Section = Section {
    name: "step",
    doc: "An exposure, and what must hold before leaving it.",
    one_of: &[],
    keys: &[
        key(
            "name",
            Kind::Name,
            Need::From("the weight: `canary-5`, `full`"),
            "Its name, unique in the plan.",
        ),
        key("weight", Kind::Share, Need::Required, "The canary's share of the traffic."),
        key(
            "bake",
            Kind::Span,
            Need::Default("5m"),
            "Time with fresh evidence that the step needs; 0 s at 0% without requests.",
        ),
        key(
            "instances",
            Kind::Whole(0, 500),
            Need::From("the weight times `target.replicas`, rounded up, at least 1"),
            "Instances of the canary.",
        ),
        key(
            "baseline_instances",
            Kind::Whole(0, 500),
            Need::From("all, so that it can take everything back"),
            "Instances of the baseline.",
        ),
        key(
            "only",
            Kind::Short(&Kind::Word(ONLY), &HEADER_RULE),
            Need::Optional,
            "Requests that go to the canary whatever the weight.",
        ),
        key(
            "mirror",
            Kind::Share,
            Need::Default("0%"),
            "Share of the baseline's requests copied to the canary; the answers are thrown away.",
        ),
        key(
            "analysis",
            Kind::Flag,
            Need::From("true where the canary gets requests"),
            "Whether the canary is judged on this step.",
        ),
        key("approval", Kind::Flag, Need::Default("false"), "Whether a person has to promote it."),
        key("before", Kind::Sections(&CHECK), Need::Optional, "Checks before its time counts."),
        key(
            "after",
            Kind::Sections(&CHECK),
            Need::Optional,
            "Checks when its time is up and the verdict is PROCEED.",
        ),
    ],
};

const ONLY: &[(&str, &str)] = &[("internal_users", "those of `traffic.internal_users`")];

pub(in crate::document) static CHECK: Section = Section {
    name: "check",
    doc: "A smoke test or a hook, one of `http` and `command`. `{canary}`, `{version}`, `{release}`, `{step}` and `{service}` are replaced.",
    one_of: &["http", "command"],
    keys: &[
        key("name", Kind::Name, Need::Required, "Its name, unique in its list."),
        key("at", Kind::Word(PLACES), Need::From("`start`; not given on a step"), "When it runs."),
        key(
            "http",
            Kind::Short(&Kind::Text, &HTTP_CHECK),
            Need::Optional,
            "A request: the URL to GET, or a mapping.",
        ),
        key("command", Kind::Command, Need::Optional, "A command; zero passes."),
        key("directory", Kind::Path, Need::Default("."), "Working directory of the command."),
        key("timeout", Kind::Span, Need::Default("30s"), "Time limit of one attempt."),
        key("retries", Kind::Whole(0, 100), Need::Default("0"), "Further attempts after a failure."),
        key("on_failure", Kind::Word(ON_FAILURE), Need::Default("rollback"), "What a failure means."),
    ],
};

const PLACES: &[(&str, &str)] = &[
    ("start", "when the first canary instances are ready, before any traffic"),
    ("each_step", "after every step"),
    ("end", "when everything is on the new version, before the release is sealed"),
];

const ON_FAILURE: &[(&str, &str)] = &[
    ("continue", "it is noted, nothing else"),
    ("hold", "the release waits for a person"),
    ("rollback", "the release goes back"),
];

pub(in crate::document) static HTTP_CHECK: Section = Section {
    name: "http check",
    doc: "A request and what its answer must be.",
    one_of: &[],
    keys: &[
        key(
            "url",
            Kind::Text,
            Need::Required,
            "The URL; `http://{canary}/…` asks an instance of the canary.",
        ),
        key("method", Kind::Text, Need::Default("GET"), "GET, POST, …"),
        key("headers", Kind::Map(&Kind::Text), Need::Optional, "Request headers."),
        key("body", Kind::Text, Need::Optional, "Request body."),
        key(
            "expect_status",
            Kind::OneOrMany(&Kind::Whole(100, 599)),
            Need::From("any 2xx"),
            "Statuses that pass.",
        ),
        key("expect_body", Kind::Text, Need::Optional, "Text the answer must contain."),
    ],
};

pub(in crate::document) static ANALYSIS: Section = Section {
    name: "analysis",
    doc: "How the canary is judged against the baseline.",
    one_of: &[],
    keys: &[
        key("profile", Kind::Word(PROFILES), Need::Default("standard"), "The bands to begin with."),
        key(
            "metrics",
            Kind::Named(&METRIC),
            Need::From("`error_rate` and `latency_p95`"),
            "Bands by metric: changes to the profile's, or further metrics.",
        ),
        key(
            "false_alarm",
            Kind::FineShare,
            Need::Default("1%"),
            "Chance that a healthy release is called bad, over all its looks together.",
        ),
        key("false_pass", Kind::FineShare, Need::Default("5%"), "Chance that an exclusion is wrong."),
        key(
            "exclude",
            Kind::Sections(&EXCLUDE),
            Need::From("10x up to 1%, 5x up to 5%, 2x above"),
            "Increases of a metric that a step must have excluded before it may proceed.",
        ),
        key(
            "harm_budget",
            Kind::Whole(1, 1_000_000_000),
            Need::From("no cap"),
            "Most failed requests, beyond the baseline's rate, that the canary may cause.",
        ),
        key(
            "baseline",
            Kind::Word(BASELINE),
            Need::Default("stable"),
            "Which instances of the running version a canary is compared with.",
        ),
        key(
            "preflight",
            Kind::Word(PREFLIGHT),
            Need::Default("warn"),
            "What becomes of a start whose steps would not see enough with the recent traffic.",
        ),
        key(
            "slo",
            Kind::Short(&Kind::OneOrMany(&Kind::Path), &SLO),
            Need::Optional,
            "An objective whose burn is judged: OpenSLO v1 documents, or the objective itself.",
        ),
        key(
            "cost",
            Kind::Section(&COST),
            Need::Optional,
            "What resources cost; judges `cost`, for show unless it says more.",
        ),
        key(
            "file",
            Kind::Path,
            Need::Optional,
            "A `CanaryConfig` whose metrics take the place of the profile's; its steps, if any, that of `strategy`.",
        ),
        key(
            "template",
            Kind::Section(&TEMPLATE_USE),
            Need::Optional,
            "An analysis template in place of `file`, shared by services.",
        ),
        key(
            "source",
            Kind::Short(&Kind::Text, &SOURCE),
            Need::Optional,
            "Where the queries of `file` or `template` are put to: a source, or the name of one of `sources`.",
        ),
        key("sources", Kind::Named(&SOURCE), Need::Optional, "Sources by name, for metrics that name them."),
    ],
};

const BASELINE: &[(&str, &str)] = &[
    ("stable", "those that run anyway: the most requests, and so the earliest verdict"),
    (
        "fresh",
        "as many as the canary's, started with them and given as large a share: as young and as cold, at the price of time",
    ),
];
const PREFLIGHT: &[(&str, &str)] = &[
    ("warn", "it starts; the warnings are shown and recorded"),
    ("refuse", "it is refused, with what to change"),
    ("off", "nobody looks"),
];

const PROFILES: &[(&str, &str)] = &[
    ("standard", "tolerance 10% for the error rate and 20% for p95; red above 2x and 1.5x"),
    ("strict", "tolerance 0% and 20%; any shown regression rolls back, so does an error rate above 1%"),
];

pub(in crate::document) static EXCLUDE: Section = Section {
    name: "exclusion",
    doc: "Up to `up_to`, an increase to `increase` must be excluded.",
    one_of: &[],
    keys: &[
        key(
            "up_to",
            Kind::Share,
            Need::Required,
            "The rule holds up to this weight; the last one holds above.",
        ),
        key("increase", Kind::Multiple, Need::Required, "Times the baseline."),
    ],
};

pub(in crate::document) static DEADLINES: Section = Section {
    name: "deadlines",
    doc: "Time limits of a release.",
    one_of: &[],
    keys: &[
        key(
            "ready",
            Kind::Span,
            Need::Default("5m"),
            "Until the instances of a step are ready; past it the release goes back.",
        ),
        key("routed", Kind::Span, Need::Default("5m"), "Until the router has confirmed a split."),
        key(
            "samples",
            Kind::Span,
            Need::Default("5m"),
            "Beyond a step's own time, until there is enough evidence; past it a person is asked.",
        ),
        key(
            "source",
            Kind::Span,
            Need::Default("5m"),
            "How long a source of evidence may fail before the release goes back; it holds meanwhile.",
        ),
        key(
            "drain",
            Kind::Span,
            Need::Default("10s"),
            "How long open requests may go on when instances are drained.",
        ),
        key(
            "abort_window",
            Kind::Span,
            Need::Default("0s"),
            "The shortest time on any exposed step, in which a person can abort.",
        ),
        key(
            "suppression",
            Kind::Span,
            Need::Default("1h"),
            "How long the same artifact is not tried again by itself after a rollback.",
        ),
    ],
};
