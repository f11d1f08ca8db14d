//! The ground crates compute values from values: no clock, no environment, no task, nothing whose order is random.

use super::rust::Source;
use super::{Finding, Tree};

const PURE: &[&str] = &["model", "stats", "flags", "gates", "decide", "peers", "report"];

/// A word that may not stand in a pure crate, with the code that has to follow it (empty: anything), and the reason.
const BANNED: &[(&str, &str, &str)] = &[
    ("async", "", "the ground is synchronous; waiting belongs to the engine"),
    ("tokio", "", "the ground is synchronous; waiting belongs to the engine"),
    ("SystemTime", "", "`now` is an argument"),
    ("Instant", "::now", "`now` is an argument"),
    ("Timestamp", "::now", "`now` is an argument"),
    ("std", "::env", "configuration is an argument"),
    ("std", "::fs", "the ground reads no files"),
    ("TcpStream", "", "the ground opens no sockets"),
    ("TcpListener", "", "the ground opens no sockets"),
    ("UdpSocket", "", "the ground opens no sockets"),
    ("ToSocketAddrs", "", "the ground asks no name server"),
    ("std", "::process", "the ground starts no programs"),
    ("std", "::thread", "the ground is synchronous"),
    ("HashMap", "", "its order is random; use BTreeMap"),
    ("HashSet", "", "its order is random; use BTreeSet"),
    ("println", "!", "what is to be seen is returned"),
    ("eprintln", "!", "what is to be seen is returned"),
    ("print", "!", "what is to be seen is returned"),
    ("eprint", "!", "what is to be seen is returned"),
];

/// What of a pure crate is compiled into the product; its tests and benches may use clocks and files.
fn is_pure(path: &str) -> bool {
    PURE.iter().any(|name| path.starts_with(&format!("crates/{name}/src/")))
}

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let pure = tree.rust_files().filter(|file| is_pure(&file.path));
    let own_file_for_tests = |path: &str| path.ends_with("/tests.rs") || path.contains("/tests/");
    let product = pure.filter(|file| !own_file_for_tests(&file.path));
    product.flat_map(|file| check_text(&file.path, &file.text)).collect()
}

fn check_text(path: &str, text: &str) -> Vec<Finding> {
    let source = Source::parse_product(text);
    let mut findings = Vec::new();
    for (line, word, rest) in source.words() {
        let banned =
            BANNED.iter().find(|(banned, follows, _)| *banned == word && follows_directly(rest, follows));
        if let Some((_, follows, why)) = banned {
            findings.push(Finding::failure(path, line, format!("`{word}{follows}` in a pure crate: {why}")));
        }
    }
    findings
}

/// `std::env` and `println!`, but neither `std::envelope` nor `print` as a name.
fn follows_directly(rest: &str, wanted: &str) -> bool {
    let Some(after) = rest.strip_prefix(wanted) else { return false };
    wanted.is_empty()
        || wanted == "!"
        || !after.starts_with(|next: char| next.is_alphanumeric() || next == '_')
}

pub(super) fn check_unsafe(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust_files() {
        let source = Source::parse(&file.text);
        let found = source.words().filter(|(_, word, _)| *word == "unsafe");
        findings.extend(found.map(|(line, ..)| {
            Finding::failure(
                &file.path,
                line,
                "`unsafe` is forbidden; find a crate that owns the argument for it",
            )
        }));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::samples::{failing_lines, files};
    use super::*;

    #[test]
    fn a_pure_crate_may_name_no_clock_and_no_random_order() {
        let text = "use std::collections::HashMap;\nasync fn a() {\n    let now = Instant::now();\n    std::env::var(\"X\");\n    println!(\"x\");\n}\n";
        let tree = files(&[("crates/decide/src/lib.rs", text)]);
        let lines: Vec<_> = failing_lines(&check(&tree)).into_iter().map(|(_, line)| line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn comments_tests_and_other_crates_may() {
        let pure = "/// Not async, no HashMap, and `println!` never.\nfn print(now: Instant) -> &'static str {\n    \"std::env\"\n}\n#[cfg(test)]\nmod tests {\n    fn a() { println!(\"x\"); }\n}\n";
        let tree =
            files(&[("crates/model/src/lib.rs", pure), ("crates/engine/src/lib.rs", "async fn a() {}")]);
        assert_eq!(check(&tree), []);
    }

    #[test]
    fn unsafe_is_found_as_code_only() {
        let bad = files(&[("crates/proxy/src/a.rs", "fn a() {\n    unsafe { b() }\n}")]);
        assert_eq!(failing_lines(&check_unsafe(&bad)), [("crates/proxy/src/a.rs".to_owned(), 2)]);
        let good = files(&[("a.rs", "#![forbid(unsafe_code)] // unsafe\nconst A: &str = \"unsafe\";")]);
        assert_eq!(check_unsafe(&good), []);
    }
}
