use gateway_types::Secret;

use super::*;
use crate::merkle::leaf_hash;
use crate::note::{NoteSigner, cosign};

fn signer(seed: u8) -> NoteSigner {
    NoteSigner::from_seed("log", &Secret::new(vec![seed; 32])).unwrap()
}

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint { origin: "log".to_owned(), size, root: leaf_hash(b"root"), extensions: Vec::new() }
}

fn key(signer: &NoteSigner, from: u64, handover: Option<String>) -> LogKey {
    LogKey { verifier: signer.verifier(), from, handover }
}

#[test]
fn trust_goes_along_handovers() {
    let (one, two, three, stranger) = (signer(1), signer(2), signer(3), signer(9));
    let first = cosign(&one, &two, &checkpoint(10));
    let second = cosign(&two, &three, &checkpoint(20));
    let chain = KeyChain::new(vec![
        key(&one, 0, None),
        key(&two, 10, Some(first.clone())),
        key(&three, 20, Some(second.clone())),
    ])
    .unwrap();
    assert_eq!(chain.newest(), Some(&three.verifier()));
    for signer in [&one, &two, &three] {
        assert_eq!(chain.goes_back_to(&signer.verifier().to_string()), Ok(()));
    }
    assert!(matches!(chain.goes_back_to(&stranger.verifier().to_string()), Err(ChainError::Stranger { .. })));
    for (signer, size, is_good) in [
        (&one, 0, true),
        (&one, 10, true),
        (&one, 11, false),
        (&two, 9, false),
        (&two, 10, true),
        (&two, 20, true),
        (&two, 21, false),
        (&three, 19, false),
        (&three, 20, true),
        (&three, u64::MAX, true),
        (&stranger, 5, false),
    ] {
        let verified = chain.verify(&signer.sign(&checkpoint(size)));
        assert_eq!(verified.is_ok(), is_good, "{size}: {verified:?}");
    }
    // A note that two keys signed is good by the one whose size it is.
    assert!(chain.verify(&first).is_ok() && chain.verify(&second).is_ok());

    let by_one = one.sign(&checkpoint(10));
    let by_two = two.sign(&checkpoint(10));
    for handover in [None, Some(by_one), Some(by_two), Some(cosign(&stranger, &two, &checkpoint(10)))] {
        let broken = KeyChain::new(vec![key(&one, 0, None), key(&two, 10, handover)]);
        assert!(matches!(broken, Err(ChainError::NoHandover { position: 1, .. })), "{broken:?}");
    }
    let elsewhere = KeyChain::new(vec![key(&one, 0, None), key(&two, 11, Some(first.clone()))]);
    assert_eq!(elsewhere, Err(ChainError::OutOfOrder { position: 1 }));
    let backwards = KeyChain::new(vec![key(&one, 11, None), key(&two, 10, Some(first))]);
    assert_eq!(backwards, Err(ChainError::OutOfOrder { position: 1 }));
    assert_eq!(KeyChain::new(Vec::new()), Err(ChainError::Empty));
}
