//! `AnalysisTemplate`, `ClusterAnalysisTemplate` and `AnalysisRun` of Argo Rollouts.

use std::collections::BTreeMap;

use taxiway_model::document::plain::{Misfit, Plain};

use super::condition::Condition;
use crate::span;

/// A document's metrics and how they are measured.
#[derive(Debug, Clone)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// Its metrics, at least one.
    pub metrics: Vec<Metric>,
    /// Names of other templates whose metrics it includes; they are not followed.
    pub includes: Vec<String>,
}

/// A metric.
#[derive(Debug, Clone)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Time between two measurements in milliseconds; none: it is measured once.
    pub interval_ms: Option<u64>,
    /// Time before the first one.
    pub delay_ms: u64,
    /// So many measurements; none: for as long as the rollout lasts.
    pub count: Option<u64>,
    /// What a good measurement fulfils.
    pub success: Option<Condition>,
    /// What a bad one fulfils.
    pub failure: Option<Condition>,
    /// Failures that are allowed; negative: any number.
    pub failure_limit: i64,
    /// Inconclusive measurements that are allowed.
    pub inconclusive_limit: i64,
    /// Errors in a row that are allowed.
    pub error_limit: i64,
    /// Successes in a row that end it; none: not asked.
    pub success_limit: Option<i64>,
    /// Whether its outcome is shown only.
    pub dry_run: bool,
    /// Where its values come from, as `prometheus`.
    pub provider: String,
    /// Address of the provider, where it names one.
    pub address: Option<String>,
    /// Its query, arguments filled in; none for providers without one.
    pub query: Option<String>,
    /// Where it stands.
    pub at: (u32, u32),
}

/// Whether a document is one of Argo's three kinds.
pub fn is_template(document: &Plain) -> bool {
    let text = |key: &str| document.text_of(key).ok().flatten().unwrap_or_default();
    text("apiVersion").starts_with("argoproj.io/")
        && ["AnalysisTemplate", "ClusterAnalysisTemplate", "AnalysisRun"].contains(&text("kind").as_str())
}

/// Reads a document, with values for its arguments. Arguments without a value stay as they are in queries; in numbers
/// and conditions they are refused.
pub fn read(document: &Plain, given: &BTreeMap<String, String>) -> Result<Template, Misfit> {
    let spec = document.get("spec").ok_or_else(|| document.misfit("there is no `spec`"))?;
    let mut arguments = BTreeMap::new();
    for argument in spec.get("args").map(|args| args.items()).unwrap_or_default() {
        let name = argument.text_of("name")?.ok_or_else(|| argument.misfit("an argument has no `name`"))?;
        if let Some(value) = argument.text_of("value")? {
            arguments.insert(name, value);
        }
    }
    arguments.extend(given.clone());
    let dry: Vec<String> = spec
        .get("dryRun")
        .map(|dry| dry.items())
        .unwrap_or_default()
        .iter()
        .filter_map(|dry| dry.text_of("metricName").ok().flatten())
        .collect();
    let is_dry = |name: &str| dry.iter().any(|pattern| pattern == name || pattern == ".*" || pattern == "*");
    let mut metrics = Vec::new();
    for item in spec.get("metrics").map(|metrics| metrics.items()).unwrap_or_default() {
        let mut metric = metric(&item, &arguments)?;
        metric.dry_run = is_dry(&metric.name);
        metrics.push(metric);
    }
    if metrics.is_empty() {
        return Err(spec.misfit("there are no `metrics`"));
    }
    let name = document.get("metadata").and_then(|it| it.text_of("name").ok().flatten());
    let includes = spec.get("templates").map(|templates| templates.items()).unwrap_or_default();
    Ok(Template {
        name: name.unwrap_or_default(),
        metrics,
        includes: includes.iter().filter_map(|it| it.text_of("templateName").ok().flatten()).collect(),
    })
}

struct Filled<'a> {
    item: &'a Plain,
    arguments: &'a BTreeMap<String, String>,
}

impl Filled<'_> {
    /// A text with `{{ args.name }}` replaced.
    fn text(&self, key: &str) -> Result<Option<String>, Misfit> {
        let Some(text) = self.item.text_of(key)? else { return Ok(None) };
        let filled = fill(&text, self.arguments);
        match filled.find("{{") {
            None => Ok(Some(filled)),
            Some(at) => {
                let name = filled[at..].split("}}").next().unwrap_or_default();
                let name = name.trim_start_matches("{{").trim().trim_start_matches("args.").to_owned();
                let value = self.item.get(key).unwrap_or_else(|| self.item.clone());
                Err(value.misfit(format!("the argument `{name}` has no value; give it one")))
            }
        }
    }

    fn whole(&self, key: &str) -> Result<Option<i64>, Misfit> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let value = self.item.get(key).unwrap_or_else(|| self.item.clone());
        text.parse().map(Some).map_err(|_| value.misfit(format!("`{key}: {text}` is not a whole number")))
    }

    fn span(&self, key: &str) -> Result<Option<u64>, Misfit> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let value = self.item.get(key).unwrap_or_else(|| self.item.clone());
        let read = span::parse_ms(&text).filter(|ms| *ms > 0 || key != "interval");
        read.map(Some).ok_or_else(|| value.misfit(format!("`{key}: {text}` is not a time like 5m")))
    }

    fn condition(&self, key: &str) -> Result<Option<Condition>, Misfit> {
        let Some(text) = self.text(key)?.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
        let value = self.item.get(key).unwrap_or_else(|| self.item.clone());
        Condition::parse(&text).map(Some).map_err(|fault| value.misfit(format!("`{key}`: {fault}")))
    }
}

/// Replaces `{{ args.name }}` by the argument's value, where it has one.
pub fn fill(text: &str, arguments: &BTreeMap<String, String>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let Some(length) = rest[start..].find("}}") else { break };
        let inside = rest[start + 2..start + length].trim();
        filled.push_str(&rest[..start]);
        match inside.strip_prefix("args.").and_then(|name| arguments.get(name)) {
            Some(value) => filled.push_str(value),
            None => filled.push_str(&rest[start..start + length + 2]),
        }
        rest = &rest[start + length + 2..];
    }
    filled + rest
}

fn metric(item: &Plain, arguments: &BTreeMap<String, String>) -> Result<Metric, Misfit> {
    let fields = Filled { item, arguments };
    let name = fields.text("name")?.ok_or_else(|| item.misfit("a metric has no `name`"))?;
    let interval_ms = fields.span("interval")?;
    let count = fields.whole("count")?.filter(|count| *count > 0).map(i64::unsigned_abs);
    let provider = item.get("provider").and_then(|it| it.entries().into_iter().next());
    let (provider, source) = provider.ok_or_else(|| item.misfit(format!("`{name}` has no `provider`")))?;
    let query = source.text_of("query").ok().flatten();
    Ok(Metric {
        interval_ms,
        delay_ms: fields.span("initialDelay")?.unwrap_or(0),
        // Without an interval it is measured once.
        count: count.or(if interval_ms.is_none() { Some(1) } else { None }),
        success: fields.condition("successCondition")?,
        failure: fields.condition("failureCondition")?,
        failure_limit: fields.whole("failureLimit")?.unwrap_or(0),
        inconclusive_limit: fields.whole("inconclusiveLimit")?.unwrap_or(0),
        error_limit: fields.whole("consecutiveErrorLimit")?.unwrap_or(4),
        success_limit: fields.whole("consecutiveSuccessLimit")?.filter(|limit| *limit > 0),
        dry_run: false,
        address: source.text_of("address").ok().flatten().map(|text| fill(&text, arguments)),
        query: query.map(|query| fill(&query, arguments)),
        provider,
        name,
        at: item.place(),
    })
}
