//! Checks the request token that Rack Gateway sends to a service, as a tower layer.
