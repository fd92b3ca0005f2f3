//! The relying party against a provider in memory, which signs with another library than the one that
//! verifies. Labels are those of the project's list of bad inputs.

mod claims;
mod documents;
mod email;
mod flow;
mod github;
mod groups;
mod idp;
mod key;
mod logout;
mod refresh;
mod tokens;
