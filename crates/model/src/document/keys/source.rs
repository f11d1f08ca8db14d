//! Keys of the sources of metrics by query.

use super::{Kind, Need, Section, key};

pub(in crate::document) static SOURCE: Section = Section {
    name: "source",
    doc: "Where metrics by query come from, and by which labels canary and baseline are told apart. \
          `{version}` is the version of the side.",
    one_of: &["prometheus", "json", "command", "csv"],
    keys: &[
        key("prometheus", Kind::Section(&PROMETHEUS), Need::Optional, "A Prometheus-compatible HTTP API."),
        key("json", Kind::Section(&JSON), Need::Optional, "Any JSON over HTTP."),
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
