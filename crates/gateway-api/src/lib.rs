//! The JSON API of the gateway's own operations and its OpenAPI document.
