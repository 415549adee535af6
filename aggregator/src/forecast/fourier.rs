#![expect(
    clippy::indexing_slicing,
    reason = "every index is a remainder by the length, or a multiple of a factor within it"
)]
//! The discrete Fourier transform of any length: fast when its prime factors are small, as those of
//! whole days in minutes are.

/// Real and imaginary part.
pub(crate) type Complex = (f64, f64);

/// The sum over j of `signal[j]` · exp(−2πi·jk/n), for each k. `signal` may be empty.
pub(crate) fn transform(signal: &[f64]) -> Vec<Complex> {
    let input: Vec<Complex> = signal.iter().map(|value| (*value, 0.0)).collect();
    run(&input, -1.0)
}

/// The real part of the signal that has this spectrum.
pub(crate) fn inverse(spectrum: &[Complex]) -> Vec<f64> {
    let n = spectrum.len().max(1) as f64;
    run(spectrum, 1.0).into_iter().map(|(re, _)| re / n).collect()
}

fn run(input: &[Complex], sign: f64) -> Vec<Complex> {
    let n = input.len();
    let root = |k: usize| {
        let (sin, cos) = (sign * std::f64::consts::TAU * k as f64 / n as f64).sin_cos();
        (cos, sin)
    };
    let roots: Vec<Complex> = (0..n).map(root).collect();
    let mut output = vec![(0.0, 0.0); n];
    step(input, 1, &mut output, &roots);
    output
}

/// Transforms every `stride`-th value of `input` into `output`, by its length's smallest factor.
///
/// Source: J. W. Cooley and J. W. Tukey, "An algorithm for the machine calculation of complex
/// Fourier series", Mathematics of Computation 19 (1965).
fn step(input: &[Complex], stride: usize, output: &mut [Complex], roots: &[Complex]) {
    let n = output.len();
    if n <= 1 {
        if let (Some(out), Some(value)) = (output.first_mut(), input.first()) {
            *out = *value;
        }
        return;
    }
    let factor = smallest_factor(n);
    let part = n / factor;
    // 1. Each residue by itself.
    for residue in 0..factor {
        let place = &mut output[residue * part..(residue + 1) * part];
        step(&input[residue * stride..], stride * factor, place, roots);
    }
    // 2. Put together, one group of `factor` values at a time.
    let mut group = vec![(0.0, 0.0); factor];
    for k in 0..part {
        for (residue, value) in group.iter_mut().enumerate() {
            *value = output[residue * part + k];
        }
        for q in 0..factor {
            let wave = k + q * part;
            let mut sum = (0.0, 0.0);
            for (residue, value) in group.iter().enumerate() {
                let (c, s) = roots[(residue * wave * stride) % roots.len()];
                sum.0 += value.0 * c - value.1 * s;
                sum.1 += value.0 * s + value.1 * c;
            }
            output[wave] = sum;
        }
    }
}

/// The smallest factor above 1; `n` itself when it is prime.
fn smallest_factor(n: usize) -> usize {
    (2..=n.isqrt()).find(|factor| n.is_multiple_of(*factor)).unwrap_or(n)
}

#[cfg(test)]
mod tests;
