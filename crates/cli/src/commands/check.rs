//! `taxiway check` and `taxiway schema`: the description of a service, before anything is released.

use std::path::{Path, PathBuf};

use taxiway_adapters::metrics::promql;
use taxiway_api::Place;
use taxiway_model::document::canary_config::{self, CanaryConfig};
use taxiway_model::document::{self, Problem};
use taxiway_model::metrics::{Query, Side};
use taxiway_model::service::ServiceSpec;

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
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Exit, CliError> {
    let service = read(&args.file)?;
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
    match document::named(&bytes, folder) {
        None => document::read_with(&bytes, folder, None, Some(&promql::take_apart))
            .map_err(|problems| wrong(file, problems)),
        Some(named) => {
            let (config, queries) = analysis(&named)?;
            let included = document::Included { config: &config, queries: &queries };
            document::read_with(&bytes, folder, Some(included), Some(&promql::take_apart))
                .map_err(|problems| wrong(file, problems))
        }
    }
}

/// Reads the file that a description names for its analysis, and takes its queries apart.
fn analysis(named: &document::Named) -> Result<(CanaryConfig, Vec<Query>), CliError> {
    let file = Path::new(&named.path);
    let bytes = std::fs::read(file).map_err(|error| {
        CliError::new(Code::BadFile, format!("{}: {error}", file.display()))
            .hint("the description names it as `analysis.file`")
    })?;
    let config = canary_config::read(&bytes).map_err(|problems| wrong(file, problems))?;
    if !named.is_promql {
        return Ok((config.clone(), config.plain_queries()));
    }
    let asked: Vec<_> = config.metrics.iter().map(|m| (m.name.clone(), m.query.clone())).collect();
    let queries = promql::take_apart(&asked, &named.labels).map_err(|troubles| {
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
    let mut lines = Vec::new();
    for source in &service.analysis.sources {
        lines.push(format!("metrics from {}: {}", source.name, source.api.place()));
        for query in &source.queries {
            lines.push(format!("  {}: {}", query.metric, query.shape.words()));
            for side in Side::BOTH {
                let asked = source.questions(&query.shape, side, "<version>");
                lines.extend(asked.into_iter().map(|asked| format!("    {:<8} {asked}", side.word())));
            }
        }
    }
    lines
}

fn place(file: &Path, problem: Problem) -> Place {
    let Problem { line, column, path, message, hint, excerpt, .. } = problem;
    Place { file: file.display().to_string(), line, column, path, message, hint, excerpt }
}
