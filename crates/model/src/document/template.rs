//! Analysis templates: a `CanaryConfig` with parameters that services share, pinned by the digest of its file.

use super::canary_config::{self, CanaryConfig};
use super::fields::{Context, Fields};
use super::keys;
use super::node::{Entry, Node, Place, Value};
use super::parse;
use super::problem::{Code, Problem};
use crate::ids::{Digest, StepName};
use std::collections::{BTreeMap, BTreeSet};

/// A template, read and looked over, its gaps still open.
#[derive(Debug, Clone)]
pub struct Template {
    text: String,
    root: Node,
    parameters: Vec<Parameter>,
    digest: Digest,
}

/// A gap in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// What it is called.
    pub name: String,
    /// Its value where none is given; none: one must be.
    pub default: Option<String>,
}

/// How a description uses a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The digest that is meant; none where it is not pinned.
    pub digest: Option<Digest>,
    /// Values by parameter.
    pub with: BTreeMap<String, String>,
}

/// What the analysis uses, with the template's absolute path; none where it uses none.
pub(super) fn used(analysis: &Fields<'_, '_>) -> Option<(String, Use)> {
    let fields = analysis.section("template")?;
    let (path, digest) = (fields.path("file"), fields.digest("digest"));
    Some((path?, Use { digest, with: fields.map("with").into_iter().collect() }))
}

/// Reads a template. Fails with every problem of its parameters and of where they are used.
pub fn read(bytes: &[u8]) -> Result<Template, Vec<Problem>> {
    let text = parse::text(bytes).map_err(|problem| vec![*problem])?;
    let context = Context::new(text, "/");
    let found = parse::tree(text, &context).map(|mut root| {
        let parameters = parameters(&mut root, &context);
        let known: BTreeSet<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        each_gap(&root, &mut |at, name| {
            if !known.contains(name) {
                let hint = format!("add it to `spec.parameters`: {{name: {name}}}");
                context.problem(Code::BadValue, at, "", &format!("there is no parameter `{name}`"), &hint);
            }
        });
        (root, parameters)
    });
    let problems = context.into_problems();
    match found {
        Some((root, parameters)) if problems.is_empty() => {
            Ok(Template { text: text.to_owned(), root, parameters, digest: Digest::of(bytes) })
        }
        _ => Err(problems),
    }
}

/// Takes the parameters out of the document, and leaves a `CanaryConfig`.
fn parameters(root: &mut Node, context: &Context<'_>) -> Vec<Parameter> {
    let Value::Map(entries) = &mut root.value else {
        context.problem(
            Code::WrongKind,
            root.at,
            "",
            "this is not a mapping",
            "a template has apiVersion, kind, metadata, spec",
        );
        return Vec::new();
    };
    match entries.iter_mut().find(|entry| entry.key == "kind").map(|entry| &mut entry.node) {
        Some(Node { value: Value::Scalar(kind), .. }) if kind == "AnalysisTemplate" => {
            "CanaryConfig".clone_into(kind);
        }
        Some(node) => {
            let hint = "a CanaryConfig is named by `analysis.file`";
            context.problem(Code::UnknownWord, node.at, "kind", "this is not an `AnalysisTemplate`", hint);
        }
        None => {
            let hint = "write kind: AnalysisTemplate";
            context.problem(Code::MissingKey, root.at, "kind", "`kind` is missing", hint);
        }
    }
    let spec = entries.iter_mut().find(|entry| entry.key == "spec").map(|entry| &mut entry.node);
    let Some(Node { value: Value::Map(spec), at }) = spec else { return Vec::new() };
    let Some(index) = spec.iter().position(|entry| entry.key == "parameters") else { return Vec::new() };
    let taken = Node { at: *at, value: Value::Map(vec![spec.remove(index)]) };
    let Some(fields) = Fields::open(context, &keys::TEMPLATE, &taken, "spec") else { return Vec::new() };
    let mut found: Vec<Parameter> = Vec::new();
    for inner in fields.sections("parameters") {
        let (name, default) = (inner.name("name", StepName::new), inner.text("default"));
        drop(inner.text("description"));
        let Some(name) = name.map(|name| name.to_string()) else { continue };
        if found.iter().any(|known| known.name == name) {
            let message = format!("another parameter is called `{name}`");
            inner.problem(Code::DuplicateName, "name", &message, "choose another name");
        }
        found.push(Parameter { name, default });
    }
    found
}

/// Calls `gap` with the place and the name of every `{{ name }}`.
fn each_gap(node: &Node, gap: &mut impl FnMut(Place, &str)) {
    match &node.value {
        Value::Null => {}
        Value::Scalar(text) => {
            _ = filled(text, |name| {
                gap(node.at, name);
                None
            });
        }
        Value::List(items) => items.iter().for_each(|item| each_gap(item, gap)),
        Value::Map(entries) => entries.iter().for_each(|entry| each_gap(&entry.node, gap)),
    }
}

/// The text with every `{{ name }}` replaced that has a value.
fn filled(text: &str, mut value: impl FnMut(&str) -> Option<String>) -> String {
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let Some(length) = rest[start..].find("}}") else { break };
        let whole = &rest[start..start + length + 2];
        done.push_str(&rest[..start]);
        match value(whole[2..whole.len() - 2].trim()) {
            Some(value) => done.push_str(&value),
            None => done.push_str(whole),
        }
        rest = &rest[start + whole.len()..];
    }
    done + rest
}

impl Template {
    /// The digest of its file.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Its parameters in the order of the file.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The document with its gaps filled; problems say where in the template they stand. Parameters without a value
    /// are [`misuse`]'s to find, and stay open here.
    pub fn fill(&self, with: &BTreeMap<String, String>) -> Result<CanaryConfig, Vec<Problem>> {
        let value = |name: &str| {
            let parameter = self.parameters.iter().find(|parameter| parameter.name == name)?;
            with.get(name).cloned().or_else(|| parameter.default.clone())
        };
        let context = Context::new(&self.text, "/");
        let config = canary_config::whole(&fill(&self.root, &value), &context);
        let problems = context.into_problems();
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(problems),
        }
    }

    /// Its text, for quoting.
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn fill(node: &Node, value: &impl Fn(&str) -> Option<String>) -> Node {
    let inner = match &node.value {
        Value::Null => Value::Null,
        Value::Scalar(text) => Value::Scalar(filled(text, value)),
        Value::List(items) => Value::List(items.iter().map(|item| fill(item, value)).collect()),
        Value::Map(entries) => Value::Map(
            entries
                .iter()
                .map(|entry| Entry { key: entry.key.clone(), at: entry.at, node: fill(&entry.node, value) })
                .collect(),
        ),
    };
    Node { at: node.at, value: inner }
}

/// What is wrong with how a description uses a template: another digest, parameters that it has not or that have no
/// value. Problems stand in the description.
pub fn misuse(description: &[u8], directory: &str, template: &Template) -> Vec<Problem> {
    let Ok(text) = parse::text(description) else { return Vec::new() };
    let context = Context::new(text, directory);
    let root = parse::tree(text, &context);
    // Whatever else is wrong with the description is told when it is read as a whole.
    let own = Context::new(text, directory);
    let file = root.as_ref().and_then(|root| Fields::open(&context, &keys::SERVICE, root, ""));
    let fields = file.and_then(|file| file.section("analysis")).and_then(|it| it.section("template"));
    let Some(fields) = fields else { return Vec::new() };
    if let Some(pinned) = fields.digest("digest").filter(|pinned| *pinned != template.digest) {
        let message = format!("the template is {}, and {pinned} is pinned", template.digest);
        let hint = "look at what changed in it, then pin it anew with `taxiway check --pin`";
        own.problem(Code::Conflict, fields.place("digest"), &fields.path_of("digest"), &message, hint);
    }
    let with: BTreeMap<String, String> = fields.map("with").into_iter().collect();
    let names: Vec<&str> = template.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    let place = |name: &str| match fields.given("with").map(|node| &node.value) {
        Some(Value::Map(entries)) => {
            entries.iter().find(|entry| entry.key == name).map_or(fields.place("with"), |entry| entry.at)
        }
        _ => fields.place("with"),
    };
    for name in with.keys().filter(|name| !names.contains(&name.as_str())) {
        let hint = match super::value::nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("its parameters: {}", names.join(", ")),
        };
        let message = format!("the template has no parameter `{name}`");
        own.problem(Code::UnknownKey, place(name), &fields.path_of(&format!("with.{name}")), &message, &hint);
    }
    for parameter in &template.parameters {
        if parameter.default.is_none() && !with.contains_key(&parameter.name) {
            let message = format!("the template's parameter `{}` has no value", parameter.name);
            let hint = format!("add with: {{{}: …}}", parameter.name);
            own.problem(Code::MissingKey, fields.place("with"), &fields.path_of("with"), &message, &hint);
        }
    }
    own.into_problems()
}

/// The description with the template's digest in it, in place of the one it has or after `file`; none where it uses no
/// template, or has that digest.
pub fn pin(description: &str, directory: &str, digest: &Digest) -> Option<String> {
    let skipped = description.len() - description.trim_start_matches('\u{feff}').len();
    let context = Context::new(&description[skipped..], directory);
    let root = parse::tree(&description[skipped..], &context)?;
    let file = Fields::open(&context, &keys::SERVICE, &root, "")?;
    let fields = file.section("analysis")?.section("template")?;
    let lines: Vec<&str> = description.split_inclusive('\n').collect();
    let (key, is_new) = if fields.given("digest").is_some() { ("digest", false) } else { ("file", true) };
    let at = fields.place(key);
    let Value::Scalar(value) = &fields.given(key)?.value else { return None };
    if !is_new && fields.digest("digest").as_ref() == Some(digest) {
        return None;
    }
    let index = at.line as usize - 1;
    let line = lines.get(index)?;
    let start = line.char_indices().nth(at.column as usize - 1)?.0;
    // A quoted value is followed by its quote.
    let quotes = usize::from(line[start..].starts_with(['"', '\'']));
    let end = start + quotes + value.len() + quotes;
    let is_block = line.trim_start().starts_with("file:");
    let indent = &line[..line.len() - line.trim_start().len()];
    let changed = match (is_new, is_block) {
        (false, _) => format!("{}{digest}{}", &line[..start], line.get(end..)?),
        (true, true) => format!("{}\n{indent}digest: {digest}\n", line.trim_end()),
        (true, false) => format!("{}, digest: '{digest}'{}", line.get(..end)?, line.get(end..)?),
    };
    Some(
        lines
            .iter()
            .enumerate()
            .map(|(at, line)| if at == index { changed.as_str() } else { *line })
            .collect(),
    )
}
