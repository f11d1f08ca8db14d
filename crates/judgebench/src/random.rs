//! Seeded randomness and exact samplers, so that a cell of the benchmark can be run again bit by bit.

/// xoshiro256++ (Blackman and Vigna, public domain algorithm), seeded through splitmix64.
#[derive(Debug, Clone)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// A stream for one run; streams of different parts are unrelated.
    pub fn new(parts: &[u64]) -> Self {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        for part in parts {
            seed = splitmix(&mut (seed ^ part));
        }
        Self { state: core::array::from_fn(|_| splitmix(&mut seed)) }
    }

    /// 64 even bits.
    pub fn bits(&mut self) -> u64 {
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

    /// Even on (0, 1): never 0, never 1.
    pub fn uniform(&mut self) -> f64 {
        ((self.bits() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }

    /// Standard normal, by the polar method without keeping the second value.
    pub fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let square = x * x + y * y;
            if square < 1.0 && square > 0.0 {
                return x * (-2.0 * libm::log(square) / square).sqrt();
            }
        }
    }

    /// Poisson with a mean that changes from draw to draw: products of uniforms, in slices of at most 16.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        let mut rest = mean;
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

    /// Length of a geometric burst with this mean, at least 1.
    pub fn geometric(&mut self, mean: f64) -> u64 {
        1 + (libm::log(self.uniform()) / libm::log1p(-1.0 / mean)) as u64
    }
}

fn splitmix(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A distribution over consecutive numbers, drawn by inversion of a table with a guide, in a few nanoseconds.
#[derive(Debug, Clone)]
pub struct Table {
    first: i64,
    cumulative: Vec<f64>,
    guide: Vec<u32>,
}

impl Table {
    /// `masses[i]` is the weight of `first + i`; at least one must be above 0.
    pub fn new(first: i64, masses: &[f64]) -> Self {
        let sum: f64 = masses.iter().sum();
        let mut so_far = 0.0;
        let mut cumulative: Vec<f64> = masses
            .iter()
            .map(|mass| {
                so_far += mass / sum;
                so_far
            })
            .collect();
        // Rounding must not leave a gap below 1 at the end.
        if let Some(last) = cumulative.last_mut() {
            *last = 1.0;
        }
        let slots = cumulative.len() as u32 * 2;
        let mut guide = Vec::with_capacity(slots as usize);
        let mut at = 0u32;
        for slot in 0..slots {
            while cumulative[at as usize] < f64::from(slot) / f64::from(slots) {
                at += 1;
            }
            guide.push(at);
        }
        Self { first, cumulative, guide }
    }

    /// One draw.
    pub fn draw(&self, random: &mut Random) -> i64 {
        let u = random.uniform();
        let slot = (u * self.guide.len() as f64) as usize;
        let mut at = self.guide[slot.min(self.guide.len() - 1)] as usize;
        while self.cumulative[at] < u {
            at += 1;
        }
        self.first + at as i64
    }
}

/// Poisson with a fixed mean, from a [`Table`].
#[derive(Debug, Clone)]
pub struct Poisson {
    table: Table,
}

impl Poisson {
    /// Tabulates ten deviations around the mean and more. A mean of 0 or less always draws 0.
    pub fn new(mean: f64) -> Self {
        if mean.is_nan() || mean <= 0.0 {
            return Self { table: Table::new(0, &[1.0]) };
        }
        let spread = 10.0 * mean.sqrt() + 40.0;
        let first = (mean - spread).max(0.0) as u64;
        let last = (mean + spread) as u64;
        let mass = |count: u64| {
            let x = count as f64;
            libm::exp(x * libm::log(mean) - mean - libm::lgamma(x + 1.0))
        };
        let masses: Vec<f64> = (first..=last).map(mass).collect();
        Self { table: Table::new(first as i64, &masses) }
    }

    /// One draw.
    pub fn draw(&self, random: &mut Random) -> u64 {
        self.table.draw(random) as u64
    }
}
