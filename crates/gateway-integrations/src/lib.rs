//! What others know about a deploy: GitHub, CircleCI and Slack, asked for evidence and told the result.
//!
//! This crate opens no socket and reads no clock: every exchange goes through [`http::Http`], which the caller passes
//! in. It keeps nothing but credentials for AWS until they expire ([`aws::CredentialChain`]). It must not know the store,
//! the policy or what an approval's states are.
//!
//! Start reading at [`github::GitHub::evidence`]: what must be true of a commit before somebody may approve it.
//!
//! # Security
//! Everything refuses unless it was read and found good: no answer, an answer of another form, a redirect, a page too
//! many are faults like a red check. No fault, no evidence and no `Debug` text holds a token.

pub mod aws;
pub mod circleci;
pub mod github;
pub mod http;
pub mod sigstore;
pub mod slack;

#[cfg(test)]
mod scripted;
