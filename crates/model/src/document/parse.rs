//! Bytes to a tree of nodes, within budgets on size, depth and number of nodes.

use super::fields::Context;
use super::node::{Entry, Node, Place, Value};
use super::problem::{Code, Problem, excerpt};
use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span};
use std::collections::BTreeMap;

/// A description fits a page; a megabyte is a mistake or an attack.
const BYTES_MAX: usize = 1024 * 1024;
/// The deepest key, a header of a step's check, lies nine collections deep.
const DEPTH_MAX: usize = 16;
/// Nodes of the whole tree, aliases expanded: 500 steps with ten keys each.
const NODES_MAX: usize = 20_000;

/// The bytes as text; a byte order mark is skipped.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Box<Problem>> {
    let problem = |code, line: usize, column: usize, excerpt, message: String, hint: &str| {
        Box::new(Problem {
            code,
            line: line as u32,
            column: column as u32,
            path: String::new(),
            message,
            hint: hint.to_owned(),
            excerpt,
        })
    };
    if bytes.len() > BYTES_MAX {
        let message = format!("the file has {} bytes; a description has at most {BYTES_MAX}", bytes.len());
        return Err(problem(Code::TooLarge, 1, 1, String::new(), message, "is it the right file?"));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned();
            let bad = bytes[error.valid_up_to()];
            let line = good.matches('\n').count() + 1;
            let start = good.rfind('\n').map_or(0, |i| i + 1);
            let end = bytes[start..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |i| start + i);
            let hint = match bytes {
                [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it looks like UTF-16; save it as UTF-8",
                _ => "save the file as UTF-8",
            };
            Err(problem(
                Code::NotUtf8,
                line,
                good[start..].chars().count() + 1,
                excerpt(&String::from_utf8_lossy(&bytes[start..end])),
                format!("the byte 0x{bad:02x} is not UTF-8"),
                hint,
            ))
        }
    }
}

/// The text as a tree; none, with the problem noted, when there is none or more than one.
pub(super) fn tree(text: &str, context: &Context<'_>) -> Option<Node> {
    let options = granit_parser::options! {
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut builder = Builder::new(context);
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => builder.take(event, span)?,
            Err(error) => {
                scan_problem(text, &error, context);
                return None;
            }
        }
    }
    if let Some(root) = builder.root {
        return Some(root);
    }
    let hint = "`taxiway init` writes a description to begin with";
    context.problem(Code::Empty, Place { line: 1, column: 1 }, "", "there is nothing in the file", hint);
    None
}

/// A collection that is not complete yet.
struct Open {
    at: Place,
    anchor: usize,
    /// Nodes counted when it began.
    before: usize,
    filling: Filling,
}

enum Filling {
    List(Vec<Node>),
    Map(Vec<Entry>, Option<(String, Place)>),
}

/// Puts events together; every method is none once a problem was noted that ends the reading.
struct Builder<'c> {
    context: &'c Context<'c>,
    open: Vec<Open>,
    /// Complete anchored nodes with their number of nodes.
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    documents: u32,
    root: Option<Node>,
}

impl<'c> Builder<'c> {
    fn new(context: &'c Context<'c>) -> Self {
        Self { context, open: Vec::new(), anchors: BTreeMap::new(), nodes: 0, documents: 0, root: None }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        let at = place(span.start.line(), span.start.col());
        let tagged_at = span.tag_span().map_or(at, |tag| place(tag.start.line(), tag.start.col()));
        match event {
            Event::DocumentStart(..) => self.document(at),
            Event::Scalar(text, style, anchor, tag) => {
                self.untagged(tag.as_ref().is_some_and(|tag| !tag.is_yaml_core_schema()), tagged_at)?;
                self.count(1, at)?;
                let plain = style == ScalarStyle::Plain;
                let null = plain && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL");
                let value = if null { Value::Null } else { Value::Scalar(text.into_owned()) };
                let node = Node { at, value };
                self.keep(anchor, &node, 1);
                self.put(node)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.untagged(tag.is_some(), tagged_at)?;
                self.begin(at, anchor, Filling::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.untagged(tag.is_some(), tagged_at)?;
                self.begin(at, anchor, Filling::Map(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(id) => self.alias(id, at),
            _ => Some(()),
        }
    }

    fn fail(&self, code: Code, at: Place, message: &str, hint: &str) -> Option<()> {
        self.context.problem(code, at, "", message, hint);
        None
    }

    fn document(&mut self, at: Place) -> Option<()> {
        self.documents += 1;
        if self.documents == 1 {
            return Some(());
        }
        let hint = "keep one service in a file, and remove what follows `---`";
        self.fail(Code::SeveralDocuments, at, "a second document begins here", hint)
    }

    fn untagged(&self, tagged: bool, at: Place) -> Option<()> {
        if tagged {
            return self.fail(Code::Syntax, at, "tags are not understood here", "remove the word with `!`");
        }
        Some(())
    }

    fn count(&mut self, nodes: usize, at: Place) -> Option<()> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            let message = format!("the file holds more than {NODES_MAX} values, aliases expanded");
            return self.fail(Code::TooMany, at, &message, "write out only what the service needs");
        }
        Some(())
    }

    fn begin(&mut self, at: Place, anchor: usize, filling: Filling) -> Option<()> {
        let before = self.nodes;
        self.count(1, at)?;
        self.open.push(Open { at, anchor, before, filling });
        Some(())
    }

    fn end(&mut self) -> Option<()> {
        let open = self.open.pop().expect("the parser ends only what it began");
        let value = match open.filling {
            Filling::List(items) => Value::List(items),
            Filling::Map(entries, _) => Value::Map(entries),
        };
        let node = Node { at: open.at, value };
        self.keep(open.anchor, &node, self.nodes - open.before);
        self.put(node)
    }

    fn keep(&mut self, anchor: usize, node: &Node, nodes: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), nodes));
        }
    }

    fn alias(&mut self, id: usize, at: Place) -> Option<()> {
        let Some((node, nodes)) = self.anchors.get(&id).cloned() else {
            return self.fail(
                Code::Syntax,
                at,
                "this alias is part of what it stands for",
                "write the value out",
            );
        };
        // Counted before it is put anywhere: what explodes is refused while it is small.
        self.count(nodes, at)?;
        self.put(node)
    }

    fn put(&mut self, node: Node) -> Option<()> {
        match self.open.last_mut().map(|open| &mut open.filling) {
            None => self.root = Some(node).filter(|node| !matches!(node.value, Value::Null)),
            Some(Filling::List(items)) => items.push(node),
            Some(Filling::Map(entries, key @ None)) => {
                let text = match node.value {
                    Value::Scalar(text) => text,
                    Value::Null => String::new(),
                    Value::List(_) | Value::Map(_) => {
                        let hint = "a value with `{` or `[` at its start needs quotes";
                        return self.fail(Code::WrongKind, node.at, "a key must be a word", hint);
                    }
                };
                // A key that stands twice is noted, and its first value kept.
                if let Some(first) = entries.iter().find(|entry| entry.key == text) {
                    let message = format!("`{text}` stands twice in this mapping");
                    let hint = format!("the other one is on line {}; remove one of them", first.at.line);
                    self.context.problem(Code::DuplicateKey, node.at, &text, &message, &hint);
                }
                *key = Some((text, node.at));
            }
            Some(Filling::Map(entries, key)) => {
                let (name, at) = key.take().expect("matched above");
                entries.push(Entry { key: name, at, node });
            }
        }
        Some(())
    }
}

fn place(line: usize, column_from_zero: usize) -> Place {
    Place { line: line.max(1) as u32, column: column_from_zero as u32 + 1 }
}

/// Says what the scanner did not understand in words of the file.
fn scan_problem(text: &str, error: &ScanError, context: &Context<'_>) {
    let mark = error.marker();
    let at = place(mark.line(), mark.col());
    if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
        let message = format!("collections are nested more than {DEPTH_MAX} deep");
        let hint = "no key of a description lies that deep; look for an unclosed `[` or `{`";
        context.problem(Code::TooDeep, at, "", &message, hint);
        return;
    }
    let tab = text.lines().enumerate().take(mark.line()).skip(mark.line().saturating_sub(2)).find_map(
        |(index, line)| {
            let indent: &str = &line[..line.len() - line.trim_start().len()];
            indent.find('\t').map(|column| place(index + 1, column))
        },
    );
    if let Some(at) = tab {
        let hint = "indent with two spaces";
        context.problem(Code::Syntax, at, "", "a tab stands in the indentation", hint);
        return;
    }
    let said = error.kind().to_string();
    let hint =
        "check indentation, quotes and the space after `:`; text with `: `, ` #`, `{` or `*` needs quotes";
    context.problem(Code::Syntax, at, "", &format!("this is not YAML: {said}"), hint);
}
