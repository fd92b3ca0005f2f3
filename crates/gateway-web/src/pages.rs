//! Which function makes which page.

mod account;
mod approvals;
mod audit;
mod break_glass;
mod charts;
mod choices;
mod command;
mod connect;
mod elevations;
mod environments;
mod event;
mod files;
mod grants;
mod groups;
mod home;
mod integrations;
mod jobs;
mod log;
mod person;
mod policies;
mod powers;
pub(crate) mod problems;
pub(crate) mod rack;
mod rack_credential;
mod recordings;
mod role_grants;
mod roles;
mod service_candidates;
mod services;
mod settings;
mod shared;
mod shares;
mod step_up;
mod stories;
#[cfg(test)]
mod tests;
mod tokens;
mod trust_rules;
mod users;
mod versions;
mod watching;
mod who_can;
mod why;
mod zone;

use gateway_app::control::{OwnReply, OwnRequest};
use gateway_types::{Layer, Problem, ProblemKind};

use crate::Web;

/// One table for two questions: whether there is such a page, and who makes it.
macro_rules! pages {
    ($($page:literal => $make:path,)*) => {
        /// Whether the table has this page.
        pub(crate) fn is_page(page: &str) -> bool {
            [$($page),*].contains(&page)
        }

        /// Makes the page that is asked for.
        pub(crate) async fn serve(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
            match request.page.as_deref() {
                $(Some($page) => $make(web, request).await,)*
                _ => Err(no_such_page()),
            }
        }
    };
}

// Every arm is `async fn(&Web, &OwnRequest) -> Result<OwnReply, Problem>`.
pages! {
    "GET /" => files::to_the_pages,
    "GET /app/static/{file}" => files::asset,
    "GET /problems/{kind}" => problems::explain,
    "GET /auth/login" => crate::sign_in::login,
    "GET /auth/callback/{provider}" => crate::sign_in::callback,
    "GET /auth/factor/{id}" => crate::sign_in::factor::ask,
    "POST /auth/factor/{id}" => crate::sign_in::factor::give,
    "POST /auth/logout" => crate::sign_in::logout,
    "GET /auth/shared" => shared::show,
    "POST /auth/shared" => shared::open,
    "GET /auth/shared/{index}" => shared::one,
    "GET /auth/handoff" => crate::hosts::hand_over,
    "GET /.rack-gateway/callback" => crate::hosts::callback,
    "GET /.rack-gateway/static/{file}" => files::asset,
    "GET /.rack-gateway/sign-out" => crate::hosts::ask_to_sign_out,
    "POST /.rack-gateway/sign-out" => crate::hosts::sign_out,
    "GET /device" => crate::device::ask,
    "POST /device" => crate::device::decide,
    "GET /step-up/{id}" => step_up::ask,
    "POST /step-up/{id}" => step_up::confirm,
    "GET /login/u2f" => step_up::of_console,
    "GET /app" => home::show,
    "GET /app/connect" => connect::show,
    "GET /app/account" => account::show,
    "GET /app/account/sessions" => account::sessions::list,
    "POST /app/account/sessions/revoke-others" => account::sessions::revoke_others,
    "POST /app/account/sessions/revoke-all" => account::sessions::revoke_all,
    "GET /app/account/trusted-devices" => account::trusted_devices::list,
    "POST /app/account/trusted-devices/{id}/remove" => account::trusted_devices::remove,
    "POST /app/account/sessions/{id}/revoke" => account::sessions::revoke,
    "GET /app/account/factors" => account::factors::list,
    "POST /app/account/factors/enrol/{kind}" => account::factors::enrol,
    "POST /app/account/factors/{id}/rename" => account::factors::rename,
    "POST /app/account/factors/{id}/remove" => account::factors::remove,
    "POST /app/account/backup-codes" => account::factors::new_codes,
    "GET /app/users" => users::list,
    "POST /app/users" => users::invite,
    "GET /app/users/{id}" => person::show,
    "POST /app/users/{id}" => person::update,
    "POST /app/users/{id}/lock" => person::lock,
    "POST /app/users/{id}/unlock" => person::unlock,
    "POST /app/users/{id}/reset-factors" => person::reset_factors,
    "POST /app/users/{id}/remove" => person::remove,
    "GET /app/users/{id}/sessions" => person::sessions,
    "POST /app/users/{id}/sessions/revoke-all" => person::end_all_sessions,
    "POST /app/users/{id}/sessions/{sid}/revoke" => person::end_session,
    "GET /app/roles" => roles::list,
    "GET /app/groups" => groups::list,
    "POST /app/groups/{id}" => groups::update,
    "GET /app/tokens" => tokens::list,
    "POST /app/tokens" => tokens::create,
    "POST /app/tokens/{id}" => tokens::narrow,
    "POST /app/tokens/{id}/rotate" => tokens::rotate,
    "POST /app/tokens/{id}/revoke" => tokens::revoke,
    "GET /app/trust-rules" => trust_rules::list,
    "POST /app/trust-rules/{id}" => trust_rules::write,
    "POST /app/trust-rules/{id}/remove" => trust_rules::remove,
    "GET /app/break-glass" => break_glass::list,
    "POST /app/break-glass" => break_glass::init,
    "POST /app/break-glass/{id}/review" => break_glass::review,
    "POST /app/break-glass/{id}/end" => break_glass::end,
    "GET /app/elevations" => elevations::list,
    "POST /app/elevations" => elevations::request,
    "POST /app/elevations/{id}/approve" => elevations::approve,
    "POST /app/elevations/{id}/reject" => elevations::reject,
    "POST /app/elevations/{id}/end" => elevations::end,
    "GET /app/approvals" => approvals::list,
    "GET /app/approvals/{id}" => approvals::one,
    "POST /app/approvals/{id}/approve" => approvals::approve,
    "POST /app/approvals/{id}/extend" => approvals::extend,
    "POST /app/approvals/{id}/reject" => approvals::reject,
    "POST /app/approvals/{id}/withdraw" => approvals::withdraw,
    "GET /app/grants" => role_grants::list,
    "POST /app/grants" => role_grants::create,
    "POST /app/grants/{id}/remove" => role_grants::remove,
    "GET /app/access" => role_grants::review,
    "GET /app/policies" => policies::list,
    "POST /app/policies" => policies::plan,
    "GET /app/policies/observed" => policies::observed,
    "POST /app/policies/{id}" => policies::write,
    "POST /app/policies/{id}/remove" => policies::remove,
    "GET /app/integrations" => integrations::list,
    "POST /app/integrations/{kind}" => integrations::write,
    "POST /app/integrations/{kind}/remove" => integrations::remove,
    "POST /app/integrations/{kind}/test" => integrations::test,
    "GET /app/jobs" => jobs::list,
    "POST /app/jobs/{id}/{verb}" => jobs::update,
    "GET /app/settings" => settings::list,
    "POST /app/settings" => settings::change,
    "POST /app/settings/{key}/reset" => settings::reset,
    "POST /app/apps/{app}/settings" => settings::change,
    "POST /app/apps/{app}/settings/reset" => settings::reset,
    "GET /app/apps/{app}/env" => environments::show,
    "POST /app/apps/{app}/env/reveal" => environments::reveal,
    "GET /app/reveals" => environments::list,
    "POST /app/reveals/{id}/end" => environments::end,
    "GET /app/recordings" => recordings::list,
    "GET /app/recordings/{id}" => recordings::one,
    "GET /app/live" => recordings::live,
    "POST /app/live/{id}/end" => recordings::end,
    "GET /app/live/{id}" => watching::one,
    "GET /app/live/{id}/feed" => watching::feed,
    "GET /app/log/checkpoint" => log::checkpoint,
    "GET /app/log/keys" => log::keys,
    "GET /app/log/proof/{kind}" => log::proof,
    "POST /app/live/{id}/join" => watching::join,
    "GET /app/services" => services::list,
    "GET /app/services/{name}" => services::one,
    "GET /app/services/{name}/openapi" => services::document,
    "GET /app/service-candidates" => service_candidates::list,
    "POST /app/service-candidates/{name}" => service_candidates::approve,
    "GET /app/audit" => audit::list,
    "POST /app/audit/searches" => audit::keep,
    "POST /app/audit/searches/{id}/remove" => audit::forget,
    "GET /app/audit/stories/{index}" => stories::one,
    "GET /app/audit/charts" => charts::show,
    "GET /app/audit/shares" => shares::list,
    "POST /app/audit/shares" => shares::create,
    "POST /app/audit/shares/{id}/revoke" => shares::revoke,
    "GET /app/audit/{index}" => audit::one,
    "GET /app/why/{request_id}" => why::show,
    "GET /app/who-can" => who_can::show,
    "GET /app/zone" => zone::show,
    "GET /app/apps" => rack::apps::list,
    "POST /app/apps" => rack::apps::create,
    "GET /app/apps/{app}" => rack::apps::one,
    "POST /app/apps/{app}/cancel" => rack::apps::cancel,
    "POST /app/apps/{app}/delete" => rack::apps::delete,
    "GET /app/apps/{app}/services" => rack::services::list,
    "POST /app/apps/{app}/services/{service}" => rack::services::scale,
    "POST /app/apps/{app}/services/{service}/restart" => rack::services::restart,
    "GET /app/apps/{app}/processes" => rack::processes::list,
    "GET /app/apps/{app}/processes/{pid}" => rack::processes::one,
    "POST /app/apps/{app}/processes/{pid}/stop" => rack::processes::stop,
    "GET /app/apps/{app}/releases" => rack::releases::list,
    "GET /app/apps/{app}/releases/{id}" => rack::releases::one,
    "POST /app/apps/{app}/releases/{id}/promote" => rack::releases::promote,
    "GET /app/apps/{app}/builds" => rack::builds::list,
    "GET /app/apps/{app}/builds/{id}" => rack::builds::one,
    "GET /app/apps/{app}/resources" => rack::apps::resources,
    "GET /app/apps/{app}/logs" => rack::apps::logs,
    "GET /app/apps/{app}/metrics" => rack::metrics::of_app,
    "GET /app/apps/{app}/services/{service}/metrics" => rack::metrics::of_service,
    "GET /app/rack/metrics" => rack::metrics::of_rack,
    "GET /app/rack" => rack::system::show,
    "GET /app/rack/processes" => rack::system::processes,
    "GET /app/rack/resources" => rack::system::resources,
    "GET /app/instances" => rack::system::instances,
    "POST /app/instances/{id}/terminate" => rack::system::terminate,
    "GET /app/certificates" => rack::system::certificates,
    "POST /app/certificates/generate" => rack::system::generate,
    "POST /app/certificates/{id}/renew" => rack::system::renew,
    "POST /app/certificates/{id}/delete" => rack::system::delete,
    "GET /app/registries" => rack::system::registries,
    "POST /app/registries" => rack::system::add_registry,
    "GET /app/rack-credential" => rack_credential::show,
    "POST /app/rack-credential" => rack_credential::refresh,
}

pub(crate) fn no_such_page() -> Problem {
    Problem::new(ProblemKind::NotFound, Layer::Network, "There is no such page.")
}
