use super::*;

/// Numbers in 0..1, always the same.
fn uniform(count: usize, seed: u64) -> Vec<f32> {
    // SplitMix64 (Steele, Lea and Flood 2014): neighbouring seeds give unrelated numbers.
    (0..count as u64)
        .map(|i| {
            let mut z = (seed << 32).wrapping_add(i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 40) as f32 / (1_u64 << 24) as f32
        })
        .collect()
}

/// A wave whose noise is wider where the second feature is greater.
fn data(rows: usize, seed: u64) -> (Vec<Vec<f32>>, Vec<f32>) {
    let (a, b, noise) = (uniform(rows, seed), uniform(rows, seed + 1), uniform(rows, seed + 2));
    let target = (0..rows).map(|i| (a[i] * 6.0).sin() + (0.1 + b[i]) * (noise[i] - 0.5)).collect();
    (vec![a, b, uniform(rows, seed + 3)], target)
}

fn params() -> BoostParams {
    BoostParams::default()
}

#[test]
fn a_stated_quantile_is_not_exceeded_as_often_as_it_says() {
    let (columns, targets) = data(8_000, 1);
    let (binner, rows) = BinnedRows::bin(&columns, MAX_BINS).unwrap();
    let (test, actual) = data(8_000, 99);
    for quantile in [0.1, 0.5, 0.9, 0.98] {
        let forest = QuantileForest::fit(&rows, &targets, [quantile], &params()).unwrap();
        let (mut below, mut loss, mut least_loss) = (0.0, 0.0, 0.0);
        #[expect(clippy::cast_possible_truncation, reason = "a few digits suffice")]
        let middle = (quantile - 0.5) as f32;
        let pinball = |error: f32| {
            let error = f64::from(error);
            error * (quantile - f64::from(u8::from(error < 0.0)))
        };
        let mut bins = Vec::new();
        for i in 0..actual.len() {
            binner.row(&[test[0][i], test[1][i], test[2][i]], &mut bins);
            let forecast = forest.predict(&bins)[0];
            below += f64::from(u8::from(actual[i] <= forecast));
            let truth = (test[0][i] * 6.0).sin() + (0.1 + test[1][i]) * middle;
            loss += pinball(actual[i] - forecast);
            least_loss += pinball(actual[i] - truth);
        }
        let (share, ratio) = (below / 8_000.0, loss / least_loss);
        assert!((share - quantile).abs() < 0.02, "{quantile} covered {share}");
        // Against a forecaster that knows the law; of the rows few are near a far quantile.
        let most = if quantile > 0.95 { 1.6 } else { 1.25 };
        assert!(ratio < most, "{quantile} loses {ratio} times as much");
    }
}

#[test]
fn the_same_seed_grows_the_same_forest() {
    let (columns, targets) = data(2_000, 5);
    let (_, rows) = BinnedRows::bin(&columns, MAX_BINS).unwrap();
    let grow =
        |seed| QuantileForest::fit(&rows, &targets, [0.9], &BoostParams { seed, ..params() });
    assert_eq!(grow(3), grow(3));
    assert_ne!(grow(3), grow(4));
}

#[test]
fn what_is_missing_has_its_own_branch() {
    let mut columns = vec![uniform(4_000, 2)];
    let targets: Vec<f32> = (0..4_000)
        .map(|i| {
            if i % 4 == 0 {
                columns[0][i] = f32::NAN;
                10.0
            } else {
                1.0
            }
        })
        .collect();
    let (binner, rows) = BinnedRows::bin(&columns, MAX_BINS).unwrap();
    let forest = QuantileForest::fit(&rows, &targets, [0.5], &params()).unwrap();
    let mut bins = Vec::new();
    binner.row(&[f32::NAN], &mut bins);
    assert!((forest.predict(&bins)[0] - 10.0).abs() < 0.1);
    binner.row(&[0.5], &mut bins);
    assert!((forest.predict(&bins)[0] - 1.0).abs() < 0.1);
}

#[test]
fn a_constant_is_forecast_as_it_is() {
    let (columns, _) = data(1_000, 8);
    let (_, rows) = BinnedRows::bin(&columns, MAX_BINS).unwrap();
    let forest = QuantileForest::fit(&rows, &[3.5; 1_000], [0.9], &params()).unwrap();
    assert!((forest.predict(&[1, 1, 1])[0] - 3.5).abs() < 1e-6);
}

#[test]
fn what_cannot_be_learned_from_is_an_error() {
    let (columns, mut targets) = data(150, 8);
    let (_, rows) = BinnedRows::bin(&columns, MAX_BINS).unwrap();
    let short = QuantileForest::fit(&rows, &targets, [0.9], &params());
    assert_eq!(short, Err(ForecastError::TooShort { known: 150, needed: 200 }));
    let small = BoostParams { min_leaf_rows: 10, ..params() };
    assert!(QuantileForest::fit(&rows, &targets, [1.0], &small).is_err());
    targets[7] = f32::NAN;
    assert!(QuantileForest::fit(&rows, &targets, [0.9], &small).is_err());
    assert!(BinnedRows::bin(&[vec![1.0], vec![]], 8).is_err());
    let wide = BoostParams { leaves: 1_000, ..params() };
    assert!(QuantileForest::fit(&rows, &targets[..150], [0.9], &wide).is_err());
}

#[test]
fn a_forest_is_small() {
    let (columns, targets) = data(8_000, 1);
    let (_, rows) = BinnedRows::bin(&columns, MAX_BINS).unwrap();
    let forest = QuantileForest::fit(&rows, &targets, [0.9], &params()).unwrap();
    assert!(forest.size_bytes() < 20_000, "{}", forest.size_bytes());
}
