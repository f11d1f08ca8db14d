//! Completions, manual pages and pages of the reference.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::command;
use crate::error::{CliError, Code};
use crate::exit::Exit;
use crate::{output, reference};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    #[arg(value_enum)]
    shell: Shell,
}

/// Print the manual page, or with --dir write one for every verb
#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// Write a page for every verb into this directory
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Print a page of the reference
#[derive(Debug, clap::Args)]
pub(crate) struct Reference {
    #[arg(value_enum)]
    page: Page,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Page {
    /// Every verb and option
    Cli,
    /// Every exit code
    ExitCodes,
    /// Every error code
    Errors,
}

pub(crate) fn completions(args: &Completions) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "taxiway", &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end());
    Exit::Done
}

pub(crate) fn man(args: &Man) -> Result<Exit, CliError> {
    let unwritable = |error: std::io::Error| CliError::new(Code::BadFile, format!("the manual: {error}"));
    if let Some(folder) = &args.dir {
        std::fs::create_dir_all(folder).map_err(unwritable)?;
        clap_mangen::generate_to(command(), folder).map_err(unwritable)?;
        output::line(&format!("wrote the manual into {}", folder.display()));
        return Ok(Exit::Done);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(crate::cli::Cli::command()).render(&mut page).map_err(unwritable)?;
    output::line(String::from_utf8_lossy(&page).trim_end());
    Ok(Exit::Done)
}

pub(crate) fn reference(args: &Reference) -> Exit {
    output::line(
        match args.page {
            Page::Cli => reference::cli(),
            Page::ExitCodes => reference::exit_codes(),
            Page::Errors => reference::errors(),
        }
        .trim_end(),
    );
    Exit::Done
}
