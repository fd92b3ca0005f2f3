//! A typed client of the gateway's JSON API, for the command line and the tests.
