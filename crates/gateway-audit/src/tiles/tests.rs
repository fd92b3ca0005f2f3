use proptest::prelude::*;

use super::*;
use crate::merkle::{Head, leaf_hash, verify_consistency, verify_inclusion};

fn parsed(text: &str) -> Option<TilePath> {
    text.parse().ok()
}

#[test]
fn each_tile_has_one_name() {
    let hashes = |level, index, width| Some(TilePath::Hashes { tile: TileId { level, index }, width });
    let entries = |index, width| Some(TilePath::Entries { index, width });
    for (text, expected) in [
        ("0/000", hashes(0, 0, 256)),
        ("0/x001/x234/067", hashes(0, 1_234_067, 256)),
        ("7/000.p/1", hashes(7, 0, 1)),
        ("1/001.p/255", hashes(1, 1, 255)),
        ("entries/x004/321.p/9", entries(4321, 9)),
        ("entries/999", entries(999, 256)),
        ("0/0", None),
        ("0/0000", None),
        ("00/000", None),
        ("8/000", None),
        ("-1/000", None),
        ("+1/000", None),
        ("0/x000/001", None),
        ("0/001/x001", None),
        ("0/001/001", None),
        ("0/x001", None),
        ("0/000.p/0", None),
        ("0/000.p/256", None),
        ("0/000.p/01", None),
        ("0/000.p/+1", None),
        ("0/000.p/", None),
        ("0/000/", None),
        ("0/", None),
        ("0", None),
        ("", None),
        ("data/000", None),
        ("0/\u{661}\u{662}\u{663}", None),
        ("0/x999/x999/x999/x999/x999/x999/x999/999", None),
    ] {
        assert_eq!(parsed(text), expected, "{text}");
        if let Some(path) = expected {
            assert_eq!(path.to_string(), text);
        }
    }
}

#[test]
fn a_tile_is_as_wide_as_the_log_lets_it() {
    let width = |level, index, size| TileId { level, index }.width_at(size);
    assert_eq!([width(0, 0, 0), width(0, 0, 1), width(0, 0, 256), width(0, 0, 300)], [0, 1, 256, 256]);
    assert_eq!([width(0, 1, 256), width(0, 1, 300), width(1, 0, 255), width(1, 0, 256)], [0, 44, 0, 1]);
    assert_eq!([width(1, 0, 65_536), width(2, 0, 65_536), width(2, 0, 65_535)], [256, 1, 0]);
    assert_eq!(width(7, u64::MAX, u64::MAX), 0);
}

#[test]
fn bundles_are_length_prefixed() {
    let mut bundle = Vec::new();
    push_entry(&mut bundle, b"ab").unwrap();
    push_entry(&mut bundle, &[7; 300]).unwrap();
    assert_eq!(&bundle[..6], b"\x00\x02ab\x01\x2c");
    assert_eq!(bundle.len(), 2 + 2 + 2 + 300);
    assert_eq!(push_entry(&mut bundle, &vec![0; 65_536]), Err(EntryTooLong { bytes: 65_536 }));
}

/// All tiles of a log with these leaves, as a store has them.
fn all(leaves: &[Hash]) -> Tiles {
    let mut tiles = Tiles::new();
    let mut nodes = leaves.to_vec();
    for level in 0..3 {
        for (index, hashes) in nodes.chunks(256).enumerate() {
            tiles.insert(TileId { level, index: index as u64 }, hashes.to_vec());
        }
        nodes = nodes.chunks_exact(256).map(|full| full.to_vec().node(8, 0).unwrap()).collect();
    }
    tiles
}

fn only(tiles: &Tiles, wanted: &[TileId]) -> Tiles {
    let mut some = Tiles::new();
    for tile in wanted {
        some.insert(*tile, tiles.0[tile].clone());
    }
    some
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
}

#[test]
fn proofs_from_tiles_are_those_from_leaves() {
    let leaves = leaves(70_000);
    let tiles = all(&leaves);
    let head = |size: usize| {
        let mut frontier = Frontier::new();
        leaves[..size].iter().for_each(|leaf| frontier.push(*leaf));
        frontier.head()
    };
    for (index, size) in
        [(0, 1), (255, 256), (256, 257), (300, 1000), (65_535, 65_536), (1, 70_000), (69_999, 70_000)]
    {
        let wanted = tiles_of_inclusion(index as u64, size as u64).unwrap();
        assert!(wanted.len() <= 6, "{wanted:?}");
        let path = inclusion_proof(&only(&tiles, &wanted), index as u64, size as u64).unwrap();
        verify_inclusion(&leaves[index], index as u64, &head(size), &path).unwrap();
    }
    for (old, new) in [(0, 5), (1, 2), (255, 256), (256, 70_000), (257, 65_537), (65_536, 70_000), (9, 9)] {
        let wanted = tiles_of_consistency(old as u64, new as u64).unwrap();
        let proof = consistency_proof(&only(&tiles, &wanted), old as u64, new as u64).unwrap();
        let (old, new): (Head, Head) = (head(old), head(new));
        verify_consistency(&old, &new, &proof).unwrap();
    }
}

proptest! {
    #[test]
    fn what_is_printed_is_read(index in any::<u64>(), level in 0u8..=7, width in 1u64..=256, entries: bool) {
        let path = if entries {
            TilePath::Entries { index, width }
        } else {
            TilePath::Hashes { tile: TileId { level, index }, width }
        };
        prop_assert_eq!(path.to_string().parse(), Ok(path));
    }
}
