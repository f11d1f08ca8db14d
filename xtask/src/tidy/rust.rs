//! Just enough of Rust's grammar to look at code without being fooled by comments and strings.
//!
//! A parser would be a dependency of a minute's build; the checks only need to know which bytes are code, where
//! functions begin and end, and what is compiled for tests only.

use std::ops::Range;

/// A source text with everything that is not code blanked out.
pub(crate) struct Source {
    /// Same length and lines as the text; the inside of strings, characters and comments is spaces.
    code: String,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    /// Line of its `fn`, from 1.
    pub(crate) line: usize,
    /// Lines between its braces.
    pub(crate) lines: usize,
}

impl Source {
    pub(crate) fn parse(text: &str) -> Self {
        Self { code: blank(text) }
    }

    /// The same without what stands under `#[cfg(test)]`.
    pub(crate) fn parse_product(text: &str) -> Self {
        let mut code = blank(text).into_bytes();
        let whole = String::from_utf8_lossy(&code).into_owned();
        for range in test_items(&whole) {
            blank_range(&mut code, range);
        }
        Self { code: String::from_utf8(code).expect("blanking writes ASCII over whole characters") }
    }

    /// Identifiers with the line each stands on, and the code that follows it.
    pub(crate) fn words(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        let (mut line, mut counted) = (1, 0);
        words(&self.code).map(move |range| {
            line += line_breaks(&self.code[counted..range.start]);
            counted = range.start;
            (line, &self.code[range.clone()], &self.code[range.end..])
        })
    }

    pub(crate) fn functions(&self) -> Vec<Function<'_>> {
        let code = &self.code;
        let mut functions = Vec::new();
        for keyword in words(code).filter(|range| &code[range.clone()] == "fn") {
            let Some(name) = words(&code[keyword.end..]).next() else { continue };
            let name = keyword.end + name.start..keyword.end + name.end;
            // `fn(u8) -> u8` is a type: something other than space stands before the next word.
            if !code[keyword.end..name.start].trim().is_empty() {
                continue;
            }
            let Some(body) = body_after(code, name.end) else { continue };
            let lines = line_of(code, body.end).saturating_sub(line_of(code, body.start) + 1);
            functions.push(Function { name: &code[name], line: line_of(code, keyword.start), lines });
        }
        functions
    }

    /// Names of the modules declared as `mod name;`.
    pub(crate) fn declared_modules(&self) -> Vec<&str> {
        let mut after_mod = false;
        let mut names = Vec::new();
        for (_, word, rest) in self.words() {
            if after_mod && rest.trim_start().starts_with(';') {
                names.push(word);
            }
            after_mod = word == "mod";
        }
        names
    }
}

/// The braces after `from`, as the range from `{` to `}`; none where a `;` ends the item first.
fn body_after(code: &str, from: usize) -> Option<Range<usize>> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => return None,
            b'{' if depth == 0 => return Some(at..closing_brace(code, at)?),
            _ => {}
        }
    }
    None
}

fn closing_brace(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Items under an attribute `#[cfg(test)]`, from the attribute to the end of their braces or their `;`.
fn test_items(code: &str) -> Vec<Range<usize>> {
    const ATTRIBUTE: &str = "#[cfg(test)]";
    let mut found = Vec::new();
    for (at, _) in code.match_indices(ATTRIBUTE) {
        let from = at + ATTRIBUTE.len();
        let end = match body_after(code, from) {
            Some(body) => body.end + 1,
            None => code[from..].find(';').map_or(code.len(), |semicolon| from + semicolon + 1),
        };
        found.push(at..end);
    }
    found
}

fn words(code: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = code.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() && !is_word(bytes[at]) {
            at += 1;
        }
        let start = at;
        while at < bytes.len() && is_word(bytes[at]) {
            at += 1;
        }
        (start < at).then_some(start..at)
    })
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn line_of(code: &str, at: usize) -> usize {
    1 + line_breaks(&code[..at])
}

fn line_breaks(code: &str) -> usize {
    code.bytes().filter(|byte| *byte == b'\n').count()
}

/// Replaces the inside of strings, characters and comments by spaces; line breaks stay.
fn blank(text: &str) -> String {
    let mut code = text.as_bytes().to_vec();
    let mut at = 0;
    while at < text.len() {
        let end = match literal_at(text, at) {
            Some(end) => {
                blank_range(&mut code, at..end);
                end
            }
            None => at + 1,
        };
        at = end;
    }
    String::from_utf8(code).expect("blanking writes ASCII over whole characters")
}

fn blank_range(code: &mut [u8], range: Range<usize>) {
    for byte in &mut code[range] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// Where the comment, string or character that begins at `at` ends; none if something else begins there.
fn literal_at(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let rest = &bytes[at..];
    match rest {
        [b'/', b'/', ..] => {
            Some(rest.iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| at + end))
        }
        [b'/', b'*', ..] => Some(block_comment_end(bytes, at)),
        [b'"', ..] => Some(string_end(bytes, at + 1)),
        [b'r', b'"' | b'#', ..] if starts_word(bytes, at) => raw_string_end(text, at + 1),
        [b'b' | b'c', b'r', b'"' | b'#', ..] if starts_word(bytes, at) => raw_string_end(text, at + 2),
        [b'\'', ..] => character_end(text, at),
        _ => None,
    }
}

/// Whether no identifier runs into `at`; also not the one of a string with a prefix, such as `br"`.
fn starts_word(bytes: &[u8], at: usize) -> bool {
    at == 0 || !is_word(bytes[at - 1])
}

fn block_comment_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                at += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// `hashes` is where the `#` or the quote begins; a raw identifier such as `r#fn` is no string.
fn raw_string_end(text: &str, hashes: usize) -> Option<usize> {
    let count = text[hashes..].bytes().take_while(|byte| *byte == b'#').count();
    let inside = hashes + count + 1;
    if text.as_bytes().get(inside - 1) != Some(&b'"') {
        return None;
    }
    let close = format!("\"{}", "#".repeat(count));
    Some(text[inside..].find(&close).map_or(text.len(), |end| inside + end + close.len()))
}

/// A character literal; none for a lifetime or a loop label.
fn character_end(text: &str, at: usize) -> Option<usize> {
    let inside = &text[at + 1..];
    let first = inside.chars().next()?;
    if first == '\\' {
        let escaped = inside[1..].chars().next()?;
        let from = at + 2 + escaped.len_utf8();
        return text[from..].find('\'').map(|end| from + end + 1);
    }
    inside[first.len_utf8()..].starts_with('\'').then(|| at + 1 + first.len_utf8() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        let blanked = Source::parse(text).code;
        assert_eq!(blanked.len(), text.len());
        blanked.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_strings_are_not_code() {
        assert_eq!(code("a // unsafe\nb"), "a b");
        assert_eq!(code("a /* x /* y */ unsafe */ b"), "a b");
        assert_eq!(code(r#"a("un\"safe", b"x", 'u', '\'', '\u{1f}')"#), "a( , b , , , )");
        assert_eq!(code("r#\"un \" safe\"# + br\"x\\\" + r#fn"), "+ + r#fn");
        assert_eq!(
            code("fn f<'a>(x: &'a str) { 'outer: loop {} }"),
            "fn f<'a>(x: &'a str) { 'outer: loop {} }"
        );
        assert_eq!(code("'ä' x \"ö\" y"), "x y");
    }

    #[test]
    fn functions_are_measured_between_their_braces() {
        let text = "fn a() {}\nfn b(x: [u8; 3]) -> u8\n{\n  // one\n  if x { \"}\" }\n}\ntrait T { fn c(); }\ntype F = fn(u8) -> u8;";
        let found: Vec<_> =
            Source::parse(text).functions().iter().map(|f| (f.name.to_owned(), f.line, f.lines)).collect();
        assert_eq!(found, [("a".to_owned(), 1, 0), ("b".to_owned(), 2, 2)]);
    }

    #[test]
    fn what_is_for_tests_only_is_set_apart() {
        let text =
            "fn a() {}\n#[cfg(test)]\nmod tests {\n use std::time;\n}\n#[cfg(test)]\nmod more;\nfn b() {}";
        let source = Source::parse_product(text);
        let words: Vec<_> = source.words().map(|(line, word, _)| (line, word)).collect();
        assert_eq!(words, [(1, "fn"), (1, "a"), (8, "fn"), (8, "b")]);
    }

    #[test]
    fn modules_with_a_file_are_listed() {
        let source = Source::parse("mod a;\npub(crate) mod b;\nmod c { mod d; }\n// mod e;\n");
        assert_eq!(source.declared_modules(), ["a", "b", "d"]);
    }
}
