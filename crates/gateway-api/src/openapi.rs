//! The OpenAPI document: what the handlers say of themselves, and what the route table says of their rows.
//!
//! The committed file is what is served; a test holds it to the handlers. Summaries, parameters and bodies
//! are written over each handler; who may, what it takes and what can go wrong are the same for all and come
//! from the table.

#[cfg(test)]
mod tests;

/// The document as it is committed and served.
pub(crate) const COMMITTED: &str = include_str!("../openapi.json");
