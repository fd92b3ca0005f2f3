//! TestGateway, the fake clock, recorded-traffic replay and raw-socket clients for the tests.
