//! The lattice hash of a set of entries: a sum that a commit updates in O(changes).
//!
//! Each entry expands to a [`Leaf`] of 1,024 16-bit lanes; a [`Lattice`] is the lane-wise wrapping sum of its leaves.
//! Adding and subtracting commute, so the sum depends on the entries and not on their order. Claimed strength is 128
//! bits, that of BLAKE3 itself.
//!
//! This module stores no set: it cannot tell whether a leaf is already in the sum. If a leaf is counted twice, or
//! removed without having been added, an attacker can produce any digest in a second of CPU time. So the caller must
//! maintain the invariant: **leaves come from transitions of a map that the caller owns, never from what a message
//! claims**, and each entry is in the sum exactly once.

use std::fmt;
use std::sync::OnceLock;

/// Lanes of a lattice.
pub const LANES: usize = 1_024;
/// Bytes of a lattice as it is stored: its lanes in order, each little-endian.
pub const LATTICE_BYTES: usize = 2 * LANES;
/// Domain of the leaf hash; another leaf layout needs another context.
const LEAF_CONTEXT: &str = "bookholder state leaf v1";

/// One entry, expanded to lanes.
///
/// BLAKE3-XOF under the context `bookholder state leaf v1` over `kind | len32(namespace) namespace | len32(key) key |
/// mod_seq | len32(value) value`; `kind` is one byte, lengths are `u32` and `mod_seq` is `u64`, both little-endian.
#[derive(Clone)]
pub struct Leaf {
    lanes: [u16; LANES],
}

impl Leaf {
    /// Expands one entry; `mod_seq` is the commit that last changed it.
    ///
    /// # Panics
    ///
    /// If a part is 4 GiB or longer: its length would not fit, and two entries could share a leaf.
    pub fn new(kind: u8, namespace: &[u8], key: &[u8], mod_seq: u64, value: &[u8]) -> Self {
        let mut hasher = leaf_hasher().clone();
        hasher.update(&[kind]);
        hasher.update(&len32(namespace)).update(namespace);
        hasher.update(&len32(key)).update(key);
        hasher.update(&mod_seq.to_le_bytes());
        hasher.update(&len32(value)).update(value);
        let mut bytes = [0; LATTICE_BYTES];
        hasher.finalize_xof().fill(&mut bytes);
        Self { lanes: lanes_of(&bytes) }
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Leaf({})", digest_of(&self.lanes).to_hex())
    }
}

/// The sum of a set of leaves; the default is the empty set.
#[derive(Clone, PartialEq, Eq)]
pub struct Lattice {
    lanes: [u16; LANES],
}

impl Default for Lattice {
    fn default() -> Self {
        Self { lanes: [0; LANES] }
    }
}

impl fmt::Debug for Lattice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lattice({})", digest_of(&self.lanes).to_hex())
    }
}

impl Lattice {
    /// Adds an entry to the set.
    pub fn add(&mut self, leaf: &Leaf) {
        add_lanes(&mut self.lanes, &leaf.lanes);
    }

    /// Removes an entry from the set.
    pub fn subtract(&mut self, leaf: &Leaf) {
        for (sum, lane) in self.lanes.iter_mut().zip(&leaf.lanes) {
            *sum = sum.wrapping_sub(*lane);
        }
    }

    /// Adds a set that shares no entry with this one.
    pub fn combine(&mut self, other: &Lattice) {
        add_lanes(&mut self.lanes, &other.lanes);
    }

    /// Reads a stored lattice; any 2,048 bytes are valid.
    pub fn from_bytes(bytes: &[u8; LATTICE_BYTES]) -> Self {
        Self { lanes: lanes_of(bytes) }
    }

    /// The lanes in order, little-endian.
    pub fn to_bytes(&self) -> [u8; LATTICE_BYTES] {
        bytes_of(&self.lanes)
    }

    /// The 32-byte digest of the set: BLAKE3 of [`Lattice::to_bytes`].
    pub fn digest(&self) -> [u8; 32] {
        digest_of(&self.lanes).into()
    }
}

/// The keyed start of every leaf hash, prepared once: deriving it each time would double the cost of a small leaf.
fn leaf_hasher() -> &'static blake3::Hasher {
    static HASHER: OnceLock<blake3::Hasher> = OnceLock::new();
    HASHER.get_or_init(|| blake3::Hasher::new_derive_key(LEAF_CONTEXT))
}

fn len32(part: &[u8]) -> [u8; 4] {
    u32::try_from(part.len())
        .expect("parts of an entry are bounded far below 4 GiB by the code that accepts entries")
        .to_le_bytes()
}

fn add_lanes(sums: &mut [u16; LANES], lanes: &[u16; LANES]) {
    for (sum, lane) in sums.iter_mut().zip(lanes) {
        *sum = sum.wrapping_add(*lane);
    }
}

fn lanes_of(bytes: &[u8; LATTICE_BYTES]) -> [u16; LANES] {
    let mut lanes = [0; LANES];
    for (lane, pair) in lanes.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *lane = u16::from_le_bytes(*pair);
    }
    lanes
}

fn bytes_of(lanes: &[u16; LANES]) -> [u8; LATTICE_BYTES] {
    let mut bytes = [0; LATTICE_BYTES];
    for (pair, lane) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(lanes) {
        *pair = lane.to_le_bytes();
    }
    bytes
}

fn digest_of(lanes: &[u16; LANES]) -> blake3::Hash {
    blake3::hash(&bytes_of(lanes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Other implementations are tested against these vectors, too.
    const VECTORS: &str = include_str!("../../../../fixtures/replication/lattice.json");

    fn sum_of<'a>(leaves: impl IntoIterator<Item = &'a Leaf>) -> Lattice {
        let mut lattice = Lattice::default();
        leaves.into_iter().for_each(|leaf| lattice.add(leaf));
        lattice
    }

    fn hex(digest: [u8; 32]) -> String {
        blake3::Hash::from(digest).to_hex().to_string()
    }

    fn unhex(text: &str) -> Vec<u8> {
        let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(digit).collect()
    }

    #[test]
    fn leaves_and_their_sum_match_the_published_vectors() {
        let vectors: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
        let mut sum = Lattice::default();
        for vector in vectors["leaves"].as_array().unwrap() {
            let text = |field: &str| vector[field].as_str().unwrap();
            let leaf = Leaf::new(
                vector["kind"].as_u64().unwrap().try_into().unwrap(),
                text("namespace").as_bytes(),
                text("key").as_bytes(),
                vector["mod_seq"].as_u64().unwrap(),
                &unhex(text("value_hex")),
            );
            assert_eq!(hex(sum_of([&leaf]).digest()), text("digest"), "key {}", text("key"));
            sum.add(&leaf);
        }
        assert_eq!(hex(sum.digest()), vectors["sum_digest"].as_str().unwrap());
        assert_eq!(hex(sum.digest()), PINNED_SUM);
        assert_eq!(hex(Lattice::default().digest()), PINNED_EMPTY);
    }

    /// Pinned a second time, outside the file, so that rewriting the fixture cannot hide a change of layout.
    const PINNED_SUM: &str = "f4ad000c8a5688e5d97970533c238083eda18141a67d04d67f546e19d0f7d89d";
    const PINNED_EMPTY: &str = "be2a8de3dcf46c94ce85cdc8e07ac308f4d8a95490d956c38d780fd610db0813";

    #[test]
    fn lattice_leaf_is_the_documented_expansion() {
        let mut input = vec![3];
        input.extend([2, 0, 0, 0]);
        input.extend(b"ns");
        input.extend([1, 0, 0, 0]);
        input.extend(b"k");
        input.extend([0x02, 0x01, 0, 0, 0, 0, 0, 0]);
        input.extend([5, 0, 0, 0]);
        input.extend(b"value");
        let mut expected = [0; LATTICE_BYTES];
        blake3::Hasher::new_derive_key("bookholder state leaf v1").update(&input).finalize_xof().fill(&mut expected);
        let leaf = Leaf::new(3, b"ns", b"k", 0x0102, b"value");
        assert_eq!(sum_of([&leaf]).to_bytes(), expected);
    }

    #[test]
    fn every_part_of_an_entry_moves_its_leaf() {
        let leaves = [
            Leaf::new(1, b"ab", b"c", 7, b"d"),
            Leaf::new(2, b"ab", b"c", 7, b"d"),
            Leaf::new(1, b"a", b"bc", 7, b"d"),
            Leaf::new(1, b"ab", b"cd", 7, b""),
            Leaf::new(1, b"ab", b"c", 8, b"d"),
            Leaf::new(1, b"ab", b"c", 7, b"e"),
        ];
        let mut digests: Vec<_> = leaves.iter().map(|leaf| sum_of([leaf]).digest()).collect();
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), leaves.len());
    }

    type Entry = (u8, Vec<u8>, Vec<u8>, u64, Vec<u8>);

    fn entry() -> impl Strategy<Value = Entry> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..40);
        (any::<u8>(), bytes(), bytes(), any::<u64>(), bytes())
    }

    fn leaf_of((kind, namespace, key, mod_seq, value): &Entry) -> Leaf {
        Leaf::new(*kind, namespace, key, *mod_seq, value)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn lattice_sum_does_not_depend_on_order_or_grouping(
            entries in prop::collection::vec(entry(), 0..12),
            seed in any::<usize>(),
        ) {
            let leaves: Vec<Leaf> = entries.iter().map(leaf_of).collect();
            let whole = sum_of(&leaves);
            let cut = seed % (leaves.len() + 1);
            let rotated = sum_of(leaves[cut..].iter().chain(&leaves[..cut]));
            prop_assert_eq!(&rotated, &whole);
            prop_assert_eq!(&sum_of(leaves.iter().rev()), &whole);
            let mut joined = sum_of(&leaves[..cut]);
            joined.combine(&sum_of(&leaves[cut..]));
            prop_assert_eq!(&joined, &whole);
        }

        #[test]
        fn subtracting_undoes_adding_and_bytes_read_back(
            entries in prop::collection::vec(entry(), 1..12),
        ) {
            let leaves: Vec<Leaf> = entries.iter().map(leaf_of).collect();
            let mut lattice = sum_of(&leaves);
            let stored = Lattice::from_bytes(&lattice.to_bytes());
            prop_assert_eq!(&stored, &lattice);
            for leaf in &leaves { lattice.subtract(leaf); }
            prop_assert_eq!(lattice, Lattice::default());
        }
    }
}
