//! Vectors of the CT project and exhaustive small trees.

use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::*;

/// The leaves of `merkle_tree_test.cc` of google/certificate-transparency.
const CT_LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

/// The roots over the first 0, 1, … 8 of them.
const CT_ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn hex(text: &str) -> Hash {
    Hash::from_slice(&HEXLOWER.decode(text.as_bytes()).unwrap()).unwrap()
}

fn ct_leaves() -> Vec<Hash> {
    CT_LEAVES.iter().map(|leaf| leaf_hash(&HEXLOWER.decode(leaf.as_bytes()).unwrap())).collect()
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|index| leaf_hash(&index.to_be_bytes())).collect()
}

/// The definition of RFC 6962, section 2.1, word by word.
fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let mut split = 1;
            while split * 2 < leaves.len() {
                split *= 2;
            }
            node_hash(&naive_root(&leaves[..split]), &naive_root(&leaves[split..]))
        }
    }
}

fn head(leaves: &[Hash]) -> Head {
    Head { size: leaves.len() as u64, root: naive_root(leaves) }
}

#[test]
fn roots_of_the_ct_vectors() {
    let leaves = ct_leaves();
    let mut frontier = Frontier::new();
    for (size, expected) in CT_ROOTS.iter().enumerate() {
        assert_eq!(frontier.root().to_hex(), *expected, "size {size}");
        assert_eq!(naive_root(&leaves[..size]).to_hex(), *expected, "size {size}");
        leaves.get(size).into_iter().for_each(|leaf| frontier.push(*leaf));
    }
}

fn check_inclusion(index: u64, size: usize, expected: &[&str]) {
    let path = inclusion_proof(&ct_leaves(), index, size as u64).unwrap();
    assert_eq!(path.iter().map(Hash::to_hex).collect::<Vec<_>>(), expected, "leaf {index} of {size}");
    let head = Head { size: size as u64, root: hex(CT_ROOTS[size]) };
    verify_inclusion(&ct_leaves()[index as usize], index, &head, &path).unwrap();
}

#[test]
fn inclusion_of_the_ct_vectors() {
    check_inclusion(
        0,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    );
    check_inclusion(
        5,
        8,
        &[
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    );
    check_inclusion(2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]);
    check_inclusion(
        1,
        5,
        &[
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    );
}

fn check_consistency(old: usize, new: usize, expected: &[&str]) {
    let proof = consistency_proof(&ct_leaves(), old as u64, new as u64).unwrap();
    assert_eq!(proof.iter().map(Hash::to_hex).collect::<Vec<_>>(), expected, "{old} to {new}");
    let head = |size: usize| Head { size: size as u64, root: hex(CT_ROOTS[size]) };
    verify_consistency(&head(old), &head(new), &proof).unwrap();
}

#[test]
fn consistency_of_the_ct_vectors() {
    check_consistency(1, 1, &[]);
    check_consistency(
        1,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    );
    check_consistency(
        6,
        8,
        &[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    );
    check_consistency(
        2,
        5,
        &[
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    );
}

#[test]
fn the_frontier_is_the_naive_tree_at_every_size() {
    let leaves = leaves(130);
    let mut frontier = Frontier::new();
    for size in 0..=130 {
        assert_eq!(frontier.head(), head(&leaves[..size]), "size {size}");
        assert_eq!(Frontier::from_bytes(&frontier.to_bytes()), Ok(frontier.clone()));
        leaves.get(size).into_iter().for_each(|leaf| frontier.push(*leaf));
    }
}

#[test]
fn a_frontier_of_the_wrong_length_is_refused() {
    let mut bytes = Frontier::new().to_bytes();
    assert_eq!(Frontier::from_bytes(&bytes[1..]), Err(BadFrontier::NoSize { found: 7 }));
    bytes[7] = 3;
    bytes.extend([0; 63]);
    assert_eq!(
        Frontier::from_bytes(&bytes),
        Err(BadFrontier::WrongLength { size: 3, expected: 64, found: 63 })
    );
}

#[test]
fn every_leaf_of_every_small_tree_is_included() {
    let leaves = leaves(130);
    for size in 1..=130 {
        let head = head(&leaves[..size as usize]);
        for index in 0..size {
            let path = inclusion_proof(&leaves, index, size).unwrap();
            let leaf = &leaves[index as usize];
            assert_eq!(verify_inclusion(leaf, index, &head, &path), Ok(()), "leaf {index} of {size}");
            let other = (index + 1) % size;
            if other != index {
                assert!(verify_inclusion(leaf, other, &head, &path).is_err(), "leaf {index} as {other}");
            }
        }
    }
}

#[test]
fn every_small_tree_is_consistent_with_every_prefix() {
    let leaves = leaves(130);
    let heads: Vec<Head> = (0..=130).map(|size| head(&leaves[..size])).collect();
    for new in 0..=130u64 {
        for old in 0..=new {
            let proof = consistency_proof(&leaves, old, new).unwrap();
            let (old_head, new_head) = (&heads[old as usize], &heads[new as usize]);
            assert_eq!(verify_consistency(old_head, new_head, &proof), Ok(()), "{old} to {new}");
            let forged = Head { size: old, root: leaf_hash(b"forged") };
            assert!(verify_consistency(&forged, new_head, &proof).is_err(), "{old} to {new}, forged");
        }
    }
}

#[test]
fn a_smaller_tree_is_a_rollback() {
    let leaves = leaves(5);
    let reversed = ProofError::SizesReversed { old: 5, new: 3 };
    assert_eq!(verify_consistency(&head(&leaves), &head(&leaves[..3]), &[]), Err(reversed.clone()));
    assert_eq!(consistency_proof(&leaves, 5, 3), Err(reversed));
}

#[test]
fn an_empty_tree_with_a_root_is_a_lie() {
    let lie = Head { size: 0, root: leaf_hash(b"") };
    let good = head(&leaves(3));
    assert_eq!(verify_consistency(&lie, &good, &[]), Err(ProofError::RootMismatch { size: 0 }));
    assert_eq!(verify_consistency(&lie, &lie, &[]), Err(ProofError::RootMismatch { size: 0 }));
}

#[test]
fn what_is_not_there_cannot_be_proved() {
    let leaves = leaves(5);
    assert_eq!(inclusion_proof(&leaves, 5, 5), Err(ProofError::IndexOutOfRange { index: 5, size: 5 }));
    assert_eq!(inclusion_proof(&leaves, 0, 8), Err(ProofError::MissingNode { level: 2, index: 1 }));
    assert_eq!(
        verify_inclusion(&leaves[0], 0, &Head { size: 0, root: empty_root() }, &[]),
        Err(ProofError::IndexOutOfRange { index: 0, size: 0 })
    );
}

#[test]
fn hashes_have_one_spelling() {
    let hash = leaf_hash(b"x");
    assert_eq!(hash.to_string().parse(), Ok(hash));
    let json = serde_json::to_string(&hash).unwrap();
    assert_eq!(json, format!("\"{}\"", hash.to_base64()));
    assert_eq!(serde_json::from_str::<Hash>(&json).unwrap(), hash);
    let text = hash.to_string();
    for bad in ["", "AA==", text.trim_end_matches('='), &hash.to_hex(), &format!("{text} ")] {
        assert_eq!(bad.parse::<Hash>(), Err(NotAHash), "{bad}");
    }
    assert_eq!(Hash::from_slice(&[0; 31]), None);
}

proptest! {
    #[test]
    fn an_altered_inclusion_proof_fails(
        size in 1u64..=130, index in any::<u64>(), at in any::<prop::sample::Index>(), bit in 0usize..256, drop in any::<bool>(),
    ) {
        let (leaves, index) = (leaves(size), index % size);
        let head = head(&leaves);
        let mut path = inclusion_proof(&leaves, index, size).unwrap();
        let mut longer = path.clone();
        longer.push(head.root);
        prop_assert!(verify_inclusion(&leaves[index as usize], index, &head, &longer).is_err());
        if !path.is_empty() {
            let at = at.index(path.len());
            if drop { path.remove(at); } else { path[at].0[bit / 8] ^= 1 << (bit % 8); }
            prop_assert!(verify_inclusion(&leaves[index as usize], index, &head, &path).is_err());
        }
    }

    #[test]
    fn an_altered_consistency_proof_fails(
        new in 2u64..=130, old in any::<u64>(), at in any::<prop::sample::Index>(), bit in 0usize..256, drop in any::<bool>(),
    ) {
        let (leaves, old) = (leaves(new), 1 + old % (new - 1));
        let (old_head, new_head) = (head(&leaves[..old as usize]), head(&leaves));
        let mut proof = consistency_proof(&leaves, old, new).unwrap();
        let mut longer = proof.clone();
        longer.push(new_head.root);
        prop_assert!(verify_consistency(&old_head, &new_head, &longer).is_err());
        let at = at.index(proof.len());
        if drop { proof.remove(at); } else { proof[at].0[bit / 8] ^= 1 << (bit % 8); }
        prop_assert!(verify_consistency(&old_head, &new_head, &proof).is_err());
    }

    #[test]
    fn a_rewritten_history_has_no_consistency_proof(new in 2u64..=130, old in any::<u64>(), victim in any::<u64>()) {
        let mut leaves = leaves(new);
        let old = 1 + old % (new - 1);
        let old_head = head(&leaves[..old as usize]);
        leaves[(victim % old) as usize] = leaf_hash(b"rewritten");
        let proof = consistency_proof(&leaves, old, new).unwrap();
        prop_assert!(verify_consistency(&old_head, &head(&leaves), &proof).is_err());
    }
}

/// Every range of every small tree: it verifies, and no leaf can be left out, altered, added or moved.
#[test]
fn ranges_are_whole_or_do_not_verify() {
    let all = leaves(40);
    for size in 0..=all.len() {
        let tree = &all[..size];
        let head = head(tree);
        for start in 0..=size {
            for end in start..=size {
                let (from, to) = (start as u64, end as u64);
                let proof = range_proof(tree, from, to, head.size).unwrap();
                let holds = |start: u64, leaves: &[Hash], proof: &RangeProof| {
                    RangeVerifier::new(start, &proof.left).and_then(|mut verifier| {
                        leaves.iter().for_each(|leaf| verifier.push(*leaf));
                        verifier.finish(&head, &proof.right)
                    })
                };
                let range = &tree[start..end];
                holds(from, range, &proof).unwrap();
                if size > 20 {
                    continue;
                }
                for left_out in 0..range.len() {
                    let mut fewer = range.to_vec();
                    fewer.remove(left_out);
                    holds(from, &fewer, &proof).unwrap_err();
                    let mut altered = range.to_vec();
                    altered[left_out] = leaf_hash(b"another");
                    holds(from, &altered, &proof).unwrap_err();
                    let mut more = range.to_vec();
                    more.insert(left_out, leaf_hash(b"another"));
                    holds(from, &more, &proof).unwrap_err();
                }
                if range.len() > 1 {
                    let mut moved = range.to_vec();
                    moved.swap(0, 1);
                    holds(from, &moved, &proof).unwrap_err();
                }
                holds(from + 1, range, &proof).unwrap_err();
                let mut longer = proof.clone();
                longer.right.push(leaf_hash(b"another"));
                holds(from, range, &longer).unwrap_err();
            }
        }
    }
    assert!(range_proof(&all, 3, 2, 40).is_err());
    assert!(range_proof(&all, 3, 41, 40).is_err());
}
