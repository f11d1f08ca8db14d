//! `taxiway check` and `taxiway schema`: the description of a service, before anything is released.

mod sources;

use std::path::{Path, PathBuf};

use taxiway_adapters::metrics::promql;
use taxiway_api::Place;
use taxiway_model::document::canary_config::{self, CanaryConfig};
use taxiway_model::document::openslo::{self, Objectives};
use taxiway_model::document::template::Template;
use taxiway_model::document::{self, Problem};
use taxiway_model::ids::{self, MetricName};
use taxiway_model::metrics::{Query, Side, TakeApart};
use taxiway_model::policy::{Baseline, Lasting};
use taxiway_model::service::ServiceSpec;

use super::template;
use crate::cli::Global;
use crate::error::{CliError, Code};
use crate::exit::Exit;
use crate::output;

/// Look whether a taxiway.yaml is right
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The description of the service; - reads standard input
    #[arg(default_value = "taxiway.yaml")]
    file: PathBuf,
    /// Write the digest of the analysis template into the file, so that only this template is used
    #[arg(long)]
    pin: bool,
    /// Ask every source of metrics once: does it answer, accept who asks, and select anything?
    #[arg(long)]
    sources: bool,
    /// The version whose data are looked for, instead of the one that runs
    #[arg(long, value_name = "NAME", requires = "sources")]
    version: Option<String>,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Exit, CliError> {
    let pinned = if args.pin { Some(template::pin(&args.file)?) } else { None };
    let service = read(&args.file)?;
    if let Some(said) = pinned {
        output::say(&said);
    }
    if args.sources {
        let lines = sources::ask(global, &args.file, &service, args.version.as_deref())?;
        if global.json {
            output::json(&lines);
        }
        return sources::tell(&lines, global.json).map(|()| Exit::Done);
    }
    if global.json {
        output::json(&service);
    } else {
        let steps: Vec<String> = service.strategy.steps.iter().map(|step| step.weight.to_string()).collect();
        output::line(&format!(
            "{} is right: {} in {}, {} ({})",
            args.file.display(),
            service.name,
            service.environment,
            service.strategy.preset,
            steps.join(", ")
        ));
        for line in queries(&service) {
            output::line(&line);
        }
        for advice in document::advice(&service) {
            output::say(&format!("advice: {advice}"));
        }
    }
    Ok(Exit::Done)
}

/// The schema for editors.
pub(crate) fn schema() -> Exit {
    let schema = document::schema::schema();
    output::line(&serde_json::to_string_pretty(&schema).expect("a schema is plain data"));
    Exit::Done
}

/// Reads a description, or says everything that is wrong with it.
pub(crate) fn read(file: &Path) -> Result<ServiceSpec, CliError> {
    let (bytes, folder) = contents(file)?;
    let slos = objectives(&bytes, &folder)?;
    match document::named(&bytes, &folder) {
        None => document::read_whole(&bytes, &folder, None, Some(&promql::take_apart), slos.as_ref())
            .map_err(|problems| wrong(file, problems)),
        Some(named) => {
            let (config, queries) = analysis(&named, |template| {
                let problems = document::template::misuse(&bytes, &folder, template);
                if problems.is_empty() { Ok(()) } else { Err(wrong(file, problems)) }
            })?;
            let included = document::Included { config: &config, queries: &queries };
            let promql: Option<&TakeApart<'_>> = Some(&promql::take_apart);
            let service = document::read_whole(&bytes, &folder, Some(included), promql, slos.as_ref())
                .map_err(|problems| wrong(file, problems))?;
            template::warn_unpinned(&named, service.stage);
            Ok(service)
        }
    }
}

/// Reads the OpenSLO files that a description names; none where it names none.
fn objectives(bytes: &[u8], folder: &str) -> Result<Option<Objectives>, CliError> {
    let paths = document::slo_files(bytes, folder);
    let mut files = Vec::new();
    for path in &paths {
        let read = std::fs::read(path).map_err(|error| {
            CliError::new(Code::BadFile, format!("{path}: {error}"))
                .hint("the description names it as `analysis.slo`")
        })?;
        files.push((path.as_str(), read));
    }
    if files.is_empty() {
        return Ok(None);
    }
    let files: Vec<openslo::File<'_>> = files.iter().map(|(path, read)| (*path, read.as_slice())).collect();
    openslo::read(&files).map(Some).map_err(|(path, problems)| wrong(Path::new(&path), problems))
}

/// The bytes of a description, and its folder.
pub(super) fn contents(file: &Path) -> Result<(Vec<u8>, String), CliError> {
    let unreadable = |error: std::io::Error| {
        CliError::new(Code::BadFile, format!("{}: {error}", file.display()))
            .hint("name the file, or write one with `taxiway init`")
    };
    let bytes = if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes).map_err(unreadable)?;
        bytes
    } else {
        std::fs::read(file).map_err(unreadable)?
    };
    let whole = std::path::absolute(file).map_err(unreadable)?;
    let folder = whole.parent().unwrap_or(Path::new("/"));
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let folder = folder
        .to_str()
        .ok_or_else(|| CliError::new(Code::BadFile, format!("{} is not UTF-8", folder.display())))?;
    Ok((bytes, folder.to_owned()))
}

/// Reads the file that a description names for its analysis, and takes its queries apart.
///
/// How a template is used is looked over by `fits` before its gaps are filled.
fn analysis(
    named: &document::Named,
    fits: impl Fn(&Template) -> Result<(), CliError>,
) -> Result<(CanaryConfig, Vec<Query>), CliError> {
    let file = Path::new(&named.path);
    let bytes = std::fs::read(file).map_err(|error| {
        CliError::new(Code::BadFile, format!("{}: {error}", file.display()))
            .hint("the description names it as `analysis.file`, or the template's")
    })?;
    let config = match &named.template {
        None => canary_config::read(&bytes),
        Some(used) => {
            let template = document::template::read(&bytes).map_err(|problems| wrong(file, problems))?;
            fits(&template)?;
            template.fill(&used.with)
        }
    };
    let config = config.map_err(|problems| wrong(file, problems))?;
    if !named.is_promql {
        return Ok((config.clone(), config.plain_queries()));
    }
    let queries = config.take_apart(&named.labels, &promql::take_apart).map_err(|troubles| {
        let text = String::from_utf8_lossy(&bytes);
        let problem = |t: promql::Trouble| config.query_problem(&text, &t.metric, &t.message, &t.hint);
        wrong(file, troubles.into_iter().filter_map(problem).collect())
    })?;
    Ok((config, queries))
}

fn wrong(file: &Path, problems: Vec<Problem>) -> CliError {
    let why = match problems.len() {
        1 => format!("{} has a problem", file.display()),
        count => format!("{} has {count} problems", file.display()),
    };
    CliError::new(Code::BadYaml, why).places(problems.into_iter().map(|p| place(file, p)).collect())
}

/// How each metric by query is asked, for people: what each side is known by is shown.
fn queries(service: &ServiceSpec) -> Vec<String> {
    /// Stands for what is known at a release only.
    const VERSION: &str = "<version>";
    let fresh = ids::fresh(VERSION);
    let mut lines = Vec::new();
    for source in &service.analysis.sources {
        lines.push(format!("metrics from {}: {}", source.name, source.api.place()));
        for query in &source.queries {
            let when = conditions(service, &query.metric);
            lines.push(format!("  {}: {}{when}", query.metric, query.shape.words()));
            for side in Side::BOTH {
                let is_fresh = side == Side::Baseline && service.analysis.baseline == Baseline::Fresh;
                let version = if is_fresh { &fresh } else { VERSION };
                let asked = source.questions(&query.shape, side, version);
                lines.extend(asked.into_iter().map(|asked| format!("    {:<8} {asked}", side.word())));
            }
        }
    }
    lines
}

/// From which step on a metric is judged, and how long what it says must last.
fn conditions(service: &ServiceSpec, name: &MetricName) -> String {
    let Some(metric) = service.analysis.metrics.iter().find(|metric| metric.name == *name) else {
        return String::new();
    };
    let begins = service.strategy.steps.get(usize::from(metric.from_step)).filter(|_| metric.from_step > 0);
    let begins = begins.map(|step| format!("from step {} on", step.name));
    let words = begins.into_iter().chain(metric.lasting.into_iter().flat_map(Lasting::words));
    words.fold(String::new(), |all, one| format!("{all}, {one}"))
}

fn place(file: &Path, problem: Problem) -> Place {
    let Problem { line, column, path, message, hint, excerpt, .. } = problem;
    Place { file: file.display().to_string(), line, column, path, message, hint, excerpt }
}
