//! Memory and CPU of instances: the sum over their process groups, memory by their control group where there is one.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::proc::{Stat, page_bytes, ticks_per_s};

use super::limits::Confinement;

/// What one instance uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Usage {
    pub(super) memory_bytes: u64,
    /// Thousandths of a core since the measurement before.
    pub(super) cpu_milli: u32,
    cpu_ticks: u64,
    at: Option<Instant>,
}

/// Sums over process groups at a moment: one pass over `/proc` for all instances.
#[derive(Debug)]
pub(super) struct Groups {
    sums: BTreeMap<i32, (u64, u64)>,
    at: Instant,
}

impl Groups {
    pub(super) fn measure(stats: &[Stat], at: Instant) -> Self {
        let mut sums = BTreeMap::<i32, (u64, u64)>::new();
        for stat in stats {
            let sum = sums.entry(stat.group).or_default();
            sum.0 += stat.rss_pages;
            sum.1 += stat.cpu_ticks;
        }
        Self { sums, at }
    }
}

impl Usage {
    /// The usage of the group now, with the CPU rate since the last call.
    pub(super) fn update(&mut self, group: i32, confinement: &Confinement, groups: &Groups) {
        let (pages, cpu_ticks) = groups.sums.get(&group).copied().unwrap_or_default();
        let memory_bytes = confinement.memory_bytes().unwrap_or(pages * page_bytes());
        let cpu_milli = match self.at.map(|at| groups.at.saturating_duration_since(at).as_millis() as u64) {
            // A member of the group that has ended takes its ticks with it.
            Some(ms @ 1..) => cpu_ticks.saturating_sub(self.cpu_ticks) * 1_000_000 / (ticks_per_s() * ms),
            Some(0) | None => 0,
        };
        *self = Self { memory_bytes, cpu_milli: cpu_milli as u32, cpu_ticks, at: Some(groups.at) };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use taxiway_model::service::ProcessLimits;

    use super::*;
    use crate::workload::process::limits::Limiter;

    #[test]
    fn cpu_is_a_rate_and_memory_a_sum() {
        let stat =
            |pid, cpu_ticks| Stat { pid, state: 'S', group: 7, cpu_ticks, start_ticks: 1, rss_pages: 10 };
        let confinement = Limiter::default().confine("x", &ProcessLimits::default());
        let start = Instant::now();
        let mut usage = Usage::default();
        usage.update(7, &confinement, &Groups::measure(&[stat(7, 100), stat(8, 100)], start));
        assert_eq!((usage.memory_bytes, usage.cpu_milli), (20 * page_bytes(), 0));
        let later = start + Duration::from_secs(2);
        usage.update(7, &confinement, &Groups::measure(&[stat(7, 100 + ticks_per_s()), stat(8, 100)], later));
        assert_eq!(usage.cpu_milli, 500);
    }
}
