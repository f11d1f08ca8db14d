//! Paths to numbers in JSON: RFC 6901 pointers, and the part of JSONPath (RFC 9535) that names,
//! counts and filters by equality: `$.a.b[0]`, `$['a.b'][*].c`, `$.pods[?@.zone=='x'].errors`.

use serde_json::Value;

/// The longest path; the reader is not recursive, and a path is a line.
const STEPS_MAX: usize = 64;

/// A path that has been understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// A member, or an element where a pointer gives a number.
    Name(String),
    /// An element; negative ones from the end.
    At(i64),
    /// All members or elements.
    All,
    /// The elements whose member at this place is this text or number.
    Where(Vec<String>, String),
}

impl Path {
    /// Understands a path.
    ///
    /// # Errors
    /// What is wrong with it, one clause.
    pub fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let steps = match text.strip_prefix('$') {
            Some(rest) => json_path(rest)?,
            None if text.is_empty() || text.starts_with('/') => pointer(text)?,
            None => return Err(format!("`{text}` begins with neither `$` nor `/`")),
        };
        if steps.len() > STEPS_MAX {
            return Err(format!("it has more than {STEPS_MAX} steps"));
        }
        Ok(Self(steps))
    }

    /// Everything it leads to, in the order of the document.
    pub fn find<'v>(&self, root: &'v Value) -> Vec<&'v Value> {
        self.0
            .iter()
            .fold(vec![root], |found, step| found.into_iter().flat_map(|value| step.of(value)).collect())
    }
}

impl Step {
    fn of<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let element = |list: &'v Vec<Value>, at: i64| {
            let at = if at < 0 { at + list.len() as i64 } else { at };
            usize::try_from(at).ok().and_then(|at| list.get(at))
        };
        match (self, value) {
            (Self::Name(name), Value::Object(members)) => members.get(name).into_iter().collect(),
            (Self::Name(name), Value::Array(list)) => {
                name.parse().ok().and_then(|at| element(list, at)).into_iter().collect()
            }
            (Self::At(at), Value::Array(list)) => element(list, *at).into_iter().collect(),
            (Self::All, Value::Object(members)) => members.values().collect(),
            (Self::All, Value::Array(list)) => list.iter().collect(),
            (Self::Where(names, wanted), Value::Array(list)) => {
                let fits = |one: &&Value| {
                    let found = names.iter().try_fold(*one, |value, name| value.get(name));
                    found.is_some_and(|found| match found {
                        Value::String(text) => text == wanted,
                        other => wanted == &other.to_string(),
                    })
                };
                list.iter().filter(fits).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn pointer(text: &str) -> Result<Vec<Step>, String> {
    let unescaped = |name: &str| {
        let odd = name.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1']));
        if odd {
            return Err(format!("`{name}` has a `~` that is neither `~0` nor `~1`"));
        }
        Ok(Step::Name(name.replace("~1", "/").replace("~0", "~")))
    };
    text.split('/').skip(1).map(unescaped).collect()
}

fn json_path(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, more) = after.split_at(end);
            match name {
                "" => return Err("a name is missing after `.`".to_owned()),
                "*" => steps.push(Step::All),
                name => steps.push(Step::Name(name.to_owned())),
            }
            rest = more;
        } else if let Some(after) = rest.strip_prefix('[') {
            let end = closing(after).ok_or("a `]` is missing")?;
            steps.push(bracket(after[..end].trim())?);
            rest = &after[end + 1..];
        } else {
            return Err(format!("`{rest}` begins with neither `.` nor `[`"));
        }
    }
    Ok(steps)
}

/// Where the bracket ends; one within quotes does not end it.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    text.char_indices().find_map(|(at, c)| match (quote, c) {
        (None, ']') => Some(at),
        (None, '\'' | '"') => {
            quote = Some(c);
            None
        }
        (Some(open), c) if open == c => {
            quote = None;
            None
        }
        _ => None,
    })
}

fn bracket(text: &str) -> Result<Step, String> {
    if text == "*" {
        return Ok(Step::All);
    }
    if let Some(name) = quoted(text) {
        return Ok(Step::Name(name.to_owned()));
    }
    if let Some(filter) = text.strip_prefix('?') {
        let filter = filter.trim().trim_start_matches('(').trim_end_matches(')');
        let (place, wanted) = filter.split_once("==").ok_or("a filter compares with `==`")?;
        let place = place.trim().strip_prefix("@.").ok_or("a filter begins with `@.`")?;
        let wanted = wanted.trim();
        let names = place.split('.').map(str::to_owned).collect();
        return Ok(Step::Where(names, quoted(wanted).unwrap_or(wanted).to_owned()));
    }
    text.parse()
        .map(Step::At)
        .map_err(|_| format!("`[{text}]` is no index, no quoted name, no `*` and no filter"))
}

fn quoted(text: &str) -> Option<&str> {
    let inside = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    inside('\'').or_else(|| inside('"'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(path: &str, root: &Value) -> Vec<String> {
        Path::read(path).expect("a path").find(root).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn paths_lead_where_they_say() {
        let root = json!({"a": {"b": [1, 2, {"c.d": 3}]}, "/": 4,
            "pods": [{"zone": "x", "n": 5}, {"zone": "y", "n": 6}, {"zone": "x", "n": 7}]});
        for (path, wanted) in [
            ("$.a.b[0]", vec!["1"]),
            ("$.a.b[-1]['c.d']", vec!["3"]),
            ("/a/b/1", vec!["2"]),
            ("/~1", vec!["4"]),
            ("$.pods[*].n", vec!["5", "6", "7"]),
            ("$.pods[?@.zone=='x'].n", vec!["5", "7"]),
            ("$.pods[?(@.n == 6)].zone", vec!["\"y\""]),
            ("$.nothing.here", vec![]),
            ("$.a.b[9]", vec![]),
        ] {
            assert_eq!(found(path, &root), wanted, "{path}");
        }
        assert_eq!(found("$", &json!(8)), ["8"]);
    }

    #[test]
    fn what_is_no_path_says_why() {
        for (path, why) in [
            ("errors", "neither `$` nor `/`"),
            ("$.a..b", "name is missing"),
            ("$.a[b]", "no index"),
            ("$.a[0", "`]` is missing"),
            ("$.a[?@.b>1]", "`==`"),
            ("/a~2", "neither `~0`"),
        ] {
            let said = Path::read(path).expect_err(path);
            assert!(said.contains(why), "{path}: {said}");
        }
        assert!(Path::read(&format!("${}", ".a".repeat(100))).is_err());
    }
}
