//! What a Prometheus is asked for: a query, the metrics of an analysis (ours, or another tool's), or
//! those of a description.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use taxiway_adapters::metrics::promql;
use taxiway_model::document::canary_config::{self, CanaryConfig};
use taxiway_model::document::{self, Problem, plain, template};
use taxiway_model::ids::MetricName;
use taxiway_model::metrics::{Api, Credentials, Query, Secret, Source, TakeApart};
use taxiway_model::policy::{AnalysisPolicy, Profile};
use taxiway_peers::import;

use super::peers;
use crate::error::{CliError, Code};

/// What the canary or the baseline is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// By its version, as the source tells versions apart.
    Version(String),
    /// By a label and its value.
    Label(String, String),
}

/// Where to ask.
#[derive(Debug, Clone)]
pub(crate) struct Where<'a> {
    pub(crate) url: &'a str,
    pub(crate) credentials: Option<&'a Credentials>,
    /// What canary and baseline are known by.
    pub(crate) known: [&'a [Known]; 2],
}

impl Where<'_> {
    /// The address is the command line's: what is wrong with it has no place in any file.
    fn askable(&self) -> Result<(), CliError> {
        let rest = self.url.strip_prefix("http://").or_else(|| self.url.strip_prefix("https://"));
        if rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')) {
            return Ok(());
        }
        let why = format!("--prometheus {}: this is not an http(s) URL", self.url);
        Err(CliError::new(Code::BadArgument, why).hint("write one like http://127.0.0.1:9090"))
    }

    /// The source, asked for one query.
    pub(crate) fn of_query(&self, metric: &MetricName, query: &str) -> Result<Source, CliError> {
        self.askable()?;
        let [canary, baseline] = self.known.map(labels);
        let keys = canary.keys().chain(baseline.keys()).cloned().collect();
        let queries =
            promql::take_apart(&[(metric.clone(), query.to_owned())], &keys).map_err(|troubles| {
                let trouble = troubles.into_iter().next();
                let (why, hint) =
                    trouble.map_or_else(Default::default, |trouble| (trouble.message, trouble.hint));
                CliError::new(Code::BadArgument, format!("--query: {why}")).hint(hint)
            })?;
        let url = self.url.trim_end_matches('/').to_owned();
        Ok(Source {
            name: "prometheus".to_owned(),
            api: Api::Prometheus { url, credentials: self.credentials.cloned() },
            interval_ms: 0,
            timeout_ms: 0,
            bucket_ms: 0,
            delay_ms: 0,
            canary,
            baseline,
            queries,
        })
    }

    /// The policy of an analysis, with its source; and what was not carried over.
    pub(crate) fn of_files(
        &self,
        files: &[PathBuf],
        with: &BTreeMap<String, String>,
        profile: Profile,
    ) -> Result<(AnalysisPolicy, Vec<String>), CliError> {
        self.askable()?;
        let (config, notes) = config(files, with)?;
        let [canary, baseline] = self.known.map(labels);
        let keys = canary.keys().chain(baseline.keys()).cloned().collect();
        let queries: Vec<Query> = config.take_apart(&keys, &promql::take_apart).map_err(|troubles| {
            let told = |trouble: promql::Trouble| format!("`{}`: {}", trouble.metric, trouble.message);
            let all: Vec<String> = troubles.into_iter().map(told).collect();
            let why = format!("{}: {}", names(files), all.join("; "));
            CliError::new(Code::BadYaml, why).hint("mend the query, or leave its metric out of a copy")
        })?;
        let description = self.description(profile);
        let included = document::Included { config: &config, queries: &queries };
        let promql: Option<&TakeApart<'_>> = Some(&promql::take_apart);
        let service = document::read_whole(description.as_bytes(), "/", Some(included), promql, None)
            .map_err(|problems| told(files, problems))?;
        Ok((service.analysis, notes))
    }

    /// The description of a service of which only the analysis matters; JSON is YAML too.
    fn description(&self, profile: Profile) -> String {
        let [canary, baseline] = self.known.map(labels);
        let mut prometheus = serde_json::json!({ "url": self.url });
        if let Some(credentials) = self.credentials {
            prometheus["credentials"] = serde_json::json!(credentials);
        }
        serde_json::json!({
            "name": "judged",
            "owner": "judged",
            "target": { "command": "judged" },
            "traffic": { "listen": "127.0.0.1:1" },
            "analysis": {
                "profile": profile,
                "file": "analysis.yaml",
                "source": { "prometheus": prometheus, "canary": canary, "baseline": baseline },
            },
        })
        .to_string()
    }
}

/// What a side is known by, as labels with their values.
fn labels(known: &[Known]) -> BTreeMap<String, String> {
    let label = |known: &Known| match known {
        Known::Version(version) => ("version".to_owned(), version.clone()),
        Known::Label(label, value) => (label.clone(), value.clone()),
    };
    known.iter().map(label).collect()
}

/// A description's own sources, the sides told apart as somebody says now.
pub(crate) fn sources(policy: &mut AnalysisPolicy, known: [&[Known]; 2]) {
    let own = |known: &[Known]| known.iter().any(|known| matches!(known, Known::Label(..)));
    for source in &mut policy.sources {
        for (side, known) in [&mut source.canary, &mut source.baseline].into_iter().zip(known) {
            if own(known) {
                *side = labels(known);
            }
        }
    }
}

/// The name a side goes by: its version, or what its labels say.
pub(crate) fn name(known: &[Known]) -> String {
    let version = known.iter().find(|known| match known {
        Known::Version(_) => true,
        Known::Label(label, _) => label == "version",
    });
    match version.or(known.first()) {
        Some(Known::Version(value) | Known::Label(_, value)) => value.clone(),
        None => String::new(),
    }
}

fn names(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn told(files: &[PathBuf], problems: Vec<Problem>) -> CliError {
    let name = names(files);
    let places = problems.into_iter().map(|problem| peers::place(&name, problem)).collect();
    CliError::new(Code::BadYaml, format!("{name} cannot be asked for")).places(places)
}

/// The analysis that files hold: a `CanaryConfig`, a template with its parameters, or another tool's carried over.
fn config(
    files: &[PathBuf],
    with: &BTreeMap<String, String>,
) -> Result<(CanaryConfig, Vec<String>), CliError> {
    let mut documents = Vec::new();
    // How many documents there are up to the end of each file.
    let mut ends = Vec::new();
    let mut first = Vec::new();
    for file in files {
        let bytes = peers::bytes(file)?;
        let one = [file.clone()];
        documents.extend(plain::documents(&bytes).map_err(|problems| told(&one, problems))?);
        ends.push((documents.len(), file));
        if first.is_empty() {
            first = bytes;
        }
    }
    if documents.iter().any(import::is_known) {
        let imported = import::import_with(&documents, "analysis.yaml", with).map_err(|(at, misfit)| {
            let file = ends.iter().find(|(end, _)| at < *end).map_or(&files[0], |(_, file)| *file);
            let name = file.display().to_string();
            peers::wrong(&name, peers::misfit_place(&name, misfit))
        })?;
        let Some(config) = imported.config else {
            let why = format!("{}: it has metrics that {} measures itself only", names(files), imported.peer);
            return Err(CliError::new(Code::BadFile, why)
                .hint("ask for them by --query, or give two files of counts and latencies"));
        };
        let config = canary_config::read(config.as_bytes()).map_err(|problems| told(files, problems))?;
        return Ok((config, imported.left));
    }
    if let [_, another, ..] = files {
        let why = format!("{} is a second analysis", another.display());
        return Err(CliError::new(Code::BadArgument, why).hint("judge by one at a time"));
    }
    let is_template = documents.first().is_some_and(|document| {
        document.text_of("kind").is_ok_and(|kind| kind.as_deref() == Some("AnalysisTemplate"))
    });
    let config = if is_template {
        filled(&first, &files[0], with)?
    } else {
        canary_config::read(&first).map_err(|problems| told(files, problems))?
    };
    Ok((config, Vec::new()))
}

/// A template of ours with its parameters.
fn filled(bytes: &[u8], file: &Path, with: &BTreeMap<String, String>) -> Result<CanaryConfig, CliError> {
    let told = |problems| told(&[file.to_owned()], problems);
    let template = template::read(bytes).map_err(told)?;
    let names: Vec<&str> = template.parameters().iter().map(|parameter| parameter.name.as_str()).collect();
    let open = template
        .parameters()
        .iter()
        .find(|parameter| parameter.default.is_none() && !with.contains_key(&parameter.name));
    if let Some(open) = open {
        let why = format!("{}: its parameter `{}` has no value", file.display(), open.name);
        return Err(CliError::new(Code::BadArgument, why).hint(format!("add --with {}=VALUE", open.name)));
    }
    if let Some(name) = with.keys().find(|name| !names.contains(&name.as_str())) {
        let why = format!("{} has no parameter `{name}`", file.display());
        return Err(
            CliError::new(Code::BadArgument, why).hint(format!("its parameters: {}", names.join(", ")))
        );
    }
    template.fill(with).map_err(told)
}

/// `bearer:env:NAME`, `bearer:file:PATH`, `basic:USER:env:NAME`: a secret is named and never told.
pub(crate) fn credentials(text: &str) -> Result<Credentials, String> {
    let wrong = || {
        format!(
            "'{text}' does not say where the secret is: bearer:env:NAME, bearer:file:PATH, basic:USER:env:NAME or \
             basic:USER:file:PATH"
        )
    };
    // What stands in the place of a reference may be the secret itself, and is not repeated.
    let hidden = |_| {
        "write bearer:env:NAME, bearer:file:PATH, basic:USER:env:NAME or basic:USER:file:PATH; a secret itself has no place on a command line".to_owned()
    };
    let secret = |rest: &str| match rest.split_once(':') {
        Some(("env", name)) if !name.is_empty() => Ok(Secret::Env(name.to_owned())),
        Some(("file", path)) if !path.is_empty() => std::path::absolute(path)
            .map(|path| Secret::File(path.display().to_string()))
            .map_err(|error| format!("{path}: {error}")),
        _ => Err(String::new()),
    };
    match text.split_once(':') {
        Some(("bearer", rest)) => Ok(Credentials::Bearer(secret(rest).map_err(hidden)?)),
        Some(("basic", rest)) => {
            let (user, rest) = rest.split_once(':').ok_or_else(|| hidden(String::new()))?;
            Ok(Credentials::Basic { user: user.to_owned(), password: secret(rest).map_err(hidden)? })
        }
        Some((kind, _)) if kind.len() < 12 => Err(wrong().replace(text, &format!("{kind}:…"))),
        _ => Err(hidden(String::new())),
    }
}
