use super::*;

fn close(a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len());
    let far = a.iter().zip(b).any(|(a, b)| (a - b).abs() > tolerance);
    assert!(!far, "{a:?} is not {b:?} within {tolerance}");
}

/// Thirty values of an autoregression with 0.7, drawn once with numpy (seed 7).
const AUTOREGRESSIVE: [f64; 30] = [
    99.04, 90.78, 91.69, 90.79, 96.74, 109.0, 107.39, 101.27, 95.04, 96.25, 96.49, 91.78, 94.83,
    90.63, 99.0, 104.61, 108.65, 103.69, 105.15, 102.95, 100.12, 98.39, 92.37, 87.44, 95.18, 95.67,
    98.05, 103.64, 93.89, 91.8,
];

#[test]
fn a_flat_line_goes_on() {
    close(&forecast(&[42.0; 30], 5), &[42.0; 5], 1e-9);
}

#[test]
fn a_straight_line_goes_on() {
    let line: Vec<f64> = (0..30).map(|t| 100.0 + 3.0 * f64::from(t)).collect();
    close(&forecast(&line, 3), &[190.0, 193.0, 196.0], 1e-6);
}

#[test]
fn an_autoregression_without_noise_is_found_exactly() {
    let value = |t: i32| 100.0 + 50.0 * 0.7_f64.powi(t);
    let y: Vec<f64> = (0..30).map(value).collect();
    let expected: Vec<f64> = (30..35).map(value).collect();
    close(&forecast(&y, 5), &expected, 1e-3);
}

#[test]
fn a_first_order_fit_is_near_maximum_likelihood() {
    // statsmodels 0.15.0, ARIMA(order=(1, 0, 0), trend="c") on the same values: coefficient 0.581,
    // forecasts 94.21, 95.60, 96.42, 96.89, 97.16.
    let order = Order { p: 1, q: 0, constant: true };
    let fitted = regress(&products(&AUTOREGRESSIVE, &[], 1), order).unwrap();
    assert!((fitted.weights[1] - 0.581).abs() < 0.05, "{:?}", fitted.weights);
    let path = Path { fitted, values: AUTOREGRESSIVE.to_vec(), innovations: vec![0.0; 30] };
    close(&path.run(5), &[94.21, 95.60, 96.42, 96.89, 97.16], 0.5);
}

#[test]
fn a_moving_average_is_found_from_the_innovations_of_the_long_autoregression() {
    // y[t] = 10 + e[t] + 0.8 e[t-1], e a fixed sequence without correlation.
    let mut state = 1_u32;
    let mut e = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 24) - 0.5
    };
    let noise: Vec<f64> = (0..2000).map(|_| e()).collect();
    let y: Vec<f64> = noise.windows(2).map(|w| 10.0 + w[1] + 0.8 * w[0]).collect();
    let innovations = long_residuals(&y).unwrap();
    let order = Order { p: 0, q: 1, constant: true };
    let fitted = regress(&products(&y, &innovations, LONG_ORDER + 1), order).unwrap();
    assert!((fitted.weights[1] - 0.8).abs() < 0.1, "{:?}", fitted.weights);
}

#[test]
fn what_explodes_is_refused() {
    let stable = |weights: [f64; MAX_TERMS], p: usize, q: usize| {
        Fitted { order: Order { p, q, constant: false }, weights, residual_sum: 1.0 }.is_stable()
    };
    assert!(stable([0.99, 0.0, 0.0, 0.0, 0.0], 1, 0));
    assert!(!stable([1.0, 0.0, 0.0, 0.0, 0.0], 1, 0));
    // 1 - 1.2 z + 0.5 z² has its roots outside the unit circle, 1 - 1.2 z + 0.1 z² has not.
    assert!(stable([1.2, -0.5, 0.0, 0.0, 0.0], 2, 0));
    assert!(!stable([1.2, -0.1, 0.0, 0.0, 0.0], 2, 0));
    // (1 - 0.5 z)(1 - 0.5 z)(1 - 0.9 z), and with 1.1 for 0.9.
    assert!(stable([1.9, -1.15, 0.225, 0.0, 0.0], 3, 0));
    assert!(!stable([2.1, -1.35, 0.275, 0.0, 0.0], 3, 0));
    assert!(!stable([0.5, 1.01, 0.0, 0.0, 0.0], 1, 1));
    let burst: Vec<f64> = (0..30).map(|t| 1.3_f64.powi(t)).collect();
    let path = forecast(&burst, 5);
    assert!(path.iter().all(|value| *value < 2.0 * burst[29]), "{path:?}");
}

#[test]
fn too_little_is_the_last_value() {
    assert_eq!(forecast(&[1.0, 2.0, 5.0], 2), [5.0, 5.0]);
    assert_eq!(forecast(&[], 1), [0.0]);
}
