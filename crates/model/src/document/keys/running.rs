//! Keys of what runs and where clients connect.

use super::release::HEADER_RULE;
use super::{Key, Kind, Need, Section, key};

pub(in crate::document) static TARGET: Section = Section {
    name: "target",
    doc: "Local processes. `{version}`, `{port}` and `{artifact}` are replaced for each instance.",
    one_of: &[],
    keys: &[
        key(
            "command",
            Kind::Command,
            Need::Required,
            "The program and its arguments; started without a shell.",
        ),
        key("directory", Kind::Path, Need::Default("."), "Working directory of the instances."),
        key(
            "artifact",
            Kind::Short(&Kind::Text, &ARTIFACT),
            Need::Optional,
            "What is released: a path or URL, or a mapping with its digest.",
        ),
        key(
            "port",
            Kind::Whole(0, 65_535),
            Need::Default("0"),
            "First port tried for instances, given to each as `PORT` and `{port}`; 0 takes any free one.",
        ),
        key("protocol", Kind::Word(PROTOCOLS), Need::Default("http1"), "What the instances speak."),
        key(
            "readiness",
            Kind::Short(&Kind::Text, &PROBE),
            Need::From("a connection to the port is accepted"),
            "When an instance may get its first request: a path, or a mapping.",
        ),
        key(
            "health",
            Kind::Short(&Kind::Text, &PROBE),
            Need::From("the readiness probe, every 5 s"),
            "Whether a running instance is still well: a path, or a mapping.",
        ),
        key("env", Kind::Map(&Kind::Text), Need::Optional, "Environment variables of the instances."),
        key("replicas", Kind::Whole(1, 500), Need::Default("1"), "Instances at full exposure."),
        key("stop_grace", Kind::Span, Need::Default("10s"), "Time between SIGTERM and SIGKILL."),
        key("limits", Kind::Section(&LIMITS), Need::Optional, "Bounds on one instance."),
        key(
            "warm_up",
            Kind::Span,
            Need::Default("0s"),
            "Evidence of this time after instances start is shown but not judged.",
        ),
    ],
};

const PROTOCOLS: &[(&str, &str)] =
    &[("http1", "HTTP/1.1 with keep-alive"), ("h2c", "HTTP/2 without TLS, for gRPC")];

pub(in crate::document) static ARTIFACT: Section = Section {
    name: "artifact",
    doc: "An artifact by place and digest.",
    one_of: &[],
    keys: &[
        key("from", Kind::Text, Need::Required, "A path, or an http(s) URL; may contain `{version}`."),
        key(
            "digest",
            Kind::Digest,
            Need::From("what is found at the start of the release, and frozen then"),
            "What it must be.",
        ),
    ],
};

pub(in crate::document) static PROBE: Section = Section {
    name: "probe",
    doc: "A question put to an instance, one of `http`, `tcp` and `command`.",
    one_of: &["http", "tcp", "command"],
    keys: &[
        key("http", Kind::Text, Need::Optional, "GET this path; 2xx is yes."),
        key("tcp", Kind::Flag, Need::Optional, "The port accepts a connection."),
        key("command", Kind::Command, Need::Optional, "The command exits with zero."),
        key(
            "interval",
            Kind::Span,
            Need::From("1 s for readiness, 5 s for health"),
            "Time between two probes.",
        ),
        key("timeout", Kind::Span, Need::Default("2s"), "Time limit of one."),
        key("success_after", Kind::Whole(1, 100), Need::Default("1"), "Successes in a row needed."),
        key("failure_after", Kind::Whole(1, 100), Need::Default("3"), "Failures in a row needed."),
    ],
};

pub(in crate::document) static LIMITS: Section = Section {
    name: "limits",
    doc: "Bounds on one instance; none where a key is missing.",
    one_of: &[],
    keys: &[
        key("memory", Kind::Size, Need::Optional, "Memory."),
        key("cpu", Kind::Cores, Need::Optional, "Cores."),
        key("open_files", Kind::Whole(16, 1_048_576), Need::Optional, "Open files."),
    ],
};

pub(in crate::document) static TRAFFIC: Section = Section {
    name: "traffic",
    doc: "Where clients connect, and how requests are divided.",
    one_of: &[],
    keys: &[
        key("listen", Kind::OneOrMany(&Kind::Address), Need::Required, "Addresses to accept clients on."),
        key("tls", Kind::Section(&TLS), Need::Optional, "Certificate and key, reread when the files change."),
        key(
            "sticky",
            Kind::Short(&Kind::Word(STICKY_BY), &STICKY),
            Need::Default("none"),
            "What keeps a user on one side.",
        ),
        key(
            "internal_users",
            Kind::Section(&HEADER_RULE),
            Need::Optional,
            "Requests of internal users, for steps that only they see.",
        ),
        key(
            "trusted_proxies",
            Kind::List(&Kind::Network),
            Need::Optional,
            "Networks whose `Forwarded` and `X-Forwarded-*` headers are believed.",
        ),
        key(
            "endpoints",
            Kind::Sections(&ENDPOINT),
            Need::Optional,
            "Paths that are counted apart; everything else is `other`.",
        ),
        key(
            "health",
            Kind::Section(&PROXY_HEALTH),
            Need::Optional,
            "The proxy's own probe of instances, beside what it sees of requests.",
        ),
        key("limits", Kind::Section(&LISTEN_LIMITS), Need::Optional, "Bounds on what one client may use."),
    ],
};

pub(in crate::document) static TLS: Section = Section {
    name: "tls",
    doc: "Certificate files in PEM.",
    one_of: &[],
    keys: &[
        key("certificate", Kind::Path, Need::Required, "The certificate chain."),
        key("key", Kind::Path, Need::Required, "The private key."),
    ],
};

const STICKY_BY: &[(&str, &str)] = &[
    ("none", "each request on its own"),
    ("cookie", "a cookie, set by the proxy when missing"),
    ("header", "a request header, such as a user id"),
    ("address", "the client's address"),
];

pub(in crate::document) static STICKY: Section = Section {
    name: "sticky",
    doc: "What keeps a user on one side of the split.",
    one_of: &[],
    keys: &[
        key("by", Kind::Word(STICKY_BY), Need::Required, "What is looked at."),
        key(
            "name",
            Kind::Text,
            Need::From("`taxiway` for a cookie; a header has to be named"),
            "The cookie's or header's name.",
        ),
    ],
};

pub(in crate::document) static ENDPOINT: Section = Section {
    name: "endpoint",
    doc: "Requests whose path begins with `prefix` are counted under `name`; the longest prefix wins.",
    one_of: &[],
    keys: &[
        key("name", Kind::Name, Need::Required, "The class in counts and metrics."),
        key("prefix", Kind::Text, Need::Required, "Path prefix, with its leading slash."),
    ],
};

pub(in crate::document) static PROXY_HEALTH: Section = Section {
    name: "proxy health",
    doc: "The proxy's own probe of an instance.",
    one_of: &[],
    keys: &[
        key("path", Kind::Text, Need::Required, "GET this path; 2xx is healthy."),
        key("interval", Kind::Span, Need::Default("2s"), "Time between probes."),
        key("timeout", Kind::Span, Need::Default("1s"), "Time limit of one probe."),
        key(
            "unhealthy_after",
            Kind::Whole(1, 100),
            Need::Default("3"),
            "Failures in a row that take an instance out.",
        ),
        key(
            "healthy_after",
            Kind::Whole(1, 100),
            Need::Default("2"),
            "Successes in a row that bring it back.",
        ),
    ],
};

pub(in crate::document) static LISTEN_LIMITS: Section =
    Section { name: "traffic limits", doc: "Bounds at the door.", one_of: &[], keys: LISTEN_LIMIT_KEYS };

const LISTEN_LIMIT_KEYS: &[Key] = &[
    key("header_size", Kind::Size, Need::Default("64KiB"), "Bytes of request head."),
    key("headers", Kind::Whole(1, 100), Need::Default("100"), "Number of header fields."),
    key("body_size", Kind::Size, Need::Default("1GiB"), "Bytes of request body; more is answered 413."),
    key("connections", Kind::Whole(1, 1_000_000), Need::Default("20000"), "Open client connections."),
    key("header_time", Kind::Span, Need::Default("10s"), "Time for a complete request head."),
    key("body_idle", Kind::Span, Need::Default("30s"), "Time between two pieces of a request body."),
    key(
        "response_time",
        Kind::Span,
        Need::Default("60s"),
        "Time from the request's end to the answer's head; past it 504, counted as a timeout.",
    ),
    key("idle", Kind::Span, Need::Default("75s"), "Time an idle connection is kept."),
    key(
        "h2_streams",
        Kind::Whole(1, 10_000),
        Need::Default("256"),
        "Streams at once on one HTTP/2 connection.",
    ),
];
