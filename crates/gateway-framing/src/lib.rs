//! Strict HTTP/1.1 message framing and WebSocket frame boundaries, as pure state machines over bytes.
