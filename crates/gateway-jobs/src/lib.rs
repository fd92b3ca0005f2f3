//! Table-backed jobs, mail and notifications: what the gateway does after it has answered.
//!
//! It knows what a kind of job does and how a mail reads; when a job may run and who holds it is the store's
//! business, who may see or steer jobs is policy's. Start reading at [`worker`] (the loop) and [`job`] (what
//! there is to do); [`mod@notices`] is how a change becomes mail.

pub mod handlers;
pub mod job;
pub mod letter;
pub mod mail;
pub mod notices;
pub mod worker;

#[cfg(test)]
mod tests;

pub use handlers::Handlers;
pub use job::{Audience, Job, MailJob};
pub use letter::{Letter, Letterhead};
pub use mail::{Mail, MailError, Mailer, mailer};
pub use notices::{MailNotices, notices};
pub use worker::{Handler, JobFailure, Worker, WorkerOptions};
