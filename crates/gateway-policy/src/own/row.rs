//! One line of the table as an [`Operation`].
//!
//! The columns say class and role; the notes say the rest in fixed words, which are read here and
//! nowhere else. It must not know how paths are matched.

use std::sync::Arc;

use gateway_types::{ActionName, Cicd, Class, LowestRole, Operation, Role, StepUp};

use super::template::Template;
use super::{Listener, OwnTableError, place};

/// One line of the table.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) method: String,
    pub(super) listener: Listener,
    pub(super) template: Template,
    pub(super) operation: Arc<Operation>,
    /// `METHOD /template` of the page that this row is.
    pub(super) page: Option<Arc<str>>,
}

impl Row {
    pub(super) fn parse(line: usize, text: &str) -> Result<Self, OwnTableError> {
        let columns: Vec<&str> = text.split('\t').collect();
        let [method, path, action, class, role, notes] = columns.as_slice() else {
            return Err(OwnTableError::Columns { line, found: columns.len() });
        };
        let (listener, template) = place(path);
        if !path.starts_with('/') || !template.is_well_formed() {
            return Err(OwnTableError::Path { line, path: (*path).to_owned() });
        }
        let class = Class::ALL
            .into_iter()
            .find(|known| known.name() == *class)
            .ok_or_else(|| OwnTableError::UnknownClass { line, class: (*class).to_owned() })?;
        let lowest_role = lowest_role(line, role)?;
        if (class == Class::Open) != (lowest_role == LowestRole::Public) {
            return Err(OwnTableError::OpenIsPublic { line });
        }
        let people_only = names_people(notes);
        let operation = Operation {
            route: format!("{method} {path}").into(),
            action: ActionName::new(&format!("gateway:{action}")),
            class,
            lowest_role,
            cicd: cicd(lowest_role, notes),
            people_only,
            step_up: step_up(class, notes),
        };
        Ok(Self {
            method: (*method).to_owned(),
            listener,
            template,
            operation: Arc::new(operation),
            page: None,
        })
    }
}

fn lowest_role(line: usize, text: &str) -> Result<LowestRole, OwnTableError> {
    match text {
        "public" => Ok(LowestRole::Public),
        "self" => Ok(LowestRole::Own),
        _ => text
            .parse::<Role>()
            .map(LowestRole::Role)
            .map_err(|_unknown| OwnTableError::UnknownRole { line, role: text.to_owned() }),
    }
}

/// Whether the note holds the word `people`.
fn names_people(notes: &str) -> bool {
    notes.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "people")
}

/// The second factor that class and note ask of a person.
fn step_up(class: Class, notes: &str) -> StepUp {
    match class {
        Class::Open | Class::Read => StepUp::None,
        Class::Reveal if notes.contains("bound step-up") => StepUp::Bound,
        Class::Change if notes.contains("no step-up") || notes.contains("the factor itself is the proof") => {
            StepUp::None
        }
        Class::Reveal | Class::Change | Class::Execute => StepUp::Window,
        Class::Critical => StepUp::Bound,
    }
}

/// Whether the `cicd` role may.
///
/// The table has no such column for the gateway's own operations. A note that names `cicd` says yes, and
/// so does one that opens a row to any signed-in caller. Everything else is no: rows about one's own
/// objects too, which machines may call as every signed-in caller does, by the policy `own` and about
/// their own objects only. A yes here would open other people's objects to them.
fn cicd(lowest_role: LowestRole, notes: &str) -> Cicd {
    let named = notes.contains("cicd") || notes.contains("any signed-in caller");
    if named && matches!(lowest_role, LowestRole::Role(_)) { Cicd::Yes } else { Cicd::No }
}
