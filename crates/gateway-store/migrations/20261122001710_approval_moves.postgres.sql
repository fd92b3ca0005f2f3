-- The moves of an approval, as gateway-approvals/src/state.rs has them. This file has a twin for the other database.

CREATE FUNCTION approvals_guard() RETURNS trigger LANGUAGE plpgsql AS $guard$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'pending' THEN
            RAISE EXCEPTION 'an approval begins as pending';
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.app <> NEW.app OR OLD.commit_id <> NEW.commit_id OR OLD.requester <> NEW.requester
        OR OLD.request <> NEW.request OR OLD.created <> NEW.created THEN
        RAISE EXCEPTION 'what an approval is for does not change';
    END IF;
    IF OLD.state <> NEW.state AND NOT (
        (OLD.state = 'pending' AND NEW.state IN ('approved', 'rejected', 'expired', 'withdrawn'))
        OR (OLD.state = 'approved' AND NEW.state IN ('deploying', 'rejected', 'expired', 'withdrawn'))
        OR (OLD.state = 'deploying' AND NEW.state IN ('deployed', 'rejected', 'expired', 'withdrawn'))
    ) THEN
        RAISE EXCEPTION 'this move of an approval does not exist';
    END IF;
    RETURN NEW;
END;
$guard$;

CREATE TRIGGER approvals_guard BEFORE INSERT OR UPDATE ON approvals
FOR EACH ROW EXECUTE FUNCTION approvals_guard();
