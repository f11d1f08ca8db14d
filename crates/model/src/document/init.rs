//! Writes a commented `taxiway.yaml` for `taxiway init`, from answers or flags.
//!
//! Whatever the answers are, what is written reads back as what was answered.

use super::value::{self, Fault};
use crate::ids::ServiceName;
use crate::presets::PRESETS;

/// The smallest description that is one.
pub const SMALLEST: &str = "\
name: shop
owner: team-shop
target:
  command: ./bin/shop-{version} --port {port}
  readiness: /healthz
traffic:
  listen: 127.0.0.1:8080
";

/// A question of `taxiway init`, asked at a terminal or answered by the flag of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// The flag, without dashes; also how [`Answers::set`] knows it.
    pub name: &'static str,
    /// What is asked.
    pub ask: &'static str,
    /// What an empty answer means; none: it has to be answered.
    pub default: Option<&'static str>,
}

/// The questions in the order they are asked.
pub const QUESTIONS: &[Question] = &[
    Question { name: "name", ask: "What is the service called?", default: None },
    Question { name: "owner", ask: "Who answers for it (a person or a team)?", default: None },
    Question {
        name: "tier",
        ask: "How much harm does a bad release do (low, medium, high, critical)?",
        default: Some("medium"),
    },
    Question {
        name: "command",
        ask: "Which command starts it? {version} and {port} are replaced.",
        default: None,
    },
    Question {
        name: "readiness",
        ask: "Which path answers 2xx when it is ready (empty: the port is open)?",
        default: Some(""),
    },
    Question { name: "replicas", ask: "How many instances?", default: Some("2") },
    Question { name: "listen", ask: "On which address do clients connect?", default: Some("127.0.0.1:8080") },
    Question {
        name: "strategy",
        ask: "Which preset (canary, quick, two-step, blue-green, rolling, …)?",
        default: Some("canary"),
    },
];

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answers {
    /// The service.
    pub name: String,
    /// Who answers for it.
    pub owner: String,
    /// Its risk tier.
    pub tier: String,
    /// What starts it.
    pub command: String,
    /// The path asked for readiness; empty: the port is open.
    pub readiness: String,
    /// Instances.
    pub replicas: String,
    /// Where clients connect.
    pub listen: String,
    /// A preset.
    pub strategy: String,
}

impl Answers {
    /// Takes an answer by the name of its question, the default for an empty one. Fails with a
    /// sentence that says what is wrong with it and how to mend it.
    pub fn set(&mut self, name: &str, answer: &str) -> Result<(), String> {
        let question = QUESTIONS
            .iter()
            .find(|question| question.name == name)
            .ok_or_else(|| format!("there is no question `{name}`"))?;
        let answer = answer.trim();
        let text = match (answer, question.default) {
            ("", None) => return Err(format!("`{name}` has to be answered")),
            ("", Some(default)) => default,
            (answer, _) => answer,
        };
        fit(name, text).map_err(|fault| match fault.hint.as_str() {
            "" => fault.message,
            hint => format!("{}; {hint}", fault.message),
        })?;
        let slot = match name {
            "name" => &mut self.name,
            "owner" => &mut self.owner,
            "tier" => &mut self.tier,
            "command" => &mut self.command,
            "readiness" => &mut self.readiness,
            "replicas" => &mut self.replicas,
            "listen" => &mut self.listen,
            _ => &mut self.strategy,
        };
        text.clone_into(slot);
        Ok(())
    }

    /// The answers to these flags, the defaults for those not given. Fails with every sentence.
    pub fn from_flags<'a>(flags: impl Fn(&str) -> Option<&'a str>) -> Result<Self, Vec<String>> {
        let mut answers = Self::default();
        let set = QUESTIONS
            .iter()
            .map(|question| answers.set(question.name, flags(question.name).unwrap_or_default()));
        let faults: Vec<String> = set.filter_map(Result::err).collect();
        if faults.is_empty() { Ok(answers) } else { Err(faults) }
    }
}

/// Whether an answer can stand in a description.
fn fit(name: &str, text: &str) -> Result<(), Fault> {
    use super::fields::{as_name, one_of};
    use super::keys::TIERS;
    match name {
        "name" => as_name(text, ServiceName::new).map(drop),
        "tier" => one_of(text, TIERS.iter().map(|(word, _)| *word)).map(drop),
        "command" => value::words(text).map(drop),
        "readiness" if !text.is_empty() && !text.starts_with('/') => {
            value::fault(super::Code::BadValue, format!("`{text}` is not a path"), format!("write /{text}"))
        }
        "replicas" => value::whole(text, 1, 500).map(drop),
        "listen" => value::address(text).map(drop),
        "strategy" => one_of(text, PRESETS.iter().map(|preset| preset.name)).map(drop),
        _ => Ok(()),
    }
}

/// The description, with what else could be said as comments.
pub fn write(answers: &Answers) -> String {
    let readiness = match answers.readiness.as_str() {
        "" => {
            "  # readiness: /healthz   # a path that answers 2xx; without it: the port is open\n".to_owned()
        }
        path => format!("  readiness: {}\n", quoted(path)),
    };
    format!(
        "\
# How {name} is released. Every key: docs/reference/taxiway-yaml.md; `taxiway check` reads this file.
name: {name}
owner: {owner}
tier: {tier} # low, medium, high or critical: how much harm a bad release does
# environment: production # production rules apply unless this is development, test or staging

target:
  # Started without a shell for each instance. {{version}} is what is released, {{port}} a free port.
  command: {command}
{readiness}  replicas: {replicas}
  # stop_grace: 10s         # between SIGTERM and SIGKILL
  # warm_up: 15s            # evidence of this time after a start is shown but not judged
  # env: {{LOG_LEVEL: info}}
  # limits: {{memory: 512MiB, cpu: 1}}

traffic:
  listen: {listen}
  # sticky: cookie          # keep a user on one side: cookie, address, or {{by: header, name: x-user}}
  # internal_users: {{header: x-internal, values: [\"1\"]}}
  # tls: {{certificate: tls/cert.pem, key: tls/key.pem}}

# A preset, changed by a mapping such as {{preset: canary, bake: 2m}}, or steps of your own:
# strategy:
#   steps:
#     - {{weight: 0%, only: internal_users, bake: 10m}}
#     - {{weight: 5%, bake: 10m}}
#     - {{weight: 100%, bake: 30m}}
strategy: {strategy}

# analysis:
#   profile: standard       # or strict: any shown regression goes back
#   metrics:
#     error_rate: {{rollback_above: 1%}}
#     latency_p95: {{hold_above: 500ms}}

# checks:                   # smoke tests and hooks: at start, after each step, at the end
#   - {{name: smoke, at: start, http: \"http://{{canary}}/healthz\"}}
",
        name = quoted(&answers.name),
        owner = quoted(&answers.owner),
        tier = answers.tier,
        command = quoted(&answers.command),
        replicas = answers.replicas,
        listen = quoted(&answers.listen),
        strategy = answers.strategy,
    )
}

/// A text as a YAML scalar: plain where that cannot be misread, else in double quotes.
fn quoted(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || "./_-{}:=@+ ".contains(c);
    let plain = text.chars().all(word)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.' || c == '/')
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "null" | "true" | "false" | "yes" | "no" | "on" | "off"
        );
    // JSON's escapes are a subset of those of YAML.
    if plain { text.to_owned() } else { serde_json::to_string(text).expect("text is always JSON") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Problem, read};

    fn answers(owner: &str, command: &str) -> Answers {
        let flags = |name: &str| match name {
            "name" => Some("shop"),
            "owner" => Some(owner),
            "command" => Some(command),
            "readiness" => Some("/healthz"),
            _ => None,
        };
        Answers::from_flags(flags).unwrap()
    }

    fn back(text: &str) -> crate::service::ServiceSpec {
        read(text.as_bytes(), "/srv").unwrap_or_else(|problems| {
            panic!("{text}\n{}", problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))
        })
    }

    #[test]
    fn whatever_is_answered_reads_back_the_same() {
        for text in [
            "me",
            "a: b",
            "# no",
            "- x",
            "yes",
            "null",
            "\"q\"",
            "ü — 'x'",
            "{a}",
            "[1]",
            "&a",
            "*b",
            "!t",
            "a #b",
            "5",
            "x:",
            "%y",
            "\\",
            "@me",
            "`x",
            "? y",
            "tab\there",
            "nul\u{0}",
        ] {
            assert_eq!(back(&write(&answers(text, "/bin/a"))).owner, text);
        }
        let spec = back(&write(&answers("me", "./run --port {port} \"a b\"")));
        assert_eq!(spec.target.command, ["/srv/run", "--port", "{port}", "a b"]);
        assert_eq!((spec.target.replicas, spec.strategy.preset.as_str()), (2, "canary"));
    }

    #[test]
    fn what_stands_in_the_comments_is_right_too() {
        let text = write(&answers("me", "/bin/a"));
        let uncommented: String = text
            .lines()
            .filter_map(|line| match line.trim_start().strip_prefix("# ") {
                None => Some(line.to_owned()),
                Some(rest) if rest.trim_start().starts_with(|c: char| c.is_ascii_lowercase() || c == '-') => {
                    let indent = line.len() - line.trim_start().len();
                    Some(format!("{}{rest}", " ".repeat(indent)))
                }
                Some(_) => None,
            })
            // The strategy stands there twice: the mapping of the comment, and the preset.
            .filter(|line| line != "strategy: canary")
            .fold(String::new(), |all, line| all + &line + "\n");
        let spec = back(&uncommented);
        assert_eq!(spec.strategy.steps.len(), 3);
        assert_eq!(spec.checks.len(), 1);
        assert_eq!(spec.analysis.metrics[0].rollback_above, Some(10_000));
    }

    #[test]
    fn answers_are_refused_with_what_to_write() {
        let mut answers = Answers::default();
        assert!(answers.set("name", "my shop").unwrap_err().contains("write my-shop"));
        assert!(answers.set("tier", "hgh").unwrap_err().contains("did you mean `high`?"));
        assert!(answers.set("owner", " ").unwrap_err().contains("has to be answered"));
        assert!(answers.set("listen", "8080").unwrap_err().contains("127.0.0.1:8080"));
        assert_eq!(Answers::from_flags(|_| None).unwrap_err().len(), 3);
    }

    #[test]
    fn the_smallest_is_read() {
        back(SMALLEST);
    }
}
