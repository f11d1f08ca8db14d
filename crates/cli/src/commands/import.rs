//! `taxiway import`: a configuration of Kayenta, Argo Rollouts or Flagger as ours.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use taxiway_model::document::plain;
use taxiway_peers::import::{Imported, import_with};

use super::judge::save;
use crate::cli::Global;
use crate::error::{CliError, Code};
use crate::exit::Exit;
use crate::offline::peers;
use crate::output;

/// Carry over an analysis of Kayenta, Argo Rollouts or Flagger
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Kayenta's canary config (JSON), Argo's AnalysisTemplate, Flagger's Canary and MetricTemplates (YAML)
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Write the CanaryConfig to this file; what belongs into taxiway.yaml goes to standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// An argument of Argo's templates, or a variable of Kayenta's scope; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = super::judge::parameter)]
    with: Vec<(String, String)>,
    /// Write over the file if it exists
    #[arg(long, requires = "output")]
    force: bool,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Exit, CliError> {
    let imported = imported(args)?;
    if let (Some(file), Some(config)) = (&args.output, &imported.config) {
        if file.exists() && !args.force {
            let why = format!("{} exists", file.display());
            return Err(CliError::new(Code::FileExists, why).hint("name another file, or add --force"));
        }
        save(file, config)?;
    }
    if global.json {
        output::json(&serde_json::json!({
            "peer": imported.peer,
            "canary_config": imported.config,
            "taxiway_yaml": imported.fragment,
            "left_out": imported.left,
        }));
        return Ok(Exit::Done);
    }
    if let (None, Some(config)) = (&args.output, &imported.config) {
        output::line(&format!("# analysis.yaml\n{config}---\n# Belongs into taxiway.yaml."));
    }
    output::line(imported.fragment.trim_end());
    for left in &imported.left {
        output::say(left);
    }
    let open = imported.config.as_deref().map(open_arguments).unwrap_or_default();
    if !open.is_empty() {
        output::say(&format!(
            "warning: without a value: {}; until they have one, these queries select nothing\n  next: give each \
             with --with NAME=VALUE, or write it into the file",
            open.join(", ")
        ));
    }
    Ok(Exit::Done)
}

/// Arguments that still stand in queries, each once.
fn open_arguments(config: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for part in config.split("{{").skip(1) {
        let name = part.split("}}").next().unwrap_or_default().trim().to_owned();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn imported(args: &Args) -> Result<Imported, CliError> {
    let mut documents = Vec::new();
    // How many documents there are up to the end of each file.
    let mut ends = Vec::new();
    for file in &args.files {
        let bytes = peers::bytes(file)?;
        let found = plain::documents(&bytes).map_err(|problems| {
            let name = file.display().to_string();
            let places = problems.into_iter().map(|problem| peers::place(&name, problem)).collect();
            CliError::new(Code::BadFile, format!("{name} cannot be read")).places(places)
        })?;
        documents.extend(found);
        ends.push((documents.len(), file));
    }
    let name = args
        .output
        .as_deref()
        .and_then(Path::file_name)
        .map_or_else(|| "analysis.yaml".to_owned(), |name| name.to_string_lossy().into_owned());
    let with: BTreeMap<String, String> = args.with.iter().cloned().collect();
    import_with(&documents, &name, &with).map_err(|(document, misfit)| {
        let file = ends.iter().find(|(end, _)| document < *end).map_or(&args.files[0], |(_, file)| *file);
        let name = file.display().to_string();
        peers::wrong(&name, peers::misfit_place(&name, misfit))
    })
}
