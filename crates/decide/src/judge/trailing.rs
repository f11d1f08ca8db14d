//! The time just past: absolute bands look at it, since an outage that is over is over.

use std::collections::VecDeque;

/// How far it reaches back.
const TRAILING_MS: u64 = 60_000;

/// More than this in one window is read as this (a hundred trillion requests), so that no sum overflows.
const COUNT_MAX: u64 = 1 << 47;

/// Bits of a number that one byte of [`Trailing::packed`] holds, and the bit that says that more follow.
const BITS: u32 = 7;
const MORE: u8 = 1 << BITS;

/// `N` counts of each window of the last minute (the oldest of them ends a minute ago or began there), and their sums.
///
/// Sums are kept, since they are asked for at every look; the windows only to take out again what is a
/// minute old. Most counts of a window are small, so they lie in as many bytes as each needs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trailing<const N: usize> {
    /// Oldest first, of each window its milliseconds and its counts, seven bits to a byte.
    packed: VecDeque<u8>,
    span_ms: u64,
    sum: [u64; N],
}

impl<const N: usize> Default for Trailing<N> {
    fn default() -> Self {
        Self { packed: VecDeque::new(), span_ms: 0, sum: [0; N] }
    }
}

impl<const N: usize> Trailing<N> {
    pub(super) fn push(&mut self, span_ms: u64, counts: [u64; N]) {
        let span_ms = span_ms.clamp(1, COUNT_MAX);
        self.span_ms += span_ms;
        pack(&mut self.packed, span_ms);
        for (sum, count) in self.sum.iter_mut().zip(counts) {
            let count = count.min(COUNT_MAX);
            *sum += count;
            pack(&mut self.packed, count);
        }
        while let Some(oldest_ms) = unpack(&mut self.packed.iter().copied())
            && self.span_ms - oldest_ms > TRAILING_MS
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let mut bytes = core::iter::from_fn(|| self.packed.pop_front());
        self.span_ms -= unpack(&mut bytes).unwrap_or_default();
        for sum in &mut self.sum {
            *sum -= unpack(&mut bytes).unwrap_or_default();
        }
    }

    /// What was counted in the last minute.
    pub(super) fn sum(&self) -> [u64; N] {
        self.sum
    }

    /// The same over those windows only that are wanted.
    pub(super) fn sum_where(&self, wanted: impl Fn(&[u64; N]) -> bool) -> [u64; N] {
        let mut bytes = self.packed.iter().copied();
        let mut sums = [0; N];
        while unpack(&mut bytes).is_some() {
            let window = [(); N].map(|()| unpack(&mut bytes).unwrap_or_default());
            if wanted(&window) {
                for (sum, count) in sums.iter_mut().zip(window) {
                    *sum += count;
                }
            }
        }
        sums
    }
}

fn pack(bytes: &mut VecDeque<u8>, mut number: u64) {
    while number >= u64::from(MORE) {
        bytes.push_back(number as u8 | MORE);
        number >>= BITS;
    }
    bytes.push_back(number as u8);
}

/// The next number; none at the end.
fn unpack(bytes: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let mut number = 0;
    for place in 0.. {
        let byte = bytes.next()?;
        number |= u64::from(byte & !MORE) << (BITS * place);
        if byte & MORE == 0 {
            break;
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::{COUNT_MAX, Trailing};

    #[test]
    fn a_minute_of_windows_is_summed_and_what_is_older_is_forgotten() {
        let mut trailing = Trailing::<2>::default();
        let counts = |number: u64| [number * 1_000_003, number % 2];
        for number in 0..500 {
            trailing.push(1_000, counts(number));
            let kept = || (number.saturating_sub(60)..=number).map(counts);
            let sum = |place: usize, only_odd: bool| -> u64 {
                kept().filter(|of| !only_odd || of[1] == 1).map(|of| of[place]).sum()
            };
            assert_eq!(trailing.sum(), [sum(0, false), sum(1, false)]);
            assert_eq!(trailing.sum_where(|of| of[1] == 1), [sum(0, true), sum(1, true)]);
        }
    }

    #[test]
    fn the_newest_window_is_kept_however_long_and_nothing_overflows() {
        let mut trailing = Trailing::<1>::default();
        for _ in 0..100 {
            trailing.push(u64::MAX, [u64::MAX]);
            assert_eq!(trailing.sum(), [COUNT_MAX]);
        }
        (0..70_000).for_each(|_| trailing.push(1, [u64::MAX]));
        assert_eq!(trailing.sum(), [COUNT_MAX * 60_001]);
    }
}
