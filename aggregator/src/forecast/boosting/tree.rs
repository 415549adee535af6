//! A grown forest: small, and quick to ask.

/// A split: rows whose bin is at most `bin` go left. Children below [`LEAF`] are nodes of the same
/// tree, the others leaves of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) feature: u8,
    pub(super) bin: u8,
    pub(super) left: u16,
    pub(super) right: u16,
}

/// From here on a child is a leaf.
pub(super) const LEAF: u16 = 1 << 15;

/// Where a tree's nodes and leaves begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) nodes: u32,
    pub(super) leaves: u32,
}

/// Trees whose sums are quantiles.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantileForest<const Q: usize> {
    pub(super) start: [f32; Q],
    pub(super) trees: Vec<Tree>,
    pub(super) nodes: Vec<Node>,
    pub(super) leaves: Vec<[f32; Q]>,
}

impl<const Q: usize> QuantileForest<Q> {
    /// The forecasts for a row in the bins of [`super::Binner::row`].
    pub fn predict(&self, row: &[u8]) -> [f32; Q] {
        let mut sum = self.start;
        for tree in &self.trees {
            if let Some(leaf) = self.leaf(*tree, row) {
                sum.iter_mut().zip(leaf).for_each(|(sum, value)| *sum += value);
            }
        }
        sum
    }

    /// What one tree adds for a row.
    pub(super) fn leaf(&self, tree: Tree, row: &[u8]) -> Option<&[f32; Q]> {
        let nodes = self.nodes.get(tree.nodes as usize..)?;
        let mut at = 0_u16;
        while at < LEAF {
            let node = nodes.get(usize::from(at))?;
            let bin = row.get(usize::from(node.feature)).copied()?;
            at = if bin <= node.bin { node.left } else { node.right };
        }
        self.leaves.get(tree.leaves as usize + usize::from(at - LEAF))
    }

    /// Bytes held.
    pub fn size_bytes(&self) -> usize {
        size_of_val(self.trees.as_slice())
            + size_of_val(self.nodes.as_slice())
            + size_of_val(self.leaves.as_slice())
    }
}
