//! Runs spread over the machine's cores, in an order that does not depend on how many there are.

use std::num::NonZero;
use std::thread;

/// `work(0), work(1), ...` up to `count`, in order.
pub fn map<T: Send>(count: u64, work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get) as u64;
    let mut parts: Vec<Vec<T>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores)
            .map(|core| {
                let work = &work;
                scope.spawn(move || (core..count).step_by(cores as usize).map(work).collect::<Vec<T>>())
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a run does not panic")).collect()
    });
    for part in &mut parts {
        part.reverse();
    }
    (0..count as usize).filter_map(|run| parts[run % cores as usize].pop()).collect()
}
