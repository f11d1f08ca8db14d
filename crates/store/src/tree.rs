//! The Merkle tree over the record hashes, as RFC 6962 has it, kept by its frontier only.
//!
//! The frontier is the list of roots of the perfect subtrees the tree is made of, largest first: one
//! per set bit of the size, so that a record costs one or two hashes and a root costs O(log n).

use sha2::{Digest as _, Sha256};
use taxiway_model::ids::Digest;

/// A tree of which only its size and its frontier are known; enough to grow it and to name its root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    size: u64,
    peaks: Vec<Digest>,
}

impl Tree {
    /// A tree from what [`Tree::frontier`] wrote; `None` when the bytes do not belong to this size.
    pub fn from_frontier(size: u64, bytes: &[u8]) -> Option<Self> {
        let (chunks, rest) = bytes.as_chunks::<32>();
        let fits = rest.is_empty() && chunks.len() == size.count_ones() as usize;
        fits.then(|| Self { size, peaks: chunks.iter().copied().map(Digest).collect() })
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the perfect subtrees, largest first, 32 bytes each.
    pub fn frontier(&self) -> Vec<u8> {
        self.peaks.iter().flat_map(|peak| peak.0).collect()
    }

    /// Adds the leaf of one record hash.
    pub fn push(&mut self, record: Digest) {
        let mut root = leaf(record);
        let mut full = self.size;
        while full & 1 == 1 {
            let left = self.peaks.pop().expect("there is a peak for every set bit of the size");
            root = node(left, root);
            full >>= 1;
        }
        self.peaks.push(root);
        self.size += 1;
    }

    /// The Merkle tree hash; of an empty tree the hash of nothing.
    pub fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev().copied();
        match peaks.next() {
            None => Digest::of(b""),
            Some(smallest) => peaks.fold(smallest, |right, left| node(left, right)),
        }
    }
}

/// Leaves and nodes are hashed under different prefixes, or a node could be passed off as a leaf.
fn leaf(record: Digest) -> Digest {
    Digest(Sha256::new().chain_update([0]).chain_update(record.0).finalize().into())
}

fn node(left: Digest, right: Digest) -> Digest {
    Digest(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6962, section 2.1, as it is written there.
    fn by_definition(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => Digest::of(b""),
            [one] => leaf(*one),
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node(by_definition(&leaves[..split]), by_definition(&leaves[split..]))
            }
        }
    }

    #[test]
    fn the_root_is_that_of_the_definition_at_every_size() {
        let leaves: Vec<Digest> = (0_u32..130).map(|i| Digest::of(&i.to_be_bytes())).collect();
        let mut tree = Tree::default();
        for size in 0..=leaves.len() {
            assert_eq!(tree.root(), by_definition(&leaves[..size]), "size {size}");
            let kept = Tree::from_frontier(tree.size(), &tree.frontier());
            assert_eq!(kept.as_ref(), Some(&tree));
            if let Some(next) = leaves.get(size) {
                tree.push(*next);
            }
        }
    }

    #[test]
    fn the_empty_tree_has_the_root_the_rfc_gives() {
        let told = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Tree::default().root().to_string(), told);
    }

    #[test]
    fn a_frontier_of_another_size_is_refused() {
        assert_eq!(Tree::from_frontier(3, &[0; 32]), None);
        assert_eq!(Tree::from_frontier(1, &[0; 33]), None);
    }
}
