//! Services behind the gateway as a closed table: hosts, prefixes, routes, upstreams, what each caller is told.
