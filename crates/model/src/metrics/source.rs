//! Where metrics by query come from, as a plan freezes it. Secrets are named, never held.

use super::{Query, Shape};
use crate::ids::version_and_group;
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
    /// Datadog; queries are its own.
    Datadog {
        /// Base URL of the site's API.
        url: String,
        /// The version of its API: 1 or 2.
        version: u8,
        /// `DD-API-KEY`.
        api_key: Secret,
        /// `DD-APPLICATION-KEY`.
        application_key: Secret,
    },
    /// Amazon CloudWatch; queries are metrics with dimensions and a statistic, or expressions.
    Cloudwatch {
        /// The region.
        region: String,
        /// Another endpoint than the region's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        /// The access key's id.
        access_key: Secret,
        /// The secret access key.
        secret_key: Secret,
        /// Of temporary keys.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session_token: Option<Secret>,
    },
    /// New Relic; queries are NRQL without a span of time.
    Newrelic {
        /// Base URL of NerdGraph.
        url: String,
        /// The account's number.
        account: u64,
        /// A user key.
        api_key: Secret,
    },
    /// InfluxDB; queries have the placeholders `{from}`, `{to}` and `{bucket}`.
    Influxdb {
        /// Base URL.
        url: String,
        /// Flux (v2) or InfluxQL (v1), and of what.
        of: Influx,
        /// How to prove who asks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credentials: Option<Credentials>,
    },
    /// Graphite; queries are render targets.
    Graphite {
        /// Base URL, without `/render`.
        url: String,
        /// How to prove who asks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credentials: Option<Credentials>,
    },
    /// Lines of files; queries are regular expressions of what is counted.
    Logs {
        /// Which file, with a placeholder of the side; none: the output of the side's instances.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    },
    /// What is pushed to us over OTLP; queries are metrics with attributes.
    Otlp {
        /// Where we listen.
        listen: String,
        /// The token that a sender has to present; none: whoever reaches us on this machine may push.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<Secret>,
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
            Self::Datadog { .. } => "datadog",
            Self::Cloudwatch { .. } => "cloudwatch",
            Self::Newrelic { .. } => "newrelic",
            Self::Influxdb { .. } => "influxdb",
            Self::Graphite { .. } => "graphite",
            Self::Logs { .. } => "logs",
            Self::Otlp { .. } => "otlp",
            Self::Json { .. } => "json",
            Self::Command { .. } => "command",
            Self::Csv { .. } => "csv",
        }
    }

    /// Where it is, for people.
    pub fn place(&self) -> String {
        match self {
            Self::Prometheus { url, .. }
            | Self::Datadog { url, .. }
            | Self::Newrelic { url, .. }
            | Self::Influxdb { url, .. }
            | Self::Graphite { url, .. }
            | Self::Json { url, .. } => url.clone(),
            Self::Cloudwatch { region, url, .. } => {
                url.clone().unwrap_or_else(|| format!("https://monitoring.{region}.amazonaws.com"))
            }
            Self::Logs { path } => path.clone().unwrap_or_else(|| "the output of the instances".to_owned()),
            Self::Otlp { listen, .. } => format!("what is pushed to {listen}"),
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
            Self::Prometheus { .. } | Self::Command { .. } | Self::Otlp { .. } => true,
            Self::Json { url, .. } => source.tells_apart(url),
            Self::Csv { path } => source.tells_apart(path),
            Self::Logs { path } => path.as_ref().is_none_or(|path| source.tells_apart(path)),
            Self::Datadog { .. }
            | Self::Cloudwatch { .. }
            | Self::Newrelic { .. }
            | Self::Influxdb { .. }
            | Self::Graphite { .. } => false,
        }
    }
}

/// What an InfluxDB is asked in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Influx {
    /// Flux, in an organization.
    Flux {
        /// Its name or id.
        org: String,
    },
    /// InfluxQL, of a database.
    Influxql {
        /// Its name.
        database: String,
    },
}

/// How to prove to a source who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Credentials {
    /// `Authorization: Bearer …`.
    Bearer(Secret),
    /// `Authorization: Token …`, as InfluxDB has it.
    Token(Secret),
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
    /// What a side is known by, `{version}` and `{group}` replaced.
    pub fn known_by(&self, side: Side, version: &str) -> BTreeMap<String, String> {
        let labels = match side {
            Side::Canary => &self.canary,
            Side::Baseline => &self.baseline,
        };
        let (version, group) = version_and_group(version);
        let filled = |value: &String| value.replace("{version}", version).replace("{group}", group);
        labels.iter().map(|(label, value)| (label.clone(), filled(value))).collect()
    }

    /// A text with what the side is known by in the place of `{version}`, `{group}`, `{side}` and every
    /// label in braces.
    pub fn filled(&self, text: &str, side: Side, version: &str) -> String {
        let mut filled = text.to_owned();
        for (label, value) in self.known_by(side, version) {
            filled = filled.replace(&format!("{{{label}}}"), &value);
        }
        let (version, group) = version_and_group(version);
        filled.replace("{version}", version).replace("{group}", group).replace("{side}", side.word())
    }

    /// What is asked about a side: each part of the shape, with what the side is known by.
    pub fn questions(&self, shape: &Shape, side: Side, version: &str) -> Vec<String> {
        if self.api.has_labels() {
            return shape.selectors(&super::matchers(&self.known_by(side, version)));
        }
        shape.selectors("").iter().map(|text| self.filled(text, side, version)).collect()
    }

    /// Whether what it counts of a version is of one group of its instances: the fresh ones, or the
    /// others. Output files are those of the instances asked for anyway.
    pub fn selects_by_group(&self) -> bool {
        let [others, fresh] = ["v", "v+fresh"];
        let by_labels = self.known_by(Side::Baseline, others) != self.known_by(Side::Baseline, fresh);
        let differs = |text: &str| {
            self.filled(text, Side::Baseline, others) != self.filled(text, Side::Baseline, fresh)
        };
        let of_queries = || {
            let texts = self.queries.iter().flat_map(|query| query.shape.selectors(""));
            texts.into_iter().all(|text| differs(&text))
        };
        match &self.api {
            Api::Prometheus { .. } | Api::Otlp { .. } => by_labels,
            Api::Command { .. } | Api::Logs { path: None } => true,
            Api::Logs { path: Some(place) } | Api::Csv { path: place } | Api::Json { url: place, .. } => {
                differs(place) || of_queries()
            }
            Api::Datadog { .. }
            | Api::Cloudwatch { .. }
            | Api::Newrelic { .. }
            | Api::Influxdb { .. }
            | Api::Graphite { .. } => of_queries(),
        }
    }

    /// Whether a text is another one on the other side.
    pub fn tells_apart(&self, text: &str) -> bool {
        self.filled(text, Side::Canary, "\u{1}") != self.filled(text, Side::Baseline, "\u{2}")
    }
}
