//! `taxiway check` and `taxiway schema`: the description of a service, before anything is released.

use std::path::{Path, PathBuf};

use taxiway_api::Place;
use taxiway_model::document::{self, Problem};
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
    document::read(&bytes, folder).map_err(|problems| {
        let count = problems.len();
        let why = match count {
            1 => format!("{} has a problem", file.display()),
            count => format!("{} has {count} problems", file.display()),
        };
        CliError::new(Code::BadYaml, why).places(problems.into_iter().map(|p| place(file, p)).collect())
    })
}

fn place(file: &Path, problem: Problem) -> Place {
    let Problem { line, column, path, message, hint, excerpt, .. } = problem;
    Place { file: file.display().to_string(), line, column, path, message, hint, excerpt }
}
