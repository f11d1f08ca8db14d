//! Seeded randomness: a run is its seed, bit by bit, on every platform.

/// xoshiro256++ (Blackman and Vigna, public-domain algorithm), seeded through splitmix64.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: [u64; 4],
}

impl Random {
    /// The stream `number` of a seed; streams are unrelated, so that a new question put to one does
    /// not shift the answers of the others.
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        let mut mixed = seed ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03);
        Self { state: core::array::from_fn(|_| splitmix(&mut mixed)) }
    }

    /// 64 even bits.
    pub(crate) fn bits(&mut self) -> u64 {
        let state = &mut self.state;
        let result = state[0].wrapping_add(state[3]).rotate_left(23).wrapping_add(state[0]);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        result
    }

    /// Even on 0..`bound`; zero when the bound is. The bias is below 2⁻³² for bounds below 2³².
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// Even on `from..=to`.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) + 1)
    }

    /// True in `ppm` of a million cases.
    pub(crate) fn chance(&mut self, ppm: u64) -> bool {
        self.below(1_000_000) < ppm
    }

    /// One of some values.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    fn uniform(&mut self) -> f64 {
        ((self.bits() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// Poisson with this mean in thousandths: products of uniforms, in slices of at most 16.
    pub(crate) fn poisson(&mut self, mean_milli: u64) -> u64 {
        let mut rest = mean_milli as f64 / 1e3;
        let mut count = 0;
        while rest > 0.0 {
            let slice = rest.min(16.0);
            rest -= slice;
            let floor = libm::exp(-slice);
            let mut product = self.uniform();
            while product > floor {
                count += 1;
                product *= self.uniform();
            }
        }
        count
    }

    /// How many of `n` trials succeed, each with a chance of `ppm` in a million.
    pub(crate) fn binomial(&mut self, n: u64, ppm: u64) -> u64 {
        if ppm == 0 {
            return 0;
        }
        if ppm >= 1_000_000 {
            return n;
        }
        // From success to success: as many draws as there are successes.
        let ln_miss = libm::log1p(-(ppm as f64) / 1e6);
        let (mut at, mut count) = (0_u64, 0);
        loop {
            let skip = libm::floor(libm::log(self.uniform()) / ln_miss);
            if skip >= (n - at) as f64 {
                return count;
            }
            at += skip as u64 + 1;
            count += 1;
            if at >= n {
                return count;
            }
        }
    }
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samplers_have_the_means_they_claim() {
        let mut random = Random::new(1, 2);
        let draws = 20_000_u64;
        let poisson: u64 = (0..draws).map(|_| random.poisson(3_700)).sum();
        let binomial: u64 = (0..draws).map(|_| random.binomial(50, 100_000)).sum();
        // Five standard errors each: sqrt(3.7 × 20,000) and sqrt(4.5 × 20,000).
        assert!(poisson.abs_diff(74_000) < 1_361, "{poisson}");
        assert!(binomial.abs_diff(100_000) < 1_500, "{binomial}");
        assert_eq!(random.binomial(7, 1_000_000), 7);
    }

    #[test]
    fn a_seed_is_a_run() {
        let draw = |seed| (0..8).map(|_| Random::new(seed, 0).bits()).collect::<Vec<_>>();
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
    }
}
