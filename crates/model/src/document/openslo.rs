//! Reads OpenSLO v1 documents (R7.5): objectives with their indicators and data sources, several
//! documents in a file, several files that refer to each other.
//!
//! An objective becomes the burn of its budget. Queries stay text here; what is not supported is
//! said with its line, and never read as something else.

use super::fields::Context;
use super::node::{Node, Place, Value};
use super::parse;
use super::problem::{Code, Problem};
use super::value;
use crate::ids::MetricName;
use std::collections::BTreeMap;

/// Windows with units that [`value::span_ms`] does not have: weeks and calendar units, in days.
const LONG_UNITS: [(char, u64); 4] = [('w', 7), ('M', 30), ('Q', 90), ('Y', 365)];

const DAY_MS: u64 = 86_400_000;

/// Objectives with everything they refer to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Objectives {
    /// The objectives in the order of the files.
    pub slos: Vec<Slo>,
    /// Addresses of the data sources that are Prometheus, by name.
    pub prometheus: BTreeMap<String, String>,
}

/// An objective.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slo {
    /// Its name, that of the metric too.
    pub name: MetricName,
    /// Share that may be bad, in parts per million.
    pub budget_ppm: u32,
    /// The time over which it is to be kept.
    pub window_ms: u64,
    /// What is counted.
    pub indicator: Indicator,
    /// The data source it names; none: the only one there is.
    pub source: Option<String>,
    /// Where it stands: `slo/availability.yaml:7`.
    pub place: String,
}

/// What an objective is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Indicator {
    /// A part of all.
    Ratio {
        /// Whether the part is the good ones.
        good: bool,
        /// What counts the part.
        part: String,
        /// What counts all.
        total: String,
    },
    /// A value on one side of a threshold; each point in time counts as one.
    Threshold {
        /// What gives the value.
        value: String,
        /// In millionths.
        threshold_micro: u64,
        /// Whether it is bad above it, and not below.
        bad_above: bool,
    },
}

/// A file that was read, by the path it is shown by.
pub type File<'a> = (&'a str, &'a [u8]);

/// Reads the documents of all files. Fails with the problems of the first file that has any, and
/// its path.
pub fn read(files: &[File<'_>]) -> Result<Objectives, (String, Vec<Problem>)> {
    let mut parts = Parts::default();
    let mut contexts = Vec::new();
    for (path, bytes) in files {
        let text = parse::text(bytes).map_err(|problem| ((*path).to_owned(), vec![*problem]))?;
        let context = Context::new(text, "/");
        for document in documents(text) {
            if let Some(root) = parse::tree(&document, &context) {
                parts.take(root, &context, contexts.len());
            }
        }
        contexts.push((*path, context));
    }
    let mut found = Objectives { prometheus: parts.prometheus.clone(), ..Objectives::default() };
    for (file, root) in &parts.slos {
        let (path, context) = &contexts[*file];
        found.slos.extend(Reader { context, path }.slo(root, &parts.indicators));
    }
    if found.slos.is_empty() {
        let (_, context) = contexts.first().expect("at least one file is named");
        let hint = "add a document with kind: SLO";
        context.problem(Code::Empty, Place { line: 1, column: 1 }, "", "there is no SLO in it", hint);
    }
    for (path, context) in contexts {
        let problems = context.into_problems();
        if !problems.is_empty() {
            return Err((path.to_owned(), problems));
        }
    }
    Ok(found)
}

/// The documents of a file, each with empty lines in the place of what stands before it, so that
/// its places are the file's.
fn documents(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut lines_before = 0;
    let mut one = String::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            all.push(std::mem::take(&mut one));
            lines_before = index + 1;
            one = "\n".repeat(lines_before);
        } else {
            one.push_str(line);
            one.push('\n');
        }
    }
    all.push(one);
    let says = |document: &String| {
        document.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
    };
    if lines_before == 0 {
        return all;
    }
    all.into_iter().filter(says).collect()
}

#[derive(Default)]
struct Parts {
    /// By the place of their file.
    slos: Vec<(usize, Node)>,
    indicators: BTreeMap<String, Node>,
    prometheus: BTreeMap<String, String>,
}

impl Parts {
    fn take(&mut self, root: Node, context: &Context<'_>, file: usize) {
        let reader = Reader { context, path: "" };
        let Some(version) = reader.need(&root, "apiVersion") else { return };
        if text(version) != Some("openslo/v1") {
            let hint = "write apiVersion: openslo/v1";
            reader.problem(version.at, "apiVersion", "this version of OpenSLO is not read", hint);
            return;
        }
        let Some(kind) = reader.need(&root, "kind") else { return };
        match text(kind) {
            Some("SLO") => self.slos.push((file, root)),
            Some("SLI") => {
                let Some(name) = reader.name(&root) else { return };
                let Some(spec) = reader.need(&root, "spec") else { return };
                self.indicators.insert(name, spec.clone());
            }
            Some("DataSource") => {
                let Some(name) = reader.name(&root) else { return };
                let Some(spec) = reader.need(&root, "spec") else { return };
                let is_prometheus = get(spec, "type")
                    .and_then(text)
                    .is_some_and(|kind| kind.eq_ignore_ascii_case("prometheus"));
                let url =
                    get(spec, "connectionDetails").and_then(|details| get(details, "url")).and_then(text);
                if let Some(url) = url.filter(|_| is_prometheus) {
                    self.prometheus.insert(name, url.trim_end_matches('/').to_owned());
                }
            }
            // They say who is told and when; the judge has its own answers to that.
            Some("Service" | "AlertPolicy" | "AlertCondition" | "AlertNotificationTarget") => {}
            _ => {
                let hint = "kinds: SLO, SLI, DataSource";
                reader.problem(kind.at, "kind", "this kind of document is not known", hint);
            }
        }
    }
}

struct Reader<'c> {
    context: &'c Context<'c>,
    path: &'c str,
}

impl Reader<'_> {
    fn problem(&self, at: Place, path: &str, message: &str, hint: &str) {
        self.context.problem(Code::BadValue, at, path, message, hint);
    }

    fn need<'n>(&self, node: &'n Node, key: &str) -> Option<&'n Node> {
        let found = get(node, key);
        if found.is_none() {
            self.context.problem(Code::MissingKey, node.at, key, &format!("`{key}` is missing"), "");
        }
        found
    }

    fn name(&self, root: &Node) -> Option<String> {
        let name = self.need(self.need(root, "metadata")?, "name")?;
        text(name).map(str::to_owned)
    }

    fn slo(&self, root: &Node, indicators: &BTreeMap<String, Node>) -> Vec<Slo> {
        let Some((name, spec)) = self.name(root).zip(self.need(root, "spec")) else { return Vec::new() };
        let Some(indicator) = self.indicator(spec, indicators) else { return Vec::new() };
        let (Some(window_ms), Some(())) = (self.window(spec), self.method(spec)) else { return Vec::new() };
        let Some(objectives) = self.need(spec, "objectives") else { return Vec::new() };
        let Value::List(all) = &objectives.value else {
            self.problem(objectives.at, "spec.objectives", "a list is needed here", "begin each with `- `");
            return Vec::new();
        };
        let one = |(place, objective): (usize, &Node)| -> Option<Slo> {
            let name = if place == 0 { name.clone() } else { format!("{name}-{}", place + 1) };
            let Ok(name) = MetricName::new(name.as_str()) else {
                let hint = "letters, digits, `-`, `_` and `.`";
                self.problem(root.at, "metadata.name", &format!("`{name}` is not a name"), hint);
                return None;
            };
            let budget_ppm = self.budget(objective)?;
            let (indicator, source) = self.judged(indicator, objective)?;
            let place = format!("{}:{}", self.path, objective.at.line);
            Some(Slo { name, budget_ppm, window_ms, indicator, source, place })
        };
        all.iter().enumerate().filter_map(one).collect()
    }

    fn method(&self, spec: &Node) -> Option<()> {
        let method = self.need(spec, "budgetingMethod")?;
        if text(method) == Some("Occurrences") {
            return Some(());
        }
        let message =
            "only `Occurrences` is judged: a slice of time says nothing of how many requests it rests on";
        let hint = "write budgetingMethod: Occurrences, with a ratioMetric";
        self.problem(method.at, "spec.budgetingMethod", message, hint);
        None
    }

    fn window(&self, spec: &Node) -> Option<u64> {
        let windows = self.need(spec, "timeWindow")?;
        let Value::List(all) = &windows.value else {
            self.problem(windows.at, "spec.timeWindow", "a list is needed here", "write - duration: 30d");
            return None;
        };
        let [one] = all.as_slice() else {
            self.problem(windows.at, "spec.timeWindow", "exactly one window is needed", "keep one");
            return None;
        };
        let duration = self.need(one, "duration")?;
        let written = text(duration).unwrap_or_default();
        let long = LONG_UNITS.iter().find_map(|(unit, days)| {
            let count: u64 = written.strip_suffix(*unit)?.parse().ok()?;
            count.checked_mul(*days)?.checked_mul(DAY_MS)
        });
        match long.map_or_else(|| value::span_ms(written), Ok) {
            Ok(ms) if ms > 0 => Some(ms),
            Ok(_) => {
                self.problem(duration.at, "duration", "a window of no time", "write 30d");
                None
            }
            Err(fault) => {
                self.problem(duration.at, "duration", &fault.message, "write one like 30d, 4w or 1M");
                None
            }
        }
    }

    /// The share that may be bad, in parts per million.
    fn budget(&self, objective: &Node) -> Option<u32> {
        if let Some(node) = get(objective, "timeSliceTarget").or_else(|| get(objective, "compositeWeight")) {
            let hint = "remove it, or write an objective of its own";
            self.problem(node.at, "objectives", "slices and composites are not judged", hint);
            return None;
        }
        let (node, scale) = match (get(objective, "target"), get(objective, "targetPercent")) {
            (Some(node), None) => (node, 1),
            (None, Some(node)) => (node, 100),
            (Some(_), Some(node)) => {
                self.problem(node.at, "targetPercent", "the target stands twice", "remove one of them");
                return None;
            }
            (None, None) => {
                self.need(objective, "target");
                return None;
            }
        };
        let micro = value::decimal_micro(text(node).unwrap_or_default()).ok().map(|micro| micro / scale);
        match micro {
            Some(target) if (1..1_000_000).contains(&target) => Some(1_000_000 - target as u32),
            _ => {
                let hint = "write target: 0.999 or targetPercent: 99.9";
                self.problem(node.at, "target", "this target leaves no budget, or promises nothing", hint);
                None
            }
        }
    }

    /// The indicator of an SLO: its own, or one it refers to.
    fn indicator<'n>(&self, spec: &'n Node, indicators: &'n BTreeMap<String, Node>) -> Option<&'n Node> {
        if let Some(own) = get(spec, "indicator") {
            return self.need(own, "spec");
        }
        let Some(reference) = get(spec, "indicatorRef") else {
            self.need(spec, "indicator");
            return None;
        };
        let name = text(reference).unwrap_or_default();
        let found = indicators.get(name);
        if found.is_none() {
            let names: Vec<&str> = indicators.keys().map(String::as_str).collect();
            let hint = match value::nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "name the file of the SLI in `slo` too".to_owned(),
            };
            self.problem(reference.at, "spec.indicatorRef", &format!("there is no SLI `{name}`"), &hint);
        }
        found
    }

    /// What is counted, and where.
    fn judged(&self, spec: &Node, objective: &Node) -> Option<(Indicator, Option<String>)> {
        if let Some(metric) = get(spec, "thresholdMetric") {
            let (value, source) = self.asked(metric)?;
            let op = self.need(objective, "op")?;
            let bad_above = match text(op) {
                Some("lte" | "lt") => true,
                Some("gte" | "gt") => false,
                _ => {
                    self.problem(op.at, "op", "this comparison is not known", "lte, lt, gte or gt");
                    return None;
                }
            };
            let threshold = self.need(objective, "value")?;
            let Ok(threshold_micro) = value::decimal_micro(text(threshold).unwrap_or_default()) else {
                self.problem(threshold.at, "value", "a number is needed here", "write one like 0.5");
                return None;
            };
            return Some((Indicator::Threshold { value, threshold_micro, bad_above }, source));
        }
        let Some(ratio) = get(spec, "ratioMetric") else {
            self.problem(spec.at, "indicator", "an indicator needs `ratioMetric` or `thresholdMetric`", "");
            return None;
        };
        if let Some(raw) = get(ratio, "raw") {
            let message = "a ratio made elsewhere says nothing of how many requests it rests on";
            self.problem(raw.at, "ratioMetric.raw", message, "write `good` or `bad`, and `total`");
            return None;
        }
        let (part, good) = match (get(ratio, "good"), get(ratio, "bad")) {
            (Some(good), None) => (good, true),
            (None, Some(bad)) => (bad, false),
            (Some(_), Some(bad)) => {
                self.problem(
                    bad.at,
                    "ratioMetric",
                    "both `good` and `bad` are given",
                    "keep one, and `total`",
                );
                return None;
            }
            (None, None) => {
                self.need(ratio, "good");
                return None;
            }
        };
        let total = self.need(ratio, "total")?;
        let ((part, of_part), (total_text, of_total)) = (self.asked(part)?, self.asked(total)?);
        if of_part != of_total {
            self.problem(total.at, "ratioMetric.total", "both parts must come from one data source", "");
            return None;
        }
        Some((Indicator::Ratio { good, part, total: total_text }, of_part))
    }

    /// The query of a metric and the data source it names.
    fn asked(&self, metric: &Node) -> Option<(String, Option<String>)> {
        let source = self.need(metric, "metricSource")?;
        let spec = self.need(source, "spec")?;
        let Some(query) = get(spec, "query").or_else(|| get(spec, "promql")) else {
            self.need(spec, "query");
            return None;
        };
        let query = text(query).unwrap_or_default().trim();
        if query.is_empty() {
            self.problem(spec.at, "query", "the query is empty", "");
            return None;
        }
        let named = get(source, "metricSourceRef").and_then(text).map(str::to_owned);
        Some((query.to_owned(), named))
    }
}

fn get<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Value::Map(entries) = &node.value else { return None };
    let found = entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node);
    found.filter(|node| !matches!(node.value, Value::Null))
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar(text) => Some(text),
        _ => None,
    }
}
