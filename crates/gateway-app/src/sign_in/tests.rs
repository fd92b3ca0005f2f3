//! Every test that touches rows runs on SQLite and on a real PostgreSQL.

mod again;
mod attacks;
mod command_line;
mod device_codes;
mod factor;
mod pages;
mod people;
mod places;
mod provider;
mod world;
