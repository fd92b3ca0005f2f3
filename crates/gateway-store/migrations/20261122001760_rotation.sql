-- The secret from which everything is derived that must outlive APP_SECRET_KEY: the key that signs checkpoints, those
-- of handles and of backup codes. Sealed under the key in force; NULL until that was exchanged for the first time,
-- when it is the key itself.
ALTER TABLE gateway ADD COLUMN kept_root TEXT;
