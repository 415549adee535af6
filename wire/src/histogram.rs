//! Latencies as an `HdrHistogram` in sparse form: which buckets were hit, and how often.
//!
//! Buckets are those of `HdrHistogram` (Gil Tene; `hdrhistogram` crate 7.6, `Histogram::index_for`)
//! with a lowest discernible value of 1 µs: the first `sub_buckets` values have a bucket each, and
//! every further power of two is cut into `sub_buckets / 2` equal buckets.

use std::cmp::Ordering;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeSeq, SerializeTuple, Serializer};
use thiserror::Error;

/// The longest latency that is told apart: 60 s. Longer ones count in its bucket.
pub const MAX_LATENCY_MICROS: u64 = 60_000_000;

/// Significant decimal digits of a recorded latency, 1 to 3.
///
/// Quantiles read from the middle of a bucket are within 3.2 %, 0.4 % or 0.05 % of the true value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digits(u8);

/// The number of digits is not 1, 2 or 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("quantile digits must be 1, 2 or 3, not {0}")]
pub struct InvalidDigits(pub u8);

impl Digits {
    /// Two digits: quantiles within 1 %, about 10 KiB for a dense recorder.
    pub const DEFAULT: Self = Self(2);

    /// Takes 1, 2 or 3.
    ///
    /// # Errors
    /// [`InvalidDigits`] for any other number.
    pub const fn new(digits: u8) -> Result<Self, InvalidDigits> {
        match digits {
            1..=3 => Ok(Self(digits)),
            _ => Err(InvalidDigits(digits)),
        }
    }

    /// 1, 2 or 3.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// log2 of the number of sub-buckets: the least power of two at or above 2·10^digits.
    const fn sub_bucket_bits(self) -> u32 {
        match self.0 {
            1 => 5,
            2 => 8,
            _ => 11,
        }
    }
}

impl Default for Digits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The bucket of a latency. Latencies above [`MAX_LATENCY_MICROS`] fall into the last one.
pub fn bucket_index(digits: Digits, micros: u64) -> u16 {
    let bits = digits.sub_bucket_bits();
    let value = micros.min(MAX_LATENCY_MICROS);
    let exponent = (value | 1).ilog2().saturating_sub(bits - 1);
    let sub_bucket = value >> exponent;
    let half = 1_u64 << (bits - 1);
    // Below `sub_buckets` the exponent is 0 and this is the value itself.
    u16::try_from(u64::from(exponent) * half + sub_bucket).unwrap_or(u16::MAX)
}

/// How many buckets there are from 0 to [`MAX_LATENCY_MICROS`].
pub fn bucket_count(digits: Digits) -> usize {
    usize::from(bucket_index(digits, MAX_LATENCY_MICROS)) + 1
}

/// The lowest and highest latency, in µs, that fall into a bucket; beyond the last bucket, of the
/// last one.
pub fn bucket_range(digits: Digits, index: u16) -> (u64, u64) {
    let half_bits = digits.sub_bucket_bits() - 1;
    let index = u64::from(index.min(bucket_index(digits, MAX_LATENCY_MICROS)));
    let exponent = (index >> half_bits).saturating_sub(1);
    let sub_bucket = index - (exponent << half_bits);
    (sub_bucket << exponent, ((sub_bucket + 1) << exponent) - 1)
}

/// How often one bucket was hit, in 6 bytes: an aggregator keeps thousands for each workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(Rust, packed(2))]
pub struct Bucket {
    /// See [`bucket_index`].
    pub index: u16,
    /// At least 1; saturates.
    pub count: u32,
}

/// Latencies of many requests, mergeable without loss.
///
/// ```
/// use foresail_wire::{Digits, LatencyHistogram};
///
/// let mut latency = LatencyHistogram::new(Digits::DEFAULT);
/// for micros in [900, 1_000, 1_100, 50_000] {
///     latency.record(micros);
/// }
/// assert_eq!(latency.total(), 4);
/// assert!(latency.quantile(0.99).is_some_and(|p99| p99.abs_diff(50_000) <= 500));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencyHistogram {
    digits: Digits,
    /// Strictly ascending by index; no count is zero.
    buckets: Vec<Bucket>,
}

impl LatencyHistogram {
    /// No latencies.
    pub const fn new(digits: Digits) -> Self {
        Self { digits, buckets: Vec::new() }
    }

    /// Takes buckets in ascending order of index; counts of zero are left out.
    ///
    /// Returns `None` when indices do not ascend strictly or one is beyond the last bucket.
    pub fn from_buckets(
        digits: Digits,
        buckets: impl IntoIterator<Item = (u16, u32)>,
    ) -> Option<Self> {
        let limit = bucket_count(digits);
        let mut taken = Vec::new();
        let mut next = 0;
        for (index, count) in buckets {
            if usize::from(index) < next || usize::from(index) >= limit {
                return None;
            }
            next = usize::from(index) + 1;
            if count > 0 {
                taken.push(Bucket { index, count });
            }
        }
        Some(Self { digits, buckets: taken })
    }

    /// Counts one request. A recorder on a hot path keeps a dense array and calls
    /// [`LatencyHistogram::from_buckets`] once a window instead.
    pub fn record(&mut self, micros: u64) {
        let index = bucket_index(self.digits, micros);
        match self.buckets.binary_search_by_key(&index, |bucket| bucket.index) {
            Ok(at) => {
                if let Some(bucket) = self.buckets.get_mut(at) {
                    bucket.count = bucket.count.saturating_add(1);
                }
            }
            Err(at) => self.buckets.insert(at, Bucket { index, count: 1 }),
        }
    }

    /// Significant digits of the buckets.
    pub const fn digits(&self) -> Digits {
        self.digits
    }

    /// The buckets that were hit, ascending.
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// Number of latencies.
    pub fn total(&self) -> u64 {
        self.buckets.iter().map(|bucket| u64::from(bucket.count)).sum()
    }

    /// Whether a count stands at its limit, so that totals no longer add up.
    pub(crate) fn is_saturated(&self) -> bool {
        self.buckets.iter().any(|bucket| bucket.count == u32::MAX)
    }

    /// Whether no latency was counted.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// Forgets all latencies and keeps the memory.
    pub fn clear(&mut self) {
        self.buckets.clear();
    }

    /// The latency in µs that a share `q` of the requests (in 0..=1) do not exceed: the middle of
    /// the bucket that holds the request of rank `ceil(q · total)`. `None` without requests or
    /// when `q` is outside 0..=1.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        if !(0.0..=1.0).contains(&q) || self.buckets.is_empty() {
            return None;
        }
        // 0.07 as a float is a little more than 0.07, and 0.07 · 100 would round up to rank 8; so
        // the product is taken one step lower, as the Java HdrHistogram does.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "q·total lies in 0..=total"
        )]
        let rank = ((q * self.total() as f64 * (1.0 - f64::EPSILON)).ceil() as u64).max(1);
        let mut seen = 0;
        let bucket = self
            .buckets
            .iter()
            .find(|bucket| {
                seen += u64::from(bucket.count);
                seen >= rank
            })
            .or(self.buckets.last())?;
        let (low, high) = bucket_range(self.digits, bucket.index);
        Some(low.midpoint(high))
    }

    /// How many requests took longer than `micros`, to within the bucket that holds it.
    pub fn count_above(&self, micros: u64) -> u64 {
        let index = bucket_index(self.digits, micros);
        let above = self.buckets.iter().rev().take_while(|bucket| bucket.index > index);
        above.map(|bucket| u64::from(bucket.count)).sum()
    }

    /// Adds all of `other`; counts saturate. With different digits the result has the fewer ones
    /// (finer buckets nest in coarser ones, so no count lands in a wrong bucket).
    pub fn merge(&mut self, other: &Self) {
        match self.digits.cmp(&other.digits) {
            Ordering::Equal => self.add_sorted(&other.buckets),
            Ordering::Less => self.add_sorted(&other.coarser(self.digits).buckets),
            Ordering::Greater => {
                *self = self.coarser(other.digits);
                self.add_sorted(&other.buckets);
            }
        }
    }

    /// The same latencies with fewer digits.
    fn coarser(&self, digits: Digits) -> Self {
        let mut buckets: Vec<Bucket> = Vec::with_capacity(self.buckets.len());
        for bucket in &self.buckets {
            let index = bucket_index(digits, bucket_range(self.digits, bucket.index).0);
            match buckets.last_mut() {
                Some(last) if last.index == index => {
                    last.count = last.count.saturating_add(bucket.count);
                }
                _ => buckets.push(Bucket { index, count: bucket.count }),
            }
        }
        Self { digits, buckets }
    }

    /// Merges ascending buckets in place, from the back, so that nothing is copied twice.
    fn add_sorted(&mut self, other: &[Bucket]) {
        if self.buckets.is_empty() {
            self.buckets.extend_from_slice(other);
            return;
        }
        // 1. Counts of shared buckets add in place; what is new is counted.
        let mut missing = 0;
        let mut at = 0;
        for bucket in other {
            while self.buckets.get(at).is_some_and(|mine| mine.index < bucket.index) {
                at += 1;
            }
            match self.buckets.get_mut(at) {
                Some(mine) if mine.index == bucket.index => {
                    mine.count = mine.count.saturating_add(bucket.count);
                }
                _ => missing += 1,
            }
        }
        // 2. New buckets go to their places, greatest first, each move once.
        if missing == 0 {
            return;
        }
        let mut read = self.buckets.len();
        if missing > self.buckets.capacity() - read {
            // Doubling would hold up to twice what many open windows need.
            self.buckets.reserve_exact(missing.max(read / 8));
        }
        self.buckets.resize(read + missing, Bucket { index: 0, count: 0 });
        let mut write = self.buckets.len();
        for bucket in other.iter().rev() {
            while let Some(mine) = read.checked_sub(1).and_then(|i| self.buckets.get(i)).copied() {
                if mine.index < bucket.index {
                    break;
                }
                read -= 1;
                write -= 1;
                if let Some(slot) = self.buckets.get_mut(write) {
                    *slot = mine;
                }
                if mine.index == bucket.index {
                    break;
                }
            }
            if self.buckets.get(write).is_some_and(|mine| mine.index == bucket.index) {
                continue;
            }
            write -= 1;
            if let Some(slot) = self.buckets.get_mut(write) {
                *slot = *bucket;
            }
        }
    }
}

/// Digits, then pairs of (distance to the index before, count).
impl Serialize for LatencyHistogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(2)?;
        tuple.serialize_element(&self.digits.0)?;
        tuple.serialize_element(&Distances(&self.buckets))?;
        tuple.end()
    }
}

struct Distances<'a>(&'a [Bucket]);

impl Serialize for Distances<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        let mut before = 0;
        for bucket in self.0 {
            seq.serialize_element(&(bucket.index - before, bucket.count))?;
            before = bucket.index;
        }
        seq.end()
    }
}

impl<'de> Deserialize<'de> for LatencyHistogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_tuple(2, HistogramVisitor)
    }
}

struct HistogramVisitor;

impl<'de> Visitor<'de> for HistogramVisitor {
    type Value = LatencyHistogram;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("digits and ascending buckets within their range")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let digits: u8 =
            access.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        let digits = Digits::new(digits).map_err(A::Error::custom)?;
        let seed = BucketsSeed { digits };
        let buckets =
            access.next_element_seed(seed)?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
        Ok(LatencyHistogram { digits, buckets })
    }
}

struct BucketsSeed {
    digits: Digits,
}

impl<'de> serde::de::DeserializeSeed<'de> for BucketsSeed {
    type Value = Vec<Bucket>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for BucketsSeed {
    type Value = Vec<Bucket>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "at most {} ascending buckets", bucket_count(self.digits))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        // A bucket takes two bytes or more, so this reserves at most four times what was sent
        // unless the length lies; then it is bounded by the constant.
        const TRUSTED_CAPACITY: usize = 64;
        let limit = bucket_count(self.digits);
        let announced = access.size_hint().unwrap_or(0);
        if announced > limit {
            return Err(A::Error::invalid_length(announced, &self));
        }
        let mut buckets = Vec::with_capacity(announced.min(TRUSTED_CAPACITY));
        let mut index = 0_u16;
        while let Some((distance, count)) = access.next_element::<(u16, u32)>()? {
            let ascends = buckets.is_empty() || distance > 0;
            index = index
                .checked_add(distance)
                .filter(|index| ascends && count > 0 && usize::from(*index) < limit)
                .ok_or_else(|| A::Error::custom("bucket out of order, empty or out of range"))?;
            buckets.push(Bucket { index, count });
        }
        Ok(buckets)
    }
}
