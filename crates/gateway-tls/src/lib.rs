//! TLS at the gateway: certificates from files or by ACME, and the handshake.
