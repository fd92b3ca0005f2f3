//! The server-rendered pages.
