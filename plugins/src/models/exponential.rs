//! The exponential and the logistic function in plain IEEE operations, so that a model comes out the same on every
//! machine; the system's mathematical library may differ in the last bit from one version to the next.

/// The largest and smallest arguments whose exponential is a normal number.
const HIGHEST: f64 = 709.0;
const LOWEST: f64 = -708.0;
/// ln 2 in two parts, the first with trailing zeros, so that multiples of it are exact.
const LN_2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
const LN_2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);
/// Adding it to a small number rounds that to an integer, which then stands in the low bits.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// e to the power of `x`, within two units of the last place; arguments beyond ±708 are clamped.
pub(super) fn exp(x: f64) -> f64 {
    let x = x.clamp(LOWEST, HIGHEST);
    // x = k ln 2 + r with |r| <= ln 2 / 2, and e^x = 2^k e^r.
    let rounded = x * std::f64::consts::LOG2_E + ROUNDER;
    let k = rounded - ROUNDER;
    let r = (x - k * LN_2_HIGH) - k * LN_2_LOW;
    // Taylor to the 13th power: the rest is below 5e-18.
    let mut sum = 1.0 / 6_227_020_800.0;
    for factorial in [
        479_001_600.0,
        39_916_800.0,
        3_628_800.0,
        362_880.0,
        40_320.0,
        5_040.0,
        720.0,
        120.0,
        24.0,
        6.0,
        2.0,
        1.0,
        1.0,
    ] {
        sum = sum * r + 1.0 / factorial;
    }
    let exponent = (rounded.to_bits().wrapping_sub(ROUNDER.to_bits()) as i64).wrapping_add(1023);
    sum * f64::from_bits((exponent as u64) << 52)
}

/// 1 / (1 + e^-x): log-odds to a probability.
pub(super) fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::{exp, logistic};

    #[test]
    fn exp_is_within_two_units_of_the_last_place() {
        let mut x = -700.0;
        while x < 700.0 {
            let (ours, theirs) = (exp(x), f64::exp(x));
            assert!(
                (ours - theirs).abs() <= theirs * 4.5e-16,
                "e^{x}: {ours} is not {theirs}"
            );
            x += 0.037;
        }
        assert_eq!(exp(0.0).to_bits(), 1.0_f64.to_bits());
        assert!(exp(f64::NAN).is_nan());
    }

    #[test]
    fn logistic_of_extremes_is_a_probability() {
        assert!(logistic(-1e9) >= 0.0 && logistic(-1e9) < 1e-300);
        assert!((logistic(1e9) - 1.0).abs() < 1e-300);
        assert!((logistic(0.0) - 0.5).abs() < 1e-300);
    }
}
