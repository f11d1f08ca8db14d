//! Histograms as HdrHistogram encodes them: V0, V1 and V2, compressed or not, of whole numbers or of
//! fractions. The layout follows the encoders of its Java original.

use std::io::Read as _;

use flate2::read::ZlibDecoder;

/// Bytes of a histogram at most: the largest a writer makes (five digits, eight bytes a count) has 48 MiB.
const BYTES_MAX: u64 = 64 << 20;

/// A count above this is a mistake, and sums of it would not fit.
const COUNT_MAX: i64 = 1_000_000_000_000;

/// Significant digits that a histogram can have.
const DIGITS_MAX: u32 = 5;

const V0: u32 = 0x1c84_9308;
const V1: u32 = 0x1c84_9301;
const V2: u32 = 0x1c84_9303;
const DOUBLE: u32 = 0x0c72_124e;
const DOUBLE_COMPRESSED: u32 = 0x0c72_124f;

/// The part of a cookie that says how wide counts are.
const WIDTH: u32 = 0xf0;

/// Counts by the largest value that is counted with them, in the unit of whoever recorded, rising.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Decoded {
    pub(crate) counts: Vec<(f64, u64)>,
}

impl Decoded {
    /// The largest value; 0 of an empty histogram.
    pub(crate) fn max(&self) -> f64 {
        self.counts.last().map_or(0.0, |(value, _)| *value)
    }
}

/// Whether a text begins like the base64 of an encoded histogram.
pub(crate) fn is_encoded(text: &str) -> bool {
    text.starts_with("HIST") || text.starts_with("DHIST")
}

/// Decodes a histogram; one line of why it cannot be.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    let mut rest = Bytes(bytes);
    let cookie = rest.u32()?;
    if cookie == DOUBLE || cookie == DOUBLE_COMPRESSED {
        // Digits and the range of a histogram of fractions; what follows is one of whole numbers with a factor.
        rest.take(4 + 8)?;
        return decode_whole(rest.0);
    }
    decode_whole(bytes)
}

fn decode_whole(bytes: &[u8]) -> Result<Decoded, String> {
    let mut rest = Bytes(bytes);
    let cookie = rest.u32()?;
    if !matches!(cookie & !WIDTH, 0x1c84_9302 | 0x1c84_9304 | 0x1c84_9309) {
        return decode_plain(bytes);
    }
    let length = rest.u32()? as usize;
    let packed = rest.0.get(..length).ok_or("it ends early")?;
    let mut plain = Vec::new();
    ZlibDecoder::new(packed)
        .take(BYTES_MAX + 1)
        .read_to_end(&mut plain)
        .map_err(|error| format!("its compression is broken: {error}"))?;
    if plain.len() as u64 > BYTES_MAX {
        return Err("it is larger than any histogram can be".to_owned());
    }
    decode_plain(&plain)
}

fn decode_plain(bytes: &[u8]) -> Result<Decoded, String> {
    let mut rest = Bytes(bytes);
    let cookie = rest.u32()?;
    let base = cookie & !WIDTH;
    let (digits, lowest, factor, payload) = match base {
        V1 | V2 => {
            let length = rest.u32()? as usize;
            rest.take(4)?;
            let digits = rest.u32()?;
            let lowest = rest.u64()?;
            rest.take(8)?;
            let factor = f64::from_bits(rest.u64()?);
            (digits, lowest, factor, rest.0.get(..length).ok_or("it ends early")?)
        }
        V0 => {
            let digits = rest.u32()?;
            let lowest = rest.u64()?;
            rest.take(8 + 8)?;
            (digits, lowest, 1.0, rest.0)
        }
        _ => return Err(format!("0x{cookie:08x} is not how a histogram begins")),
    };
    if digits > DIGITS_MAX || !(factor.is_finite() && factor > 0.0) {
        return Err("its header makes no sense".to_owned());
    }
    let scale = Scale::new(digits, lowest);
    let mut decoded = Decoded::default();
    let mut payload = Bytes(payload);
    let width = ((cookie & WIDTH) >> 4) & 0xe;
    let mut index = 0_u64;
    while !payload.0.is_empty() {
        let count = if base == V2 { payload.zigzag()? } else { payload.word(width)? };
        if count < 0 {
            // So many places without a count.
            index = index.saturating_add(count.unsigned_abs());
            continue;
        }
        if count > COUNT_MAX {
            return Err(format!("a value is counted {count} times"));
        }
        if count > 0 {
            let value = scale.value(index).ok_or("it counts values beyond 64 bits")?;
            decoded.counts.push((value as f64 * factor, count.unsigned_abs()));
        }
        index = index.saturating_add(1);
    }
    Ok(decoded)
}

/// Which value stands at which place.
struct Scale {
    unit_bits: u32,
    half_bits: u32,
}

impl Scale {
    fn new(digits: u32, lowest: u64) -> Self {
        let resolved = 2 * 10_u64.pow(digits);
        let half_bits = resolved.next_power_of_two().trailing_zeros().max(1) - 1;
        Self { unit_bits: lowest.max(1).ilog2(), half_bits }
    }

    /// The largest value that is counted at a place.
    fn value(&self, index: u64) -> Option<u64> {
        let half = 1_u64 << self.half_bits;
        let (bucket, sub) = match (index >> self.half_bits).checked_sub(1) {
            None => (0, index),
            Some(bucket) => (u32::try_from(bucket).ok()?, (index & (half - 1)) + half),
        };
        let bits = bucket.checked_add(self.unit_bits)?;
        let end = u128::from(sub + 1).checked_shl(bits).filter(|_| bits < 64)? - 1;
        u64::try_from(end).ok()
    }
}

/// Bytes yet to be read, big end first.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("it ends early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(self.take(4)?.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(self.take(8)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// A count of the older formats; what is left of a last one is filling.
    fn word(&mut self, width: u32) -> Result<i64, String> {
        if !matches!(width, 2 | 4 | 8) {
            return Err(format!("counts of {width} bytes are unknown"));
        }
        let bytes = self.take((width as usize).min(self.0.len()))?;
        let count = bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        i64::try_from(count).map_err(|_| "a count is negative".to_owned())
    }

    /// A count of V2: seven bits a byte, the lowest first, nine bytes at most; the sign in the lowest bit.
    fn zigzag(&mut self) -> Result<i64, String> {
        let mut bits = 0_u64;
        for place in 0..9_u32 {
            let byte = u64::from(self.take(1)?[0]);
            if place == 8 {
                bits |= byte << 56;
                break;
            }
            bits |= (byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                break;
            }
        }
        Ok((bits >> 1) as i64 ^ -((bits & 1) as i64))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer, V2Serializer};

    use super::*;

    fn packed(cookie: u32, plain: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        let body = encoder.finish().unwrap();
        [&cookie.to_be_bytes()[..], &(body.len() as u32).to_be_bytes(), &body].concat()
    }

    /// As the older writers do it: every place up to the last one, in `width` bytes.
    fn older(base: u32, histogram: &Histogram<u64>, width: usize, factor: f64) -> Vec<u8> {
        let places = histogram.iter_all().take_while(|value| value.value_iterated_to() <= histogram.max());
        let mut counts: Vec<u64> = places.map(|value| value.count_at_value()).collect();
        counts.extend(histogram.iter_all().nth(counts.len()).map(|value| value.count_at_value()));
        let payload: Vec<u8> =
            counts.iter().flat_map(|count| count.to_be_bytes()[8 - width..].to_vec()).collect();
        let mut plain = (base | (width as u32) << 4).to_be_bytes().to_vec();
        if base == V1 {
            plain.extend((payload.len() as u32).to_be_bytes());
            plain.extend(0_u32.to_be_bytes());
        }
        plain.extend(u32::from(histogram.sigfig()).to_be_bytes());
        plain.extend(histogram.low().to_be_bytes());
        plain.extend(histogram.high().to_be_bytes());
        if base == V1 {
            plain.extend(factor.to_be_bytes());
        } else {
            plain.extend(histogram.len().to_be_bytes());
        }
        [plain, payload].concat()
    }

    #[test]
    fn every_format_gives_the_counts_that_were_recorded() {
        for (digits, low) in [(1, 1), (2, 1), (3, 1), (2, 1_000)] {
            let mut histogram = Histogram::<u64>::new_with_bounds(low, 3_600_000_000, digits).unwrap();
            for value in 1..300_u64 {
                histogram.record_n(value * value * low, value % 7 + 1).unwrap();
            }
            let recorded = histogram.iter_recorded();
            let counts: Vec<(f64, u64)> =
                recorded.map(|value| (value.value_iterated_to() as f64, value.count_at_value())).collect();
            let (mut plain, mut deflated) = (Vec::new(), Vec::new());
            V2Serializer::new().serialize(&histogram, &mut plain).unwrap();
            V2DeflateSerializer::new().serialize(&histogram, &mut deflated).unwrap();
            let v1 = older(V1, &histogram, 4, 1.0);
            let v0 = older(V0, &histogram, 8, 1.0);
            let packed_v1 = packed(0x1c84_9302 | 0x80, &older(V1, &histogram, 8, 1.0));
            let packed_v0 = packed(0x1c84_9309 | 0x80, &older(V0, &histogram, 2, 1.0));
            for bytes in [&plain, &deflated, &v1, &v0, &packed_v1, &packed_v0] {
                assert_eq!(decode(bytes).unwrap().counts, counts, "{digits} digits from {low}");
            }
            let head = [&DOUBLE_COMPRESSED.to_be_bytes()[..], &[0; 12]].concat();
            let fractions = [head, packed(0x1c84_9302 | 0x80, &older(V1, &histogram, 8, 0.5))].concat();
            let halved: Vec<(f64, u64)> = counts.iter().map(|(value, count)| (value / 2.0, *count)).collect();
            assert_eq!(decode(&fractions).unwrap().counts, halved);
            for cut in [3, 10, plain.len() / 2] {
                assert!(decode(&plain[..cut]).is_err(), "cut at {cut}");
                assert!(decode(&packed_v1[..cut]).is_err(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        let header = |digits: u32, factor: f64, payload: &[u8]| {
            let mut bytes = V2.to_be_bytes().to_vec();
            bytes.extend((payload.len() as u32).to_be_bytes());
            bytes.extend(0_u32.to_be_bytes());
            bytes.extend(digits.to_be_bytes());
            bytes.extend(1_u64.to_be_bytes());
            bytes.extend(10_u64.to_be_bytes());
            bytes.extend(factor.to_be_bytes());
            [&bytes[..], payload].concat()
        };
        assert_eq!(decode(&header(3, 1.0, &[2])).unwrap().counts, [(0.0, 1)]);
        let beyond = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2];
        for (bytes, why) in [
            (header(9, 1.0, &[2]), "header"),
            (header(3, f64::NAN, &[2]), "header"),
            (header(3, 1.0, &[0x80]), "ends early"),
            (header(3, 1.0, &beyond), "beyond 64 bits"),
            (header(3, 1.0, &beyond[..8]), "ends early"),
            (vec![1, 2, 3, 4, 5], "how a histogram begins"),
            (Vec::new(), "ends early"),
            (packed(0x1c84_9304, &[0; 40]), "how a histogram begins"),
        ] {
            let refused = decode(&bytes).unwrap_err();
            assert!(refused.contains(why), "{why}: {refused}");
        }
    }
}
