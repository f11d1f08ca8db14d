//! Reads a mapping by its section of the table of keys; notes every problem and goes on.

use super::keys::{self, Key, Kind, Need, Section};
use super::node::{Node, Place, Value};
use super::problem::{Code, PROBLEMS_MAX, Problem, excerpt};
use super::value::{self, Fault, Read};
use crate::ids::InvalidName;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// The file being read: its lines for quoting, its directory, what is wrong so far.
pub(super) struct Context<'t> {
    lines: Vec<&'t str>,
    directory: &'t str,
    problems: RefCell<Vec<Problem>>,
    /// Lines on which a secret stands.
    secrets: RefCell<BTreeSet<u32>>,
}

impl<'t> Context<'t> {
    pub(super) fn new(text: &'t str, directory: &'t str) -> Self {
        Self {
            lines: text.lines().collect(),
            directory,
            problems: RefCell::default(),
            secrets: RefCell::default(),
        }
    }

    /// Notes a problem.
    pub(super) fn problem(&self, code: Code, at: Place, path: &str, message: &str, hint: &str) {
        let line = self.lines.get(at.line as usize - 1).copied().unwrap_or_default();
        self.problems.borrow_mut().push(Problem {
            code,
            line: at.line,
            column: at.column,
            path: path.to_owned(),
            message: message.to_owned(),
            hint: hint.to_owned(),
            excerpt: excerpt(line),
        });
    }

    /// Whether anything is wrong so far.
    pub(super) fn has_problems(&self) -> bool {
        !self.problems.borrow().is_empty()
    }

    /// All problems in the order of the file, cut to what a person reads.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let (mut problems, secrets) = (self.problems.into_inner(), self.secrets.into_inner());
        for problem in problems.iter_mut().filter(|problem| secrets.contains(&problem.line)) {
            problem.excerpt.clear();
        }
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems.dedup();
        problems.truncate(PROBLEMS_MAX);
        problems
    }

    /// A path as it stands in the file, made absolute. Nothing is looked up on a disk.
    pub(super) fn absolute(&self, path: &str) -> String {
        let mut rest = path;
        while let Some(after) = rest.strip_prefix("./") {
            rest = after;
        }
        let directory = self.directory.trim_end_matches('/');
        match rest {
            "" | "." => {
                if directory.is_empty() {
                    "/".to_owned()
                } else {
                    directory.to_owned()
                }
            }
            absolute if absolute.starts_with('/') => absolute.to_owned(),
            relative => format!("{directory}/{relative}"),
        }
    }
}

/// A mapping of the file, checked against its section.
pub(super) struct Fields<'c, 'n> {
    pub(super) context: &'c Context<'c>,
    section: &'static Section,
    /// Its place.
    pub(super) at: Place,
    /// Its path.
    pub(super) path: String,
    values: BTreeMap<&'static str, &'n Node>,
}

impl<'c, 'n> Fields<'c, 'n> {
    /// Opens a mapping; none, with the problem noted, when it is something else. Unknown and
    /// missing keys are noted here.
    pub(super) fn open(
        context: &'c Context<'c>,
        section: &'static Section,
        node: &'n Node,
        path: &str,
    ) -> Option<Self> {
        let mut fields =
            Self { context, section, at: node.at, path: path.to_owned(), values: BTreeMap::new() };
        let mut mistyped = Vec::new();
        match &node.value {
            Value::Map(entries) => {
                for entry in entries {
                    match section.key(&entry.key) {
                        Some(key) => {
                            fields.values.entry(key.name).or_insert(&entry.node);
                        }
                        None => mistyped.extend(fields.unknown(&entry.key, entry.at)),
                    }
                }
            }
            Value::Null => {}
            Value::List(_) | Value::Scalar(_) => {
                let known: Vec<_> = section.keys.iter().take(4).map(|key| key.name).collect();
                let message = format!("a mapping is needed here, and this is {}", node.kind());
                let hint = format!("write keys such as {} on lines of their own", known.join(", "));
                context.problem(Code::WrongKind, node.at, path, &message, &hint);
                return None;
            }
        }
        for key in section.keys.iter().filter(|key| key.need == Need::Required) {
            if fields.given(key.name).is_none() && !mistyped.contains(&key.name) {
                fields.missing(key);
            }
        }
        Some(fields)
    }

    /// Notes a key that does not exist; the key that was probably meant.
    fn unknown(&self, name: &str, at: Place) -> Option<&'static str> {
        let path = self.path_of(name);
        let message = format!("there is no key `{name}` here");
        let here = self.section.keys.iter().map(|key| key.name);
        let meant = value::nearest(name, here.clone());
        let hint = if name == "<<" {
            "merge keys are not understood; repeat the keys, or use an alias for the whole value".to_owned()
        } else if let Some(near) = meant {
            format!("did you mean `{near}`?")
        } else if let Some(owner) = keys::sections().iter().find(|section| section.key(name).is_some()) {
            format!("`{name}` belongs to a {}", owner.name)
        } else {
            format!("keys here: {}", here.collect::<Vec<_>>().join(", "))
        };
        self.context.problem(Code::UnknownKey, at, &path, &message, &hint);
        meant
    }

    fn missing(&self, key: &Key) {
        let at = self.values.get(key.name).map_or(self.at, |node| node.at);
        let message = format!("`{}` is missing", key.name);
        self.context.problem(Code::MissingKey, at, &self.path_of(key.name), &message, key.doc);
    }

    /// The path of a key of this mapping.
    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The value given for a key; none where there is none or it is null.
    pub(super) fn given(&self, name: &str) -> Option<&'n Node> {
        self.values.get(name).copied().filter(|node| !matches!(node.value, Value::Null))
    }

    /// The place of a key's value, or of the mapping where the key is not there.
    pub(super) fn place(&self, name: &str) -> Place {
        self.given(name).map_or(self.at, |node| node.at)
    }

    /// Notes a problem with a key of this mapping.
    pub(super) fn problem(&self, code: Code, name: &str, message: &str, hint: &str) {
        self.context.problem(code, self.place(name), &self.path_of(name), message, hint);
    }

    fn key(&self, name: &str) -> &'static Key {
        let key = self.section.key(name);
        #[cfg(test)]
        super::fields::asked::note(self.section.name, name);
        key.unwrap_or_else(|| panic!("the table of keys has no `{name}` in {}", self.section.name))
    }

    /// The same where a secret stands: nothing of its line is repeated, nor in other problems.
    pub(super) fn unquoted_problem(&self, name: &str, message: &str, hint: &str) {
        self.context.secrets.borrow_mut().insert(self.place(name).line);
        self.problem(Code::BadValue, name, message, hint);
    }

    /// A scalar, read as `kind`: the one given, else the table's default. None where there is
    /// neither or it cannot be read.
    fn scalar<T>(&self, name: &str, kind: &Kind, read: impl Fn(&str) -> Read<T>) -> Option<T> {
        let key = self.key(name);
        debug_assert!(same(&key.kind, kind), "`{name}` of {} is read as another kind", self.section.name);
        match (self.given(name), key.need) {
            (Some(node), _) => self.read_scalar(node, &self.path_of(name), read),
            (None, Need::Default(text)) => Some(read(text).expect("the table's defaults can be read")),
            (None, _) => None,
        }
    }

    fn read_scalar<T>(&self, node: &Node, path: &str, read: impl Fn(&str) -> Read<T>) -> Option<T> {
        let Value::Scalar(text) = &node.value else {
            let message = format!("a single value is needed here, and this is {}", node.kind());
            let hint = "text that begins with `{`, `[`, `*` or `&` needs quotes";
            self.context.problem(Code::WrongKind, node.at, path, &message, hint);
            return None;
        };
        match read(text) {
            Ok(value) => Some(value),
            Err(Fault { code, message, hint }) => {
                self.context.problem(code, node.at, path, &message, &hint);
                None
            }
        }
    }

    /// A span of time in milliseconds.
    pub(super) fn span(&self, name: &str) -> Option<u64> {
        self.scalar(name, &Kind::Span, value::span_ms)
    }

    /// A size in bytes.
    pub(super) fn size(&self, name: &str) -> Option<u64> {
        self.scalar(name, &Kind::Size, value::size)
    }

    /// A share in basis points.
    pub(super) fn share(&self, name: &str) -> Option<u16> {
        self.scalar(name, &Kind::Share, |text| value::share(text, 10_000, false).map(|bp| bp as u16))
    }

    /// A share in parts per million.
    pub(super) fn fine_share(&self, name: &str) -> Option<u32> {
        self.scalar(name, &Kind::FineShare, |text| value::share(text, 1_000_000, false).map(|ppm| ppm as u32))
    }

    /// A share in basis points that may exceed all.
    pub(super) fn percent(&self, name: &str) -> Option<u32> {
        self.scalar(name, &Kind::Percent, |text| match value::share(text, 10_000, true) {
            Ok(bp) if bp <= 1_000_000 => Ok(bp as u32),
            Ok(_) => value::fault(Code::OutOfRange, format!("{text} is more than 10000%"), ""),
            Err(fault) => Err(fault),
        })
    }

    /// A multiple in basis points.
    pub(super) fn multiple(&self, name: &str) -> Option<u32> {
        self.scalar(name, &Kind::Multiple, |text| value::multiple(text).map(|bp| bp as u32))
    }

    /// Thousandths of a core.
    pub(super) fn cores(&self, name: &str) -> Option<u32> {
        self.scalar(name, &Kind::Cores, |text| value::cores(text).map(|milli| milli as u32))
    }

    /// A whole number within the table's bounds.
    pub(super) fn whole(&self, name: &str) -> Option<u64> {
        let Kind::Whole(least, most) = self.key(name).kind else {
            panic!("`{name}` of {} is not a whole number in the table", self.section.name)
        };
        self.scalar(name, &Kind::Whole(least, most), |text| value::whole(text, least, most))
    }

    /// Yes or no.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.scalar(name, &Kind::Flag, value::flag)
    }

    /// Text; empty text is refused.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.scalar(name, &Kind::Text, some_text)
    }

    /// A path, made absolute.
    pub(super) fn path(&self, name: &str) -> Option<String> {
        self.scalar(name, &Kind::Path, some_text).map(|path| self.context.absolute(&path))
    }

    /// A name of the model.
    pub(super) fn name<T>(&self, name: &str, read: impl Fn(String) -> Result<T, InvalidName>) -> Option<T> {
        self.scalar(name, &Kind::Name, |text| as_name(text, &read))
    }

    /// An address to listen on.
    pub(super) fn address(&self, name: &str) -> Option<String> {
        self.scalar(name, &Kind::Address, value::address)
    }

    /// A digest.
    pub(super) fn digest(&self, name: &str) -> Option<crate::ids::Digest> {
        self.scalar(name, &Kind::Digest, |text| as_name(text, crate::ids::Digest::try_from))
    }

    /// An absolute band, its unit read by the caller: `Some(Band::None)` is `none`.
    pub(super) fn band(&self, name: &str, read: impl Fn(&str) -> Read<u64>) -> Option<Band> {
        self.scalar(name, &Kind::Band, |text| match text {
            "none" => Ok(Band::None),
            text => read(text).map(Band::At),
        })
    }

    /// One of the table's words; none where another stands there.
    pub(super) fn word(&self, name: &str) -> Option<&'static str> {
        let words: &'static [(&'static str, &'static str)] = match &self.key(name).kind {
            Kind::Word(words) | Kind::Short(Kind::Word(words), _) => words,
            _ => panic!("`{name}` of {} is not a word in the table", self.section.name),
        };
        self.read_word(name, words)
    }

    fn read_word(&self, name: &str, words: &'static [(&'static str, &'static str)]) -> Option<&'static str> {
        let read = |text: &str| one_of(text, words.iter().map(|(word, _)| *word));
        match (self.given(name), self.key(name).need) {
            (Some(node), _) => self.read_scalar(node, &self.path_of(name), read),
            (None, Need::Default(text)) => Some(read(text).expect("the table's defaults can be read")),
            (None, _) => None,
        }
    }

    /// The name of a preset, in a key of that kind or in the short form of a strategy.
    pub(super) fn preset(&self, name: &str) -> Option<&'static str> {
        let key = self.key(name);
        debug_assert!(matches!(key.kind, Kind::Preset | Kind::Short(Kind::Preset, _)));
        let node = self.given(name)?;
        self.read_scalar(node, &self.path_of(name), |text| one_of(text, keys::preset_names()))
    }

    /// A program with its arguments.
    pub(super) fn command(&self, name: &str) -> Option<Vec<String>> {
        debug_assert!(same(&self.key(name).kind, &Kind::Command));
        let node = self.given(name)?;
        let path = self.path_of(name);
        let mut words = match &node.value {
            Value::List(items) if items.is_empty() => {
                self.problem(Code::BadValue, name, "the command is empty", "name a program");
                return None;
            }
            Value::List(items) => self.texts(items, &path),
            _ => self.read_scalar(node, &path, value::words)?,
        };
        if words.first().is_some_and(|program| program.contains('/') && !program.starts_with(['/', '{'])) {
            words[0] = self.context.absolute(&words[0]);
        }
        Some(words)
    }

    fn texts(&self, items: &[Node], path: &str) -> Vec<String> {
        let texts = items.iter().enumerate();
        texts
            .filter_map(|(i, item)| self.read_scalar(item, &format!("{path}[{i}]"), |t| Ok(t.to_owned())))
            .collect()
    }

    /// A list, or one value that stands for a list of one; empty where there is none.
    pub(super) fn many<T>(&self, name: &str, read: impl Fn(&str) -> Read<T>) -> Vec<T> {
        let one = match self.key(name).kind {
            Kind::OneOrMany(_) | Kind::Short(Kind::OneOrMany(_), _) => true,
            Kind::List(_) => false,
            _ => panic!("`{name}` of {} is not a list in the table", self.section.name),
        };
        let path = self.path_of(name);
        match self.given(name) {
            None => Vec::new(),
            Some(Node { value: Value::List(items), .. }) => items
                .iter()
                .enumerate()
                .filter_map(|(i, item)| self.read_scalar(item, &format!("{path}[{i}]"), &read))
                .collect(),
            Some(node) if one => self.read_scalar(node, &path, read).into_iter().collect(),
            Some(node) => {
                let message = format!("a list is needed here, and this is {}", node.kind());
                self.context.problem(
                    Code::WrongKind,
                    node.at,
                    &path,
                    &message,
                    "write `- ` before each value, or [a, b]",
                );
                Vec::new()
            }
        }
    }

    /// Texts by free names.
    pub(super) fn map(&self, name: &str) -> Vec<(String, String)> {
        debug_assert!(matches!(self.key(name).kind, Kind::Map(_)));
        let path = self.path_of(name);
        match self.given(name).map(|node| (node, &node.value)) {
            None => Vec::new(),
            Some((_, Value::Map(entries))) => entries
                .iter()
                .filter_map(|entry| {
                    let path = format!("{path}.{}", entry.key);
                    let text = match entry.node.value {
                        Value::Null => Some(String::new()),
                        _ => self.read_scalar(&entry.node, &path, |text| Ok(text.to_owned())),
                    };
                    Some((entry.key.clone(), text?))
                })
                .collect(),
            Some((node, _)) => {
                let message = format!("a mapping is needed here, and this is {}", node.kind());
                self.context.problem(
                    Code::WrongKind,
                    node.at,
                    &path,
                    &message,
                    "write NAME: value on lines of their own",
                );
                Vec::new()
            }
        }
    }

    /// A mapping below this one. Where the key is missing it is read as an empty mapping when
    /// `always` is set, so that the defaults of its keys come from the table.
    pub(super) fn section(&self, name: &str) -> Option<Fields<'c, 'n>> {
        let (Kind::Section(section) | Kind::Short(_, section)) = self.key(name).kind else {
            panic!("`{name}` of {} is not a mapping in the table", self.section.name)
        };
        Fields::open(self.context, section, self.given(name)?, &self.path_of(name))
    }

    /// The same, empty where the key is missing: the defaults of its keys come from the table.
    pub(super) fn section_or_empty(&self, name: &str) -> Option<Fields<'c, 'n>> {
        let Kind::Section(section) = self.key(name).kind else {
            panic!("`{name}` of {} is not a mapping in the table", self.section.name)
        };
        match self.given(name) {
            Some(node) => Fields::open(self.context, section, node, &self.path_of(name)),
            None => Some(self.empty(section, name)),
        }
    }

    /// An empty mapping in the place of a short form.
    pub(super) fn empty(&self, section: &'static Section, name: &str) -> Fields<'c, 'n> {
        let (at, path) = (self.place(name), self.path_of(name));
        Fields { context: self.context, section, at, path, values: BTreeMap::new() }
    }

    /// Whether a key is given in its short form.
    pub(super) fn short(&self, name: &str) -> bool {
        self.given(name).is_some_and(|node| matches!(node.value, Value::Scalar(_)))
    }

    /// The short form of a key, as text.
    pub(super) fn short_text(&self, name: &str) -> Option<String> {
        debug_assert!(matches!(self.key(name).kind, Kind::Short(Kind::Text, _)));
        self.read_scalar(self.given(name)?, &self.path_of(name), some_text)
    }

    /// Mappings in a list.
    pub(super) fn sections(&self, name: &str) -> Vec<Fields<'c, 'n>> {
        let Kind::Sections(section) = self.key(name).kind else {
            panic!("`{name}` of {} is not a list of mappings in the table", self.section.name)
        };
        let path = self.path_of(name);
        match self.given(name).map(|node| (node, &node.value)) {
            None => Vec::new(),
            Some((_, Value::List(items))) => items
                .iter()
                .enumerate()
                .filter_map(|(i, item)| Fields::open(self.context, section, item, &format!("{path}[{i}]")))
                .collect(),
            Some((node, _)) => {
                let message = format!("a list is needed here, and this is {}", node.kind());
                self.context.problem(Code::WrongKind, node.at, &path, &message, "begin each entry with `- `");
                Vec::new()
            }
        }
    }

    /// Mappings by free names, in the order of the file.
    pub(super) fn named(&self, name: &str) -> Vec<(String, Fields<'c, 'n>)> {
        let Kind::Named(section) = self.key(name).kind else {
            panic!("`{name}` of {} is not a mapping of mappings in the table", self.section.name)
        };
        let path = self.path_of(name);
        match self.given(name).map(|node| (node, &node.value)) {
            None => Vec::new(),
            Some((_, Value::Map(entries))) => entries
                .iter()
                .filter_map(|entry| {
                    let path = format!("{path}.{}", entry.key);
                    Some((entry.key.clone(), Fields::open(self.context, section, &entry.node, &path)?))
                })
                .collect(),
            Some((node, _)) => {
                let message = format!("a mapping by names is needed here, and this is {}", node.kind());
                self.context.problem(
                    Code::WrongKind,
                    node.at,
                    &path,
                    &message,
                    "write NAME: and its keys below",
                );
                Vec::new()
            }
        }
    }

    /// The one key given of those of which the table wants exactly one. Notes what is wrong otherwise.
    pub(super) fn exactly_one(&self) -> Option<&'static str> {
        let names = self.section.one_of;
        let given: Vec<_> = names.iter().copied().filter(|name| self.given(name).is_some()).collect();
        let all = names.join("`, `");
        match given.as_slice() {
            [one] => Some(one),
            [] => {
                let message = format!("one of `{all}` is needed");
                self.context.problem(Code::MissingKey, self.at, &self.path, &message, "add one of them");
                None
            }
            [_, second, ..] => {
                let message = format!("only one of `{all}` may be given");
                self.problem(Code::Conflict, second, &message, "remove one of them");
                None
            }
        }
    }
}

/// An absolute band as it was given.
#[derive(Debug, Clone, Copy)]
pub(super) enum Band {
    /// There shall be none.
    None,
    /// In the metric's unit.
    At(u64),
}

impl Band {
    pub(super) fn value(self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::At(value) => Some(value),
        }
    }
}

fn some_text(text: &str) -> Read<String> {
    if text.trim().is_empty() {
        return value::fault(Code::BadValue, "this text is empty", "write something, or remove the key");
    }
    Ok(text.to_owned())
}

/// Reads a name by the model's rule.
pub(super) fn as_name<T>(text: &str, read: impl Fn(String) -> Result<T, InvalidName>) -> Read<T> {
    read(text.to_owned()).or_else(|error| {
        let fit = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
        let mended: String = text.chars().map(fit).collect();
        let mended = mended.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let hint = match read(mended.to_owned()) {
            Ok(_) => format!("write {mended}"),
            Err(_) => String::new(),
        };
        value::fault(Code::BadValue, error.to_string(), hint)
    })
}

/// One of some words.
pub(super) fn one_of(text: &str, words: impl Iterator<Item = &'static str> + Clone) -> Read<&'static str> {
    if let Some(word) = words.clone().find(|word| *word == text) {
        return Ok(word);
    }
    let hint = match value::nearest(text, words.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("one of: {}", words.collect::<Vec<_>>().join(", ")),
    };
    value::fault(Code::UnknownWord, format!("`{text}` is not known here"), hint)
}

fn same(one: &Kind, other: &Kind) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

/// Which keys the reader has asked for, so that a test can compare them with the table.
#[cfg(test)]
pub(super) mod asked {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    thread_local! {
        static ASKED: RefCell<BTreeSet<(&'static str, String)>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(in crate::document) fn note(section: &'static str, key: &str) {
        ASKED.with_borrow_mut(|asked| asked.insert((section, key.to_owned())));
    }

    pub(in crate::document) fn all() -> BTreeSet<(&'static str, String)> {
        ASKED.with_borrow(Clone::clone)
    }
}
