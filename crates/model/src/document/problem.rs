//! What is wrong with a description, where, and how to mend it.

use std::fmt::{self, Write as _};

/// At most so many problems are told at once: more would hide the first.
pub const PROBLEMS_MAX: usize = 30;
/// Longest part of a line that is quoted, in characters.
const EXCERPT_CHARS_MAX: usize = 160;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The kind.
    pub code: Code,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// The key it is about (`traffic.sticky.by`, `strategy.steps[2].weight`); empty for the file.
    pub path: String,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// How to mend it; empty when nothing can be said.
    pub hint: String,
    /// The line it is on, control characters replaced.
    pub excerpt: String,
}

/// The kinds of problems; the words are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// The file is not UTF-8.
    NotUtf8,
    /// The file is larger than a description may be.
    TooLarge,
    /// The file is not YAML.
    Syntax,
    /// Collections are nested deeper than any key of a description.
    TooDeep,
    /// Aliases expand to more than a description may hold.
    TooMany,
    /// There is more than one document in the file.
    SeveralDocuments,
    /// There is nothing in the file.
    Empty,
    /// The key does not exist.
    UnknownKey,
    /// The key stands twice in one mapping.
    DuplicateKey,
    /// Two things have one name.
    DuplicateName,
    /// A key that is needed is not there.
    MissingKey,
    /// A mapping, a list or a single value is needed, and this is another.
    WrongKind,
    /// The word is none of those accepted.
    UnknownWord,
    /// The unit is missing or none of those accepted.
    WrongUnit,
    /// The value is outside of its bounds.
    OutOfRange,
    /// The value cannot be read.
    BadValue,
    /// A step does not expose more than the one before it.
    NotRising,
    /// Keys contradict each other.
    Conflict,
    /// The preset cannot be used here.
    Preset,
}

impl Code {
    /// Every code.
    pub const ALL: &[Self] = &[
        Self::NotUtf8,
        Self::TooLarge,
        Self::Syntax,
        Self::TooDeep,
        Self::TooMany,
        Self::SeveralDocuments,
        Self::Empty,
        Self::UnknownKey,
        Self::DuplicateKey,
        Self::DuplicateName,
        Self::MissingKey,
        Self::WrongKind,
        Self::UnknownWord,
        Self::WrongUnit,
        Self::OutOfRange,
        Self::BadValue,
        Self::NotRising,
        Self::Conflict,
        Self::Preset,
    ];

    /// The word in JSON and in the reference.
    pub fn word(self) -> &'static str {
        self.entry().0
    }

    /// What it means, one sentence.
    pub fn meaning(self) -> &'static str {
        self.entry().1
    }

    fn entry(self) -> (&'static str, &'static str) {
        match self {
            Self::NotUtf8 => ("not_utf8", "The file is not UTF-8."),
            Self::TooLarge => ("too_large", "The file is larger than a description may be."),
            Self::Syntax => ("syntax", "The file is not YAML."),
            Self::TooDeep => ("too_deep", "Collections are nested deeper than any key of a description."),
            Self::TooMany => ("too_many", "The file, or what its aliases expand to, has too many values."),
            Self::SeveralDocuments => ("several_documents", "There is more than one document in the file."),
            Self::Empty => ("empty", "There is nothing in the file."),
            Self::UnknownKey => ("unknown_key", "The key does not exist."),
            Self::DuplicateKey => ("duplicate_key", "The key stands twice in one mapping."),
            Self::DuplicateName => ("duplicate_name", "Two things have one name."),
            Self::MissingKey => ("missing_key", "A key that is needed is not there."),
            Self::WrongKind => {
                ("wrong_kind", "A mapping, a list or a single value stands where another is needed.")
            }
            Self::UnknownWord => ("unknown_word", "The word is none of those accepted."),
            Self::WrongUnit => ("wrong_unit", "The unit is missing, or none of those accepted."),
            Self::OutOfRange => ("out_of_range", "The value is outside of its bounds."),
            Self::BadValue => ("bad_value", "The value cannot be read."),
            Self::NotRising => ("not_rising", "A step does not expose more than the one before it."),
            Self::Conflict => ("conflict", "Keys contradict each other."),
            Self::Preset => ("preset", "The preset cannot be used here."),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl Problem {
    /// The problem with its line and a mark under the place, for a terminal without colour.
    pub fn render(&self, file: &str) -> String {
        let path = if self.path.is_empty() { String::new() } else { format!("{}: ", self.path) };
        let mut text =
            format!("{file}:{}:{}: {path}{} [{}]\n", self.line, self.column, self.message, self.code);
        let gutter = self.line.to_string();
        let blank = " ".repeat(gutter.len());
        if !self.excerpt.is_empty() {
            _ = writeln!(text, " {gutter} | {}", self.excerpt);
            let shown = (self.column as usize - 1).min(EXCERPT_CHARS_MAX);
            _ = writeln!(text, " {blank} | {}^", " ".repeat(shown));
        }
        if !self.hint.is_empty() {
            _ = writeln!(text, " {blank} = {}", self.hint);
        }
        text
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, " ({})", self.hint) }
    }
}

impl std::error::Error for Problem {}

/// A line as it is quoted: one character per character, so that the mark beneath stays in place.
pub(super) fn excerpt(line: &str) -> String {
    line.trim_end()
        .chars()
        .take(EXCERPT_CHARS_MAX)
        .map(|c| {
            if c == '\t' {
                '→'
            } else if c.is_control() {
                '·'
            } else {
                c
            }
        })
        .collect()
}
