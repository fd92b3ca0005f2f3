//! Composition root: listeners, background jobs, shutdown order.
