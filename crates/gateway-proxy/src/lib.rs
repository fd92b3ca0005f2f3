//! The data plane: the pipeline, its phases, the upstream pool and WebSocket relay.
