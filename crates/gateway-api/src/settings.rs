//! Settings with their source: `/settings`, `/apps/{app}/settings`.

use gateway_app::App;
use gateway_app::control::OwnRequest;
use gateway_app::settings_changes::{self, Shown, Source};
use gateway_config::{Origin, SettingScope};
use gateway_types::wire::Listing;
use gateway_types::wire::settings::{ChangeAppSetting, ChangeSetting, Setting, SettingSource};

use crate::input;
use crate::paging::{bare, no_query};
use crate::reply::{self, Answer};

/// The gateway's settings, each with the value in force and where that comes from.
#[utoipa::path(get, path = "/api/v1/settings", tag = "settings",
    responses((status = 200, body = Listing<Setting>)))]
pub(crate) async fn list(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    listing(app, None).await
}

/// Sets one setting of the gateway. `If-Match`: the setting's version, 0 while the database has none.
#[utoipa::path(put, path = "/api/v1/settings", tag = "settings", params(("If-Match" = String, Header)),
    request_body = ChangeSetting, responses((status = 200, body = Setting)))]
pub(crate) async fn update(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let expected = input::if_match(request)?;
    let ChangeSetting { key, value } = input::json(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    one(&settings_changes::set(app, &operator, &key, None, &value, expected).await?, None)
}

/// Takes one setting of the gateway out of the database: environment, file or default hold again.
#[utoipa::path(delete, path = "/api/v1/settings/{key}", tag = "settings",
    params(("key" = String, Path), ("If-Match" = String, Header)),
    responses((status = 200, body = Setting)))]
pub(crate) async fn reset(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let key: String = input::path(request, "key")?;
    let expected = input::if_match(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    one(&settings_changes::reset(app, &operator, &key, None, expected).await?, None)
}

/// The settings that an app can have of its own, each with the value in force for it.
#[utoipa::path(get, path = "/api/v1/apps/{app}/settings", tag = "settings", params(("app" = String, Path)),
    responses((status = 200, body = Listing<Setting>)))]
pub(crate) async fn list_of_app(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    listing(app, Some(request.parameter("app").unwrap_or_default())).await
}

/// Sets one setting of an app, or takes the app's own value out of the database (`null`).
#[utoipa::path(put, path = "/api/v1/apps/{app}/settings", tag = "settings",
    params(("app" = String, Path), ("If-Match" = String, Header)), request_body = ChangeAppSetting,
    responses((status = 200, body = Setting)))]
pub(crate) async fn update_of_app(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let name = Some(request.parameter("app").unwrap_or_default());
    let expected = input::if_match(request)?;
    let ChangeAppSetting { key, value } = input::json(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let changed = match value {
        Some(value) => settings_changes::set(app, &operator, &key, name, &value, expected).await?,
        None => settings_changes::reset(app, &operator, &key, name, expected).await?,
    };
    one(&changed, name)
}

async fn listing(app: &App, of_app: Option<&str>) -> Answer {
    let items = settings_changes::list(app, of_app).await?;
    reply::json(&Listing { items: items.iter().map(|one| shown(one, of_app)).collect(), next: None })
}

fn one(setting: &Shown, of_app: Option<&str>) -> Answer {
    Ok(reply::tagged(reply::json(&shown(setting, of_app))?, setting.version))
}

fn shown(setting: &Shown, of_app: Option<&str>) -> Setting {
    let key = setting.key;
    Setting {
        key: key.name().to_owned(),
        value: setting.value.to_string(),
        source: source(&setting.source),
        default: key.default_value().to_string(),
        without_database: setting.without_database.to_string(),
        range: settings_changes::range(key).to_owned(),
        description: key.describe().to_owned(),
        per_app: key.scope() == SettingScope::GatewayOrApp,
        own: setting.own,
        variable: of_app.map_or_else(|| key.variable(), |name| key.app_variable(name)),
        version: setting.version,
    }
}

fn source(source: &Source) -> SettingSource {
    let of = |kind: &str, place| SettingSource { kind: kind.to_owned(), place, by: None, at: None };
    match source {
        Source::Database { by, at } => {
            SettingSource { by: Some(by.clone()), at: Some(at.to_rfc3339()), ..of("database", None) }
        }
        Source::Configured(origin) => match origin {
            Origin::Default => of("default", None),
            Origin::File { path, line } => of("file", Some(format!("{} line {line}", path.display()))),
            Origin::Variable(name) => of("environment", Some(name.clone())),
            Origin::Flag(name) => of("flag", Some((*name).to_owned())),
        },
    }
}
