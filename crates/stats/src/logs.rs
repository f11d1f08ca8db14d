//! Logarithms of several numbers at once, bit for bit those of [`crate::math`].
//!
//! A look of the judge takes some hundred logarithms, of which each is a chain of operations that wait for one another.
//! Here the same chain runs over an array, so that the compiler can interleave and vectorise it: a third of the time. The
//! algorithm is that of FreeBSD's msun (`e_log.c`, `s_log1p.c`, by Sun Microsystems), whose coefficients these are and which
//! `libm` follows; its tests compare the bits.

use core::f64::consts;

use crate::math;

/// `ln 2` in two parts, of which the first has zeros enough at its end for a multiple of it to be exact.
const LN_2: [f64; 2] = [f64::from_bits(0x3fe6_2e42_fee0_0000), f64::from_bits(0x3dea_39ef_3579_3c76)];

/// Coefficients of `(ln((1+s)/(1-s)) - 2s) / s` in powers of `s^2`.
const SERIES: [f64; 7] = [
    f64::from_bits(0x3fe5_5555_5555_5593),
    f64::from_bits(0x3fd9_9999_9997_fa04),
    f64::from_bits(0x3fd2_4924_9422_9359),
    f64::from_bits(0x3fcc_71c5_1d8e_78af),
    f64::from_bits(0x3fc7_4664_96cb_03de),
    f64::from_bits(0x3fc3_9a09_d078_c69f),
    f64::from_bits(0x3fc2_f112_df3e_5244),
];

/// Bits of 1, and those of the root of a half to its upper 32, between which and the root of 2 numbers are reduced.
const ONE: u64 = 0x3ff0_0000 << 32;
const ROOT: u64 = 0x3fe6_a09e << 32;
const FRACTION: u64 = (1 << 52) - 1;

/// A number whose last bit counts for 1: integers below 2^52 put into its fraction are read off by subtracting it.
const WHOLE: f64 = 4_503_599_627_370_496.0;
const EXPONENT_BIAS: f64 = 1_023.0;

/// Where `1 + x` surely lies between the root of a half and the root of 2, so that nothing is to be reduced.
const NEAR_0: core::ops::Range<f64> = consts::FRAC_1_SQRT_2 - 1.0 + 1e-6..consts::SQRT_2 - 1.0 - 1e-6;

/// `ln(1 + f)` for what has been reduced, less `f` and its parts: `(f^2/2, s, the series)`.
#[inline]
fn reduced(f: f64) -> (f64, f64, f64) {
    let half_square = 0.5 * f * f;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let even = w * (SERIES[1] + w * (SERIES[3] + w * SERIES[5]));
    let odd = z * (SERIES[0] + w * (SERIES[2] + w * (SERIES[4] + w * SERIES[6])));
    (half_square, s, odd + even)
}

/// [`math::ln`] of each.
#[inline]
pub(crate) fn ln_each<const N: usize>(x: [f64; N]) -> [f64; N] {
    if !x.iter().all(|x| (f64::MIN_POSITIVE..f64::INFINITY).contains(x)) {
        return x.map(math::ln);
    }
    core::array::from_fn(|at| {
        let shifted = x[at].to_bits() + (ONE - ROOT);
        let doublings = f64::from_bits(WHOLE.to_bits() | (shifted >> 52)) - WHOLE - EXPONENT_BIAS;
        let f = f64::from_bits((shifted & FRACTION) + ROOT) - 1.0;
        let (half_square, s, series) = reduced(f);
        s * (half_square + series) + doublings * LN_2[1] - half_square + f + doublings * LN_2[0]
    })
}

/// [`math::ln_1p`] of each; the sign of a zero may differ.
#[inline]
pub(crate) fn ln_1p_each<const N: usize>(x: [f64; N]) -> [f64; N] {
    if !x.iter().all(|x| NEAR_0.contains(x)) {
        return x.map(math::ln_1p);
    }
    core::array::from_fn(|at| {
        let (half_square, s, series) = reduced(x[at]);
        s * (half_square + series) - half_square + x[at]
    })
}

#[cfg(test)]
mod tests {
    use super::{ln_1p_each, ln_each};
    use crate::math::{exp, ln, ln_1p};

    /// Numbers of every size and some of none.
    fn numbers() -> impl Iterator<Item = f64> {
        let spread = (0..200_000).map(|n| {
            let bits = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(n + 1);
            f64::from_bits(bits)
        });
        let near = (-40_000..40_000).map(|n| f64::from(n) * 1.2e-5);
        let tiny = (-700..0).map(|n| exp(f64::from(n)));
        let odd = [0.0, -0.0, 1.0, -1.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, f64::MIN_POSITIVE / 4.0];
        spread.chain(near).chain(tiny.clone()).chain(tiny.map(|x| -x)).chain(odd)
    }

    #[test]
    fn the_bits_are_those_of_one_at_a_time() {
        for x in numbers() {
            assert_eq!(ln_each([x])[0].to_bits(), ln(x).to_bits(), "ln {x:e}");
            let (all, one) = (ln_1p_each([x])[0], ln_1p(x));
            assert!(
                all.to_bits() == one.to_bits() || all == 0.0 && one == 0.0,
                "ln_1p {x:e}: {all:e} {one:e}"
            );
        }
        assert_eq!(ln_each([2.0, 0.0, 3.0]), [ln(2.0), f64::NEG_INFINITY, ln(3.0)]);
        assert_eq!(ln_1p_each([0.1, 5.0]), [ln_1p(0.1), ln_1p(5.0)]);
    }
}
