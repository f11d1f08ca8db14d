//! `Canary` and `MetricTemplate` of Flagger.

use std::collections::BTreeMap;

use taxiway_model::document::plain::{Misfit, Plain};

use crate::span;

/// A canary's analysis.
#[derive(Debug, Clone)]
pub struct Canary {
    /// Its name.
    pub name: String,
    /// Time between two ticks in milliseconds, at least 10,000.
    pub interval_ms: u64,
    /// Failed checks at which it rolls back.
    pub threshold: u64,
    /// Good checks after which it promotes; none where it has neither weights nor iterations.
    pub advances: Option<u64>,
    /// Weights in percent that it goes through.
    pub weights: Vec<u64>,
    /// Its metrics.
    pub checks: Vec<Check>,
    /// Its webhooks, which nobody calls here.
    pub webhooks: Vec<Webhook>,
    /// Whether it mirrors before it shifts.
    pub is_mirrored: bool,
    /// What else it says that decides nothing on a recording: keys of the analysis.
    pub others: Vec<String>,
    /// How it exposes.
    pub strategy: Strategy,
}

/// How a canary is exposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// By rising weights.
    Weights,
    /// To users with certain headers, so many iterations.
    Users,
    /// Behind the running version, so many iterations, then all at once.
    BlueGreen,
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its name.
    pub name: String,
    /// Its type; `rollout` where it has none.
    pub kind: String,
    /// Its address.
    pub url: String,
}

/// Kinds of webhooks.
pub const KINDS: &[&str] = &[
    "rollout",
    "pre-rollout",
    "post-rollout",
    "confirm-rollout",
    "confirm-traffic-increase",
    "confirm-promotion",
    "rollback",
    "event",
];

/// Keys of an analysis that are told when it is imported.
const OTHERS: &[&str] = &[
    "mirror",
    "match",
    "stepWeightPromotion",
    "primaryReadyThreshold",
    "canaryReadyThreshold",
    "alerts",
    "sessionAffinity",
];

/// A metric of a canary.
#[derive(Debug, Clone)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// Its window in milliseconds.
    pub window_ms: u64,
    /// Smallest and largest value allowed.
    pub range: [Option<f64>; 2],
    /// Its query, variables filled in; none for built-in metrics.
    pub query: Option<String>,
    /// Address of the source, where a template names one.
    pub address: Option<String>,
    /// Kind of source, as `prometheus`.
    pub provider: String,
    /// Where it stands.
    pub at: (u32, u32),
}

/// A `MetricTemplate`.
#[derive(Debug, Clone)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// Kind of source.
    pub provider: String,
    /// Its address.
    pub address: Option<String>,
    /// The query with its variables.
    pub query: String,
}

impl Check {
    /// Whether Flagger brings the query.
    pub fn is_built_in(&self) -> bool {
        matches!(self.name.as_str(), "request-success-rate" | "request-duration") && self.query.is_none()
    }
}

fn is_kind(document: &Plain, kind: &str) -> bool {
    let text = |key: &str| document.text_of(key).ok().flatten().unwrap_or_default();
    text("apiVersion").starts_with("flagger.app/") && text("kind") == kind
}

/// Whether a document is a `Canary`.
pub fn is_canary(document: &Plain) -> bool {
    is_kind(document, "Canary")
}

/// Whether a document is a `MetricTemplate`.
pub fn is_template(document: &Plain) -> bool {
    is_kind(document, "MetricTemplate")
}

fn name_of(document: &Plain) -> String {
    document.get("metadata").and_then(|it| it.text_of("name").ok().flatten()).unwrap_or_default()
}

/// Reads a template.
pub fn read_template(document: &Plain) -> Result<Template, Misfit> {
    let spec = document.get("spec").ok_or_else(|| document.misfit("there is no `spec`"))?;
    let provider = spec.get("provider").ok_or_else(|| spec.misfit("there is no `provider`"))?;
    Ok(Template {
        name: name_of(document),
        provider: provider.text_of("type")?.unwrap_or_else(|| "prometheus".to_owned()),
        address: provider.text_of("address")?,
        query: spec.text_of("query")?.ok_or_else(|| spec.misfit("there is no `query`"))?,
    })
}

/// Reads a canary; the queries of its metrics come from the templates it names.
pub fn read(document: &Plain, templates: &[Template]) -> Result<Canary, Misfit> {
    let spec = document.get("spec").ok_or_else(|| document.misfit("there is no `spec`"))?;
    let analysis = spec.get("analysis").or_else(|| spec.get("canaryAnalysis"));
    let analysis = analysis.ok_or_else(|| spec.misfit("there is no `analysis`"))?;
    let interval = analysis.read("interval", "a time like 1m", span::parse_ms)?;
    let threshold = analysis.whole_of("threshold")?.filter(|count| *count > 0);
    let variables = variables(document, &spec);
    let mut checks = Vec::new();
    for item in analysis.get("metrics").map(|metrics| metrics.items()).unwrap_or_default() {
        checks.push(check(&item, templates, &variables)?);
    }
    let (weights, advances, strategy) = progress(&analysis)?;
    let webhooks = analysis.get("webhooks").map(|webhooks| webhooks.items()).unwrap_or_default();
    let is_mirrored = analysis.flag_of("mirror")?.unwrap_or(false);
    // A mirrored step is checked as well before any weight is.
    let mirrored = u64::from(is_mirrored && strategy == Strategy::Weights);
    Ok(Canary {
        name: name_of(document),
        interval_ms: interval.unwrap_or(60_000).max(10_000),
        threshold: threshold.unwrap_or(1).unsigned_abs(),
        advances: advances.map(|advances| advances + mirrored),
        weights,
        checks,
        webhooks: webhooks.iter().map(webhook).collect::<Result<_, _>>()?,
        is_mirrored,
        others: OTHERS
            .iter()
            .filter(|key| analysis.get(key).is_some_and(|value| value.text() != Some("false")))
            .map(|key| (*key).to_owned())
            .collect(),
        strategy,
    })
}

fn webhook(item: &Plain) -> Result<Webhook, Misfit> {
    let name = item.text_of("name")?.ok_or_else(|| item.misfit("a webhook has no `name`"))?;
    let kind = item.text_of("type")?.filter(|kind| !kind.is_empty()).unwrap_or_else(|| "rollout".to_owned());
    if !KINDS.contains(&kind.as_str()) {
        return Err(item.misfit(format!("`type: {kind}` is none of {}", KINDS.join(", "))));
    }
    Ok(Webhook { name, kind, url: item.text_of("url")?.unwrap_or_default() })
}

/// The weights it goes through, and the good checks that takes: one at each weight, one an iteration, and for
/// blue/green one more once all of the traffic is there.
fn progress(analysis: &Plain) -> Result<(Vec<u64>, Option<u64>, Strategy), Misfit> {
    let whole = |key: &str| -> Result<Option<u64>, Misfit> {
        Ok(analysis.whole_of(key)?.filter(|it| *it > 0).map(i64::unsigned_abs))
    };
    if let Some(iterations) = whole("iterations")? {
        let is_matched = analysis.get("match").is_some_and(|rules| !rules.items().is_empty());
        return Ok(if is_matched {
            (Vec::new(), Some(iterations), Strategy::Users)
        } else {
            (Vec::new(), Some(iterations + 1), Strategy::BlueGreen)
        });
    }
    let listed = analysis.get("stepWeights").map(|weights| weights.items()).unwrap_or_default();
    let mut weights: Vec<u64> =
        listed.iter().filter_map(|weight| weight.text()?.parse().ok()).filter(|it| *it > 0).collect();
    if let (Some(step), true) = (whole("stepWeight")?, weights.is_empty()) {
        let max = whole("maxWeight")?.unwrap_or(100).min(100);
        weights = (1..=max.div_ceil(step)).map(|at| at * step).collect();
    }
    for weight in &mut weights {
        *weight = (*weight).min(100);
    }
    let advances = (!weights.is_empty()).then_some(weights.len() as u64);
    Ok((weights, advances, Strategy::Weights))
}

/// What every query may use, by name.
fn variables(document: &Plain, spec: &Plain) -> BTreeMap<String, String> {
    let text = |path: &[&str]| spec.at(path).and_then(|it| it.text().map(str::to_owned));
    let target = text(&["targetRef", "name"]).unwrap_or_default();
    let or_target = |value: Option<String>| value.unwrap_or_else(|| target.clone());
    let namespace = document.get("metadata").and_then(|it| it.text_of("namespace").ok().flatten());
    BTreeMap::from([
        ("name".to_owned(), name_of(document)),
        ("namespace".to_owned(), namespace.unwrap_or_else(|| "default".to_owned())),
        ("service".to_owned(), or_target(text(&["service", "name"]))),
        ("ingress".to_owned(), or_target(text(&["ingressRef", "name"]))),
        ("route".to_owned(), or_target(text(&["routeRef", "name"]))),
        ("target".to_owned(), target.clone()),
    ])
}

fn check(item: &Plain, templates: &[Template], common: &BTreeMap<String, String>) -> Result<Check, Misfit> {
    let name = item.text_of("name")?.ok_or_else(|| item.misfit("a metric has no `name`"))?;
    let interval = item.text_of("interval")?.unwrap_or_else(|| "1m".to_owned());
    let window_ms = span::parse_ms(&interval)
        .ok_or_else(|| item.misfit(format!("`interval: {interval}` is not a time like 1m")))?;
    let mut variables = common.clone();
    variables.insert("interval".to_owned(), interval);
    for (key, value) in item.get("templateVariables").map(|it| it.entries()).unwrap_or_default() {
        variables.insert(format!("variables.{key}"), value.text().unwrap_or_default().to_owned());
    }
    let template = match item.get("templateRef").map(|it| it.text_of("name")).transpose()?.flatten() {
        None => None,
        Some(wanted) => {
            let found = templates.iter().find(|template| template.name == wanted);
            let message = format!("the MetricTemplate `{wanted}` is not among the files; give its file too");
            Some(found.ok_or_else(|| item.misfit(message))?)
        }
    };
    let query = template.map(|it| it.query.clone()).or(item.text_of("query")?);
    let query = query.map(|query| render(&query, &variables)).transpose();
    let query =
        query.map_err(|name| item.misfit(format!("the query uses `{name}`, which has no value here")))?;
    if query.is_none() && !matches!(name.as_str(), "request-success-rate" | "request-duration") {
        return Err(item.misfit(format!("`{name}` has neither a `templateRef` nor a `query`")));
    }
    Ok(Check {
        range: range(item, &name)?,
        window_ms,
        query,
        address: template.and_then(|template| template.address.clone()),
        provider: template.map_or_else(|| "prometheus".to_owned(), |template| template.provider.clone()),
        name,
        at: item.place(),
    })
}

/// A `thresholdRange`, or the older `threshold`: a least success rate, or a largest value of anything else.
fn range(item: &Plain, name: &str) -> Result<[Option<f64>; 2], Misfit> {
    if let Some(range) = item.get("thresholdRange") {
        return Ok([range.number_of("min")?, range.number_of("max")?]);
    }
    let threshold = item.number_of("threshold")?.unwrap_or(0.0);
    Ok(if name == "request-success-rate" { [Some(threshold), None] } else { [None, Some(threshold)] })
}

/// Fills `{{ name }}` and `{{ variables.key }}`; the name of what has no value as an error.
fn render(query: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let mut filled = String::with_capacity(query.len());
    let mut rest = query;
    while let Some(start) = rest.find("{{") {
        let Some(length) = rest[start..].find("}}") else { break };
        let name = rest[start + 2..start + length].trim().trim_matches('-').trim();
        filled.push_str(&rest[..start]);
        filled.push_str(variables.get(name).ok_or_else(|| name.to_owned())?);
        rest = &rest[start + length + 2..];
    }
    Ok(filled + rest)
}
