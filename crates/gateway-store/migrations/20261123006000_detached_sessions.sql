-- Since when nobody is connected to a session that waits for its client to come back; NULL while somebody is. The same in
-- SQLite and PostgreSQL.
ALTER TABLE recordings ADD COLUMN detached BIGINT;
