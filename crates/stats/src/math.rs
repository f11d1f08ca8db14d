//! Elementary functions on pinned `libm`, so that a verdict is the same bits on every machine.
//!
//! `f64::ln` and friends call the platform's C library and differ in the last bit between platforms; `+ - * /`, `sqrt`,
//! `abs`, comparisons and integer conversions are exact IEEE operations and are used as they are.

/// Natural logarithm; `-inf` at 0, NaN below.
pub fn ln(x: f64) -> f64 {
    libm::log(x)
}

/// `ln(1 + x)` without cancellation near 0.
pub fn ln_1p(x: f64) -> f64 {
    libm::log1p(x)
}

/// `e^x`.
pub fn exp(x: f64) -> f64 {
    libm::exp(x)
}

/// `e^x - 1` without cancellation near 0.
pub fn exp_m1(x: f64) -> f64 {
    libm::expm1(x)
}

/// `ln(e^a + e^b)`; `-inf` is a legal input and means weight zero.
pub fn ln_add(a: f64, b: f64) -> f64 {
    let (high, low) = if a >= b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY {
        return high;
    }
    high + ln_1p(exp(low - high))
}

/// `ln(sum e^v)` over all values; `-inf` for an empty slice. The order of the slice is the order of summation.
pub fn ln_sum(values: &[f64]) -> f64 {
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if high.is_infinite() {
        return high;
    }
    high + ln(values.iter().map(|value| exp(value - high)).sum::<f64>())
}

/// Standard normal distribution function.
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z * core::f64::consts::FRAC_1_SQRT_2)
}

/// `ln` of [`normal_cdf`], accurate far into the lower tail, where the function itself underflows.
pub fn ln_normal_cdf(z: f64) -> f64 {
    if z > -20.0 {
        return ln(normal_cdf(z));
    }
    // Mills ratio, asymptotic series: at -20 the first omitted term is below 1e-9.
    let inverse = 1.0 / (z * z);
    let series = 1.0 - inverse * (1.0 - 3.0 * inverse * (1.0 - 5.0 * inverse * (1.0 - 7.0 * inverse)));
    -0.5 * z * z - ln(-z) - 0.5 * ln(2.0 * core::f64::consts::PI) + ln(series)
}

/// Standard normal quantile: the `z` with `normal_cdf(z) = p`, by bisection (80 halvings, exact to the last bits).
///
/// `-inf` for `p <= 0`, `+inf` for `p >= 1`.
pub fn normal_quantile(p: f64) -> f64 {
    if p.is_nan() || p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if p >= 1.0 {
        return f64::INFINITY;
    }
    if p > 0.5 {
        return -normal_quantile(1.0 - p);
    }
    bisect(-40.0, 0.0, |z| ln_normal_cdf(z) < ln(p))
}

/// Binary search for the point where `below` turns from true to false on `[low, high]`; 80 halvings.
pub fn bisect(low: f64, high: f64, below: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (low, high);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// Relative entropy of two coins, `p ln(p/q) + (1-p) ln((1-p)/(1-q))` in nats; `0 ln 0 = 0`, infinite if `q` excludes `p`.
pub fn kl(p: f64, q: f64) -> f64 {
    let part = |p: f64, q: f64| if p <= 0.0 { 0.0 } else { p * ln(p / q) };
    // Rounding may leave -1e-17 where the truth is 0.
    (part(p, q) + part(1.0 - p, 1.0 - q)).max(0.0)
}

/// `ln Gamma(x)` for `x > 0`.
pub fn ln_gamma(x: f64) -> f64 {
    libm::lgamma(x)
}

/// `ln B(a, b)` for `a, b > 0`, without the cancellation of three large `ln Gamma`.
pub fn ln_beta(a: f64, b: f64) -> f64 {
    let (small, large) = if a <= b { (a, b) } else { (b, a) };
    if large < 10.0 {
        return ln_gamma(small) + ln_gamma(large) - ln_gamma(small + large);
    }
    let sum = small + large;
    if small < 10.0 {
        // ln Gamma(large) - ln Gamma(sum) by Stirling, the large terms cancelled by hand.
        let difference = -(large - 0.5) * ln_1p(small / large) - small * ln(sum) + small;
        return ln_gamma(small) + difference + stirling_rest(large) - stirling_rest(sum);
    }
    0.5 * ln(2.0 * core::f64::consts::PI) - 0.5 * ln(large) + (small - 0.5) * ln(small / sum)
        - large * ln_1p(small / large)
        + stirling_rest(small)
        + stirling_rest(large)
        - stirling_rest(sum)
}

/// `ln Gamma(x)` minus Stirling's `(x - 1/2) ln x - x + ln(2 pi)/2`, for `x >= 10` (error below 1e-15).
fn stirling_rest(x: f64) -> f64 {
    let inverse = 1.0 / (x * x);
    let tail = 1.0 / 1680.0 - inverse * (1.0 / 1188.0 - inverse * (691.0 / 360_360.0 - inverse / 156.0));
    (1.0 / 12.0 - inverse * (1.0 / 360.0 - inverse * (1.0 / 1260.0 - inverse * tail))) / x
}

/// Regularised incomplete beta function `I_x(a, b)` by Lentz's continued fraction (Numerical Recipes 6.4's mathematics,
/// DLMF 8.17.22); `a, b > 0`, `x` is clamped to `[0, 1]`.
pub fn beta_regularized(a: f64, b: f64, x: f64) -> f64 {
    if x.is_nan() || x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = exp(a * ln(x) + b * ln_1p(-x) - ln_beta(a, b));
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(a, b, x) / a
    } else {
        1.0 - front * beta_fraction(b, a, 1.0 - x) / b
    }
}

/// The continued fraction of DLMF 8.17.22, evaluated by the modified Lentz method.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let guard = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / guard(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    // Convergence takes O(sqrt(max(a, b))) terms; the cap keeps hostile input finite.
    for m in 1..20_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / guard(1.0 + even * d);
        c = guard(1.0 + even / c);
        value *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / guard(1.0 + odd * d);
        c = guard(1.0 + odd / c);
        let factor = d * c;
        value *= factor;
        if (factor - 1.0).abs() < 1e-15 {
            break;
        }
    }
    value
}
