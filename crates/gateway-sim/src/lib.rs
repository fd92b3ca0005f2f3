//! A simulated Convox rack for the demo and the tests.
