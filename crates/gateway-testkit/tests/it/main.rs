//! End-to-end tests: a whole gateway in front of a simulated rack, driven over real sockets.

mod basics;
mod documents;
mod structure;
