//! The syntax tree, as far as Go's limits depend on it.
//!
//! What is built is the [`Hir`] at once; beside it stand the figures that Go takes from its own tree
//! (`regexp/syntax`, `checkLimits`). Go also factors out what alternatives have in common, which can
//! change a height by a few levels; that is not followed.

use regex_syntax::hir::{Capture, Hir};

/// The deepest nesting of the syntax tree.
const MAX_HEIGHT: u32 = 1000;
/// The most instructions of Go's compiled program.
const MAX_SIZE: u64 = (128 << 20) / 40;

const NESTING_DEPTH: &str = "expression nests too deeply";
pub(super) const LARGE: &str = "expression too large";

/// Part of a pattern, with what Go's limits are about.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) hir: Hir,
    pub(super) kind: NodeKind,
    /// Instructions of Go's program.
    pub(super) size: u64,
    /// Height of Go's syntax tree.
    pub(super) height: u32,
    /// How often the innermost thing is repeated.
    pub(super) repeats: u64,
}

/// What Go merges with its neighbours or its parent, which makes trees less high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeKind {
    /// One character, case folded or not.
    Char {
        fold_case: bool,
    },
    Class,
    Concat,
    Alternation,
    Other,
}

impl Node {
    pub(super) fn leaf(hir: Hir, kind: NodeKind) -> Self {
        Self { hir, kind, size: 1, height: 1, repeats: 1 }
    }

    /// A node with `self` below it.
    pub(super) fn wrapped(self, size: u64, repeats: u64, wrap: impl FnOnce(Hir) -> Hir) -> Self {
        Self { hir: wrap(self.hir), kind: NodeKind::Other, size, height: self.height + 1, repeats }
    }

    pub(super) fn limited(self) -> Result<Self, &'static str> {
        if self.size > MAX_SIZE {
            return Err(LARGE);
        }
        if self.height > MAX_HEIGHT {
            return Err(NESTING_DEPTH);
        }
        Ok(self)
    }

    /// One after the other.
    pub(super) fn concat(mut nodes: Vec<Self>) -> Self {
        if nodes.len() == 1 {
            return nodes.remove(0);
        }
        if nodes.is_empty() {
            return Self::leaf(Hir::empty(), NodeKind::Other);
        }
        // Characters next to each other are one string.
        let is_string = |node: &Self| matches!(node.kind, NodeKind::Char { .. });
        let one_string = nodes.windows(2).all(|w| w[0].kind == w[1].kind) && is_string(&nodes[0]);
        let size = nodes.iter().map(|node| node.size).sum();
        Self::joined(nodes, NodeKind::Concat, one_string, size, Hir::concat)
    }

    /// One of several, the first that matches.
    pub(super) fn alternation(mut nodes: Vec<Self>) -> Self {
        if nodes.len() == 1 {
            return nodes.remove(0);
        }
        let is_char = |node: &Self| matches!(node.kind, NodeKind::Char { .. } | NodeKind::Class);
        let one_class = nodes.iter().all(is_char);
        let size = nodes.iter().map(|node| node.size + 1).sum::<u64>() - 1;
        Self::joined(nodes, NodeKind::Alternation, one_class, size, Hir::alternation)
    }

    fn joined(
        nodes: Vec<Self>,
        kind: NodeKind,
        is_leaf: bool,
        size: u64,
        join: impl FnOnce(Vec<Hir>) -> Hir,
    ) -> Self {
        // A node of the same kind is not below this one but becomes a part of it.
        let below = nodes.iter().map(|n| n.height - u32::from(n.kind == kind)).max();
        let height = if is_leaf { 1 } else { 1 + below.unwrap_or(0) };
        let repeats = nodes.iter().map(|node| node.repeats).max().unwrap_or(1);
        let kind = if is_leaf { NodeKind::Other } else { kind };
        Self { hir: join(nodes.into_iter().map(|n| n.hir).collect()), kind, size, height, repeats }
    }

    pub(super) fn captured(self, index: usize) -> Self {
        let index = u32::try_from(index).expect("a pattern is shorter than 4 GiB");
        let (size, repeats) = (self.size + 2, self.repeats);
        self.wrapped(size, repeats, |sub| {
            Hir::capture(Capture { index, name: None, sub: Box::new(sub) })
        })
    }
}
