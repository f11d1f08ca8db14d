//! Documents of other tools as trees of values that know their place, within the budgets of our own files.

use super::fields::Context;
use super::node::{Node, Place, Value};
use super::parse;
use super::problem::{Code, Problem};

/// A value of another tool's document.
#[derive(Debug, Clone)]
pub struct Plain {
    node: Node,
    /// Lines of the file before its document.
    before: u32,
}

/// A wish that a document does not grant: what, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Line from 1.
    pub line: u32,
    /// Column from 1, in characters.
    pub column: u32,
    /// What is wrong.
    pub message: String,
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for Misfit {}

/// Every document of a YAML or JSON file that is not empty. Fails with what the file's own rules forbid.
pub fn documents(bytes: &[u8]) -> Result<Vec<Plain>, Vec<Problem>> {
    let text = parse::text(bytes).map_err(|problem| vec![*problem])?;
    // JSON may be indented by tabs, YAML may not; no string of JSON holds one unescaped.
    let untabbed;
    let text = if text.trim_start().starts_with('{') {
        untabbed = text.replace('\t', " ");
        untabbed.as_str()
    } else {
        text
    };
    let mut found = Vec::new();
    for (before, part) in parts(text) {
        if part.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            continue;
        }
        let context = Context::new(part, "/");
        let root = parse::tree(part, &context);
        let mut problems = context.into_problems();
        for problem in &mut problems {
            problem.line += before;
        }
        match root {
            Some(node) if problems.is_empty() => found.push(Plain { node, before }),
            _ => return Err(problems),
        }
    }
    if found.is_empty() {
        let context = Context::new(text, "/");
        context.problem(
            Code::Empty,
            Place { line: 1, column: 1 },
            "",
            "there is nothing in the file",
            "is it the file that was meant?",
        );
        return Err(context.into_problems());
    }
    Ok(found)
}

/// The parts between lines `---`, each with the number of lines before it.
fn parts(text: &str) -> Vec<(u32, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            parts.push((start_line, &text[start..at]));
            (start, start_line) = (at + line.len(), number as u32 + 1);
        }
        at += line.len();
    }
    parts.push((start_line, &text[start..]));
    parts
}

impl Plain {
    /// Line and column, from 1.
    pub fn place(&self) -> (u32, u32) {
        (self.node.at.line + self.before, self.node.at.column)
    }

    /// A misfit at this value.
    pub fn misfit(&self, message: impl Into<String>) -> Misfit {
        let (line, column) = self.place();
        Misfit { line, column, message: message.into() }
    }

    fn child(&self, node: &Node) -> Self {
        Self { node: node.clone(), before: self.before }
    }

    /// The value of a key; none where this is no mapping, or the key is not there or empty.
    pub fn get(&self, key: &str) -> Option<Self> {
        let Value::Map(entries) = &self.node.value else { return None };
        let node = &entries.iter().find(|entry| entry.key == key)?.node;
        (!matches!(node.value, Value::Null)).then(|| self.child(node))
    }

    /// As [`Plain::get`], of keys one inside the other.
    pub fn at(&self, path: &[&str]) -> Option<Self> {
        path.iter().try_fold(self.clone(), |value, key| value.get(key))
    }

    /// The entries of a mapping in the order of the file; none of anything else.
    pub fn entries(&self) -> Vec<(String, Self)> {
        let Value::Map(entries) = &self.node.value else { return Vec::new() };
        entries.iter().map(|entry| (entry.key.clone(), self.child(&entry.node))).collect()
    }

    /// The items of a list; none of anything else.
    pub fn items(&self) -> Vec<Self> {
        let Value::List(items) = &self.node.value else { return Vec::new() };
        items.iter().map(|item| self.child(item)).collect()
    }

    /// A single value as it is written.
    pub fn text(&self) -> Option<&str> {
        match &self.node.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a key.
    pub fn text_of(&self, key: &str) -> Result<Option<String>, Misfit> {
        self.read(key, "text", |text| Some(text.to_owned()))
    }

    /// The number of a key.
    pub fn number_of(&self, key: &str) -> Result<Option<f64>, Misfit> {
        self.read(key, "a number", |text| text.parse::<f64>().ok().filter(|number| number.is_finite()))
    }

    /// The whole number of a key, negative ones included.
    pub fn whole_of(&self, key: &str) -> Result<Option<i64>, Misfit> {
        self.read(key, "a whole number", |text| text.parse().ok())
    }

    /// The flag of a key.
    pub fn flag_of(&self, key: &str) -> Result<Option<bool>, Misfit> {
        self.read(key, "true or false", |text| match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }

    /// The value of a key, read by a function that knows what is wanted.
    pub fn read<T>(
        &self,
        key: &str,
        wanted: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Misfit> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let found = value.text().and_then(read);
        let message = || match value.text() {
            Some(text) => format!("`{key}: {text}` is not {wanted}"),
            None => format!("`{key}` is {}, and should be {wanted}", value.node.kind()),
        };
        found.map(Some).ok_or_else(|| value.misfit(message()))
    }
}
