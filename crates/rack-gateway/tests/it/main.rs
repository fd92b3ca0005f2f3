//! The built binary, started as a person starts it.

mod demo;
