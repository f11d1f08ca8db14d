//! `AnalysisTemplate`, `ClusterAnalysisTemplate` and `AnalysisRun` of Argo Rollouts.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Names of other templates whose metrics it includes.
    pub includes: Vec<String>,
    /// Whether it is a `ClusterAnalysisTemplate`.
    pub is_cluster: bool,
    /// How many measurements of a metric are kept, as `name: limit`; nothing is decided by it.
    pub retention: Vec<String>,
    /// The arguments that have no value, with where Argo would take it from.
    pub open: BTreeMap<String, &'static str>,
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
    /// Whether it asks for the samples of a span (`rangeQuery`).
    pub is_range: bool,
    /// A web metric's path to the value in the answer.
    pub json_path: Option<String>,
    /// A job's command.
    pub command: Vec<String>,
    /// Where it stands.
    pub at: (u32, u32),
}

/// Whether a document is one of Argo's three kinds.
pub fn is_template(document: &Plain) -> bool {
    let text = |key: &str| document.text_of(key).ok().flatten().unwrap_or_default();
    text("apiVersion").starts_with("argoproj.io/")
        && ["AnalysisTemplate", "ClusterAnalysisTemplate", "AnalysisRun"].contains(&text("kind").as_str())
}

impl Metric {
    /// The members of an object that its conditions ask for.
    pub fn members(&self) -> BTreeSet<String> {
        [&self.success, &self.failure].into_iter().flatten().flat_map(Condition::members).collect()
    }
}

/// Reads documents as one analysis, as a rollout does that names several templates: all their metrics, with values for
/// their arguments. What they include must be among them. A misfit comes with the index of its document.
pub fn read_all(
    documents: &[(usize, &Plain)],
    given: &BTreeMap<String, String>,
) -> Result<Template, (usize, Misfit)> {
    let mut arguments = given.clone();
    for (index, document) in documents {
        let own = arguments_of(document).map_err(|misfit| (*index, misfit))?;
        for (name, value) in own.into_iter().filter_map(|(name, value)| Some((name, value.ok()?))) {
            match arguments.get(&name) {
                Some(known) if *known != value && !given.contains_key(&name) => {
                    let message = format!(
                        "the argument `{name}` is `{known}` in one template and `{value}` in another"
                    );
                    return Err((*index, document.misfit(message)));
                }
                Some(_) => {}
                None => _ = arguments.insert(name, value),
            }
        }
    }
    let mut whole: Option<Template> = None;
    let mut names: BTreeSet<(bool, String)> = BTreeSet::new();
    let mut included: Vec<(usize, &Plain, String)> = Vec::new();
    for (index, document) in documents {
        let template = read(document, &arguments).map_err(|misfit| (*index, misfit))?;
        // The same template twice is there once.
        if !names.insert((template.is_cluster, template.name.clone())) {
            continue;
        }
        included.extend(template.includes.iter().map(|name| (*index, *document, name.clone())));
        match &mut whole {
            None => whole = Some(template),
            Some(whole) => {
                let twice = |metric: &&Metric| whole.metrics.iter().any(|known| known.name == metric.name);
                if let Some(metric) = template.metrics.iter().find(twice) {
                    let message = format!("a second metric is called `{}`", metric.name);
                    return Err((*index, document.misfit(message)));
                }
                whole.metrics.extend(template.metrics);
                whole.retention.extend(template.retention);
                whole.open.extend(template.open);
            }
        }
    }
    for (index, document, name) in included {
        if !names.iter().any(|(_, known)| *known == name) {
            let message =
                format!("the template `{name}` that it includes is not among the files; give its file too");
            return Err((index, document.misfit(message)));
        }
    }
    match whole {
        Some(whole) if whole.metrics.is_empty() => {
            let (index, document) = documents[0];
            Err((index, document.misfit("there are no `metrics`")))
        }
        Some(whole) => Ok(whole),
        None => Err((0, Misfit { line: 1, column: 1, message: "there is no AnalysisTemplate".to_owned() })),
    }
}

/// A document's arguments: their values, or where Argo would take them from.
fn arguments_of(document: &Plain) -> Result<BTreeMap<String, Result<String, &'static str>>, Misfit> {
    let mut found = BTreeMap::new();
    for argument in document.at(&["spec", "args"]).map(|args| args.items()).unwrap_or_default() {
        let name = argument.text_of("name")?.ok_or_else(|| argument.misfit("an argument has no `name`"))?;
        let value = match (argument.text_of("value")?, argument.get("valueFrom")) {
            (Some(value), _) => Ok(value),
            (None, Some(from)) if from.get("secretKeyRef").is_some() => Err("a secret of the cluster"),
            (None, Some(from)) if from.get("fieldRef").is_some() => Err("a field of the rollout"),
            (None, Some(from)) if from.get("podTemplateHashValue").is_some() => Err("the hash of the pods"),
            (None, Some(_)) => Err("the cluster"),
            (None, None) => Err("the rollout"),
        };
        found.insert(name, value);
    }
    Ok(found)
}

/// Names of metrics that rules (regular expressions, unanchored; `*` is all) match; one that matches none is a misfit.
fn matched(spec: &Plain, key: &str, names: &[String]) -> Result<Vec<(String, Plain)>, Misfit> {
    let mut found = Vec::new();
    for rule in spec.get(key).map(|rules| rules.items()).unwrap_or_default() {
        let Some(pattern) = rule.text_of("metricName")? else {
            return Err(rule.misfit(format!("a rule of `{key}` has no `metricName`")));
        };
        let all = if pattern == "*" { ".*" } else { pattern.as_str() };
        let regex = regex::Regex::new(all)
            .map_err(|_| rule.misfit(format!("`{pattern}` is not a regular expression")))?;
        let before = found.len();
        found.extend(
            names.iter().filter(|name| regex.is_match(name)).map(|name| (name.clone(), rule.clone())),
        );
        if found.len() == before {
            return Err(rule.misfit(format!("`{key}`: `{pattern}` matches no metric")));
        }
    }
    Ok(found)
}

/// Reads a document, with values for its arguments. Arguments without a value stay as they are in queries; in numbers
/// and conditions they are refused.
pub fn read(document: &Plain, given: &BTreeMap<String, String>) -> Result<Template, Misfit> {
    let spec = document.get("spec").ok_or_else(|| document.misfit("there is no `spec`"))?;
    let (mut arguments, mut open) = (BTreeMap::new(), BTreeMap::new());
    for (name, value) in arguments_of(document)? {
        match value {
            Ok(value) => _ = arguments.insert(name, value),
            Err(from) if !given.contains_key(&name) => _ = open.insert(name, from),
            Err(_) => {}
        }
    }
    arguments.extend(given.clone());
    let mut metrics: Vec<Metric> = Vec::new();
    for item in spec.get("metrics").map(|metrics| metrics.items()).unwrap_or_default() {
        let metric = metric(&item, &arguments, &open)?;
        if metrics.iter().any(|known| known.name == metric.name) {
            return Err(item.misfit(format!("a second metric is called `{}`", metric.name)));
        }
        metrics.push(metric);
    }
    let names: Vec<String> = metrics.iter().map(|metric| metric.name.clone()).collect();
    let dry = matched(&spec, "dryRun", &names)?;
    for metric in &mut metrics {
        metric.dry_run = dry.iter().any(|(name, _)| *name == metric.name);
    }
    let kept = matched(&spec, "measurementRetention", &names)?;
    let retention = kept
        .iter()
        .map(|(name, rule)| Ok(format!("{name}: {}", rule.whole_of("limit")?.unwrap_or(10))))
        .collect::<Result<Vec<_>, Misfit>>()?;
    let includes = spec.get("templates").map(|templates| templates.items()).unwrap_or_default();
    if metrics.is_empty() && includes.is_empty() {
        return Err(spec.misfit("there are no `metrics`"));
    }
    let name = document.get("metadata").and_then(|it| it.text_of("name").ok().flatten());
    Ok(Template {
        name: name.unwrap_or_default(),
        metrics,
        includes: includes.iter().filter_map(|it| it.text_of("templateName").ok().flatten()).collect(),
        is_cluster: document.text_of("kind")?.as_deref() == Some("ClusterAnalysisTemplate"),
        retention,
        open,
    })
}

struct Filled<'a> {
    item: &'a Plain,
    arguments: &'a BTreeMap<String, String>,
    open: &'a BTreeMap<String, &'static str>,
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
                let from = match self.open.get(&name) {
                    Some(from) => format!(": it would come from {from}"),
                    None => String::new(),
                };
                Err(value
                    .misfit(format!("the argument `{name}` has no value{from}; give it one: {name}=VALUE")))
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

fn metric(
    item: &Plain,
    arguments: &BTreeMap<String, String>,
    open: &BTreeMap<String, &'static str>,
) -> Result<Metric, Misfit> {
    let fields = Filled { item, arguments, open };
    let name = fields.text("name")?.ok_or_else(|| item.misfit("a metric has no `name`"))?;
    let interval_ms = fields.span("interval")?;
    let count = fields.whole("count")?.filter(|count| *count > 0).map(i64::unsigned_abs);
    let provider = item.get("provider").and_then(|it| it.entries().into_iter().next());
    let (provider, source) = provider.ok_or_else(|| item.misfit(format!("`{name}` has no `provider`")))?;
    let query = source.text_of("query").ok().flatten();
    let [failure_limit, inconclusive_limit, error_limit] =
        [("failureLimit", 0), ("inconclusiveLimit", 0), ("consecutiveErrorLimit", 4)]
            .map(|(key, without)| fields.whole(key).map(|limit| limit.unwrap_or(without)));
    let (failure_limit, inconclusive_limit, error_limit) =
        (failure_limit?, inconclusive_limit?, error_limit?);
    let success_limit = fields.whole("consecutiveSuccessLimit")?;
    valid(item, count, interval_ms, [failure_limit, inconclusive_limit, error_limit], success_limit)?;
    let container =
        source.at(&["spec", "template", "spec", "containers"]).and_then(|it| it.items().into_iter().next());
    let words =
        |key: &str| container.as_ref().and_then(|it| it.get(key)).map(|it| it.items()).unwrap_or_default();
    let command = words("command").into_iter().chain(words("args"));
    Ok(Metric {
        is_range: source.get("rangeQuery").is_some(),
        json_path: source.text_of("jsonPath").ok().flatten(),
        command: command.filter_map(|word| word.text().map(str::to_owned)).collect(),
        interval_ms,
        delay_ms: fields.span("initialDelay")?.unwrap_or(0),
        // Without an interval it is measured once.
        count: count.or(if interval_ms.is_none() { Some(1) } else { None }),
        success: fields.condition("successCondition")?,
        failure: fields.condition("failureCondition")?,
        failure_limit,
        inconclusive_limit,
        error_limit,
        success_limit: success_limit.filter(|limit| *limit > 0),
        dry_run: false,
        address: source
            .text_of("address")
            .ok()
            .flatten()
            .or(source.text_of("url").ok().flatten())
            .map(|text| fill(&text, arguments)),
        query: query.map(|query| fill(&query, arguments)),
        provider,
        name,
        at: item.place(),
    })
}

/// Refuses what the original's own validation refuses.
fn valid(
    item: &Plain,
    count: Option<u64>,
    interval_ms: Option<u64>,
    [failure, inconclusive, error]: [i64; 3],
    success: Option<i64>,
) -> Result<(), Misfit> {
    let success = success.unwrap_or(0);
    let wrong = |key: &str, message: &str| Err(item.get(key).unwrap_or_else(|| item.clone()).misfit(message));
    let count_of = count.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    if success < 0 {
        return wrong("consecutiveSuccessLimit", "`consecutiveSuccessLimit` is at least 0");
    }
    if failure < -1 || (failure == -1 && success == 0) {
        let message = "`failureLimit` is at least 0, or -1 beside a `consecutiveSuccessLimit`";
        return wrong("failureLimit", message);
    }
    if inconclusive < 0 || error < 0 {
        let key = if inconclusive < 0 { "inconclusiveLimit" } else { "consecutiveErrorLimit" };
        return wrong(key, "a limit is at least 0");
    }
    if count_of.is_some_and(|count| count > 1) && interval_ms.is_none() {
        return wrong("count", "`count` needs an `interval`");
    }
    if count_of.is_some_and(|count| count < failure.max(0).saturating_add(success) || count < inconclusive) {
        return wrong("count", "`count` is less than its limits together: they could not be reached");
    }
    Ok(())
}
