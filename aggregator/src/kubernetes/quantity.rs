//! Quantities as the API server writes them: `250m`, `1`, `64Mi`, `12345678n`, `1e3`.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Decimal and binary suffixes with their powers of 1,000 and of 1,024.
const DECIMAL: [(&str, i32); 10] = [
    ("n", -3),
    ("u", -2),
    ("m", -1),
    ("", 0),
    ("k", 1),
    ("M", 2),
    ("G", 3),
    ("T", 4),
    ("P", 5),
    ("E", 6),
];
const BINARY: [(&str, i32); 6] = [("Ki", 1), ("Mi", 2), ("Gi", 3), ("Ti", 4), ("Pi", 5), ("Ei", 6)];

/// A quantity times `scale`, rounded up to a whole number, as `MilliValue` and `Value` of
/// k8s.io/apimachinery do; `None` for what is none or negative.
pub(super) fn whole(quantity: &Quantity, scale: f64) -> Option<u64> {
    let text = quantity.0.trim();
    // An exponent ends in a digit, so only what has none can have a suffix.
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let suffix = text.get(digits.len()..)?;
    let find = |known: &[(&str, i32)]| known.iter().find(|(it, _)| *it == suffix).map(|it| it.1);
    let factor = match (find(&DECIMAL), find(&BINARY)) {
        (Some(power), _) => 1_000_f64.powi(power),
        (None, Some(power)) => 1_024_f64.powi(power),
        (None, None) => return None,
    };
    let value = digits.parse::<f64>().ok()? * factor * scale;
    // A hair above a whole number is rounding.
    let value = (value * (1.0 - 1e-12)).ceil();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative by the line itself, and the cast saturates"
    )]
    (0.0..=f64::MAX).contains(&value).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_whole_numbers_rounded_up() {
        let milli = |text: &str| whole(&Quantity(text.to_owned()), 1e3);
        for (text, value) in [
            ("250m", 250),
            ("1", 1_000),
            ("0.5", 500),
            ("12345678n", 13),
            ("100n", 1),
            ("1500u", 2),
            ("2e1", 20_000),
            ("0", 0),
        ] {
            assert_eq!(milli(text), Some(value), "{text}");
        }
        let bytes = |text: &str| whole(&Quantity(text.to_owned()), 1.0);
        for (text, value) in
            [("64Mi", 64 << 20), ("1.5Gi", 3 << 29), ("128974848", 128_974_848), ("5k", 5_000)]
        {
            assert_eq!(bytes(text), Some(value), "{text}");
        }
        for text in ["", "m", "x", "-1", "1X", "NaN", "inf"] {
            assert_eq!(milli(text), None, "{text}");
        }
    }
}
