//! The Cedar schema, made from the operations, and the check of every policy against it.
//!
//! Its job: name each operation's action, put it into its groups, and refuse policies that cannot mean
//! what they say. It must not know who may do what.
//!
//! An action whose rows all have the same properties is one Cedar action, `convox:app:list`. Where rows
//! of one action differ in class, role or step-up, each is a Cedar action of its own,
//! `convox:object:read@GET /apps/{app}/objects/{key*}`, and `convox:object:read` is their group; so
//! `action in Action::"convox:object:read"` is right for both.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cedar_policy::{ActionConstraint, EntityUid, Policy, PolicySet, Schema, ValidationMode, Validator};
use gateway_types::{Cicd, Class, LowestRole, Operation, ResourceKind, Role, StepUp};
use serde_json::{Map, Value, json};

use crate::error::PolicyError;
use crate::rule::Rule;
use crate::vocabulary::Vocabulary;

/// An operation's Cedar action and all groups it is in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Leaf {
    pub(crate) name: String,
    pub(crate) groups: BTreeSet<String>,
    /// The kinds of resource it can be about.
    pub(crate) kinds: &'static [ResourceKind],
}

/// An operation of the rack is about the rack or an app, one of the gateway about the gateway or an app, one of
/// a service about that service.
fn kinds_of(operation: &Operation) -> &'static [ResourceKind] {
    match operation.action.as_str().split(':').next() {
        Some("gateway") => &[ResourceKind::Gateway, ResourceKind::App],
        Some("service") => &[ResourceKind::Service],
        Some(_) | None => &[ResourceKind::Rack, ResourceKind::App],
    }
}

/// One leaf for each operation, in the same order.
pub(crate) fn leaves(operations: &[Operation]) -> Vec<Leaf> {
    let mut profiles: HashMap<&str, Vec<BTreeSet<String>>> = HashMap::new();
    for operation in operations {
        let groups = groups_of(operation);
        let known = profiles.entry(operation.action.as_str()).or_default();
        if !known.contains(&groups) {
            known.push(groups);
        }
    }
    operations
        .iter()
        .map(|operation| {
            let action = operation.action.as_str();
            let mut groups = groups_of(operation);
            let kinds = kinds_of(operation);
            if profiles.get(action).is_some_and(|known| known.len() == 1) {
                return Leaf { name: action.to_owned(), groups, kinds };
            }
            groups.insert(action.to_owned());
            Leaf { name: format!("{action}@{}", operation.route), groups, kinds }
        })
        .collect()
}

fn groups_of(operation: &Operation) -> BTreeSet<String> {
    let mut groups = BTreeSet::from([class_group(operation.class), lowest_group(operation.lowest_role)]);
    match operation.cicd {
        Cicd::Yes => drop(groups.insert("cicd:yes".to_owned())),
        Cicd::Approval => drop(groups.insert("cicd:approval".to_owned())),
        Cicd::No => {}
    }
    match operation.step_up {
        StepUp::Window => drop(groups.insert("step_up:window".to_owned())),
        StepUp::Bound => drop(groups.insert("step_up:bound".to_owned())),
        StepUp::None => {}
    }
    if operation.people_only {
        groups.insert("people".to_owned());
    }
    groups
}

fn class_group(class: Class) -> String {
    format!("class:{}", class.name())
}

fn lowest_group(lowest: LowestRole) -> String {
    match lowest {
        LowestRole::Public => "for:public".to_owned(),
        LowestRole::Own => "for:own".to_owned(),
        LowestRole::Role(role) => format!("for:{}", role.name()),
    }
}

/// Every group there can be, also those that no operation is in now.
fn fixed_groups() -> BTreeSet<String> {
    let classes = Class::ALL.into_iter().map(class_group);
    let lowest = [LowestRole::Public, LowestRole::Own]
        .into_iter()
        .chain(Role::ALL.into_iter().map(LowestRole::Role))
        .map(lowest_group);
    let rest = ["cicd:yes", "cicd:approval", "step_up:window", "step_up:bound", "people"];
    classes.chain(lowest).chain(rest.map(str::to_owned)).collect()
}

/// The schema over these leaves, as Cedar's JSON.
pub(crate) fn schema_json(leaves: &[Leaf]) -> Value {
    let mut actions: BTreeMap<&str, Value> = BTreeMap::new();
    let fixed = fixed_groups();
    for group in fixed.iter().chain(leaves.iter().flat_map(|leaf| &leaf.groups)) {
        actions.insert(group, json!({ "memberOf": [] }));
    }
    for leaf in leaves {
        let member_of: Vec<Value> = leaf.groups.iter().map(|group| json!({ "id": group })).collect();
        actions.insert(
            &leaf.name,
            json!({ "memberOf": member_of, "appliesTo": {
                "principalTypes": ["Anonymous", "User", "ApiToken", "AccessToken", "Workload"],
                "resourceTypes": leaf.kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>(),
                "context": { "type": "Facts" },
            }}),
        );
    }
    let record = |key: &str| {
        json!({ "memberOfTypes": ["Role"], "shape": { "type": "Record", "attributes": {
            key: { "type": "String", "required": true },
        }}})
    };
    json!({ "": {
        "commonTypes": { "Facts": { "type": "Record", "attributes": context_attributes() } },
        "entityTypes": {
            "Role": { "memberOfTypes": ["Role"] },
            "User": record("email"),
            "ApiToken": record("name"),
            "AccessToken": { "memberOfTypes": ["Role"], "shape": { "type": "Record", "attributes": {
                "issuer": { "type": "String", "required": true },
                "subject": { "type": "String", "required": true },
                "service": { "type": "Entity", "name": "Service", "required": true },
            }}},
            "Workload": { "memberOfTypes": ["Role"], "shape": { "type": "Record", "attributes": {
                "name": { "type": "String", "required": true },
                "subject": { "type": "String", "required": true },
                "origin": { "type": "String", "required": true },
            }}},
            "Anonymous": {},
            "Rack": {},
            "App": { "memberOfTypes": ["Rack"] },
            "Gateway": {},
            "Service": {},
        },
        "actions": actions,
    }})
}

/// The facts that are booleans: their names in the context.
const BOOLEAN_FACTS: [&str; 13] = [
    "mfa_window",
    "mfa_bound",
    "mfa_enrolled",
    "mfa_off",
    "mfa_required",
    "own_object",
    "approval_matches",
    "destructive_allowed",
    "external_builds_allowed",
    "granted",
    "granted_critical",
    "creator_may",
    "observing",
];

fn context_attributes() -> Map<String, Value> {
    let mut attributes: Map<String, Value> =
        BOOLEAN_FACTS.into_iter().map(|name| (name.to_owned(), json!({ "type": "Boolean" }))).collect();
    attributes.insert("channel".to_owned(), json!({ "type": "String" }));
    for number in ["hour", "weekday"] {
        attributes.insert(number.to_owned(), json!({ "type": "Long" }));
    }
    for names in ["sensitive_parameters", "networks", "labels", "elevated", "roles_here"] {
        attributes.insert(names.to_owned(), json!({ "type": "Set", "element": { "type": "String" } }));
    }
    attributes
}

/// Reads the JSON as a schema.
pub(crate) fn read(json: Value) -> Result<Schema, PolicyError> {
    Schema::from_json_value(json).map_err(|error| PolicyError::Schema(Box::new(error)))
}

/// Refuses policies that do not agree strictly with the schema, or that agree and can never apply.
///
/// Cedar checks a policy once for every action, which for some thousands of policies takes long. Actions
/// that differ only in names a policy does not speak of look the same to it, so one of each kind stands
/// for all, and policies that speak of the same names are checked together.
pub(crate) fn validate(leaves: &[Leaf], rules: &BTreeMap<String, Rule>) -> Result<(), PolicyError> {
    check_action_names(leaves, rules)?;
    let mut together: BTreeMap<BTreeSet<String>, Vec<&Policy>> = BTreeMap::new();
    for rule in rules.values() {
        together.entry(action_names(&rule.policy)).or_default().push(&rule.policy);
    }
    for (names, policies) in together {
        let schema = read(schema_json(&representatives(leaves, &names)))?;
        validate_against(schema, policies)?;
    }
    Ok(())
}

/// The names of actions and groups that a policy speaks of.
fn action_names(policy: &Policy) -> BTreeSet<String> {
    let in_scope = match policy.action_constraint() {
        ActionConstraint::Any => Vec::new(),
        ActionConstraint::Eq(uid) => vec![uid],
        ActionConstraint::In(uids) => uids,
    };
    let is_action = |uid: &EntityUid| uid.type_name().basename() == "Action";
    let named = in_scope.into_iter().chain(policy.entity_literals().into_iter().filter(is_action));
    named.map(|uid| uid.id().unescaped().to_owned()).collect()
}

/// One leaf for each kind that can be told apart by these names, with only these groups.
fn representatives(leaves: &[Leaf], names: &BTreeSet<String>) -> Vec<Leaf> {
    let mut apart: BTreeSet<Leaf> = BTreeSet::new();
    let mut kept = Vec::new();
    for leaf in leaves {
        let groups: BTreeSet<String> = leaf.groups.intersection(names).cloned().collect();
        // No action has an empty name, so it can stand for every name that is not spoken of.
        let name = if names.contains(&leaf.name) { leaf.name.clone() } else { String::new() };
        if apart.insert(Leaf { name, groups: groups.clone(), kinds: leaf.kinds }) {
            kept.push(Leaf { name: leaf.name.clone(), groups, kinds: leaf.kinds });
        }
    }
    kept
}

fn validate_against(schema: Schema, policies: Vec<&Policy>) -> Result<(), PolicyError> {
    let set = PolicySet::from_policies(policies.into_iter().cloned())
        .map_err(|error| PolicyError::Set(Box::new(error)))?;
    let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
    if let Some(error) = result.validation_errors().next() {
        let policy = error.policy_id().to_string();
        return Err(PolicyError::Invalid { policy, error: Box::new(error.clone()) });
    }
    if let Some(warning) = result.validation_warnings().next() {
        let policy = warning.policy_id().to_string();
        return Err(PolicyError::Doubtful { policy, warning: Box::new(warning.clone()) });
    }
    Ok(())
}

/// Cedar's own words for a misspelt action are hard to read, so the usual mistakes are caught before.
fn check_action_names(leaves: &[Leaf], rules: &BTreeMap<String, Rule>) -> Result<(), PolicyError> {
    let mut groups = fixed_groups();
    groups.extend(leaves.iter().flat_map(|leaf| leaf.groups.iter().cloned()));
    let names: BTreeSet<&str> = leaves.iter().map(|leaf| leaf.name.as_str()).collect();
    for rule in rules.values() {
        let (equal, uids) = match rule.policy.action_constraint() {
            ActionConstraint::Any => continue,
            ActionConstraint::Eq(uid) => (true, vec![uid]),
            ActionConstraint::In(uids) => (false, uids),
        };
        for uid in uids {
            let name: &str = uid.id().unescaped();
            if names.contains(name) {
                continue;
            }
            let (policy, action) = (rule.id.clone(), name.to_owned());
            return Err(match groups.contains(name) {
                true if equal => PolicyError::ActionIsGroup { policy, action },
                true => continue,
                false => PolicyError::UnknownAction { policy, action },
            });
        }
    }
    Ok(())
}

/// Whether the action part of a scope takes this leaf.
pub(crate) fn scope_takes(constraint: &ActionConstraint, leaf: &Leaf, vocabulary: &Vocabulary) -> bool {
    let is_leaf = |uid: &EntityUid| *uid == vocabulary.action(&leaf.name);
    match constraint {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => is_leaf(uid),
        ActionConstraint::In(uids) => {
            uids.iter().any(|uid| is_leaf(uid) || leaf.groups.contains(uid.id().unescaped()))
        }
    }
}

#[cfg(test)]
mod tests;
