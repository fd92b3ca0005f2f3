//! Handles for secret values, environment texts, three-way merge and label-driven redaction of JSON replies.
