//! A histogram to keep: counts side by side, each as wide as the largest of them asks for.
//!
//! A minute of latencies fills some hundred neighbouring buckets. Pairs of index and count, or a map, take 12 to 16 bytes
//! for each of them; here it is 2 while no bucket holds more than 65,535, then 4, then 8.

use crate::histogram::{self, Bucket, Ranked};

/// Buckets that are told apart; what lies outside counts in the first or the last. Of microseconds at scale 6 they reach from
/// a ten-thousandth to 2^64, more than a counter can hold.
const FIRST: i32 = -1_024;
const LAST: i32 = 4_095;

/// Room is made in steps of this many buckets, so that the first windows do not move everything again and again.
const STEP: i32 = 16;

/// Counts by bucket, added to and never taken from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compact {
    /// Index of the first cell.
    first: i32,
    cells: Cells,
    total: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Cells {
    Narrow(Vec<u16>),
    Middle(Vec<u32>),
    Wide(Vec<u64>),
}

impl Default for Cells {
    fn default() -> Self {
        Self::Narrow(Vec::new())
    }
}

impl Compact {
    /// The values of a sparse histogram sorted by index.
    pub fn new(buckets: &[Bucket]) -> Self {
        let mut sum = Self::default();
        sum.merge(buckets);
        sum
    }

    /// Adds the values of a sparse histogram sorted by index; counts saturate.
    pub fn merge(&mut self, buckets: &[Bucket]) {
        let (Some((first, _)), Some((last, _))) = (buckets.first(), buckets.last()) else { return };
        self.cover((*first).clamp(FIRST, LAST), (*last).clamp(FIRST, LAST));
        let mut left = buckets;
        while let Some(rest) = self.cells.add(self.first, left) {
            self.cells.widen();
            left = rest;
        }
        self.total = self.total.saturating_add(histogram::total(buckets));
    }

    /// Makes room for the buckets from `first` to `last`.
    fn cover(&mut self, first: i32, last: i32) {
        let (first, end) = (first.div_euclid(STEP) * STEP, (last.div_euclid(STEP) + 1) * STEP);
        let len = self.cells.len();
        if len == 0 {
            self.first = first;
        }
        let before = (self.first - first).max(0) as usize;
        let after = (end - self.first - len as i32).max(0) as usize;
        if before + after > 0 {
            self.first -= before as i32;
            self.cells.grow(before, after);
        }
    }

    /// Number of values; saturates at `u64::MAX`.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Buckets that hold something, sorted by index.
    pub fn buckets(&self) -> Vec<Bucket> {
        let mut buckets = Vec::with_capacity(self.cells.len());
        self.each(|bucket| buckets.push(bucket));
        buckets
    }

    /// Both together with running sums, for many questions about the same values.
    pub fn ranked_with(&self, other: &Self) -> Ranked {
        let used = [self, other].into_iter().filter(|one| one.cells.len() > 0);
        let first = used.clone().map(|one| one.first).min().unwrap_or(0);
        let end = used.clone().map(|one| one.first + one.cells.len() as i32).max().unwrap_or(0);
        let mut sum = vec![0; (end - first) as usize];
        for one in used {
            one.cells.add_to(&mut sum[(one.first - first) as usize..]);
        }
        Ranked::of((first..end).zip(sum))
    }

    /// Shows every bucket that holds something, in order.
    fn each(&self, mut see: impl FnMut(Bucket)) {
        let mut walk = |place: usize, count: u64| {
            if count > 0 {
                see((self.first + place as i32, count));
            }
        };
        match &self.cells {
            Cells::Narrow(cells) => cells.iter().enumerate().for_each(|(at, n)| walk(at, u64::from(*n))),
            Cells::Middle(cells) => cells.iter().enumerate().for_each(|(at, n)| walk(at, u64::from(*n))),
            Cells::Wide(cells) => cells.iter().enumerate().for_each(|(at, n)| walk(at, *n)),
        }
    }
}

impl Cells {
    fn len(&self) -> usize {
        match self {
            Self::Narrow(cells) => cells.len(),
            Self::Middle(cells) => cells.len(),
            Self::Wide(cells) => cells.len(),
        }
    }

    /// Adds buckets, of which `first` is the first cell's; answers those that wider cells are needed for.
    fn add<'a>(&mut self, first: i32, buckets: &'a [Bucket]) -> Option<&'a [Bucket]> {
        match self {
            Self::Narrow(cells) => add(cells, first, buckets),
            Self::Middle(cells) => add(cells, first, buckets),
            Self::Wide(cells) => add(cells, first, buckets),
        }
    }

    fn add_to(&self, sum: &mut [u64]) {
        match self {
            Self::Narrow(cells) => add_to(cells, sum),
            Self::Middle(cells) => add_to(cells, sum),
            Self::Wide(cells) => add_to(cells, sum),
        }
    }

    fn widen(&mut self) {
        *self = match self {
            Self::Narrow(cells) => Self::Middle(cells.iter().map(|count| u32::from(*count)).collect()),
            Self::Middle(cells) => Self::Wide(cells.iter().map(|count| u64::from(*count)).collect()),
            // Saturated sums always fit.
            Self::Wide(cells) => Self::Wide(core::mem::take(cells)),
        }
    }

    fn grow(&mut self, before: usize, after: usize) {
        match self {
            Self::Narrow(cells) => grow(cells, before, after),
            Self::Middle(cells) => grow(cells, before, after),
            Self::Wide(cells) => grow(cells, before, after),
        }
    }
}

fn add<'a, T: Copy + Into<u64> + TryFrom<u64>>(
    cells: &mut [T],
    first: i32,
    buckets: &'a [Bucket],
) -> Option<&'a [Bucket]> {
    for (at, (index, count)) in buckets.iter().enumerate() {
        let cell = &mut cells[(index.clamp(&FIRST, &LAST) - first) as usize];
        match T::try_from((*cell).into().saturating_add(*count)) {
            Ok(sum) => *cell = sum,
            Err(_) => return Some(&buckets[at..]),
        }
    }
    None
}

fn add_to<T: Copy + Into<u64>>(cells: &[T], sum: &mut [u64]) {
    for (sum, count) in sum.iter_mut().zip(cells) {
        *sum = sum.saturating_add((*count).into());
    }
}

fn grow<T: Copy + Default>(cells: &mut Vec<T>, before: usize, after: usize) {
    let mut grown = Vec::with_capacity(before + cells.len() + after);
    grown.resize(before, T::default());
    grown.extend_from_slice(cells);
    grown.resize(grown.len() + after, T::default());
    *cells = grown;
}
