-- Handing the log out as tiles, and exchanging the key that signs it. This file has a twin for the other
-- database; only the byte type differs.

-- Roots of full subtrees: level 1 is over 256 leaves, level 2 over 65,536, and so on. Written with the leaf
-- that completes one; whatever is missing is made from the level below.
CREATE TABLE audit_nodes (
    level BIGINT NOT NULL,
    idx BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    PRIMARY KEY (level, idx)
);

-- Keys that followed the first one, which is derived and stands nowhere. `handover` is the checkpoint of
-- `from_size` entries that the key before signed too.
CREATE TABLE audit_keys (
    generation BIGINT PRIMARY KEY,
    vkey TEXT NOT NULL UNIQUE,
    sealed TEXT NOT NULL,
    key_id TEXT NOT NULL,
    from_size BIGINT NOT NULL,
    handover TEXT NOT NULL,
    created BIGINT NOT NULL
);

-- Which key signs the head; changed and read with it, so that all instances sign a head with one key.
ALTER TABLE audit_head ADD COLUMN key_generation BIGINT NOT NULL DEFAULT 0;

-- Hashes are random: each leaf of this index was another page to write. Nothing is found by it that an
-- index of the log does not find.
DROP INDEX audit_leaves_hash;
