-- The tables of the Go project that are read, with the columns that it has.
CREATE TABLE users (
    id bigserial PRIMARY KEY, email varchar(254) NOT NULL UNIQUE, name text, roles varchar(1024) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    suspended boolean NOT NULL DEFAULT false, mfa_enrolled boolean NOT NULL DEFAULT false, mfa_enforced_at timestamptz,
    preferred_mfa_method text, locked_at timestamptz, locked_reason text, locked_by_user_id bigint REFERENCES users (id)
);
CREATE TABLE api_tokens (
    id bigserial PRIMARY KEY, public_id uuid NOT NULL DEFAULT gen_random_uuid(), token_hash char(64) NOT NULL UNIQUE,
    name varchar(150) NOT NULL UNIQUE, user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_by_user_id bigint, permissions varchar(4000) NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz, last_used_at timestamptz
);
CREATE TABLE settings (
    id bigserial PRIMARY KEY, app_name text, key text NOT NULL, value jsonb NOT NULL, updated_by_user_id bigint,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX ON settings (coalesce(app_name, ''), key);
CREATE TABLE mfa_methods (id bigserial PRIMARY KEY, user_id bigint, type text, secret text);
CREATE TABLE user_sessions (id bigserial PRIMARY KEY, user_id bigint, token_hash text);
CREATE TABLE trusted_devices (id bigserial PRIMARY KEY, user_id bigint, token_hash text);
CREATE TABLE deploy_approval_requests (id bigserial PRIMARY KEY, app text, status text);
CREATE SCHEMA audit;
CREATE TABLE audit.audit_event (
    id bigserial PRIMARY KEY, timestamp timestamptz NOT NULL DEFAULT now(), chain_index bigint UNIQUE, previous_hash bytea,
    event_hash bytea, checkpoint_id bigint, user_email text, user_name text, api_token_id bigint, action_type text,
    action text, command varchar(2000), resource varchar(255), details varchar(8000), ip_address inet,
    user_agent varchar(512), status text, rbac_decision text, http_status integer, response_time_ms integer
);
