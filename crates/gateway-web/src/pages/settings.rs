//! Settings: what is in force, where it comes from, and the forms that change it.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::rights::Expected;
use gateway_app::settings_changes::{self as changes, SettingError, Shown, Source};
use gateway_config::{SettingScope, SettingValue};
use gateway_types::{Layer, Problem, ProblemKind, Timestamp};

use super::choices::{self, Choice};
use super::{command, versions};
use crate::page::Frame;
use crate::query::Query;
use crate::{Web, filters, gate, reply};

const PATH: &str = "/app/settings";

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    frame: Frame,
    /// Why this person may not change any.
    refused: Option<String>,
    text: String,
    app: String,
    app_fault: String,
    /// Links to apps with values of their own: name and address.
    apps: Vec<(String, String)>,
    settings: Vec<SettingCard>,
    commands: Vec<String>,
}

struct SettingCard {
    name: &'static str,
    about: &'static str,
    /// Which values it takes.
    range: &'static str,
    default: String,
    is_switch: bool,
    /// There is no such thing as none of it.
    is_required: bool,
    for_apps: bool,
    /// The gateway's value, and that of the app that is looked at.
    values: Vec<ValueForm>,
}

/// A value with the form that changes it, as it was filled in.
struct ValueForm {
    /// Empty: the gateway's own.
    app: String,
    shown: String,
    source: String,
    set_at: Option<Timestamp>,
    /// What holds without the database's value.
    below: String,
    /// The database has a value here.
    stored: bool,
    version: i64,
    open: bool,
    options: Vec<Choice>,
    entered: String,
    fault: String,
    field_id: String,
}

impl ValueForm {
    fn of(shown: &Shown, app: &str) -> Self {
        let own = app.is_empty() || shown.own;
        let (source, set_at) = match &shown.source {
            _ if !own => ("the gateway's value, since the app has none of its own".to_owned(), None),
            Source::Database { by, at } => (format!("set here by {by}"), Some(*at)),
            Source::Configured(origin) => (origin.to_string(), None),
        };
        let value = shown.value.to_string();
        Self {
            app: app.to_owned(),
            source,
            set_at,
            below: shown.without_database.to_string(),
            stored: shown.version != 0,
            version: shown.version,
            open: false,
            options: switch(&shown.value),
            entered: value.clone(),
            fault: String::new(),
            field_id: format!("{}-{}value", shown.key.name(), if app.is_empty() { "" } else { "app-" }),
            shown: match shown.value {
                SettingValue::Switch(true) => "on".to_owned(),
                SettingValue::Switch(false) => "off".to_owned(),
                SettingValue::Labels(ref names) | SettingValue::KeyPatterns(ref names)
                    if names.is_empty() =>
                {
                    "none".to_owned()
                }
                SettingValue::Images(ref images) if images.is_empty() => "any".to_owned(),
                SettingValue::Text(ref text) if text.is_empty() => "none".to_owned(),
                SettingValue::Duration(_)
                | SettingValue::Number(_)
                | SettingValue::TimeZone(_)
                | SettingValue::Labels(_)
                | SettingValue::Word(_)
                | SettingValue::Images(_)
                | SettingValue::KeyPatterns(_)
                | SettingValue::Text(_) => value,
            },
        }
    }
}

fn switch(value: &SettingValue) -> Vec<Choice> {
    let chosen = if *value == SettingValue::Switch(true) { "true" } else { "false" };
    choices::one_of(&[("true", "on"), ("false", "off")], chosen)
}

/// What was entered and is no value.
struct Slip {
    key: String,
    value: String,
    fault: String,
}

/// `GET /app/settings`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let query = Query::of(request);
    let (text, app) = (query.one("q").unwrap_or_default(), query.one("app").unwrap_or_default());
    reply::html(&page(web, request, text, app, None).await?)
}

async fn page(
    web: &Web,
    request: &OwnRequest,
    text: String,
    app: String,
    slip: Option<Slip>,
) -> Result<SettingsPage, Problem> {
    let gateway = changes::list(web.app(), None).await?;
    let apps = changes::apps(web.app()).await?;
    let (of_app, app_fault) = match Some(app.as_str()).filter(|app| !app.is_empty()) {
        None => (Vec::new(), String::new()),
        Some(app) => match changes::list(web.app(), Some(app)).await {
            Ok(found) => (found, String::new()),
            Err(fault @ SettingError::BadApp) => (Vec::new(), fault.to_string()),
            Err(error) => return Err(error.into()),
        },
    };
    let mut settings: Vec<SettingCard> = gateway.iter().map(|shown| card(shown, &of_app, &app)).collect();
    settings.retain(|card| matches(card, &text));
    if let Some(slip) = &slip {
        fill_in(&mut settings, slip, &app);
    }
    let flag = if app.is_empty() { String::new() } else { format!(" --app {}", command::word(&app)) };
    Ok(SettingsPage {
        frame: Frame::of(web, request, "Settings"),
        refused: gate::refusal(web.app(), &request.caller, "POST /app/settings", false),
        text,
        app,
        app_fault,
        apps: apps.into_iter().map(|name| (name.clone(), address(Some(&name)))).collect(),
        settings,
        commands: vec![
            format!("rack-gateway settings list{flag}"),
            format!("rack-gateway settings set destructive_actions on{flag}"),
        ],
    })
}

fn card(shown: &Shown, of_app: &[Shown], app: &str) -> SettingCard {
    let key = shown.key;
    let mut values = vec![ValueForm::of(shown, "")];
    values.extend(of_app.iter().filter(|own| own.key == key).map(|own| ValueForm::of(own, app)));
    SettingCard {
        name: key.name(),
        about: key.describe(),
        range: changes::range(key),
        default: match key.default_value() {
            SettingValue::Switch(true) => "on".to_owned(),
            SettingValue::Switch(false) => "off".to_owned(),
            SettingValue::Labels(names) | SettingValue::KeyPatterns(names) if names.is_empty() => {
                "none".to_owned()
            }
            SettingValue::Images(images) if images.is_empty() => "any".to_owned(),
            SettingValue::Text(text) if text.is_empty() => "none".to_owned(),
            other @ (SettingValue::Duration(_)
            | SettingValue::Number(_)
            | SettingValue::TimeZone(_)
            | SettingValue::Labels(_)
            | SettingValue::Word(_)
            | SettingValue::Images(_)
            | SettingValue::KeyPatterns(_)
            | SettingValue::Text(_)) => other.to_string(),
        },
        is_switch: matches!(key.default_value(), SettingValue::Switch(_)),
        is_required: !matches!(
            key.default_value(),
            SettingValue::Labels(_)
                | SettingValue::Images(_)
                | SettingValue::KeyPatterns(_)
                | SettingValue::Text(_)
        ),
        for_apps: key.scope() == SettingScope::GatewayOrApp,
        values,
    }
}

fn matches(card: &SettingCard, text: &str) -> bool {
    let text = text.to_lowercase();
    card.name.contains(&text) || card.about.to_lowercase().contains(&text)
}

/// Opens the one form, with what was entered and what is wrong with it.
fn fill_in(settings: &mut [SettingCard], slip: &Slip, app: &str) {
    let cards = settings.iter_mut().filter(|card| card.name == slip.key);
    for value in cards.flat_map(|card| &mut card.values).filter(|value| value.app == app) {
        value.open = true;
        value.entered.clone_from(&slip.value);
        value.fault.clone_from(&slip.fault);
    }
}

/// Whose setting is changed: the app that the path names, which is what was decided, or the gateway's.
fn of_app(request: &OwnRequest) -> Result<Option<&str>, Problem> {
    match request.field("app") {
        None => Ok(request.parameter("app")),
        Some(_) => Err(Problem::new(
            ProblemKind::BadParameter,
            Layer::Network,
            "an app's setting is changed at /app/apps/APP/settings",
        )),
    }
}

/// `POST /app/settings` and `POST /app/apps/{app}/settings`.
pub(crate) async fn change(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let field = |name| request.field(name).unwrap_or_default().trim().to_owned();
    let (key, value) = (field("key"), field("value"));
    let of_app = of_app(request)?;
    let expected = Expected::Version(versions::expected(request)?);
    let operator = web.app().operator(&request.caller, request.request_id);
    match changes::set(web.app(), &operator, &key, of_app, &value, expected).await {
        Ok(_shown) => Ok(reply::done(&address(of_app), "setting-changed")),
        Err(SettingError::BadValue { fault, .. }) => {
            let slip = Slip { key, value, fault: fault.to_string() };
            let app = of_app.unwrap_or_default().to_owned();
            let page = page(web, request, String::new(), app, Some(slip)).await?;
            reply::html_with_status(400, &page)
        }
        Err(error) => Err(versions::told(error.into(), &address(of_app))),
    }
}

/// `POST /app/settings/{key}/reset` and `POST /app/apps/{app}/settings/reset`.
pub(crate) async fn reset(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let key = request.parameter("key").or_else(|| request.field("key")).unwrap_or_default();
    let of_app = of_app(request)?;
    let expected = Expected::Version(versions::expected(request)?);
    let operator = web.app().operator(&request.caller, request.request_id);
    match changes::reset(web.app(), &operator, key, of_app, expected).await {
        Ok(_shown) => Ok(reply::done(&address(of_app), "setting-reset")),
        Err(error) => Err(versions::told(error.into(), &address(of_app))),
    }
}

fn address(of_app: Option<&str>) -> String {
    of_app.map_or_else(|| PATH.to_owned(), |app| Query::default().with("app", app).link(PATH))
}
