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

/// Trees whose sum is a quantile.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantileForest {
    pub(super) start: f32,
    pub(super) trees: Vec<Tree>,
    pub(super) nodes: Vec<Node>,
    pub(super) leaves: Vec<f32>,
}

impl QuantileForest {
    /// The forecast for a row in the bins of [`super::Binner::row`].
    pub fn predict(&self, row: &[u8]) -> f32 {
        self.start + self.trees.iter().map(|tree| self.leaf(*tree, row)).sum::<f32>()
    }

    /// What one tree adds for a row.
    pub(super) fn leaf(&self, tree: Tree, row: &[u8]) -> f32 {
        let nodes = self.nodes.get(tree.nodes as usize..).unwrap_or_default();
        let mut at = 0_u16;
        while at < LEAF {
            let Some(node) = nodes.get(usize::from(at)) else { return 0.0 };
            let bin = row.get(usize::from(node.feature)).copied().unwrap_or(0);
            at = if bin <= node.bin { node.left } else { node.right };
        }
        let leaf = tree.leaves as usize + usize::from(at - LEAF);
        self.leaves.get(leaf).copied().unwrap_or(0.0)
    }

    /// Bytes held.
    pub fn size_bytes(&self) -> usize {
        size_of_val(self.trees.as_slice())
            + size_of_val(self.nodes.as_slice())
            + size_of_val(self.leaves.as_slice())
    }
}
