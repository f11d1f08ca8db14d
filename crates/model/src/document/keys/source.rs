//! Keys of the sources of metrics by query.

use super::{Kind, Need, Section, key};

pub(in crate::document) static SOURCE: Section = Section {
    name: "source",
    doc: "Where metrics by query come from, and by which labels canary and baseline are told apart. \
          `{version}` is the version of the side.",
    one_of: &[
        "prometheus",
        "datadog",
        "cloudwatch",
        "newrelic",
        "influxdb",
        "graphite",
        "otlp",
        "json",
        "logs",
        "command",
        "csv",
    ],
    keys: &[
        key("prometheus", Kind::Section(&PROMETHEUS), Need::Optional, "A Prometheus-compatible HTTP API."),
        key("datadog", Kind::Section(&DATADOG), Need::Optional, "Datadog."),
        key("cloudwatch", Kind::Section(&CLOUDWATCH), Need::Optional, "Amazon CloudWatch."),
        key("newrelic", Kind::Section(&NEWRELIC), Need::Optional, "New Relic."),
        key("influxdb", Kind::Section(&INFLUXDB), Need::Optional, "InfluxDB, v2 or v1."),
        key("graphite", Kind::Section(&GRAPHITE), Need::Optional, "Graphite."),
        key("otlp", Kind::Section(&OTLP), Need::Optional, "What is pushed to us over OTLP."),
        key("json", Kind::Section(&JSON), Need::Optional, "Any JSON over HTTP."),
        key("logs", Kind::Section(&LOGS), Need::Optional, "Lines of log files."),
        key("command", Kind::Section(&COMMAND), Need::Optional, "A program that prints JSON."),
        key("csv", Kind::Section(&CSV), Need::Optional, "A file with a row a moment."),
        key(
            "canary",
            Kind::Map(&Kind::Text),
            Need::From("`version: \"{version}\"`"),
            "Labels of the canary's series, added to every selector; what `{label}` is in other queries.",
        ),
        key(
            "baseline",
            Kind::Map(&Kind::Text),
            Need::From("`version: \"{version}\"`"),
            "Labels of the baseline's series.",
        ),
    ],
};

const INTERVAL: &str = "Time between two questions.";
const TIMEOUT: &str = "Time limit of one question.";
const CREDENTIALS_DOC: &str = "How to prove who asks.";

pub(in crate::document) static PROMETHEUS: Section = Section {
    name: "prometheus",
    doc: "A Prometheus-compatible HTTP API.",
    one_of: &[],
    keys: &[
        key("url", Kind::Text, Need::Required, "Its address, without `/api/v1`."),
        key("credentials", Kind::Section(&CREDENTIALS), Need::Optional, CREDENTIALS_DOC),
        key("interval", Kind::Span, Need::Default("5s"), INTERVAL),
        key("timeout", Kind::Span, Need::Default("5s"), TIMEOUT),
    ],
};

const BUCKET: &str = "Width of the time buckets that are asked for.";
const DELAY: &str = "Data younger than this may not be complete, and wait.";

pub(in crate::document) static DATADOG: Section = Section {
    name: "datadog",
    doc: "Datadog. Queries are its own, with `{version}` among the tags: \
          `sum:shop.errors{version:{version}}.as_count()`; counts are sums by time.",
    one_of: &[],
    keys: &[
        key("url", Kind::Text, Need::Default("https://api.datadoghq.com"), "The API of your site."),
        key("api", Kind::Word(DATADOG_APIS), Need::Default("v2"), "The version of its API."),
        key("api_key", Kind::Section(&SECRET), Need::Required, "`DD-API-KEY`."),
        key("application_key", Kind::Section(&SECRET), Need::Required, "`DD-APPLICATION-KEY`."),
        key("bucket", Kind::Span, Need::Default("60s"), BUCKET),
        key("delay", Kind::Span, Need::Default("60s"), DELAY),
        key("interval", Kind::Span, Need::Default("30s"), INTERVAL),
        key("timeout", Kind::Span, Need::Default("10s"), TIMEOUT),
    ],
};

const DATADOG_APIS: &[(&str, &str)] = &[
    ("v2", "`/api/v2/query/timeseries`, buckets of the width that is asked for"),
    ("v1", "`/api/v1/query`, buckets of the width that it chooses; add `.rollup(sum, 60)`"),
];

pub(in crate::document) static CLOUDWATCH: Section = Section {
    name: "cloudwatch",
    doc: "Amazon CloudWatch. Queries are `namespace:metric{dimension=\"value\"} statistic`, such as \
          `Shop:Errors{Version=\"{version}\"} Sum`, or an expression (`SELECT …`, `SEARCH(…)`).",
    one_of: &[],
    keys: &[
        key("region", Kind::Text, Need::Required, "The region."),
        key("url", Kind::Text, Need::From("the region's"), "Another endpoint."),
        key("access_key", Kind::Section(&SECRET), Need::Required, "The id of the access key."),
        key("secret_key", Kind::Section(&SECRET), Need::Required, "The secret access key."),
        key("session_token", Kind::Section(&SECRET), Need::Optional, "Of temporary keys."),
        key(
            "bucket",
            Kind::Span,
            Need::Default("60s"),
            "The period; a multiple of 60s, or 1, 5, 10, 20, 30s.",
        ),
        key("delay", Kind::Span, Need::Default("2m"), DELAY),
        key("interval", Kind::Span, Need::Default("30s"), INTERVAL),
        key("timeout", Kind::Span, Need::Default("10s"), TIMEOUT),
    ],
};

pub(in crate::document) static NEWRELIC: Section = Section {
    name: "newrelic",
    doc: "New Relic, by NerdGraph. Queries are NRQL without a span of time: \
          `SELECT count(*) FROM Transaction WHERE appVersion = '{version}'`.",
    one_of: &[],
    keys: &[
        key(
            "url",
            Kind::Text,
            Need::Default("https://api.newrelic.com"),
            "`https://api.eu.newrelic.com` in the EU.",
        ),
        key("account", Kind::Whole(1, 1_000_000_000_000), Need::Required, "The account's number."),
        key("api_key", Kind::Section(&SECRET), Need::Required, "A user key."),
        key("bucket", Kind::Span, Need::Default("60s"), BUCKET),
        key("delay", Kind::Span, Need::Default("60s"), DELAY),
        key("interval", Kind::Span, Need::Default("30s"), INTERVAL),
        key("timeout", Kind::Span, Need::Default("10s"), TIMEOUT),
    ],
};

pub(in crate::document) static INFLUXDB: Section = Section {
    name: "influxdb",
    doc: "InfluxDB. Queries are Flux (with `org`) or InfluxQL (with `database`), and have `{from}`, `{to}`, \
          `{bucket}` and `{version}` where these belong.",
    one_of: &["org", "database"],
    keys: &[
        key("url", Kind::Text, Need::Required, "Its address."),
        key("org", Kind::Text, Need::Optional, "The organization: queries are Flux."),
        key("database", Kind::Text, Need::Optional, "The database: queries are InfluxQL."),
        key("token", Kind::Section(&SECRET), Need::Optional, "`Authorization: Token`, with this token."),
        key("credentials", Kind::Section(&CREDENTIALS), Need::Optional, CREDENTIALS_DOC),
        key("bucket", Kind::Span, Need::Default("10s"), BUCKET),
        key("delay", Kind::Span, Need::Default("10s"), DELAY),
        key("interval", Kind::Span, Need::Default("10s"), INTERVAL),
        key("timeout", Kind::Span, Need::Default("10s"), TIMEOUT),
    ],
};

pub(in crate::document) static GRAPHITE: Section = Section {
    name: "graphite",
    doc: "Graphite. Queries are render targets: `sumSeries(shop.{version}.errors.count)`; counts are sums by \
          time, in buckets as it keeps them.",
    one_of: &[],
    keys: &[
        key("url", Kind::Text, Need::Required, "Its address, without `/render`."),
        key("credentials", Kind::Section(&CREDENTIALS), Need::Optional, CREDENTIALS_DOC),
        key(
            "bucket",
            Kind::Span,
            Need::Default("60s"),
            "Width of its buckets, where one point does not show it.",
        ),
        key("delay", Kind::Span, Need::Default("10s"), DELAY),
        key("interval", Kind::Span, Need::Default("10s"), INTERVAL),
        key("timeout", Kind::Span, Need::Default("10s"), TIMEOUT),
    ],
};

pub(in crate::document) static OTLP: Section = Section {
    name: "otlp",
    doc: "OTLP over HTTP, JSON or protobuf, pushed to `/v1/metrics`. Queries are metrics with attributes: \
          `http.server.requests{status=\"5*\"}`; the sides are told apart by resource attributes.",
    one_of: &[],
    keys: &[
        key(
            "listen",
            Kind::Address,
            Need::Default("127.0.0.1:4318"),
            "Where it is pushed to; any address but loopback needs a token.",
        ),
        key(
            "token",
            Kind::Section(&SECRET),
            Need::Optional,
            "What senders present as `Authorization: Bearer`.",
        ),
        key("interval", Kind::Span, Need::Default("1s"), "Time between two looks at what was pushed."),
        key("timeout", Kind::Span, Need::Default("5s"), TIMEOUT),
    ],
};

pub(in crate::document) static LOGS: Section = Section {
    name: "logs",
    doc: "Lines of files. `bad` and `total` are regular expressions of the lines that are counted.",
    one_of: &[],
    keys: &[
        key(
            "path",
            Kind::Path,
            Need::From("the output of the side's instances"),
            "The file; with `{version}` or `{side}` in it.",
        ),
        key("interval", Kind::Span, Need::Default("1s"), INTERVAL),
        key("timeout", Kind::Span, Need::Default("5s"), "Time limit of reading what is new."),
    ],
};

pub(in crate::document) static JSON: Section = Section {
    name: "json",
    doc: "Any JSON over HTTP. Queries are paths to numbers: `$.errors`, `$.pods[*].requests` or `/errors`; \
          counts are counters that grow.",
    one_of: &[],
    keys: &[
        key("url", Kind::Text, Need::Required, "What is asked for; `{version}` is the version of the side."),
        key("credentials", Kind::Section(&CREDENTIALS), Need::Optional, CREDENTIALS_DOC),
        key("interval", Kind::Span, Need::Default("5s"), INTERVAL),
        key("timeout", Kind::Span, Need::Default("5s"), TIMEOUT),
    ],
};

pub(in crate::document) static COMMAND: Section = Section {
    name: "command source",
    doc: "A program that prints JSON, run once a side with `TAXIWAY_VERSION` and `TAXIWAY_SIDE` in its \
          environment. Queries are paths to numbers, as of `json`.",
    one_of: &[],
    keys: &[
        key("run", Kind::Command, Need::Required, "The program with its arguments."),
        key("interval", Kind::Span, Need::Default("15s"), INTERVAL),
        key("timeout", Kind::Span, Need::Default("10s"), TIMEOUT),
    ],
};

pub(in crate::document) static CSV: Section = Section {
    name: "csv",
    doc: "A file that grows by a row a moment: a column `t` with seconds since the epoch or RFC 3339, \
          others with what was counted since the row before, or values. Queries are names of columns.",
    one_of: &[],
    keys: &[
        key("path", Kind::Path, Need::Required, "Where it is; may have `{version}` or `{side}` in it."),
        key("interval", Kind::Span, Need::Default("5s"), INTERVAL),
        key("timeout", Kind::Span, Need::Default("5s"), "Time limit of reading it."),
    ],
};

pub(in crate::document) static CREDENTIALS: Section = Section {
    name: "credentials",
    doc: "How to prove to a source who asks. Secrets are named, never written down.",
    one_of: &["bearer", "basic", "header"],
    keys: &[
        key("bearer", Kind::Section(&SECRET), Need::Optional, "`Authorization: Bearer`, with this token."),
        key("basic", Kind::Section(&BASIC), Need::Optional, "`Authorization: Basic`."),
        key("header", Kind::Section(&SECRET_HEADER), Need::Optional, "A header of its own."),
    ],
};

pub(in crate::document) static BASIC: Section = Section {
    name: "basic credentials",
    doc: "A user and a password.",
    one_of: &[],
    keys: &[
        key("user", Kind::Text, Need::Required, "The user."),
        key("password", Kind::Section(&SECRET), Need::Required, "The password."),
    ],
};

pub(in crate::document) static SECRET_HEADER: Section = Section {
    name: "header credentials",
    doc: "A header and what stands in it.",
    one_of: &[],
    keys: &[
        key("name", Kind::Text, Need::Required, "The name of the header."),
        key("value", Kind::Section(&SECRET), Need::Required, "What stands in it."),
    ],
};

pub(in crate::document) static SECRET: Section = Section {
    name: "secret",
    doc: "Where a secret is kept. It is read each time it is needed and written nowhere.",
    one_of: &["env", "file"],
    keys: &[
        key("env", Kind::Text, Need::Optional, "A variable in the environment of the resident process."),
        key("file", Kind::Path, Need::Optional, "A file with the secret alone."),
    ],
};
