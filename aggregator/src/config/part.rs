//! Parts of the algorithm that a replay can leave out, to see what each earns.

/// A part that is left out. `serve` leaves out none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The boosted quantile trees; the linear forecast stands alone.
    Trees,
    /// The trees and the learned scale of the linear errors.
    Scale,
    /// The trees and every point expert but the last value.
    Experts,
    /// The correction of the trees' quantiles by how often they were exceeded.
    Recalibration,
    /// The price per replica: a plain quantile of the load is held instead.
    Pricing,
    /// Looking at more than the fewest steps that a change bears on, and at the last answers.
    Hold,
    /// The price of a change: any that lowers the cost is made.
    ChangePrice,
    /// The floor of what is measured now.
    ReactiveFloor,
    /// Lowering nothing for a while after the objective was missed.
    CalmAfterMiss,
    /// The limit on how fast replicas go.
    RateLimit,
    /// Telemetry that is fresh: it comes a minute late instead.
    FreshTelemetry,
    /// What follows when the load has changed: a held scale-in and a challenger of the trees.
    Drift,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Trees,
        Self::Scale,
        Self::Experts,
        Self::Recalibration,
        Self::Pricing,
        Self::Hold,
        Self::ChangePrice,
        Self::ReactiveFloor,
        Self::CalmAfterMiss,
        Self::RateLimit,
        Self::FreshTelemetry,
        Self::Drift,
    ];

    /// Whether leaving it out changes the forecast, and not only what is made of it.
    pub const fn is_of_forecast(self) -> bool {
        matches!(
            self,
            Self::Trees
                | Self::Scale
                | Self::Experts
                | Self::Recalibration
                | Self::FreshTelemetry
                | Self::Drift
        )
    }

    /// Whether leaving it out leaves out the trees.
    pub const fn has_no_trees(self) -> bool {
        matches!(self, Self::Trees | Self::Scale | Self::Experts)
    }
}
