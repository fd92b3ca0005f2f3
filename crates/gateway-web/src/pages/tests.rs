//! Users, groups, roles, tokens, settings and the audit log as a browser gets them: what these pages show,
//! what they do, what they never show.

mod approvals;
mod authorization;
mod bench;
mod candidates;
mod hostile;
mod jobs;
mod log;
mod people;
mod rack;
mod settings;
mod tokens;
mod zone;
