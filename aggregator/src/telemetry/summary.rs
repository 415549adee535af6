//! What is kept of a closed window, and its packed forms.

use serde::{Deserialize, Serialize};

/// One window in figures. Absent means not known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Finished requests per second.
    pub rps: Option<f32>,
    /// Median latency in µs.
    pub p50_micros: Option<u32>,
    /// 90th percentile of latency in µs.
    pub p90_micros: Option<u32>,
    /// 95th percentile of latency in µs.
    pub p95_micros: Option<u32>,
    /// 99th percentile of latency in µs.
    pub p99_micros: Option<u32>,
    /// 99.9th percentile of latency in µs.
    pub p999_micros: Option<u32>,
    /// Share of finished requests that failed.
    pub error_ratio: Option<f32>,
    /// Mean number of requests in flight.
    pub concurrency: Option<f32>,
    /// Share of the expected replicas that were heard.
    pub coverage: Option<f32>,
    /// Replicas that served.
    pub ready_replicas: Option<u32>,
    /// Replicas asked for.
    pub desired_replicas: Option<u32>,
}

/// A packed window that can say it holds nothing.
pub(super) trait Packed: Copy {
    /// Nothing known.
    const MISSING: Self;
    /// Whether nothing is known.
    fn is_missing(&self) -> bool;
}

/// A number that is not negative, to within 0.03 %, in 16 bits: 0 = absent, 1 = zero, the rest
/// logarithmic from 1e-4 to 1e9.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Log16(u16);

const LOG_LEAST: f64 = 1e-4;
const LOG_STEPS_PER_E: f64 = 2_189.0;

impl Log16 {
    fn new(value: Option<f64>) -> Self {
        let Some(value) = value.filter(|value| (0.0..=f64::MAX).contains(value)) else {
            return Self(0);
        };
        if value < LOG_LEAST {
            return Self(1);
        }
        let steps = ((value / LOG_LEAST).ln() * LOG_STEPS_PER_E).round().min(65_533.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in 0..=65533 by the lines above"
        )]
        Self(steps as u16 + 2)
    }

    fn get(self) -> Option<f64> {
        match self.0 {
            0 => None,
            1 => Some(0.0),
            steps => Some((f64::from(steps - 2) / LOG_STEPS_PER_E).exp() * LOG_LEAST),
        }
    }

    fn micros(self) -> Option<u32> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most 1e9, see LOG_LEAST and LOG_STEPS_PER_E"
        )]
        self.get().map(|value| value.round() as u32)
    }

    fn float(self) -> Option<f32> {
        #[expect(clippy::cast_possible_truncation, reason = "four digits are kept anyway")]
        self.get().map(|value| value as f32)
    }
}

/// A share in 8 bits: 255 = absent, else in steps of 1/254.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share8(u8);

impl Share8 {
    fn new(value: Option<f32>) -> Self {
        let Some(value) = value.filter(|value| (0.0..=1.0).contains(value)) else {
            return Self(u8::MAX);
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in 0..=254 by the line above"
        )]
        Self((value * 254.0).round() as u8)
    }

    fn get(self) -> Option<f32> {
        (self.0 != u8::MAX).then(|| f32::from(self.0) / 254.0)
    }
}

/// A replica count: 65535 = absent.
fn pack_replicas(replicas: Option<u32>) -> u16 {
    replicas.map_or(u16::MAX, |n| u16::try_from(n).unwrap_or(u16::MAX - 1).min(u16::MAX - 1))
}

fn unpack_replicas(packed: u16) -> Option<u32> {
    (packed != u16::MAX).then(|| u32::from(packed))
}

/// All figures, 24 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Full {
    rps: Log16,
    p50: Log16,
    p90: Log16,
    p95: Log16,
    p99: Log16,
    p999: Log16,
    error_ratio: Log16,
    concurrency: Log16,
    ready_replicas: u16,
    desired_replicas: u16,
    coverage: Share8,
}

impl Packed for Full {
    const MISSING: Self = Self {
        rps: Log16(0),
        p50: Log16(0),
        p90: Log16(0),
        p95: Log16(0),
        p99: Log16(0),
        p999: Log16(0),
        error_ratio: Log16(0),
        concurrency: Log16(0),
        ready_replicas: u16::MAX,
        desired_replicas: u16::MAX,
        coverage: Share8(u8::MAX),
    };

    fn is_missing(&self) -> bool {
        self.rps == Log16(0) && self.coverage.get().is_none()
    }
}

impl From<&Summary> for Full {
    fn from(summary: &Summary) -> Self {
        Self {
            rps: Log16::new(summary.rps.map(f64::from)),
            p50: Log16::new(summary.p50_micros.map(f64::from)),
            p90: Log16::new(summary.p90_micros.map(f64::from)),
            p95: Log16::new(summary.p95_micros.map(f64::from)),
            p99: Log16::new(summary.p99_micros.map(f64::from)),
            p999: Log16::new(summary.p999_micros.map(f64::from)),
            error_ratio: Log16::new(summary.error_ratio.map(f64::from)),
            concurrency: Log16::new(summary.concurrency.map(f64::from)),
            ready_replicas: pack_replicas(summary.ready_replicas),
            desired_replicas: pack_replicas(summary.desired_replicas),
            coverage: Share8::new(summary.coverage),
        }
    }
}

impl From<Full> for Summary {
    fn from(packed: Full) -> Self {
        Self {
            rps: packed.rps.float(),
            p50_micros: packed.p50.micros(),
            p90_micros: packed.p90.micros(),
            p95_micros: packed.p95.micros(),
            p99_micros: packed.p99.micros(),
            p999_micros: packed.p999.micros(),
            error_ratio: packed.error_ratio.float(),
            concurrency: packed.concurrency.float(),
            coverage: packed.coverage.get(),
            ready_replicas: unpack_replicas(packed.ready_replicas),
            desired_replicas: unpack_replicas(packed.desired_replicas),
        }
    }
}

/// The figures of older windows, 10 bytes: no p90, p99.9, concurrency and replicas.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compact {
    rps: Log16,
    p50: Log16,
    p95: Log16,
    p99: Log16,
    error_ratio: Share8,
    coverage: Share8,
}

impl Packed for Compact {
    const MISSING: Self = Self {
        rps: Log16(0),
        p50: Log16(0),
        p95: Log16(0),
        p99: Log16(0),
        error_ratio: Share8(u8::MAX),
        coverage: Share8(u8::MAX),
    };

    fn is_missing(&self) -> bool {
        self.rps == Log16(0) && self.coverage.get().is_none()
    }
}

impl From<&Summary> for Compact {
    fn from(summary: &Summary) -> Self {
        Self {
            rps: Log16::new(summary.rps.map(f64::from)),
            p50: Log16::new(summary.p50_micros.map(f64::from)),
            p95: Log16::new(summary.p95_micros.map(f64::from)),
            p99: Log16::new(summary.p99_micros.map(f64::from)),
            error_ratio: Share8::new(summary.error_ratio),
            coverage: Share8::new(summary.coverage),
        }
    }
}

impl From<Compact> for Summary {
    fn from(packed: Compact) -> Self {
        Self {
            rps: packed.rps.float(),
            p50_micros: packed.p50.micros(),
            p95_micros: packed.p95.micros(),
            p99_micros: packed.p99.micros(),
            error_ratio: packed.error_ratio.get(),
            coverage: packed.coverage.get(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_keeps_figures_within_three_hundredths_of_a_per_cent() {
        let mut value = 1e-4;
        while value < 1e9 {
            let back = Log16::new(Some(value)).get().unwrap();
            assert!((back / value - 1.0).abs() < 3e-4, "{value} came back as {back}");
            value *= 1.37;
        }
    }

    #[test]
    fn missing_and_zero_stay_apart() {
        let zero = Summary { rps: Some(0.0), coverage: Some(1.0), ..Summary::default() };
        let back: Summary = Compact::from(&zero).into();
        assert_eq!(back.rps, Some(0.0));
        assert_eq!(back.p95_micros, None);
        assert!(Full::from(&Summary::default()).is_missing());
        assert!(!Full::from(&zero).is_missing());
    }

    #[test]
    fn a_workload_with_all_windows_kept_fits_into_its_memory() {
        use crate::telemetry::Tier;
        let full = size_of::<Full>() * Tier::Fine.kept();
        let compact = size_of::<Compact>() * (Tier::Mid.kept() + Tier::Coarse.kept());
        assert!(full + compact < 180 * 1024, "{} bytes", full + compact);
    }
}
