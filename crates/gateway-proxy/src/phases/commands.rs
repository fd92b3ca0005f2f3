//! The operator's rules about commands of `exec` and `run`: which are refused, and which wait for a second person. They
//! hold for everybody, people too, after policy has allowed the operation.

use gateway_app::settings::InForce;
use gateway_config::SettingKey;
use gateway_convox::{CommandPatterns, Covered, RackRequest};
use gateway_types::{Class, Decision, Layer, Remedy, RemedyKind, Verdict};

use super::inspect::Asked;
use crate::plane::DataPlane;

/// The action of a channel, which shows nothing that a second person could watch.
const CHANNEL: &str = "convox:network:proxy";

/// Why a session needs a second person, in words that follow "a second person is needed: ".
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NeedsSecond(pub(crate) String);

/// The refusal of a command that the operator's rules refuse; `None` when they do not.
pub(super) fn refused(plane: &DataPlane, asked: &Asked, allowed: &Verdict) -> Option<Verdict> {
    let Asked::Rack { request, .. } = asked else { return None };
    let settings = &plane.parts.settings;
    let (key, reason) = refusal(settings, request)?;
    let resource = request.resource();
    let of_app = resource.app_name().map(|app| format!(" --app {app}")).unwrap_or_default();
    let mut remedy = Remedy::new(RemedyKind::Setting);
    remedy.command = Some(format!("rack-gateway settings get {}{of_app}", key.name()));
    Some(Verdict {
        decision: Decision::Refuse,
        layer: Layer::Authorization,
        rules: vec![format!("setting:{}", key.name())],
        observed: Vec::new(),
        remedies: vec![remedy],
        reason,
        policy_version: allowed.policy_version.clone(),
    })
}

fn refusal(settings: &InForce, request: &RackRequest) -> Option<(SettingKey, String)> {
    let command = command_of(request)?;
    let resource = request.resource();
    let key = SettingKey::CommandsRefused;
    match CommandPatterns::parse(&settings.commands(key, resource.app_name())).cover(command) {
        Covered::No => {}
        Covered::By(pattern) => {
            let reason = format!(
                "the command is covered by `{}` of the setting commands_refused, so nobody can run it here",
                pattern.text()
            );
            return Some((key, reason));
        }
        Covered::Unreadable(fault) => {
            let reason = format!(
                "there are rules in the setting commands_refused, and it cannot be told whether they cover this \
                 command: {fault}; give the command itself, with its arguments quoted"
            );
            return Some((key, reason));
        }
    }
    if is_session(request) {
        return None;
    }
    // What runs without a session has nothing that anybody could join.
    let NeedsSecond(why) = by_command(settings, request)?;
    let reason = format!("a second person is needed: {why}; run it in a session, without --detach");
    Some((SettingKey::CommandsSecondPerson, reason))
}

/// Whether a session needs a second person, and why.
pub(crate) fn needs_second(settings: &InForce, request: &RackRequest) -> Option<NeedsSecond> {
    if !is_session(request) {
        return None;
    }
    let resource = request.resource();
    let for_all = settings.session_second_person(resource.app_name());
    let everywhere = || NeedsSecond("each session here needs one".to_owned());
    for_all.then(everywhere).or_else(|| by_command(settings, request))
}

/// The rules that lines typed into a session are held against.
pub(crate) fn alerting(settings: &InForce, app: Option<&str>) -> CommandPatterns {
    let keys = [SettingKey::CommandsRefused, SettingKey::CommandsSecondPerson];
    CommandPatterns::parse(&keys.map(|key| settings.commands(key, app)).join(";"))
}

fn by_command(settings: &InForce, request: &RackRequest) -> Option<NeedsSecond> {
    let command = command_of(request)?;
    let resource = request.resource();
    let rules = settings.commands(SettingKey::CommandsSecondPerson, resource.app_name());
    match CommandPatterns::parse(&rules).cover(command) {
        Covered::No => None,
        Covered::By(pattern) => Some(NeedsSecond(format!("the command is covered by `{}`", pattern.text()))),
        Covered::Unreadable(fault) => {
            Some(NeedsSecond(format!("it cannot be told whether a rule covers the command, since {fault}")))
        }
    }
}

/// The command that a request runs.
fn command_of(request: &RackRequest) -> Option<&str> {
    (request.operation().class == Class::Execute).then(|| request.get("Command")).flatten()
}

/// Whether the request opens a session with something to see.
fn is_session(request: &RackRequest) -> bool {
    let operation = request.operation();
    operation.class.needs_intent()
        && operation.route.starts_with("SOCKET")
        && operation.action.as_str() != CHANNEL
}
