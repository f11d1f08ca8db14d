//! Where metrics by query come from, as a plan freezes it. Secrets are named, never held.

use super::{Query, Shape};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A source with the queries that are put to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its name in the description.
    pub name: String,
    /// What answers, and where.
    pub api: Api,
    /// Time between two questions.
    pub interval_ms: u64,
    /// Time limit of one question.
    pub timeout_ms: u64,
    /// Width of a time bucket, where the source gathers sums by time; zero where it does not.
    #[serde(default)]
    pub bucket_ms: u64,
    /// Data younger than this may not be complete.
    #[serde(default)]
    pub delay_ms: u64,
    /// What the canary is known by; `{version}` is its version. Labels of a Prometheus, attributes
    /// of OTLP, placeholders of every other query.
    pub canary: BTreeMap<String, String>,
    /// What the baseline is known by.
    pub baseline: BTreeMap<String, String>,
    /// The queries, one a metric.
    pub queries: Vec<Query>,
}

/// The kinds of sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Api {
    /// A Prometheus-compatible HTTP API.
    Prometheus {
        /// Base URL, without `/api/v1`.
        url: String,
        /// How to prove who asks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credentials: Option<Credentials>,
    },
    /// Any JSON over HTTP; queries are paths to numbers in it.
    Json {
        /// What is asked for, with a placeholder of the side.
        url: String,
        /// How to prove who asks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credentials: Option<Credentials>,
    },
    /// A program that prints JSON; queries are paths to numbers in it.
    Command {
        /// The program with its arguments.
        command: Vec<String>,
    },
    /// A file with a row a moment; queries are the names of columns.
    Csv {
        /// Where it is.
        path: String,
    },
}

impl Api {
    /// Its key in a description.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Prometheus { .. } => "prometheus",
            Self::Json { .. } => "json",
            Self::Command { .. } => "command",
            Self::Csv { .. } => "csv",
        }
    }

    /// Where it is, for people.
    pub fn place(&self) -> String {
        match self {
            Self::Prometheus { url, .. } | Self::Json { url, .. } => url.clone(),
            Self::Command { command } => command.join(" "),
            Self::Csv { path } => path.clone(),
        }
    }

    /// Whether labels are put into its queries, so that these need no placeholder.
    pub fn has_labels(&self) -> bool {
        matches!(self, Self::Prometheus { .. })
    }

    /// Whether it tells the sides apart by where or how it asks, whatever the query.
    pub fn tells_apart(&self, source: &Source) -> bool {
        match self {
            Self::Prometheus { .. } | Self::Command { .. } => true,
            Self::Json { url, .. } => source.tells_apart(url),
            Self::Csv { path } => source.tells_apart(path),
        }
    }
}

/// How to prove to a source who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Credentials {
    /// `Authorization: Bearer …`.
    Bearer(Secret),
    /// `Authorization: Basic …`.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A header of its own.
    Header {
        /// Its name.
        name: String,
        /// What stands in it.
        value: Secret,
    },
}

/// Where a secret is kept. Its value is read when it is needed, and goes nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Secret {
    /// In this variable of the resident process's environment.
    Env(String),
    /// In this file, whose last line feed does not count.
    File(String),
}

impl fmt::Display for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(out, "the environment variable {name}"),
            Self::File(path) => write!(out, "the file {path}"),
        }
    }
}

/// A side of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The version under test.
    Canary,
    /// The version it is compared with.
    Baseline,
}

impl Side {
    /// Both, the canary first.
    pub const BOTH: [Self; 2] = [Self::Canary, Self::Baseline];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Baseline => "baseline",
        }
    }
}

impl Source {
    /// What a side is known by, `{version}` replaced.
    pub fn known_by(&self, side: Side, version: &str) -> BTreeMap<String, String> {
        let labels = match side {
            Side::Canary => &self.canary,
            Side::Baseline => &self.baseline,
        };
        labels.iter().map(|(label, value)| (label.clone(), value.replace("{version}", version))).collect()
    }

    /// A text with what the side is known by in the place of `{version}`, `{side}` and every label
    /// in braces.
    pub fn filled(&self, text: &str, side: Side, version: &str) -> String {
        let mut filled = text.to_owned();
        for (label, value) in self.known_by(side, version) {
            filled = filled.replace(&format!("{{{label}}}"), &value);
        }
        filled.replace("{version}", version).replace("{side}", side.word())
    }

    /// What is asked about a side: each part of the shape, with what the side is known by.
    pub fn questions(&self, shape: &Shape, side: Side, version: &str) -> Vec<String> {
        if self.api.has_labels() {
            return shape.selectors(&super::matchers(&self.known_by(side, version)));
        }
        shape.selectors("").iter().map(|text| self.filled(text, side, version)).collect()
    }

    /// Whether a text is another one on the other side.
    pub fn tells_apart(&self, text: &str) -> bool {
        self.filled(text, Side::Canary, "\u{1}") != self.filled(text, Side::Baseline, "\u{2}")
    }
}
