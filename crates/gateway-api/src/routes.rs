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

        /// What the handlers say of themselves.
        #[cfg(test)]
        #[derive(utoipa::OpenApi)]
        #[openapi(
            paths($(crate::$($segment)::+),*),
            components(schemas(gateway_types::wire::meta::ProblemDocument))
        )]
        pub(crate) struct Handlers;
    };
}

routes! {
    "POST /auth/logout" => auth::logout;
    "POST /auth/backchannel-logout/{provider}" => auth::backchannel_logout;
    "POST /auth/device" => auth::device;
    "POST /auth/token" => auth::token;
    "POST /auth/break-glass" => break_glass::redeem;
    "GET /step-up/{id}" => step_up::read;
    "POST /step-up/{id}" => step_up::confirm;
    "GET /openapi.json" => meta::openapi;
    "GET /.well-known/rack-gateway" => meta::discovery;
    "GET /.well-known/security.txt" => meta::security_txt;
    "GET /.well-known/jwks.json" => meta::jwks;
    "GET /problems/{kind}" => meta::problem;
    "GET /health" => meta::health;
    "GET /log/checkpoint" => log::checkpoint;
    "GET /log/keys" => log::keys;
    "GET /log/proof/{kind}" => log::proof;
    "GET /log/tile/{path*}" => log::tile;
    "GET /me" => me::read;
    "GET /me/sessions" => sessions::list;
    "DELETE /me/sessions/{id}" => sessions::revoke;
    "POST /me/sessions/revoke-others" => sessions::revoke_others;
    "POST /me/sessions/revoke-all" => sessions::revoke_all;
    "GET /me/trusted-devices" => sessions::trusted_devices;
    "DELETE /me/trusted-devices/{id}" => sessions::forget_device;
    "GET /me/factors" => factors::list;
    "POST /me/factors/{kind}" => factors::enrol;
    "PUT /me/factors/{id}" => factors::rename;
    "DELETE /me/factors/{id}" => factors::remove;
    "POST /me/backup-codes" => factors::backup_codes;
    "GET /users" => users::list;
    "GET /users/{id}" => users::read;
    "POST /users" => users::invite;
    "PUT /users/{id}" => users::update;
    "POST /users/{id}/lock" => users::lock;
    "POST /users/{id}/unlock" => users::unlock;
    "POST /users/{id}/reset-factors" => users::reset_factors;
    "DELETE /users/{id}" => users::remove;
    "GET /users/{id}/sessions" => users::list_sessions;
    "DELETE /users/{id}/sessions" => users::revoke_sessions;
    "DELETE /users/{id}/sessions/{sid}" => users::revoke_session;
    "GET /groups" => groups::list;
    "PUT /groups/{id}" => groups::update;
    "GET /roles" => roles::list;
    "GET /grants" => grants::list;
    "POST /grants" => grants::create;
    "DELETE /grants/{id}" => grants::remove;
    "GET /access/review" => grants::review;
    "GET /elevations" => elevations::list;
    "POST /elevations" => elevations::request;
    "POST /elevations/{id}/approve" => elevations::approve;
    "POST /elevations/{id}/reject" => elevations::reject;
    "DELETE /elevations/{id}" => elevations::end;
    "GET /approvals" => approvals::list;
    "POST /approvals" => approvals::request;
    "GET /approvals/{id}" => approvals::read;
    "POST /approvals/{id}/approve" => approvals::approve;
    "POST /approvals/{id}/reject" => approvals::reject;
    "POST /approvals/{id}/extend" => approvals::extend;
    "POST /approvals/{id}/withdraw" => approvals::withdraw;
    "GET /tokens" => tokens::list;
    "POST /tokens" => tokens::create;
    "PUT /tokens/{id}" => tokens::update;
    "POST /tokens/{id}/rotate" => tokens::rotate;
    "DELETE /tokens/{id}" => tokens::revoke;
    "GET /trust-rules" => trust_rules::list;
    "PUT /trust-rules/{id}" => trust_rules::update;
    "DELETE /trust-rules/{id}" => trust_rules::remove;
    "GET /break-glass" => break_glass::read;
    "PUT /break-glass" => break_glass::init;
    "POST /break-glass/drill" => break_glass::drill;
    "POST /break-glass/{id}/review" => break_glass::review;
    "DELETE /break-glass/{id}" => break_glass::end;
    "GET /jobs" => jobs::list;
    "POST /jobs/{id}/{verb}" => jobs::update;
    "GET /integrations" => integrations::list;
    "PUT /integrations/{kind}" => integrations::update;
    "DELETE /integrations/{kind}" => integrations::remove;
    "POST /integrations/{kind}/test" => integrations::test;
    "POST /integrations/slack/events" => integrations::slack_event;
    "GET /settings" => settings::list;
    "PUT /settings" => settings::update;
    "DELETE /settings/{key}" => settings::reset;
    "GET /apps/{app}/settings" => settings::list_of_app;
    "PUT /apps/{app}/settings" => settings::update_of_app;
    "GET /apps/{app}/env" => environments::read;
    "PUT /apps/{app}/env" => environments::change;
    "POST /apps/{app}/env/reveal" => environments::reveal;
    "GET /reveals" => environments::list_reveals;
    "DELETE /reveals/{id}" => environments::end_reveal;
    "GET /recordings" => recordings::list;
    "GET /recordings/{id}" => recordings::read;
    "GET /live" => recordings::live;
    "GET /live/{id}/watch" => recordings::watch;
    "POST /live/{id}/join" => recordings::join;
    "DELETE /live/{id}" => recordings::end;
    "GET /services" => services::list;
    "GET /services/{name}" => services::read;
    "GET /services/{name}/openapi" => services::document;
    "POST /services/check" => services::check;
    "GET /service-candidates" => service_candidates::list;
    "POST /service-candidates" => service_candidates::read;
    "POST /service-candidates/{name}" => service_candidates::approve;
    "POST /services/import-openapi" => services::import_openapi;
    "PUT /services/{name}" => services::update;
    "DELETE /services/{name}" => services::remove;
    "GET /policies" => policies::list;
    "POST /policies/check" => policies::check;
    "GET /policies/observed" => policies::observed;
    "PUT /policies/{id}" => policies::update;
    "DELETE /policies/{id}" => policies::remove;
    "GET /policy/why/{request_id}" => policy::why;
    "POST /policy/can" => policy::can;
    "POST /policy/who-can" => policy::who_can;
    "GET /audit" => audit::search;
    "GET /audit/retention" => audit_retention::show;
    "POST /audit/prune" => audit_retention::prune;
    "PUT /audit/hold" => audit_retention::hold;
    "DELETE /audit/hold" => audit_retention::lift;
    "GET /audit/searches" => audit_searches::list;
    "POST /audit/searches" => audit_searches::save;
    "DELETE /audit/searches/{id}" => audit_searches::remove;
    "GET /audit/shares" => audit_shares::list;
    "POST /audit/share" => audit_shares::create;
    "DELETE /audit/shares/{id}" => audit_shares::revoke;
    "GET /audit/stories" => audit::stories;
    "GET /audit/stories/{index}" => audit::one_story;
    "GET /audit/summary" => audit::summary;
    "GET /audit/{index}" => audit::read;
    "POST /audit/evidence" => audit::evidence;
    "POST /audit/export" => audit::export;
    "POST /mode" => modes::set;
    "POST /selfcheck/permit" => selfcheck::permit;
    "POST /selfcheck/scan" => selfcheck::scan;
    "GET /selfcheck/probe" => selfcheck::probe;
    "GET /rack-credential" => rack_credential::read;
    "POST /rack-credential/refresh" => rack_credential::refresh;
    "GET /zone" => zone::read;
    "POST /zone" => zone::init;
    "PUT /zone/services/{name}" => zone::register;
    "DELETE /zone/services/{name}" => zone::unregister;
    "POST /zone/services/{name}/join-token" => zone::join_token;
    "DELETE /zone/members/{id}" => zone::ban;
    "POST /zone/rotate" => zone::rotate;
    "POST /zone/backup" => zone::backup;
    "POST /zone/restore" => zone::restore;
    "POST /zone/enrol" => zone::enrol;
    "POST /zone/renew" => zone::renew;
    "POST /zone/report" => zone::report;
    "GET /zone/bundle" => zone::bundle;
    "GET /zone/vantage-points" => vantage::list;
    "POST /zone/vantage-points/{name}" => vantage::report;
    "DELETE /zone/vantage-points/{name}" => vantage::remove;
}

/// Who serves this row; `None` when nobody does.
pub(crate) fn handler(route: &str) -> Option<Handler> {
    ROUTES.iter().find(|(served, _)| *served == route).map(|(_, handler)| *handler)
}
