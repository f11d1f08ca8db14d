//! What is wrong with a description is said with its place and how to mend it.

use std::fmt::Write as _;
use taxiway_model::document::{Code, PROBLEMS_MAX, Problem, read};

fn problems(bytes: &[u8]) -> Vec<Problem> {
    read(bytes, "/srv").expect_err("this description is wrong")
}

/// A good description of seven lines, and more.
fn with(more: &str) -> String {
    format!(
        "name: shop\nowner: me\ntarget:\n  command: ./run {{port}}\ntraffic:\n  listen: 127.0.0.1:8080\n{more}\n"
    )
}

/// The only problem of a description: code, line, column, path, message with hint.
fn only(text: &str) -> (Code, u32, u32, String, String) {
    let found = problems(text.as_bytes());
    let [problem] = found.as_slice() else { panic!("one problem, not {found:#?}") };
    let said = format!("{} / {}", problem.message, problem.hint);
    (problem.code, problem.line, problem.column, problem.path.clone(), said)
}

/// What is added to a good description; then code, line, column and path of the problem, and a part
/// of what is said.
type Mistake = (&'static str, Code, u32, u32, &'static str, &'static str);

const MISTAKES: &[Mistake] = &[
    ("ownr: x", Code::UnknownKey, 7, 1, "ownr", "did you mean `owner`?"),
    ("replicas: 2", Code::UnknownKey, 7, 1, "replicas", "belongs to a target"),
    ("teir: low", Code::UnknownKey, 7, 1, "teir", "did you mean `tier`?"),
    ("tier: hihg", Code::UnknownWord, 7, 7, "tier", "did you mean `high`?"),
    ("name: again", Code::DuplicateKey, 7, 1, "name", "the other one is on line 1"),
    ("deadlines: {ready: 10 minuts}", Code::WrongUnit, 7, 20, "deadlines.ready", "write 10m"),
    ("deadlines: {ready: 5x}", Code::WrongUnit, 7, 20, "deadlines.ready", "units of time are"),
    ("deadlines: {ready: 5}", Code::WrongUnit, 7, 20, "deadlines.ready", "write 5s, 5m or 5h"),
    ("strategy: cannary", Code::UnknownWord, 7, 11, "strategy", "did you mean `canary`?"),
    ("strategy: serverless", Code::Preset, 7, 11, "strategy", "functions with weighted aliases"),
    ("strategy: staged", Code::Preset, 7, 11, "strategy", "add `traffic.internal_users`"),
    ("strategy: {preset: canary, steps: []}", Code::Conflict, 7, 35, "strategy.steps", "remove `preset`"),
    ("strategy: {bake: [1s, 2s]}", Code::Conflict, 7, 18, "strategy.bake", "2 times for 4 steps"),
    ("strategy: {approval: [canary-6]}", Code::BadValue, 7, 22, "strategy.approval", "canary-1, canary-5"),
    ("strategy: {holdback: 11%}", Code::OutOfRange, 7, 22, "strategy.holdback", "1% is usual"),
    (
        "strategy: {preset: rolling, holdback: 1%}",
        Code::Conflict,
        7,
        39,
        "strategy.holdback",
        "use it with a canary",
    ),
    (
        "strategy: blue-green\nanalysis: {baseline: fresh}",
        Code::Conflict,
        8,
        22,
        "analysis.baseline",
        "blue/green gives everything to one side at once",
    ),
    (
        "strategy: {steps: [{weight: 100%}]}\nanalysis: {baseline: fresh}",
        Code::Conflict,
        8,
        22,
        "analysis.baseline",
        "no step splits the traffic",
    ),
    ("strategy: {steps: []}", Code::BadValue, 7, 19, "strategy.steps", "no steps"),
    (
        "strategy:\n  steps:\n    - weight: 50%\n    - weight: 20%\n    - weight: 100%",
        Code::NotRising,
        10,
        15,
        "strategy.steps[1].weight",
        "write more than 50%",
    ),
    (
        "strategy: {steps: [{weight: 50%}]}",
        Code::NotRising,
        7,
        29,
        "strategy.steps[0].weight",
        "weight: 100%",
    ),
    (
        "strategy: {steps: [{weight: 101%}, {weight: 100%}]}",
        Code::OutOfRange,
        7,
        29,
        "strategy.steps[0].weight",
        "at most 100%",
    ),
    (
        "strategy: {steps: [{weight: 5}, {weight: 100%}]}",
        Code::WrongUnit,
        7,
        29,
        "strategy.steps[0].weight",
        "write 5%",
    ),
    (
        "strategy: {steps: [{name: a, weight: 5%}, {name: a, weight: 100%}]}",
        Code::DuplicateName,
        7,
        50,
        "strategy.steps[1].name",
        "choose another name",
    ),
    (
        "strategy: {steps: [{weight: 0%, bake: 1m}, {weight: 100%}]}",
        Code::Conflict,
        7,
        39,
        "strategy.steps[0].bake",
        "no request reaches",
    ),
    (
        "strategy: {steps: [{weight: 0%, only: internal_users}, {weight: 100%}]}",
        Code::Conflict,
        7,
        39,
        "strategy.steps[0].only",
        "add `traffic.internal_users`",
    ),
    ("checks: [{name: a}]", Code::MissingKey, 7, 10, "checks[0]", "one of `http`, `command` is needed"),
    ("checks: [{name: a, http: /up}]", Code::BadValue, 7, 26, "checks[0].http", "write http://{canary}/up"),
    ("checks: [{name: a, command: x | y}]", Code::BadValue, 7, 29, "checks[0].command", "[sh, -c"),
    (
        "checks: [{name: a, command: x}, {name: a, command: y}]",
        Code::DuplicateName,
        7,
        40,
        "checks[1].name",
        "choose another",
    ),
    (
        "analysis: {metrics: {eror_rate: {}}}",
        Code::MissingKey,
        7,
        33,
        "analysis.metrics.eror_rate",
        "did you mean `error_rate`?",
    ),
    (
        "analysis: {metrics: {error_rate: {rollback_above: 500ms}}}",
        Code::WrongUnit,
        7,
        51,
        "analysis.metrics.error_rate.rollback_above",
        "write one like 1%",
    ),
    (
        "analysis: {metrics: {latency_p95: {tolerance: 60%}}}",
        Code::Conflict,
        7,
        47,
        "analysis.metrics.latency_p95.tolerance",
        "beyond the tolerance",
    ),
    (
        "analysis: {metrics: {error_rate: {endpoint: api}}}",
        Code::BadValue,
        7,
        45,
        "analysis.metrics.error_rate.endpoint",
        "traffic.endpoints",
    ),
    ("analysis: []", Code::WrongKind, 7, 11, "analysis", "profile, metrics"),
    ("? [a]\n: b", Code::WrongKind, 7, 3, "", "needs quotes"),
    ("---\nname: two", Code::SeveralDocuments, 7, 1, "", "one service in a file"),
    ("tier:\n\tlow: 1", Code::Syntax, 8, 1, "", "two spaces"),
    ("deadlines: {ready: !secret x}", Code::Syntax, 7, 20, "", "remove the word with `!`"),
    ("deadlines: &d\n  ready: *d", Code::Syntax, 8, 10, "", "write the value out"),
    ("concurrency: [queue]", Code::WrongKind, 7, 14, "concurrency", "needs quotes"),
    ("deadlines:\n  <<: {ready: 1s}", Code::UnknownKey, 8, 3, "deadlines.<<", "merge keys"),
];

#[test]
fn each_mistake_has_its_place_and_its_hint() {
    for (more, code, line, column, path, said) in MISTAKES {
        let (found, at, from, place, text) = only(&with(more));
        assert_eq!((found, at, from, place.as_str()), (*code, *line, *column, *path), "{more}: {text}");
        assert!(text.contains(said), "{more}: {text}");
    }
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let text = "name: my shop\ntarget:\n  comand: ./run\n  replicas: 0\n  limits: {memory: 64M}\ntraffic:\n  listen: 8080\n  sticky: {by: coookie}\nstrategy: quik\n";
    let said: String = problems(text.as_bytes()).iter().map(|p| p.render("taxiway.yaml")).collect();
    insta::assert_snapshot!(said, @r#"
    taxiway.yaml:1:1: owner: `owner` is missing [missing_key]
     1 | name: my shop
       | ^
       = Who answers for it: a person or a team.
    taxiway.yaml:1:7: name: service "my shop" is not a valid name: only letters, digits, '-', '_' and '.' are allowed [bad_value]
     1 | name: my shop
       |       ^
       = write my-shop
    taxiway.yaml:3:3: target.comand: there is no key `comand` here [unknown_key]
     3 |   comand: ./run
       |   ^
       = did you mean `command`?
    taxiway.yaml:4:13: target.replicas: 0 is not between 1 and 500 [out_of_range]
     4 |   replicas: 0
       |             ^
    taxiway.yaml:5:20: target.limits.memory: `M` is not a unit of size [wrong_unit]
     5 |   limits: {memory: 64M}
       |                    ^
       = write 64MiB
    taxiway.yaml:7:11: traffic.listen: `8080` is not an address to listen on [bad_value]
     7 |   listen: 8080
       |           ^
       = write 127.0.0.1:8080, or 0.0.0.0:8080 to be reached from elsewhere
    taxiway.yaml:8:16: traffic.sticky.by: `coookie` is not known here [unknown_word]
     8 |   sticky: {by: coookie}
       |                ^
       = did you mean `cookie`?
    taxiway.yaml:9:11: strategy: `quik` is not known here [unknown_word]
     9 | strategy: quik
       |           ^
       = did you mean `quick`?
    "#);
}

#[test]
fn nothing_is_not_a_description() {
    for text in ["", "\n\n", "# only a comment\n", "---\n", "~"] {
        let (code, line, _, _, said) = only(text);
        assert_eq!((code, line), (Code::Empty, 1), "{text:?}");
        assert!(said.contains("taxiway init"));
    }
    assert_eq!(only("just words").0, Code::WrongKind);
    assert_eq!(only("[a, list]").0, Code::WrongKind);
}

#[test]
fn bytes_that_are_no_text_are_placed() {
    let mut bytes = with("tier: ").into_bytes();
    bytes.extend_from_slice(b"h\xffgh\n");
    let found = problems(&bytes);
    assert_eq!((found[0].code, found[0].line, found[0].column), (Code::NotUtf8, 8, 2));
    assert!(found[0].message.contains("0xff"));
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(b"name: shop".iter().flat_map(|b| [*b, 0])).collect();
    assert!(problems(&utf16)[0].hint.contains("UTF-16"));
    assert_eq!(problems(b"\0\0\0").len(), 1);
}

#[test]
fn a_megabyte_of_nesting_ends_at_its_sixteenth_level() {
    let depth = 1_000_000;
    let deep: [String; 5] = [
        "[".repeat(depth),
        "{a: ".repeat(depth / 4),
        "- ".repeat(depth / 2),
        format!("a:{}", " [".repeat(depth / 2)),
        (0..1_000).map(|n| " ".repeat(n) + "a:\n").collect(),
    ];
    for text in deep {
        let (code, _, column, _, said) = only(&text);
        assert_eq!(code, Code::TooDeep, "{said}");
        assert!(column < 1_000, "it is seen where it becomes too deep");
    }
}

#[test]
fn aliases_that_explode_are_refused_while_they_are_small() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..30 {
        let before = format!("*a{}", n - 1);
        let ten = [before.as_str(); 10].join(", ");
        writeln!(laughs, "a{n}: &a{n} [{ten}]").unwrap();
    }
    let (code, line, _, _, said) = only(&laughs);
    assert_eq!((code, line), (Code::TooMany, 5), "{said}");
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let (code, ..) = only(&"#".repeat(1024 * 1024 + 1));
    assert_eq!(code, Code::TooLarge);
    let many = with(&format!("checks: [{}]", "x, ".repeat(30_000)));
    assert_eq!(only(&many).0, Code::TooMany);
}

#[test]
fn no_more_is_told_than_a_person_reads() {
    let unknown: String = (0..500).fold(String::new(), |all, n| all + "zzz" + &n.to_string() + ": 1\n");
    assert_eq!(problems(with(&unknown).as_bytes()).len(), PROBLEMS_MAX);
}

#[test]
fn control_characters_of_the_file_do_not_reach_the_terminal() {
    let found = problems(with("tier: \"\u{1b}[31mhigh\\e\"").as_bytes());
    for problem in found {
        let shown = problem.render("taxiway.yaml");
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
}

/// A good description with bytes and lines changed at random (seeds fixed): whatever it says then,
/// it is read or refused with a place that exists, and never with nothing to say.
#[test]
fn no_change_of_a_file_confuses_the_reader() {
    let largest = include_str!("largest.yaml");
    let lines: Vec<&str> = largest.lines().collect();
    let mut state = 0x5eed_u64;
    let mut next = |below: usize| {
        // xorshift64: enough to vary a file, and the same everywhere.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let pieces: &[&str] = &[
        " ", ":", "-", "[", "]", "{", "}", "\n", "\t", "~", "&a ", "*a", "0", "%", "5x", "\"", "#", "- ",
        "null",
    ];
    let mut refused = 0;
    for _ in 0..400 {
        let mut text: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        for _ in 0..=next(3) {
            let at = next(text.len());
            match next(4) {
                0 => drop(text.remove(at)),
                1 => text.insert(at, lines[next(lines.len())].to_owned()),
                2 => text[at] = text[at].replacen(|c: char| c.is_ascii_alphanumeric(), "", 1),
                _ => {
                    let place =
                        text[at].char_indices().map(|(i, _)| i).nth(next(text[at].len().max(1))).unwrap_or(0);
                    text[at].insert_str(place, pieces[next(pieces.len())]);
                }
            }
        }
        let text = text.join("\n");
        let Err(found) = read(text.as_bytes(), "/srv") else { continue };
        refused += 1;
        assert!(!found.is_empty(), "{text}");
        for problem in found {
            let line = problem.line as usize;
            assert!(line >= 1 && line <= text.lines().count() + 1 && problem.column >= 1, "{problem:?}");
            assert!(!problem.message.is_empty());
        }
    }
    assert!(refused > 100, "most changes are mistakes: {refused}");
}
