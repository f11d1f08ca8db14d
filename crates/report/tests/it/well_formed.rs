//! Whether a page is well-formed: every element closed in order, every attribute quoted, every
//! ampersand a reference.

/// Elements that have no end.
const VOID: [&str; 2] = ["meta", "br"];

/// Fails with the place of the first fault.
pub(crate) fn check(page: &str) {
    let body = page.strip_prefix("<!DOCTYPE html>\n").expect("the page begins with its type");
    let mut open: Vec<&str> = Vec::new();
    let mut rest = body;
    while let Some(at) = rest.find('<') {
        text(&rest[..at]);
        let end = rest[at..].find('>').map(|end| at + end).expect("a tag ends");
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "</{name}> closes what is open");
            continue;
        }
        let inner = tag.trim_end_matches('/');
        let name = inner.split_whitespace().next().expect("a tag has a name");
        attributes(&inner[name.len()..]);
        if tag.ends_with('/') || VOID.contains(&name) {
            continue;
        }
        open.push(name);
        if name == "style" {
            let end = rest.find("</style>").expect("the style ends");
            assert!(!rest[..end].contains('<'), "no markup in the style");
            rest = &rest[end..];
        }
    }
    text(rest);
    assert!(open.is_empty(), "left open: {open:?}");
}

fn text(text: &str) {
    assert!(!text.contains('>'), "a stray > in {text:?}");
    for (at, _) in text.match_indices('&') {
        let end = text[at..].find(';').map(|end| &text[at + 1..at + end]);
        assert!(matches!(end, Some("amp" | "lt" | "gt" | "quot" | "#39")), "a stray & in {text:?}");
    }
}

fn attributes(tag: &str) {
    let mut rest = tag.trim();
    while !rest.is_empty() {
        let (name, value) =
            rest.split_once("=\"").unwrap_or_else(|| panic!("an attribute without a value: {rest:?}"));
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "a bad name: {name:?}");
        let (value, more) = value.split_once('"').expect("a value ends");
        text(value);
        rest = more.trim_start();
    }
}

#[test]
fn the_checker_finds_faults() {
    for fault in ["<p>", "<p></b>", "<p a=b></p>", "a & b", "<p a=\"x></p>"] {
        let page = format!("<!DOCTYPE html>\n{fault}");
        assert!(std::panic::catch_unwind(|| check(&page)).is_err(), "{fault}");
    }
}
