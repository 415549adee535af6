//! The sparse histogram against the `hdrhistogram` crate and against exact order statistics.

use foresail_wire::{
    Digits, LatencyHistogram, MAX_LATENCY_MICROS, bucket_count, bucket_index, bucket_range,
};
use hdrhistogram::Histogram;
use proptest::prelude::*;

use crate::arbitrary;

const ALL: [u8; 3] = [1, 2, 3];

/// Half a bucket of the first power of two that is cut: 3.2 %, 0.4 %, 0.05 %.
fn bound(digits: Digits) -> f64 {
    [1.0 / 32.0, 1.0 / 256.0, 1.0 / 2_048.0][usize::from(digits.get()) - 1]
}

fn dense(digits: Digits) -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_LATENCY_MICROS, digits.get()).unwrap()
}

fn sparse(digits: Digits, micros: &[u64]) -> LatencyHistogram {
    let mut histogram = LatencyHistogram::new(digits);
    for micros in micros {
        histogram.record(*micros);
    }
    histogram
}

/// Latencies of every magnitude, some beyond the greatest that is told apart.
fn latencies() -> impl Strategy<Value = Vec<u64>> {
    let any_magnitude = (0_u32..27, any::<u64>()).prop_map(|(bits, n)| n % (1 << bits));
    let one = prop_oneof![
        20 => any_magnitude,
        5 => 900_u64..1_100,
        1 => MAX_LATENCY_MICROS - 5..=u64::MAX,
    ];
    prop::collection::vec(one, 1..300)
}

#[test]
fn every_bucket_is_one_of_hdrhistogram() {
    for digits in ALL.map(|digits| Digits::new(digits).unwrap()) {
        let theirs = dense(digits);
        let mut next = 0;
        for index in 0..u16::try_from(bucket_count(digits)).unwrap() {
            let (low, high) = bucket_range(digits, index);
            assert_eq!(low, next, "buckets leave no gap");
            assert_eq!(theirs.lowest_equivalent(low), low);
            assert_eq!(theirs.highest_equivalent(low), high);
            assert_eq!(bucket_index(digits, low), index);
            assert_eq!(bucket_index(digits, high.min(MAX_LATENCY_MICROS)), index);
            next = high + 1;
        }
        assert!(next > MAX_LATENCY_MICROS);
    }
}

#[test]
fn no_latency_or_index_is_beyond_the_last_bucket() {
    for digits in ALL.map(|digits| Digits::new(digits).unwrap()) {
        let last = u16::try_from(bucket_count(digits) - 1).unwrap();
        assert_eq!(bucket_index(digits, u64::MAX), last);
        assert_eq!(bucket_range(digits, u16::MAX), bucket_range(digits, last));
    }
}

#[test]
fn digits_are_one_to_three() {
    let valid: Vec<u8> = (0..=u8::MAX).filter(|digits| Digits::new(*digits).is_ok()).collect();
    assert_eq!(valid, ALL);
}

#[test]
fn a_quantile_outside_0_to_1_or_of_nothing_is_none() {
    let one = sparse(Digits::DEFAULT, &[7]);
    assert_eq!([0.0, 0.5, 1.0].map(|q| one.quantile(q)), [Some(7); 3]);
    assert_eq!([-0.1, 1.1, f64::NAN, f64::INFINITY].map(|q| one.quantile(q)), [None; 4]);
    assert_eq!(LatencyHistogram::default().quantile(0.5), None);
}

/// 0.07 · 100 is 7.000000000000001 in floating point.
#[test]
fn the_rank_of_a_quantile_is_not_rounded_up_by_its_float() {
    let hundred: Vec<u64> = (1..=100).collect();
    assert_eq!(sparse(Digits::DEFAULT, &hundred).quantile(0.07), Some(7));
}

#[test]
fn counts_saturate() {
    let full = LatencyHistogram::from_buckets(Digits::DEFAULT, [(5, u32::MAX)]).unwrap();
    let mut histogram = full.clone();
    histogram.record(5);
    assert_eq!(histogram, full);
    histogram.merge(&full);
    assert_eq!(histogram, full);
    let mut coarse = LatencyHistogram::new(Digits::new(1).unwrap());
    let fine = LatencyHistogram::from_buckets(Digits::DEFAULT, [(100, u32::MAX), (101, 1)]);
    coarse.merge(&fine.unwrap());
    assert_eq!(coarse.total(), u64::from(u32::MAX));
}

#[test]
fn buckets_out_of_order_or_range_are_refused() {
    let take = |buckets: &[(u16, u32)]| {
        LatencyHistogram::from_buckets(Digits::DEFAULT, buckets.iter().copied())
    };
    let limit = u16::try_from(bucket_count(Digits::DEFAULT)).unwrap();
    assert_eq!(take(&[(4, 1), (4, 1)]), None);
    assert_eq!(take(&[(4, 1), (3, 1)]), None);
    assert_eq!(take(&[(limit, 1)]), None);
    assert_eq!(take(&[(3, 0), (limit - 1, 1)]).unwrap().buckets().len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn sparse_equals_dense(digits in arbitrary::digits(), micros in latencies()) {
        let mut theirs = dense(digits);
        for micros in &micros {
            theirs.record((*micros).min(MAX_LATENCY_MICROS)).unwrap();
        }
        let ours = sparse(digits, &micros);
        let recorded: Vec<_> =
            theirs.iter_recorded().map(|at| (at.value_iterated_to(), at.count_at_value())).collect();
        let buckets = ours.buckets().iter();
        let buckets: Vec<_> = buckets
            .map(|bucket| (bucket_range(digits, bucket.index).1, u64::from(bucket.count)))
            .collect();
        prop_assert_eq!(buckets, recorded);
        prop_assert_eq!(ours.total(), theirs.len());
        // Quantiles whose rank is exact in floating point: the other rounds up when it is not.
        for eighth in 0..=8_u32 {
            let q = f64::from(eighth) / 8.0;
            let theirs = theirs.value_at_quantile(q);
            let ours = ours.quantile(q).unwrap();
            prop_assert_eq!(bucket_index(digits, ours), bucket_index(digits, theirs));
        }
    }

    #[test]
    fn quantiles_are_within_their_bound(digits in arbitrary::digits(), mut micros in latencies()) {
        let histogram = sparse(digits, &micros);
        micros.sort_unstable();
        for thousandth in 0..=1_000_usize {
            let rank = (thousandth * micros.len()).div_ceil(1_000).max(1);
            let exact = micros[rank - 1].min(MAX_LATENCY_MICROS) as f64;
            let read = histogram.quantile(thousandth as f64 / 1_000.0).unwrap() as f64;
            prop_assert!(
                (read - exact).abs() <= bound(digits) * exact,
                "q = {}/1000: read {}, exact {}", thousandth, read, exact
            );
        }
    }

    #[test]
    fn from_buckets_agrees_with_record(digits in arbitrary::digits(), micros in latencies()) {
        let mut counts = vec![0_u32; bucket_count(digits)];
        for micros in &micros {
            counts[usize::from(bucket_index(digits, *micros))] += 1;
        }
        let dense = counts.into_iter().enumerate().map(|(i, n)| (u16::try_from(i).unwrap(), n));
        prop_assert_eq!(
            LatencyHistogram::from_buckets(digits, dense).unwrap(),
            sparse(digits, &micros)
        );
    }

    #[test]
    fn count_above_is_exact_at_a_bucket_end(
        digits in arbitrary::digits(), micros in latencies(), at in any::<prop::sample::Index>(),
    ) {
        let (_, end) = bucket_range(digits, bucket_index(digits, *at.get(&micros)));
        let above = micros.iter().filter(|micros| **micros > end).count() as u64;
        // What is beyond 60 s shares its bucket, so nothing is above that.
        let expected = if end >= MAX_LATENCY_MICROS { 0 } else { above };
        prop_assert_eq!(sparse(digits, &micros).count_above(end), expected);
    }

    #[test]
    fn merging_equals_recording_with_the_fewer_digits(
        left in arbitrary::digits(), right in arbitrary::digits(),
        a in latencies(), b in latencies(),
    ) {
        let mut merged = sparse(left, &a);
        merged.merge(&sparse(right, &b));
        prop_assert_eq!(merged, sparse(left.min(right), &[a, b].concat()));
    }

    #[test]
    fn merging_histograms_commutes_and_associates(
        a in arbitrary::digits().prop_flat_map(arbitrary::histogram),
        b in arbitrary::digits().prop_flat_map(arbitrary::histogram),
        c in arbitrary::digits().prop_flat_map(arbitrary::histogram),
    ) {
        let merged = |left: &LatencyHistogram, right: &LatencyHistogram| {
            let mut left = left.clone();
            left.merge(right);
            left
        };
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&a, &b).total(), a.total() + b.total());
    }
}
