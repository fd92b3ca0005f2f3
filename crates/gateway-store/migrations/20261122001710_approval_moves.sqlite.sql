-- The moves of an approval, as gateway-approvals/src/state.rs has them. This file has a twin for the other database.

CREATE TRIGGER approvals_begin BEFORE INSERT ON approvals
WHEN NEW.state <> 'pending'
BEGIN
    SELECT RAISE(ABORT, 'an approval begins as pending');
END;

CREATE TRIGGER approvals_move BEFORE UPDATE OF state ON approvals
WHEN OLD.state <> NEW.state AND NOT (
    (OLD.state = 'pending' AND NEW.state IN ('approved', 'rejected', 'expired', 'withdrawn'))
    OR (OLD.state = 'approved' AND NEW.state IN ('deploying', 'rejected', 'expired', 'withdrawn'))
    OR (OLD.state = 'deploying' AND NEW.state IN ('deployed', 'rejected', 'expired', 'withdrawn'))
)
BEGIN
    SELECT RAISE(ABORT, 'this move of an approval does not exist');
END;

CREATE TRIGGER approvals_what BEFORE UPDATE ON approvals
WHEN OLD.app <> NEW.app OR OLD.commit_id <> NEW.commit_id OR OLD.requester <> NEW.requester
    OR OLD.request <> NEW.request OR OLD.created <> NEW.created
BEGIN
    SELECT RAISE(ABORT, 'what an approval is for does not change');
END;
