//! What goes wrong, as a person should read it: what, where, why, what to do next.
//!
//! Every error has a code from [`CODES`]; the reference page is written from the same table.

use std::fmt::Write as _;

use taxiway_api::{Class, Place, Problem};

use crate::exit::Exit;

pub(crate) use crate::error_codes::{CODES, Code};

/// An error on its way to the user.
#[derive(Debug)]
pub(crate) struct CliError {
    what: What,
    why: String,
    hints: Vec<String>,
    places: Vec<Place>,
}

/// Ours has a code of the table; one that came over the API may be of a newer resident process.
#[derive(Debug)]
enum What {
    Ours(Code),
    Told { code: String, class: Class, title: String },
}

impl CliError {
    /// An error with its reason, one sentence that names the place.
    pub(crate) fn new(code: Code, why: impl Into<String>) -> Self {
        Self { what: What::Ours(code), why: why.into(), hints: Vec::new(), places: Vec::new() }
    }

    /// With what can be done next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// With places in a file.
    #[must_use]
    pub(crate) fn places(mut self, places: Vec<Place>) -> Self {
        self.places = places;
        self
    }

    /// The code, where it is one of ours.
    #[cfg(test)]
    pub(crate) fn code(&self) -> Code {
        match &self.what {
            What::Ours(code) => *code,
            What::Told { code, .. } => panic!("{code} came over the API"),
        }
    }

    /// The code as it is written.
    pub(crate) fn word(&self) -> &str {
        match &self.what {
            What::Ours(code) => code.entry().word,
            What::Told { code, .. } => code,
        }
    }

    /// How the process ends.
    pub(crate) fn exit(&self) -> Exit {
        match &self.what {
            What::Ours(code) => code.entry().exit,
            What::Told { class, .. } => match class {
                Class::BadInput | Class::NotFound | Class::NotUnderstood => Exit::BadInput,
                Class::Refused => Exit::Refused,
                Class::Unavailable => Exit::Unreachable,
                Class::Defect => Exit::Internal,
            },
        }
    }

    /// The shape the API has for it, for `--json`.
    pub(crate) fn problem(&self) -> Problem {
        let (class, title) = match &self.what {
            What::Ours(code) => (code.class(), code.entry().title.to_owned()),
            What::Told { class, title, .. } => (*class, title.clone()),
        };
        Problem {
            code: self.word().to_owned(),
            class,
            title,
            why: self.why.clone(),
            next: self.hints.join("; "),
            places: self.places.clone(),
        }
    }

    /// The error for a terminal, several lines.
    pub(crate) fn text(&self) -> String {
        let title = match &self.what {
            What::Ours(code) => code.entry().title,
            What::Told { title, .. } => title,
        };
        let mut text = format!("error: {title}: {} [{}]\n", self.why, self.word());
        for place in &self.places {
            render_place(&mut text, place);
        }
        for hint in &self.hints {
            let _ = writeln!(text, "  next: {hint}");
        }
        text
    }
}

fn render_place(text: &mut String, place: &Place) {
    let path = if place.path.is_empty() { String::new() } else { format!("{}: ", place.path) };
    let _ = writeln!(text, "\n{}:{}:{}: {path}{}", place.file, place.line, place.column, place.message);
    if !place.excerpt.is_empty() {
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        let before = " ".repeat((place.column as usize).saturating_sub(1).min(place.excerpt.chars().count()));
        let _ = writeln!(text, " {number} | {}\n {margin} | {before}^", place.excerpt);
    }
    if !place.hint.is_empty() {
        let _ = writeln!(text, "  next: {}", place.hint);
    }
}

impl From<Problem> for CliError {
    fn from(problem: Problem) -> Self {
        let Problem { code, class, title, why, next, places } = problem;
        let known = CODES.iter().find(|entry| entry.word == code && !entry.from_model);
        let what = known.map_or(What::Told { code, class, title }, |entry| What::Ours(entry.code));
        let hints = if next.is_empty() { Vec::new() } else { vec![next] };
        Self { what, why, hints, places }
    }
}

impl From<taxiway_model::ids::InvalidName> for CliError {
    fn from(error: taxiway_model::ids::InvalidName) -> Self {
        Self::new(Code::BadName, error.to_string())
    }
}
