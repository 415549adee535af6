//! Growing: one tree after the other on what the ones before leave over.

#![expect(
    clippy::indexing_slicing,
    reason = "rows, features and bins come from BinnedRows, whose cells are below the number of \
              bins; the histograms have features * bins entries"
)]

use super::BoostParams;
use super::binning::BinnedRows;
use super::counts::Counts;
use super::tree::{LEAF, Node, QuantileForest, Tree};

/// Least gain that is worth a split.
const LEAST_GAIN: f32 = 1e-6;
/// Values beyond a quantile at which its estimate is half believed.
const TRUST_HALF: f64 = 0.5;

/// A leaf that may be split.
struct Leaf {
    from: usize,
    to: usize,
    /// Per feature and bin.
    histogram: Vec<Counts>,
    whole: Counts,
    split: Split,
    /// The child of a node that this leaf is.
    parent: Option<(usize, bool)>,
}

/// The best split of a leaf.
#[derive(Clone, Copy, Default)]
struct Split {
    gain: f32,
    feature: usize,
    bin: u8,
}

/// Everything that growing looks at.
pub(super) struct Grower<'a, const Q: usize> {
    rows: &'a BinnedRows,
    targets: &'a [f32],
    quantiles: [f64; Q],
    params: &'a BoostParams,
    forest: QuantileForest<Q>,
    forecasts: Vec<[f32; Q]>,
    /// What each row adds to a histogram.
    counts: Vec<Counts>,
    features: Vec<usize>,
    random: u64,
    free: Vec<Vec<Counts>>,
}

impl<'a, const Q: usize> Grower<'a, Q> {
    pub(super) fn new(
        rows: &'a BinnedRows,
        targets: &'a [f32],
        quantiles: [f64; Q],
        params: &'a BoostParams,
    ) -> Self {
        let mut sorted = targets.to_vec();
        let start = quantiles.map(|quantile| quantile_of(&mut sorted, quantile));
        let forest = QuantileForest { start, trees: vec![], nodes: vec![], leaves: vec![] };
        Self {
            rows,
            targets,
            quantiles,
            params,
            forest,
            forecasts: vec![start; targets.len()],
            counts: vec![Counts::default(); targets.len()],
            features: Vec::new(),
            // Neighbouring seeds begin far apart; xorshift must not begin at 0.
            random: params.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d,
            free: Vec::new(),
        }
    }

    /// A number in 0..1 (xorshift64, Marsaglia 2003).
    fn chance(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn grow(mut self) -> QuantileForest<Q> {
        let mut sample: Vec<u32> = Vec::new();
        for _ in 0..self.params.trees {
            for (at, counts) in self.counts.iter_mut().enumerate() {
                let target = self.targets[at];
                *counts = Counts::row(self.forecasts[at].map(|forecast| target > forecast));
            }
            sample.clear();
            let share = f64::from(self.params.row_fraction);
            for row in 0..u32::try_from(self.rows.len()).unwrap_or(u32::MAX) {
                if self.chance() < share {
                    sample.push(row);
                }
            }
            let share = f64::from(self.params.feature_fraction);
            self.features.clear();
            for feature in 0..self.rows.features() {
                if self.chance() < share {
                    self.features.push(feature);
                }
            }
            // A tree that splits nothing may only have drawn the wrong features.
            self.grow_tree(&mut sample);
        }
        self.forest
    }

    /// Adds one tree, if there is something to split.
    fn grow_tree(&mut self, sample: &mut [u32]) {
        let tree = Tree {
            nodes: u32::try_from(self.forest.nodes.len()).unwrap_or(u32::MAX),
            leaves: u32::try_from(self.forest.leaves.len()).unwrap_or(u32::MAX),
        };
        let mut leaves = vec![self.root(sample)];
        while leaves.len() < self.params.leaves {
            let best = (0..leaves.len())
                .max_by(|a, b| leaves[*a].split.gain.total_cmp(&leaves[*b].split.gain));
            let Some(best) = best.filter(|best| leaves[*best].split.gain > LEAST_GAIN) else {
                break;
            };
            let right = self.split(&mut leaves[best], sample, tree);
            leaves.push(right);
        }
        if leaves.len() > 1 {
            self.finish(&leaves, sample, tree);
        }
        self.free.extend(leaves.into_iter().map(|leaf| leaf.histogram));
    }

    fn root(&mut self, sample: &[u32]) -> Leaf {
        let histogram = self.histogram(sample);
        let whole = self.count(sample);
        let split = self.best_split(&histogram, whole);
        Leaf { from: 0, to: sample.len(), histogram, whole, split, parent: None }
    }

    /// Splits a leaf: it becomes the left one, and the right one is given.
    fn split(&mut self, leaf: &mut Leaf, sample: &mut [u32], tree: Tree) -> Leaf {
        let Split { feature, bin, .. } = leaf.split;
        let node = self.forest.nodes.len() - tree.nodes as usize;
        self.forest.nodes.push(Node {
            feature: u8::try_from(feature).unwrap_or(0),
            bin,
            left: LEAF,
            right: LEAF,
        });
        self.attach(leaf.parent, tree, u16::try_from(node).unwrap_or(0));
        let middle =
            leaf.from + partition(self.rows, &mut sample[leaf.from..leaf.to], feature, bin);
        let left_is_small = middle - leaf.from <= leaf.to - middle;
        let small = if left_is_small { leaf.from..middle } else { middle..leaf.to };
        let small_histogram = self.histogram(&sample[small.clone()]);
        let mut right_whole = self.count(&sample[small]);
        // What is not in the smaller child is in the greater one.
        for (cell, part) in leaf.histogram.iter_mut().zip(&small_histogram) {
            cell.subtract(*part);
        }
        leaf.whole.subtract(right_whole);
        let mut right_histogram = small_histogram;
        if left_is_small {
            std::mem::swap(&mut leaf.histogram, &mut right_histogram);
            std::mem::swap(&mut leaf.whole, &mut right_whole);
        }
        let to = leaf.to;
        leaf.to = middle;
        leaf.parent = Some((node, true));
        leaf.split = self.best_split(&leaf.histogram, leaf.whole);
        let split = self.best_split(&right_histogram, right_whole);
        Leaf {
            from: middle,
            to,
            histogram: right_histogram,
            whole: right_whole,
            split,
            parent: Some((node, false)),
        }
    }

    /// Makes `child` the child of a node.
    fn attach(&mut self, parent: Option<(usize, bool)>, tree: Tree, child: u16) {
        let Some((node, is_left)) = parent else { return };
        let node = &mut self.forest.nodes[tree.nodes as usize + node];
        if is_left {
            node.left = child;
        } else {
            node.right = child;
        }
    }

    /// Gives the leaves their values, and every row its new forecasts.
    fn finish(&mut self, leaves: &[Leaf], sample: &[u32], tree: Tree) {
        let mut residuals = Vec::new();
        for (number, leaf) in leaves.iter().enumerate() {
            let rows = &sample[leaf.from..leaf.to];
            let mut values = [0.0; Q];
            for (at, value) in values.iter_mut().enumerate() {
                residuals.clear();
                residuals.extend(rows.iter().map(|row| {
                    let row = *row as usize;
                    self.targets[row] - self.forecasts[row][at]
                }));
                let quantile = self.quantiles[at];
                *value = quantile_of(&mut residuals, quantile)
                    * self.params.learning_rate
                    * trust(rows.len(), quantile);
            }
            self.forest.leaves.push(values);
            self.attach(leaf.parent, tree, LEAF + u16::try_from(number).unwrap_or(0));
        }
        self.forest.trees.push(tree);
        for row in 0..self.forecasts.len() {
            if let Some(leaf) = self.forest.leaf(tree, self.rows.row(row)) {
                for (forecast, value) in self.forecasts[row].iter_mut().zip(leaf) {
                    *forecast += value;
                }
            }
        }
    }

    fn count(&self, sample: &[u32]) -> Counts {
        let mut sum = Counts::default();
        for row in sample {
            sum.add(self.counts[*row as usize]);
        }
        sum
    }

    /// Counts rows per feature and bin.
    fn histogram(&mut self, sample: &[u32]) -> Vec<Counts> {
        let bins = self.rows.bins();
        let mut histogram = self.free.pop().unwrap_or_default();
        histogram.clear();
        histogram.resize(self.rows.features() * bins, Counts::default());
        for row in sample {
            let row = *row as usize;
            let add = self.counts[row];
            for (counts, bin) in histogram.chunks_exact_mut(bins).zip(self.rows.row(row)) {
                counts[usize::from(*bin)].add(add);
            }
        }
        histogram
    }

    /// The split of a leaf that lowers the losses most. Each quantile's gain is measured in its
    /// own variance, so that far quantiles, whose gradients are rare, have their say.
    fn best_split(&self, histogram: &[Counts], whole: Counts) -> Split {
        let least = self.params.min_leaf_rows;
        let mut best = Split::default();
        let (rows, bins) = (whole.rows(), self.rows.bins());
        if rows < 2 * least {
            return best;
        }
        #[expect(clippy::cast_possible_truncation, reason = "shares need no more digits")]
        let beyond = self.quantiles.map(|quantile| (1.0 - quantile) as f32);
        let weights = beyond.map(|beyond| 1.0 / (beyond * (1.0 - beyond)));
        let l2 = self.params.l2;
        let gradients = |counts: Counts, rows: f32| {
            let mut gradients = counts.above::<Q>();
            for (gradient, beyond) in gradients.iter_mut().zip(&beyond) {
                *gradient -= rows * beyond;
            }
            gradients
        };
        let total = gradients(whole, rows as f32);
        let mut unsplit = 0.0;
        for (gradient, weight) in total.iter().zip(&weights) {
            unsplit += weight * gradient * gradient / (rows as f32 + l2);
        }
        for feature in &self.features {
            let counts = &histogram[feature * bins..(feature + 1) * bins];
            let mut sum = Counts::default();
            for (bin, count) in counts.iter().enumerate() {
                sum.add(*count);
                let left = sum.rows();
                if left < least || *count == Counts::default() {
                    continue;
                }
                if rows - left < least {
                    break;
                }
                let share_left = 1.0 / (left as f32 + l2);
                let share_right = 1.0 / ((rows - left) as f32 + l2);
                let of_left = gradients(sum, left as f32);
                let mut gain = -unsplit;
                for at in 0..Q {
                    let (one, other) = (of_left[at], total[at] - of_left[at]);
                    gain += weights[at] * (one * one * share_left + other * other * share_right);
                }
                if gain > best.gain {
                    let bin = u8::try_from(bin).unwrap_or(u8::MAX);
                    best = Split { gain, feature: *feature, bin };
                }
            }
        }
        best
    }
}

/// How far the quantile of so few values is believed: of those beyond it half a value is noise.
#[expect(clippy::cast_possible_truncation, reason = "a share")]
fn trust(values: usize, quantile: f64) -> f32 {
    let beyond = values as f64 * quantile.min(1.0 - quantile);
    (beyond / (beyond + TRUST_HALF)) as f32
}

/// Brings the rows that go left to the front; gives their number.
fn partition(rows: &BinnedRows, sample: &mut [u32], feature: usize, bin: u8) -> usize {
    let (mut left, mut right) = (0, sample.len());
    while left < right {
        if rows.row(sample[left] as usize)[feature] <= bin {
            left += 1;
        } else {
            right -= 1;
            sample.swap(left, right);
        }
    }
    left
}

/// The quantile of values, between neighbours by a straight line; 0 of none. Reorders them.
fn quantile_of(values: &mut [f32], quantile: f64) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let place = quantile * (values.len() - 1) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place lies within the values"
    )]
    let at = place as usize;
    let (_, value, above) = values.select_nth_unstable_by(at, f32::total_cmp);
    let value = *value;
    let next = above.iter().copied().min_by(f32::total_cmp).unwrap_or(value);
    #[expect(clippy::cast_possible_truncation, reason = "a share in 0..1")]
    let share = (place - at as f64) as f32;
    value + share * (next - value)
}
