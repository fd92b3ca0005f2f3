//! The application functions that the API, the web pages and the command line all call.
