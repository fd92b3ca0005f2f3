//! The Convox API as a closed grammar: routes, parameters, secret labels, handles and exec framing.
