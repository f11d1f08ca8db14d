//! The run: tickets that are due at fixed times, taken by whichever connection is free.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::connection::{Connection, User};
use crate::plan::{Checked, Plan, PlanError, scatter};
use crate::report::{Outcome, Report, Tally};

/// What happened in one second of the run.
#[derive(Clone, Debug, Serialize)]
pub struct Second {
    /// Seconds since the start of the run, from 1.
    pub second: u64,
    /// Requests that ended in it.
    #[serde(flatten)]
    pub report: Report,
}

/// What one user remembers.
#[derive(Debug, Default)]
struct Memory {
    cookie: Option<String>,
    version: Option<String>,
}

struct Run {
    checked: Checked,
    start: Instant,
    next_ticket: AtomicU64,
    stopped: AtomicBool,
    tally: Mutex<Tally>,
    users: Vec<Mutex<Memory>>,
}

/// Sends what the plan says and returns the counts of the whole run. `on_second` is called after each second; when it
/// returns `false` the run ends early.
///
/// # Errors
/// A plan that has no end, whose numbers are out of range, or that points at another machine.
pub async fn run(plan: Plan, mut on_second: impl FnMut(&Second) -> bool) -> Result<Report, PlanError> {
    let checked = plan.check()?;
    let connections = checked.plan.connections;
    let users = (0..checked.plan.users).map(|_| Mutex::default()).collect();
    let run = Arc::new(Run {
        checked,
        start: Instant::now(),
        next_ticket: AtomicU64::new(0),
        stopped: AtomicBool::new(false),
        tally: Mutex::default(),
        users,
    });
    let mut workers = JoinSet::new();
    for _ in 0..connections {
        workers.spawn(Arc::clone(&run).work());
    }
    let mut total = Tally::default();
    let mut second = 0;
    let mut at_work = true;
    while at_work {
        let end = run.start + Duration::from_secs(second + 1);
        at_work = tokio::time::timeout_at(end, async { while workers.join_next().await.is_some() {} })
            .await
            .is_err();
        second += 1;
        let tally = std::mem::take(&mut *run.tally.lock().expect("no holder of this lock panics"));
        total.merge(&tally);
        if !on_second(&Second { second, report: tally.report() }) {
            run.stopped.store(true, Ordering::Relaxed);
        }
    }
    Ok(total.report())
}

impl Run {
    async fn work(self: Arc<Self>) {
        let mut connection = Connection::new(&self.checked);
        while let Some((ticket, due)) = self.take_ticket() {
            let waits = due > Instant::now();
            sleep_until(due).await;
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            // A connection that was free at the due time measures from now: the timer's own lateness (up to 1 ms) is
            // not the server's. One that was still busy measures from when the request was due.
            let begin = if waits { Instant::now() } else { due };
            let user = self.user_of(ticket);
            let path = self.checked.plan.mix.path(ticket);
            let outcome = self.send(&mut connection, path, user).await;
            let latency_us = begin.elapsed().as_micros() as u64;
            let changed = self.remember_version(user, &outcome);
            self.tally.lock().expect("no holder of this lock panics").count(&outcome, latency_us, changed);
        }
    }

    fn take_ticket(&self) -> Option<(u64, Instant)> {
        let ticket = self.next_ticket.fetch_add(1, Ordering::Relaxed);
        if ticket >= self.checked.tickets || self.stopped.load(Ordering::Relaxed) {
            return None;
        }
        let rate = u64::from(self.checked.plan.rate_per_s);
        let after = Duration::from_secs(ticket / rate) + Duration::from_secs(ticket % rate) / rate as u32;
        Some((ticket, self.start + after))
    }

    fn user_of(&self, ticket: u64) -> Option<usize> {
        let count = self.users.len() as u64;
        (count > 0).then(|| (scatter(ticket ^ 0x5a5a_0000) % count) as usize)
    }

    async fn send(&self, connection: &mut Connection<'_>, path: &str, user: Option<usize>) -> Outcome {
        let Some(number) = user else {
            return connection.send(path, None).await.0;
        };
        let cookie = self.memory(number).cookie.clone();
        let (outcome, given) = connection.send(path, Some(User { number, cookie: cookie.as_deref() })).await;
        if given.is_some() {
            self.memory(number).cookie = given;
        }
        outcome
    }

    /// Whether this user was answered by another version before.
    fn remember_version(&self, user: Option<usize>, outcome: &Outcome) -> bool {
        let (Some(number), Outcome::Answered { version: Some(version), .. }) = (user, outcome) else {
            return false;
        };
        let before = self.memory(number).version.replace(version.clone());
        before.is_some_and(|before| before != *version)
    }

    fn memory(&self, number: usize) -> std::sync::MutexGuard<'_, Memory> {
        self.users[number].lock().expect("no holder of this lock panics")
    }
}
