-- Searches by an exact action, and for refusals, are answered by an index as those by actor and app are. Refusals are
-- few: their index holds nothing else.
CREATE INDEX audit_leaves_action ON audit_leaves (action, idx);
CREATE INDEX audit_leaves_refusals ON audit_leaves (idx) WHERE decision = 'refuse';
