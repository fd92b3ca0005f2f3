//! The one table of what is served: a row of the gateway's route table, and the function that serves it.
//!
//! Dispatch, [`Api::serves`](crate::Api::serves) and the OpenAPI document are all made from it, so that
//! they cannot differ. It must not know what any of the functions does.

use std::future::Future;
use std::pin::Pin;

use gateway_app::App;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_types::Problem;

/// What a handler returns.
pub(crate) type Answering<'a> = Pin<Box<dyn Future<Output = Result<OwnReply, Problem>> + Send + 'a>>;

/// Serves one row.
pub(crate) type Handler = for<'a> fn(&'a App, &'a OwnRequest) -> Answering<'a>;

macro_rules! routes {
    ($($route:literal => $($segment:ident)::+;)*) => {
        /// Every row that is served, as it is printed in the table, with its handler.
        pub(crate) const ROUTES: &[(&str, Handler)] = &[
            $(($route, |app, request| Box::pin(crate::$($segment)::+(app, request)))),*
        ];
    };
}

routes! {
    "GET /.well-known/rack-gateway" => meta::discovery;
    "GET /.well-known/security.txt" => meta::security_txt;
    "GET /problems/{kind}" => meta::problem;
    "GET /health" => meta::health;
    "GET /log/checkpoint" => meta::checkpoint;
}

/// Who serves this row; `None` when nobody does.
pub(crate) fn handler(route: &str) -> Option<Handler> {
    ROUTES.iter().find(|(served, _)| *served == route).map(|(_, handler)| *handler)
}
