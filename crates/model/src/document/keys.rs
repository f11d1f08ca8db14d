//! The one table of keys: what may stand in `taxiway.yaml`, how it is written, what holds without it.
//!
//! The reader, the JSON Schema and the reference page are all made from it. A key that the reader
//! asks for and that is not here is a defect the first test finds, and so is one that is here and
//! never asked for.

mod canary;
mod metric;
mod release;
mod running;
mod signals;
mod source;
mod template;

use crate::presets::PRESETS;
pub(super) use canary::{CANARY_CONFIG, THRESHOLD};
pub(super) use metric::MEASURES;
pub use release::HEADER_RULE;
pub(super) use release::{ANALYSIS, CHECK, DEADLINES, HTTP_CHECK, STRATEGY};
pub(super) use running::{PROBE, TARGET, TRAFFIC};
use signals::SIGNALS;
pub(super) use template::TEMPLATE;

/// A mapping with known keys.
#[derive(Debug)]
pub struct Section {
    /// Its title on the reference page, also its name in the schema.
    pub name: &'static str,
    /// What it describes, one sentence.
    pub doc: &'static str,
    /// Of these keys exactly one has to be given; empty where none has to.
    pub one_of: &'static [&'static str],
    /// Its keys, in the order they are documented in.
    pub keys: &'static [Key],
}

impl Section {
    /// A key by name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// A key.
#[derive(Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// How its value is written.
    pub kind: Kind,
    /// What holds without it.
    pub need: Need,
    /// What it means, one sentence.
    pub doc: &'static str,
}

/// What holds when a key is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It has to be there.
    Required,
    /// Nothing holds.
    Optional,
    /// This value, as it would be written.
    Default(&'static str),
    /// What is worked out from other keys, in words.
    From(&'static str),
}

/// How a value is written.
#[derive(Debug)]
pub enum Kind {
    /// A name: letters, digits, `-`, `_`, `.`.
    Name,
    /// Any text.
    Text,
    /// A path; relative ones begin at the description's directory.
    Path,
    /// A whole number within bounds.
    Whole(u64, u64),
    /// A span of time (`90s`, `5m`).
    Span,
    /// A size (`64MiB`).
    Size,
    /// A share of at most all, to a hundredth of a percent (`5%`).
    Share,
    /// A share to a ten-thousandth of a percent (`0.1%`).
    FineShare,
    /// A share that may exceed all (`150%`).
    Percent,
    /// A multiple (`2x`).
    Multiple,
    /// A number of cores (`0.5`, `250m`).
    Cores,
    /// `true` or `false`.
    Flag,
    /// One of these words, each with its meaning.
    Word(&'static [(&'static str, &'static str)]),
    /// The name of a preset.
    Preset,
    /// An address to listen on (`127.0.0.1:8080`).
    Address,
    /// A network (`10.0.0.0/8`).
    Network,
    /// A share or a span of time, by what the metric measures; `none` for no band.
    Band,
    /// A digest (`sha256:…`).
    Digest,
    /// A program with arguments, as text or as a list.
    Command,
    /// A list.
    List(&'static Kind),
    /// One, or a list.
    OneOrMany(&'static Kind),
    /// Text by free names.
    Map(&'static Kind),
    /// A mapping.
    Section(&'static Section),
    /// A list of mappings.
    Sections(&'static Section),
    /// Mappings by free names.
    Named(&'static Section),
    /// A single value as a short form, or the mapping.
    Short(&'static Kind, &'static Section),
}

const fn key(name: &'static str, kind: Kind, need: Need, doc: &'static str) -> Key {
    Key { name, kind, need, doc }
}

/// The whole file.
pub static SERVICE: Section = Section {
    name: "service",
    doc: "A service and how its versions are released.",
    one_of: &[],
    keys: &[
        key("name", Kind::Name, Need::Required, "The service; unique in a data directory."),
        key("owner", Kind::Text, Need::Required, "Who answers for it: a person or a team."),
        key("tier", Kind::Word(TIERS), Need::Default("medium"), "How much harm a bad release does."),
        key("environment", Kind::Name, Need::Default("production"), "The environment this file describes."),
        key(
            "stage",
            Kind::Word(STAGES),
            Need::From("the environment where it has one of these names, else `production`"),
            "What kind of environment it is; the rules of production apply to `production`.",
        ),
        key("target", Kind::Section(&TARGET), Need::Required, "What runs, and how."),
        key(
            "traffic",
            Kind::Section(&TRAFFIC),
            Need::Required,
            "Where clients connect, and how requests are divided.",
        ),
        key(
            "strategy",
            Kind::Short(&Kind::Preset, &STRATEGY),
            Need::Default("canary"),
            "How exposure grows: a preset's name, or a mapping.",
        ),
        key("analysis", Kind::Section(&ANALYSIS), Need::Optional, "How the canary is judged."),
        key(
            "checks",
            Kind::Sections(&CHECK),
            Need::Optional,
            "Smoke tests and hooks at fixed places of every release.",
        ),
        key("deadlines", Kind::Section(&DEADLINES), Need::Optional, "Time limits."),
        key(
            "concurrency",
            Kind::Word(CONCURRENCY),
            Need::Default("queue"),
            "What happens to a newer version while a release is in flight.",
        ),
        key("signals", Kind::Section(&SIGNALS), Need::Optional, "Alerts that roll back at once."),
    ],
};

/// Risk tiers (R1.4).
pub(super) const TIERS: &[(&str, &str)] = &[
    ("low", "internal tool, batch"),
    ("medium", "internal API"),
    ("high", "customer-facing"),
    ("critical", "payment, authentication"),
];

/// Kinds of environments.
pub(super) const STAGES: &[(&str, &str)] = &[
    ("development", "a developer's"),
    ("test", "automated tests"),
    ("staging", "a rehearsal of production"),
    ("production", "real users"),
];

const CONCURRENCY: &[(&str, &str)] = &[
    ("queue", "it waits"),
    ("supersede", "the one in flight goes back first, then the newer one starts"),
    ("refuse", "it is refused"),
];

/// Every section once, the file itself first, in the order in which keys name them.
pub fn sections() -> Vec<&'static Section> {
    below(&SERVICE)
}

/// The same of a `CanaryConfig`, and what a template has beside it.
pub fn canary_sections() -> Vec<&'static Section> {
    let templates = below(&TEMPLATE);
    below(&CANARY_CONFIG).into_iter().chain(templates).collect()
}

fn below(root: &'static Section) -> Vec<&'static Section> {
    fn inner(kind: &'static Kind) -> Option<&'static Section> {
        match kind {
            Kind::Section(s) | Kind::Sections(s) | Kind::Named(s) | Kind::Short(_, s) => Some(s),
            Kind::OneOrMany(kind) | Kind::List(kind) | Kind::Map(kind) => inner(kind),
            _ => None,
        }
    }
    let mut all: Vec<&'static Section> = vec![root];
    let mut next = 0;
    while let Some(section) = all.get(next).copied() {
        for key in section.keys {
            if let Some(found) = inner(&key.kind)
                && !all.iter().any(|known| known.name == found.name)
            {
                all.push(found);
            }
        }
        next += 1;
    }
    all
}

/// The names of all presets, those included that are refused with a reason.
pub(super) fn preset_names() -> impl Iterator<Item = &'static str> + Clone {
    PRESETS.iter().map(|preset| preset.name)
}
