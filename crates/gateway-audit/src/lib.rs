//! The audit log as a value: events, their one encoding, the Merkle tree over it, signed
//! checkpoints, receipts, proofs, verification and the export format.
//!
//! Nothing here does I/O of its own, reads a clock or draws random bytes: the store keeps the bytes,
//! the callers pass time, ids and nonces. Start reading at [`event`] (what is recorded), then
//! [`encoding`] (the bytes), [`merkle`] (what makes them checkable), [`checkpoint`] (what is signed), [`tiles`] (how it is
//! handed out) and [`verify`] (what anyone can check). Design: DESIGN section 7.

pub mod checkpoint;
pub mod encoding;
pub mod event;
pub mod export;
pub mod keys;
pub mod merkle;
pub mod note;
pub mod receipt;
pub mod render;
pub mod text;
pub mod tiles;
pub mod verify;

pub use checkpoint::{Checkpoint, origin_of};
pub use encoding::{DecodeError, EncodeError, Leaf, MAX_LEAF_BYTES, Nonce};
pub use event::{Actor, ActorKind, End, Event, Phase, PreviousShutdown, VerdictRecord};
pub use export::{ExportError, ExportHeader, ExportWriter, verify_export, verify_export_against};
pub use gateway_types::EventId;
pub use keys::{ChainError, KeyChain, LogKey};
pub use merkle::{
    Frontier, Hash, Head, NodeSource, ProofError, RangeProof, RangeVerifier, consistency_proof, digest,
    empty_root, inclusion_proof, leaf_hash, node_hash, range_proof, verify_consistency, verify_inclusion,
};
pub use note::{NoteError, NoteSigner, NoteVerifier, cosign};
pub use receipt::{Receipt, ReceiptError};
pub use text::{bounded, bounded_bytes};
pub use tiles::{TileId, TilePath, Tiles};
pub use verify::{Fault, LogVerifier, PRUNE_ACTION, Report, pruned_before};
