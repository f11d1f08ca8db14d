//! `taxiway init`: writes a commented taxiway.yaml, from flags or by asking.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use taxiway_model::document::init::{Answers, QUESTIONS, write};

use crate::cli::Global;
use crate::error::{CliError, Code};
use crate::exit::Exit;
use crate::output;

/// Write a commented taxiway.yaml, by asking or from flags
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to; - is standard output
    #[arg(default_value = "taxiway.yaml")]
    file: PathBuf,
    /// The service
    #[arg(long)]
    name: Option<String>,
    /// Who answers for it: a person or a team
    #[arg(long)]
    owner: Option<String>,
    /// How much harm a bad release does: low, medium, high, critical
    #[arg(long)]
    tier: Option<String>,
    /// What starts it; {version} and {port} are replaced
    #[arg(long)]
    command: Option<String>,
    /// The path that answers 2xx when it is ready
    #[arg(long)]
    readiness: Option<String>,
    /// Instances
    #[arg(long)]
    replicas: Option<String>,
    /// Where clients connect
    #[arg(long)]
    listen: Option<String>,
    /// A preset: canary, quick, two-step, blue-green, rolling, …
    #[arg(long)]
    strategy: Option<String>,
    /// Write over an existing file
    #[arg(long)]
    force: bool,
}

impl Args {
    fn flag(&self, name: &str) -> Option<&str> {
        match name {
            "name" => self.name.as_deref(),
            "owner" => self.owner.as_deref(),
            "tier" => self.tier.as_deref(),
            "command" => self.command.as_deref(),
            "readiness" => self.readiness.as_deref(),
            "replicas" => self.replicas.as_deref(),
            "listen" => self.listen.as_deref(),
            "strategy" => self.strategy.as_deref(),
            _ => None,
        }
    }
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Exit, CliError> {
    let to_output = args.file.as_os_str() == "-";
    if !to_output && !args.force && args.file.exists() {
        return Err(CliError::new(Code::FileExists, args.file.display().to_string())
            .hint("name another file, or pass --force"));
    }
    let answers = if output::is_attended(global) {
        ask(args)?
    } else {
        Answers::from_flags(|name| args.flag(name)).map_err(|faults| {
            let flags: Vec<&str> = QUESTIONS.iter().filter(|q| q.default.is_none()).map(|q| q.name).collect();
            CliError::new(Code::BadArgument, faults.join("; "))
                .hint(format!("without a terminal pass at least --{}", flags.join(", --")))
        })?
    };
    let text = write(&answers);
    if to_output {
        output::line(text.trim_end());
        return Ok(Exit::Done);
    }
    std::fs::write(&args.file, text)
        .map_err(|error| CliError::new(Code::BadFile, format!("{}: {error}", args.file.display())))?;
    output::line(&format!("wrote {}", args.file.display()));
    output::say("  next: `taxiway check`, then `taxiway release --version v1`");
    Ok(Exit::Done)
}

/// Asks what no flag has answered.
fn ask(args: &Args) -> Result<Answers, CliError> {
    let broken = |error: std::io::Error| CliError::new(Code::BadFile, format!("standard input: {error}"));
    let mut answers = Answers::default();
    let mut input = std::io::stdin().lock().lines();
    for question in QUESTIONS {
        if let Some(flag) = args.flag(question.name) {
            answers.set(question.name, flag).map_err(|why| CliError::new(Code::BadArgument, why))?;
            continue;
        }
        loop {
            let default = question.default.filter(|default| !default.is_empty());
            let default = default.map_or_else(String::new, |default| format!(" [{default}]"));
            let mut terminal = std::io::stderr().lock();
            write!(terminal, "{}{default} ", question.ask).and_then(|()| terminal.flush()).map_err(broken)?;
            let answer = input.next().transpose().map_err(broken)?;
            let answer = answer.ok_or_else(|| {
                CliError::new(Code::BadArgument, "the input ended before the last question")
            })?;
            match answers.set(question.name, &answer) {
                Ok(()) => break,
                Err(why) => output::say(&format!("  {why}")),
            }
        }
    }
    Ok(answers)
}
