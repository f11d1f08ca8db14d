//! The profile `standard` on whole releases: how often and how soon each verdict falls.
//!
//! Each release is the product's own state machine in virtual time (`taxiway_decide::next` and `evolve` with the plan as
//! `taxiway.yaml` gives it, the normal profile of ten minutes before, and its pre-flight), on simulated traffic. Peers are
//! shown the same traffic under the same steps. What must hold is held: healthy releases are rolled back in at most 1 %, and
//! ask a person in at most 1 % where the pre-flight has not said so; else the exit code is 1.

mod peers;
mod plan;
mod target;
mod traffic;
mod world;

use std::fmt::Write as _;

use taxiway_stats::Arm;
use taxiway_stats::interval::clopper_pearson;

use crate::{Arguments, parallel};
pub use plan::Plan;
pub use traffic::{Behaviour, Service};
use world::Release;
pub use world::{Course, End};

/// At most this share of healthy releases may be rolled back, and at most this share may ask a person unannounced.
const BROKEN_FROM: f64 = 0.01;

/// A kind of release.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// The steps.
    pub plan: Plan,
    /// What is released.
    pub service: Service,
    /// Requests per second.
    pub rps: f64,
    /// The canary's name in the output, and what it does.
    pub canary: (&'static str, Behaviour),
}

/// How many releases of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Of a healthy canary.
    pub healthy: u64,
    /// Of any other.
    pub faulty: u64,
    /// Of those, how many peers are shown, too; and of healthy ones.
    pub beside: u64,
}

/// What came of the releases of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The row.
    pub row: Row,
    /// One for each release.
    pub courses: Vec<Course>,
    /// Of each peer, for each release it was shown: when it went back, in milliseconds since the exposure.
    pub peers: Vec<Vec<Option<u64>>>,
}

const PLAIN: [(&str, Behaviour); 4] = [
    ("healthy", Behaviour::Healthy),
    ("errors 5x", Behaviour::FailsTimes(5.0)),
    ("latency 2x", Behaviour::TakesTimes(2.0)),
    ("errors 1.5x", Behaviour::FailsTimes(1.5)),
];

/// The demo's scenarios by their names.
const DEMO: [(&str, Behaviour); 10] = [
    ("healthy", Behaviour::Healthy),
    ("slow-start", Behaviour::SlowStart),
    ("errors", Behaviour::Errors),
    ("slow", Behaviour::TakesTimes(3.0)),
    ("one-endpoint", Behaviour::OneEndpoint),
    ("late", Behaviour::Late),
    ("overload", Behaviour::Overload),
    ("outage", Behaviour::Outage),
    ("crash", Behaviour::Crash),
    ("leak", Behaviour::Leak),
];

/// Requests per second.
const RPS: [f64; 3] = [10.0, 100.0, 1_000.0];

/// Every row: a plain service under the preset and for an hour at 5 %, and the shop under the demo's plan and the preset.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for plan in [Plan::Canary, Plan::Hour] {
        for rps in RPS {
            for base in [0.001, 0.01] {
                let service = Service::Plain(base);
                rows.extend(PLAIN.iter().map(|canary| Row { plan, service, rps, canary: *canary }));
            }
        }
    }
    let budget = |canary: &(&'static str, Behaviour)| {
        let (plan, service, rps) = (Plan::Budget, Service::Plain(0.01), 10.0);
        Row { plan, service, rps, canary: *canary }
    };
    rows.extend(PLAIN.iter().map(budget));
    for plan in [Plan::Demo, Plan::Canary] {
        for rps in RPS {
            let service = Service::Shop;
            rows.extend(DEMO.iter().map(|canary| Row { plan, service, rps, canary: *canary }));
        }
    }
    rows
}

impl Row {
    /// Takes so many releases through.
    pub fn run(&self, size: Size, seed: u64) -> Found {
        let behaviour = self.canary.1;
        let runs = if behaviour.is_healthy() { size.healthy } else { size.faulty };
        let release = || {
            let spec = self.plan.spec(behaviour == Behaviour::Late);
            Release::new(spec, self.service, behaviour, self.rps)
        };
        // The same traffic for every canary of a line: only what is wrong with it differs.
        let service = match self.service {
            Service::Plain(base) => (base * 1e6) as u64,
            Service::Shop => 0,
        };
        self.found(&release, runs, size, &[seed, service])
    }

    fn found(&self, release: &dyn Fn() -> Release, runs: u64, size: Size, seed: &[u64]) -> Found {
        let of = |run: u64| [seed, &[self.rps as u64, run]].concat();
        let ours = release();
        let courses = parallel::map(runs, |run| {
            ours.run(&of(run), &mut |_, _| true).expect("a release that is not stopped ends")
        });
        let policies = peers::all();
        let theirs = release().unjudged();
        let shown = if self.is_seen_by_peers() { size.beside.min(runs) } else { 0 };
        let by_run = parallel::map(shown, |run| peers::rollbacks(&theirs, &policies, &of(run)));
        let by_peer = |peer: usize| by_run.iter().map(|decided| decided[peer]).collect();
        Found { row: *self, courses, peers: (0..policies.len()).map(by_peer).collect() }
    }

    /// Peers look once a minute; the demo's steps are over before.
    fn is_seen_by_peers(&self) -> bool {
        self.plan != Plan::Demo
    }
}

fn is_rolled_back(course: &Course) -> bool {
    matches!(course.end, End::RolledBack(_))
}

fn asks_unannounced(course: &Course) -> bool {
    matches!(course.end, End::Held(_) | End::Evidence(_)) && !course.warned
}

impl Found {
    /// The first of the releases of a kind that must be rare, in the product's words.
    fn example(&self, is_one: fn(&Course) -> bool) -> &str {
        self.courses.iter().find(|course| is_one(course)).map_or("", |course| &course.sentence)
    }

    fn share(&self, is_one: impl Fn(&Course) -> bool) -> Arm {
        let count = |courses: usize| u64::try_from(courses).unwrap_or(u64::MAX);
        let bad = self.courses.iter().filter(|course| is_one(course)).count();
        Arm { total: count(self.courses.len()), bad: count(bad) }
    }

    fn rolled_back(&self) -> Arm {
        self.share(is_rolled_back)
    }

    /// Releases that ask a person although the pre-flight has not said that they may.
    fn unannounced(&self) -> Arm {
        self.share(asks_unannounced)
    }

    /// What is broken of what must hold; nothing for a canary with a fault.
    pub fn broken(&self) -> Vec<String> {
        let row = &self.row;
        if !row.canary.1.is_healthy() {
            return Vec::new();
        }
        let of = |is_one: fn(&Course) -> bool, what: &str| {
            let Arm { total, bad } = self.share(is_one);
            (bad as f64 > BROKEN_FROM * total as f64).then(|| {
                let (plan, base, name) = (row.plan.name(), row.base(), row.canary.0);
                let example = self.example(is_one);
                format!("{plan}, {base}, {} rps, {name}: {bad} of {total} healthy releases {what}, as by: {example}", row.rps)
            })
        };
        let back = of(is_rolled_back, "rolled back");
        let stuck = of(asks_unannounced, "ask a person where the pre-flight has not said so");
        back.into_iter().chain(stuck).collect()
    }

    /// The row of a table.
    fn line(&self) -> String {
        let kind = |of: fn(End) -> Option<u64>| {
            shares(&self.courses.iter().map(|course| of(course.end)).collect::<Vec<_>>())
        };
        let columns = [
            kind(|end| if let End::Released(at) = end { Some(at) } else { None }),
            kind(|end| if let End::RolledBack(at) = end { Some(at) } else { None }),
            kind(|end| if let End::Held(at) = end { Some(at) } else { None }),
            kind(|end| if let End::Evidence(at) = end { Some(at) } else { None }),
        ];
        let healthy = self.row.canary.1.is_healthy();
        let percent = |share: f64| format!("{:.2}%", share * 100.0);
        let limit = |arm: Arm| if healthy { percent(clopper_pearson(arm, 0.9)[1]) } else { "–".to_owned() };
        let warned = self.share(|course| course.warned);
        let raised = self.share(|course| course.raised);
        let raised = if raised.bad == 0 {
            String::new()
        } else {
            format!(", weight raised in {}", percent(raised.rate()))
        };
        format!(
            "{} | {} | {}{raised} | {} | {}",
            self.head(),
            if warned.bad == warned.total {
                "warns".to_owned()
            } else if warned.bad == 0 {
                "passes".to_owned()
            } else {
                format!("warns in {}", percent(warned.rate()))
            },
            columns.join(" | "),
            limit(self.rolled_back()),
            if healthy {
                format!("{} ({})", self.unannounced().bad, limit(self.unannounced()))
            } else {
                "–".to_owned()
            },
        )
    }

    fn head(&self) -> String {
        let row = &self.row;
        format!(
            "{} | {} | {} | {} | {}",
            row.plan.name(),
            row.base(),
            row.rps,
            row.canary.0,
            self.courses.len()
        )
    }

    /// The peers' row: what each of them sends back, and when.
    fn beside(&self) -> Option<String> {
        let shown = self.peers.first().map_or(0, Vec::len);
        let ours: Vec<Option<u64>> = self
            .courses
            .iter()
            .take(shown)
            .map(|course| match course.end {
                End::RolledBack(at) => Some(at),
                _ => None,
            })
            .collect();
        let columns: Vec<String> =
            std::iter::once(&ours).chain(&self.peers).map(|times| shares(times)).collect();
        (shown > 0).then(|| format!("{} | {shown} | {}", self.row.name(), columns.join(" | ")))
    }
}

impl Row {
    /// Plan, base, requests per second and canary, as columns.
    fn name(&self) -> String {
        format!("{} | {} | {} | {}", self.plan.name(), self.base(), self.rps, self.canary.0)
    }

    fn base(&self) -> String {
        match self.service {
            Service::Plain(base) => format!("{}%", base * 100.0),
            Service::Shop => "shop".to_owned(),
        }
    }
}

/// The share that happened, with the median second; a dash where it never did.
fn shares(times: &[Option<u64>]) -> String {
    let mut happened: Vec<u64> = times.iter().flatten().copied().collect();
    happened.sort_unstable();
    let share = happened.len() as f64 * 100.0 / times.len().max(1) as f64;
    let median = happened.get(happened.len() / 2);
    median.map_or_else(|| "–".to_owned(), |at| format!("{share:.1}% ({} s)", (at + 500) / 1_000))
}

/// The tables of these results, and what is broken of what must hold.
pub fn tables(found: &[Found]) -> (String, Vec<String>) {
    let mut text = String::from(
        "| plan | base | rps | canary | runs | pre-flight | released | rolled back | hold | too little evidence | rolled back at most | asks unannounced (at most) |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for one in found {
        let _ = writeln!(text, "| {} |", one.line());
    }
    text += "\nRolled back by each judge on the same traffic:\n\n| plan | base | rps | canary | runs | taxiway | kayenta | argo | flagger | ratio |\n|---|---|---|---|---|---|---|---|---|---|\n";
    for line in found.iter().filter_map(Found::beside) {
        let _ = writeln!(text, "| {line} |");
    }
    (text, found.iter().flat_map(Found::broken).collect())
}

/// Runs every row and prints the tables, the rows on the way to the error output; false when what must hold does not.
/// `quick` leaves 1,000 requests per second out.
pub fn print(arguments: &Arguments) -> bool {
    let Arguments { healthy, faulty, seed, quick, .. } = *arguments;
    let found: Vec<Found> = rows()
        .iter()
        .filter(|row| (!quick || row.rps < 1_000.0) && row.name().contains(&arguments.only))
        .map(|row| {
            // What is wrong shows sooner where there is more traffic, and a release costs as much more.
            let faulty = if row.rps < 100.0 { faulty } else { (faulty / 3).max(5) };
            let size = Size { healthy, faulty, beside: (faulty / 2).max(5) };
            let started = std::time::Instant::now();
            let found = row.run(size, seed);
            eprintln!(
                "{} ({:.1} s) {}",
                found.line(),
                started.elapsed().as_secs_f64(),
                found.example(|course| !matches!(course.end, End::Released(_)))
            );
            found
        })
        .collect();
    let (text, broken) = tables(&found);
    println!("{text}");
    if broken.is_empty() {
        println!("holds: at most 1 % of healthy releases rolled back, at most 1 % ask a person unannounced");
    }
    for one in &broken {
        println!("BROKEN: {one}");
    }
    broken.is_empty()
}
