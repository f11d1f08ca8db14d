//! Keys of signals: reports of harm from machines.

use super::source::SECRET;
use super::{Kind, Need, Section, key};

pub(in crate::document) static SIGNALS: Section = Section {
    name: "signals",
    doc: "Reports of harm from machines, which roll back at once: see docs/webhooks.md.",
    one_of: &[],
    keys: &[
        key(
            "alerts",
            Kind::Sections(&ALERT),
            Need::Optional,
            "Which alerts are which signal; the first rule that fits counts. An alert that none fits does nothing, \
             unless it has a label `signal` itself.",
        ),
        key(
            "listen",
            Kind::Address,
            Need::From("no address; `taxiway start --listen` opens one, too"),
            "Where webhooks are taken, and nothing else.",
        ),
        key(
            "token",
            Kind::Section(&SECRET),
            Need::From("none on a loopback address; required on any other"),
            "Where the token lies that senders must present as `Authorization: Bearer …`.",
        ),
    ],
};

pub(in crate::document) static ALERT: Section = Section {
    name: "alert",
    doc: "Alerts with all of these labels are this signal.",
    one_of: &[],
    keys: &[
        key(
            "match",
            Kind::Map(&Kind::Text),
            Need::Required,
            "Labels with the values they must have, compared exactly.",
        ),
        key("signal", Kind::Word(SIGNAL_WORDS), Need::Required, "What such an alert is."),
    ],
};

const SIGNAL_WORDS: &[(&str, &str)] = &[
    ("data-integrity", "data are damaged or lost"),
    ("security", "a security finding"),
    ("critical-bug", "a critical bug"),
    ("user-reports", "a spike of user reports"),
];
