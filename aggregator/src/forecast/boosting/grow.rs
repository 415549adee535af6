//! Growing: one tree after the other on what the ones before leave over.

#![expect(
    clippy::indexing_slicing,
    reason = "rows, features and bins come from BinnedRows, whose cells are below the number of \
              bins; the histograms have features * bins entries"
)]

use super::BoostParams;
use super::binning::BinnedRows;
use super::tree::{LEAF, Node, QuantileForest, Tree};

/// Least gain that is worth a split.
const LEAST_GAIN: f64 = 1e-9;
/// A row above the forecast adds this to a histogram's entry, every row adds 1.
const ABOVE: u64 = 1 << 32;

/// A leaf that may be split.
struct Leaf {
    from: usize,
    to: usize,
    /// Per feature and bin: rows, and those above the forecast in the upper half.
    histogram: Vec<u64>,
    above: u32,
    split: Split,
    /// The child of a node that this leaf is.
    parent: Option<(usize, bool)>,
}

/// The best split of a leaf.
#[derive(Clone, Copy, Default)]
struct Split {
    gain: f64,
    feature: usize,
    bin: u8,
}

/// Everything that growing looks at.
pub(super) struct Grower<'a> {
    rows: &'a BinnedRows,
    targets: &'a [f32],
    quantile: f64,
    params: &'a BoostParams,
    forest: QuantileForest,
    forecasts: Vec<f32>,
    above: Vec<bool>,
    features: Vec<usize>,
    random: u64,
    free: Vec<Vec<u64>>,
}

impl<'a> Grower<'a> {
    pub(super) fn new(
        rows: &'a BinnedRows,
        targets: &'a [f32],
        quantile: f64,
        params: &'a BoostParams,
    ) -> Self {
        let start = quantile_of(&mut targets.to_vec(), quantile);
        let forest = QuantileForest { start, trees: vec![], nodes: vec![], leaves: vec![] };
        Self {
            rows,
            targets,
            quantile,
            params,
            forest,
            forecasts: vec![start; targets.len()],
            above: vec![false; targets.len()],
            features: Vec::new(),
            random: params.seed | 1,
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

    pub(super) fn grow(mut self) -> QuantileForest {
        let mut sample: Vec<u32> = Vec::new();
        for _ in 0..self.params.trees {
            for (at, above) in self.above.iter_mut().enumerate() {
                *above = self.targets[at] > self.forecasts[at];
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
        let above = self.count_above(sample);
        let split = self.best_split(&histogram, sample.len(), above);
        Leaf { from: 0, to: sample.len(), histogram, above, split, parent: None }
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
        let small_above = self.count_above(&sample[small]);
        // What is not in the smaller child is in the greater one.
        for (cell, part) in leaf.histogram.iter_mut().zip(&small_histogram) {
            *cell -= part;
        }
        let mut right_histogram = small_histogram;
        let mut right_above = small_above;
        let mut left_above = leaf.above - small_above;
        if left_is_small {
            std::mem::swap(&mut leaf.histogram, &mut right_histogram);
            std::mem::swap(&mut left_above, &mut right_above);
        }
        let to = leaf.to;
        leaf.to = middle;
        leaf.above = left_above;
        leaf.parent = Some((node, true));
        leaf.split = self.best_split(&leaf.histogram, middle - leaf.from, left_above);
        let split = self.best_split(&right_histogram, to - middle, right_above);
        Leaf {
            from: middle,
            to,
            histogram: right_histogram,
            above: right_above,
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

    /// Gives the leaves their values, and every row its new forecast.
    fn finish(&mut self, leaves: &[Leaf], sample: &[u32], tree: Tree) {
        let mut residuals = Vec::new();
        for (number, leaf) in leaves.iter().enumerate() {
            residuals.clear();
            residuals.extend(sample[leaf.from..leaf.to].iter().map(|row| {
                let row = *row as usize;
                self.targets[row] - self.forecasts[row]
            }));
            let value = quantile_of(&mut residuals, self.quantile) * self.params.learning_rate;
            self.forest.leaves.push(value);
            self.attach(leaf.parent, tree, LEAF + u16::try_from(number).unwrap_or(0));
        }
        self.forest.trees.push(tree);
        for row in 0..self.forecasts.len() {
            self.forecasts[row] += self.forest.leaf(tree, self.rows.row(row));
        }
    }

    fn count_above(&self, sample: &[u32]) -> u32 {
        sample.iter().map(|row| u32::from(self.above[*row as usize])).sum()
    }

    /// Counts rows per feature and bin.
    fn histogram(&mut self, sample: &[u32]) -> Vec<u64> {
        let bins = self.rows.bins();
        let mut histogram = self.free.pop().unwrap_or_default();
        histogram.clear();
        histogram.resize(self.rows.features() * bins, 0);
        for row in sample {
            let row = *row as usize;
            let add = 1 + ABOVE * u64::from(self.above[row]);
            for (counts, bin) in histogram.chunks_exact_mut(bins).zip(self.rows.row(row)) {
                counts[usize::from(*bin)] += add;
            }
        }
        histogram
    }

    /// The split of a leaf that lowers the loss most.
    fn best_split(&self, histogram: &[u64], rows: usize, above: u32) -> Split {
        let least = self.params.min_leaf_rows as u64;
        let (rows, above) = (rows as u64, u64::from(above));
        let score = |rows: u64, above: u64| {
            let gradient =
                above as f64 * self.quantile - (rows - above) as f64 * (1.0 - self.quantile);
            gradient * gradient / (rows as f64 + f64::from(self.params.l2))
        };
        let whole = score(rows, above);
        let mut best = Split::default();
        let bins = self.rows.bins();
        for feature in &self.features {
            let counts = &histogram[feature * bins..(feature + 1) * bins];
            let mut sum = 0_u64;
            for (bin, count) in counts.iter().enumerate() {
                sum += count;
                let (left, left_above) = (sum % ABOVE, sum / ABOVE);
                if left < least {
                    continue;
                }
                if rows - left < least {
                    break;
                }
                let gain = score(left, left_above) + score(rows - left, above - left_above) - whole;
                if gain > best.gain {
                    let bin = u8::try_from(bin).unwrap_or(u8::MAX);
                    best = Split { gain, feature: *feature, bin };
                }
            }
        }
        best
    }
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
