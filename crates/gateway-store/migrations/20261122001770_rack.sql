-- Before which rack this gateway stands: SHA-256 of its host and port. NULL until the first `serve`.
ALTER TABLE gateway ADD COLUMN rack TEXT;
