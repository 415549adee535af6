use super::*;

/// The definition.
fn by_definition(signal: &[f64]) -> Vec<Complex> {
    let n = signal.len();
    let wave = |k: usize| {
        signal.iter().enumerate().fold((0.0, 0.0), |(re, im), (i, value)| {
            let (sin, cos) = (-std::f64::consts::TAU * (i * k % n) as f64 / n as f64).sin_cos();
            (re + value * cos, im + value * sin)
        })
    };
    (0..n).map(wave).collect()
}

#[test]
fn every_length_agrees_with_the_definition_and_comes_back() {
    for n in [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 30, 49, 77, 97, 240] {
        let signal: Vec<f64> = (0..n).map(|i| f64::from(i * i % 13) - 0.3 * f64::from(i)).collect();
        let fast = transform(&signal);
        for (a, b) in fast.iter().zip(by_definition(&signal)) {
            assert!((a.0 - b.0).hypot(a.1 - b.1) < 1e-8, "length {n}: {a:?} is not {b:?}");
        }
        let back = inverse(&fast);
        assert_eq!(back.len(), signal.len());
        assert!(back.iter().zip(&signal).all(|(a, b)| (a - b).abs() < 1e-9), "length {n}");
    }
}
