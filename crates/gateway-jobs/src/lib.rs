//! Table-backed jobs, mail and notifications.
