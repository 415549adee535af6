//! What a histogram's entry holds: how many rows, and how many of them above each forecast.

/// Counts in an entry: rows, and those above each quantile's forecast.
pub(super) const LANES: usize = 5;
/// Bits of a count.
const BITS: u32 = 24;
/// Rows that a count can hold.
pub(super) const MAX_ROWS: usize = (1 << BITS) - 1;

/// Several counts in one integer, so that one addition adds them all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts(u128);

impl Counts {
    /// One row and whether it is above each forecast.
    pub(super) fn row<const Q: usize>(above: [bool; Q]) -> Self {
        let lanes =
            above.iter().zip(1_u32..).map(|(above, lane)| u128::from(*above) << (BITS * lane));
        Self(lanes.fold(1, |counts, lane| counts | lane))
    }

    /// Adds others; no sum is above [`MAX_ROWS`], for no more rows are taken.
    pub(super) const fn add(&mut self, other: Self) {
        self.0 += other.0;
    }

    /// Takes others away that were added before.
    pub(super) const fn subtract(&mut self, other: Self) {
        self.0 -= other.0;
    }

    /// Rows.
    pub(super) const fn rows(self) -> usize {
        (self.0 as usize) & MAX_ROWS
    }

    /// Rows above each forecast.
    pub(super) fn above<const Q: usize>(self) -> [f32; Q] {
        let mut rest = self.0;
        [(); Q].map(|()| {
            rest >>= BITS;
            #[expect(clippy::cast_possible_truncation, reason = "24 bits of it are kept")]
            let count = (rest as u32) & ((1 << BITS) - 1);
            count as f32
        })
    }
}
