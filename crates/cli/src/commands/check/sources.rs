//! `taxiway check --sources`: whether every source of metrics answers, before anything rests on it.

use std::path::Path;

use serde::Serialize;
use taxiway_adapters::metrics::{Found, Probed, probe};
use taxiway_api::NormalAnswer;
use taxiway_model::ids::StreamId;
use taxiway_model::service::ServiceSpec;

use crate::cli::Global;
use crate::client::{Client, Need, of_stream};
use crate::data::Data;
use crate::error::{CliError, Code};
use crate::output;

/// What stands for a version where none is known: whether the source answers is seen all the same.
const UNKNOWN: &str = "none";

/// What is printed of one metric.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    source: String,
    metric: String,
    /// `answers`, `nothing_bad`, `nothing`, `later` or `fails`.
    state: &'static str,
    said: String,
}

/// Asks every source about the version that runs, or the one that is named, and says what came of it.
pub(super) fn ask(
    global: &Global,
    file: &Path,
    service: &ServiceSpec,
    version: Option<&str>,
) -> Result<Vec<Line>, CliError> {
    let running = match version {
        Some(version) => Some(version.to_owned()),
        None => running(global, file, service),
    };
    let mut lines = Vec::new();
    for source in service.analysis.sources.iter().filter(|source| !source.queries.is_empty()) {
        let asked = running.as_deref().unwrap_or(UNKNOWN);
        let probed =
            probe(source, asked).map_err(|error| CliError::new(Code::Internal, error.to_string()))?;
        lines.extend(probed.iter().map(|one| line(&source.name, one, running.as_deref())));
    }
    Ok(lines)
}

/// For people, unless it was said already; an error where a metric would have no evidence.
pub(super) fn tell(lines: &[Line], said: bool) -> Result<(), CliError> {
    if lines.is_empty() && !said {
        output::line("no metric is asked of a source");
    }
    for line in lines.iter().filter(|_| !said) {
        let mark = if line.is_bad() { "fails" } else { "ok" };
        output::line(&format!("{mark:<6}{}: {}: {}", line.source, line.metric, line.said));
    }
    let bad = lines.iter().filter(|line| line.is_bad()).count();
    match bad {
        0 => Ok(()),
        bad => {
            let metrics = if lines.len() == 1 { "metric" } else { "metrics" };
            let why = format!("{bad} of {} {metrics} by query would have no evidence", lines.len());
            Err(CliError::new(Code::SourceUnusable, why)
                .hint("a release would hold, and go back after `deadlines.source`"))
        }
    }
}

impl Line {
    fn is_bad(&self) -> bool {
        ["fails", "nothing"].contains(&self.state)
    }
}

fn line(source: &str, probed: &Probed, running: Option<&str>) -> Line {
    let (state, said) = match (&probed.found, running) {
        (Err(why), _) => ("fails", why.clone()),
        (Ok(Found::All), _) => ("answers", "it answers, with data".to_owned()),
        (Ok(Found::NothingBad), _) => {
            ("nothing_bad", "it answers, with data; nothing bad lately, or never: look at `bad`".to_owned())
        }
        (Ok(Found::Nothing), Some(version)) => {
            ("nothing", format!("it answers, and the question selects nothing of {version}"))
        }
        (Ok(Found::Nothing), None) => {
            let said = "it answers; name a version that runs (--version) to see whether the question selects anything";
            ("answers", said.to_owned())
        }
        (Ok(Found::Later), _) => {
            ("later", "it is not asked: what comes is seen while a release is in flight".to_owned())
        }
    };
    Line { source: source.to_owned(), metric: probed.metric.to_string(), state, said }
}

/// The version that serves now; none where nothing was ever released from here.
fn running(global: &Global, file: &Path, service: &ServiceSpec) -> Option<String> {
    let data = Data::for_file(global.data.as_deref(), file).ok().filter(|data| data.path().is_dir())?;
    let client = Client::connect(&data, Need::Read).ok()?;
    let stream = StreamId { service: service.name.clone(), environment: service.environment.clone() };
    let answer: NormalAnswer = client.get(&of_stream("normal", &stream)).ok()?;
    answer.baseline.map(|version| version.to_string())
}
