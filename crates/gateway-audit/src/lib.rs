//! Audit events, canonical encoding, the Merkle log, checkpoints, receipts and verification.
