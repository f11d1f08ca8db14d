//! What is printed where: data on standard output, words on standard error, colour only for people.

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

use jiff::tz::TimeZone;
use serde::Serialize;

use crate::cli::Global;
use crate::error::CliError;
use crate::view::{self, Paper};

/// Columns where nobody has said how many there are.
const COLUMNS: usize = 100;

static COLOUR: OnceLock<bool> = OnceLock::new();

/// Remembers what the command line says of colour.
pub(crate) fn set_up(global: &Global) {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    let wanted = set("FORCE_COLOR") || std::io::stdout().is_terminal();
    let _ = COLOUR.set(wanted && !(global.no_color || set("NO_COLOR") || dumb));
}

/// The paper that standard output is.
pub(crate) fn paper() -> Paper {
    let mut paper = Paper::new(columns().unwrap_or(COLUMNS), COLOUR.get().copied().unwrap_or(false));
    paper.zone = TimeZone::system();
    paper
}

/// The same for what is drawn again and again: what does not fit on the screen is not seen.
pub(crate) fn screen_paper() -> Paper {
    let rows = crossterm::terminal::size().ok().map(|(_, rows)| usize::from(rows).saturating_sub(1));
    Paper { rows, ..paper() }
}

/// The columns of standard output, where it is a terminal.
fn columns() -> Option<usize> {
    let is_terminal = std::io::stdout().is_terminal();
    is_terminal.then(|| crossterm::terminal::size().ok()).flatten().map(|(columns, _)| usize::from(columns))
}

/// Whether somebody watches standard output.
pub(crate) fn is_watched() -> bool {
    std::io::stdout().is_terminal() && std::env::var("TERM").map_or(true, |term| term != "dumb")
}

/// Whether a person can be asked or waited for.
pub(crate) fn is_attended(global: &Global) -> bool {
    !global.no_input && std::io::stdin().is_terminal()
}

/// Data, for the next program. A reader that has gone away ends nothing.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Several lines of data.
pub(crate) fn lines(lines: &[String]) {
    for text in lines {
        line(text);
    }
}

/// A value as one line of JSON.
pub(crate) fn json<T: Serialize>(value: &T) {
    line(&serde_json::to_string(value).expect("answers are plain data with string keys"));
}

/// Words for the person, not for the next program; broken at blanks where a terminal is narrower.
pub(crate) fn say(text: &str) {
    let size = if std::io::stderr().is_terminal() { crossterm::terminal::size().ok() } else { None };
    let text = match size {
        Some((columns, _)) => view::fitted(text.trim_end(), usize::from(columns)),
        None => text.trim_end().to_owned(),
    };
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A line of what goes on, broken at blanks where a terminal is narrower.
pub(crate) fn told(text: &str) {
    line(&columns().map_or_else(|| text.to_owned(), |columns| view::fitted(text, columns)));
}

/// Tells an error.
pub(crate) fn tell(error: &CliError, as_json: bool) {
    if as_json {
        let problem = serde_json::to_string(&error.problem()).expect("a problem is plain data");
        say(&problem);
    } else {
        say(&error.text());
    }
}

/// Processes of the family write what they do into their output file.
pub(crate) fn log_to_stderr() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("TAXIWAY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
}

/// Who is at the keyboard.
pub(crate) fn actor() -> String {
    let uid = nix::unistd::Uid::current();
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    user.map_or_else(|| format!("uid {uid}"), |user| user.name)
}

/// A view that is drawn again and again in the same place of a terminal.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    drawn: usize,
}

impl Screen {
    /// Draws these lines over those drawn before.
    pub(crate) fn draw(&mut self, lines: &[String]) {
        let rows = crossterm::terminal::size().map_or(40, |(_, rows)| usize::from(rows));
        let shown = &lines[..lines.len().min(rows.saturating_sub(1))];
        let mut text = String::new();
        if self.drawn > 0 {
            text += "\x1b[";
            text += &self.drawn.to_string();
            text.push('A');
        }
        text.push_str("\r\x1b[J");
        for line in shown {
            text.push_str(line);
            text.push_str("\x1b[K\n");
        }
        self.drawn = shown.len();
        put(&text);
    }

    /// Takes away what was drawn last.
    pub(crate) fn clear(&mut self) {
        if self.drawn > 0 {
            put(&format!("\x1b[{}A\r\x1b[J", self.drawn));
            self.drawn = 0;
        }
    }
}

/// Writes to the terminal at once.
fn put(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
