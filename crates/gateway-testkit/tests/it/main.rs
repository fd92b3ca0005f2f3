//! End-to-end tests: a whole gateway in front of a simulated rack, driven over real sockets.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in the functions that its cases share"
)]

mod anchors;
mod anchors_in_a_bucket;
mod approvals;
mod audit_shares;
mod authorization;
mod basics;
mod break_glass;
mod browser;
mod callers;
mod challenges;
mod child;
mod client_reactions;
mod console;
mod corpus;
mod cors;
mod crash;
mod crawl;
mod degraded;
mod documents;
mod environment;
mod exec;
mod exposure;
mod forbid;
mod grpc;
mod hostile;
mod hostile_bodies;
mod hostile_connections;
mod hostile_framing;
mod hostile_headers;
mod hostile_paths;
mod hostile_services;
mod hostile_sockets;
mod hostile_timing;
mod http2;
mod http2_frames;
mod inbox;
mod integrations;
mod layers;
mod leaks;
mod log;
mod log_tiles;
mod machines;
mod mail;
mod matrix;
mod metrics;
mod pages;
mod passkeys;
mod providers;
mod rack_pages;
mod rack_tls;
mod rates;
mod read_only;
mod recordings;
mod replay;
mod restart;
mod rights;
mod secrets;
mod sentinel;
mod service_changes;
mod service_kit;
mod service_limits;
mod service_sockets;
mod service_tokens;
mod service_waiting;
mod services;
mod services_back;
mod services_balance;
mod services_browser;
mod services_credentials;
mod services_discovered;
mod services_identity;
mod services_protocols;
mod services_reload;
mod services_shown;
mod services_up;
mod sign_on;
mod sinks;
mod slow;
mod step_up;
mod streaming;
mod structure;
mod tls;
mod traces;
mod tunnel;
mod yubico;
mod zone;
