-- When whoever signed in so gave a second factor for it. The same in SQLite and PostgreSQL. NULL = no factor was given.
ALTER TABLE provider_sessions ADD COLUMN proven BIGINT;
