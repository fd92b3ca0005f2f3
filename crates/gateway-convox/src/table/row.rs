//! One row of the table.

use gateway_types::{ActionName, Cicd, Class, LowestRole, Operation, Role, StepUp};

use super::{Origin, RequestKind, notation};
use crate::error::RowFault;
use crate::method::{Method, RowMethod};
use crate::parameter::{ParameterSpec, Place};
use crate::template::Template;

/// What body a row takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BodyKind {
    /// None.
    None,
    /// An urlencoded form, read whole and parsed.
    Form,
    /// Raw bytes of any length, passed on as a stream.
    Stream,
    /// One JSON document, passed on as a stream.
    Json,
}

/// One row: a route, what it takes, and what policy needs to know of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The operation; its route reads `GET /apps/{app}`, `SOCKET /apps/{app}/logs` or `ANY /check`.
    pub operation: Operation,
    /// The labels of the reply: which of its fields are secret. Empty when none is.
    pub secrets: String,
    /// What body it takes.
    pub body: BodyKind,
    /// Whether the gateway answers it and the rack never sees it.
    pub answered_here: bool,
    /// The labels of the request, as written in the table; parsed into each [`ParameterSpec::secrecy`].
    pub request_secrets: String,
    /// Remarks for people.
    pub notes: String,
    /// The parameters beside those of the path, in table order.
    pub parameters: Vec<ParameterSpec>,
    /// The operation that the row becomes when `lock=false` is asked of an app.
    pub(crate) unlock: Option<Operation>,
    pub(crate) method: RowMethod,
    pub(crate) template: Template,
    refused: Refused,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refused {
    Never,
    UntilSwitchedOn,
    SwitchedOn,
}

/// The notes of the built-in table that change what the gateway does.
const ANSWERED_HERE: &str = "answered here";
const NO_STEP_UP: &str = "no step-up";

impl Row {
    /// Whether the row is reached as a WebSocket.
    pub fn is_socket(&self) -> bool {
        self.method == RowMethod::Socket
    }

    /// Whether the row can be reached at all: false for a refused one that was not switched on.
    pub fn is_enabled(&self) -> bool {
        self.refused != Refused::UntilSwitchedOn
    }

    pub(crate) fn is_refusable(&self) -> bool {
        self.refused != Refused::Never
    }

    pub(crate) fn switch_on(&mut self) {
        if self.refused == Refused::UntilSwitchedOn {
            self.refused = Refused::SwitchedOn;
        }
    }

    pub(crate) fn accepts(&self, method: Method, kind: RequestKind) -> bool {
        match (self.method, kind) {
            (RowMethod::One(mine), RequestKind::Plain) => mine == method,
            (RowMethod::Any, RequestKind::Plain) => true,
            (RowMethod::Socket, RequestKind::Socket) => method == Method::Get,
            (RowMethod::Socket, RequestKind::Plain)
            | (RowMethod::One(_) | RowMethod::Any, RequestKind::Socket) => false,
        }
    }

    /// The parameter of this name, unless the rack ignores it.
    pub(crate) fn spec(&self, name: &str) -> Option<(usize, &ParameterSpec)> {
        self.parameters.iter().enumerate().find(|(_, spec)| !spec.ignored && spec.is_named(name))
    }

    /// Reads one line.
    pub(super) fn parse(line: &str, origin: Origin) -> Result<Row, RowFault> {
        let columns: Vec<&str> = line.split('\t').collect();
        let &[method, path, action, class, role, cicd, secrets, params, request_secrets, notes] =
            columns.as_slice()
        else {
            return Err(RowFault::Columns { found: columns.len() });
        };
        let row_method =
            RowMethod::parse(method).ok_or_else(|| RowFault::Method { text: method.to_owned() })?;
        let template = Template::parse(path)?;
        let (class, refused) = read_class(class)?;
        let answered_here = notes.starts_with(ANSWERED_HERE);
        let step_up = if notes.contains(NO_STEP_UP) { StepUp::None } else { step_up_of(class) };
        check_notes(notes, origin)?;
        let (mut parameters, body) = notation::read_parameters(params)?;
        notation::label_secrets(&mut parameters, request_secrets)?;
        check_places(row_method, &template, &parameters, body, params)?;
        let operation = Operation {
            route: format!("{} {path}", row_method.label()).into(),
            action: read_action(action)?,
            class,
            lowest_role: read_role(role, class)?,
            cicd: read_cicd(cicd, class)?,
            people_only: false,
            step_up,
        };
        Ok(Row {
            unlock: unlock_of(&operation, &parameters),
            operation,
            secrets: secrets.to_owned(),
            body,
            answered_here,
            request_secrets: request_secrets.to_owned(),
            notes: notes.to_owned(),
            parameters,
            method: row_method,
            template,
            refused,
        })
    }
}

/// The derived operation of the app-update row: taking the termination protection off.
fn unlock_of(operation: &Operation, parameters: &[ParameterSpec]) -> Option<Operation> {
    let is_app_update = operation.action.as_str() == "convox:app:update";
    (is_app_update && parameters.iter().any(|spec| spec.name == "lock")).then(|| Operation {
        route: format!("{} lock=false", operation.route).into(),
        action: ActionName::new("convox:app:unlock"),
        class: Class::Critical,
        step_up: StepUp::Bound,
        ..operation.clone()
    })
}

fn read_action(text: &str) -> Result<ActionName, RowFault> {
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_')
    };
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [area, verb] if word(area) && word(verb) => Ok(ActionName::new(&format!("convox:{text}"))),
        // `/check` has the one-word action `health`.
        [only] if word(only) => Ok(ActionName::new(&format!("convox:{text}"))),
        _ => Err(RowFault::Action { text: text.to_owned() }),
    }
}

fn read_class(text: &str) -> Result<(Class, Refused), RowFault> {
    if text == "refused" {
        return Ok((Class::Critical, Refused::UntilSwitchedOn));
    }
    let class = Class::ALL.into_iter().find(|class| class.name() == text);
    class.map(|class| (class, Refused::Never)).ok_or_else(|| RowFault::Class { text: text.to_owned() })
}

const fn step_up_of(class: Class) -> StepUp {
    match class {
        Class::Open | Class::Read => StepUp::None,
        Class::Reveal | Class::Change | Class::Execute => StepUp::Window,
        Class::Critical => StepUp::Bound,
    }
}

/// A dash stands for nobody in particular, so only an open row may have it.
fn read_role(text: &str, class: Class) -> Result<LowestRole, RowFault> {
    let fault = || RowFault::Role { text: text.to_owned() };
    if class == Class::Open {
        return if text == "-" { Ok(LowestRole::Public) } else { Err(fault()) };
    }
    match text.parse::<Role>().map_err(|_| fault())? {
        role @ (Role::Viewer | Role::Ops | Role::Deployer | Role::Admin) => Ok(LowestRole::Role(role)),
        Role::Auditor | Role::Cicd => Err(fault()),
    }
}

fn read_cicd(text: &str, class: Class) -> Result<Cicd, RowFault> {
    match (text, class) {
        ("yes", _) => Ok(Cicd::Yes),
        ("approval", _) => Ok(Cicd::Approval),
        ("no", _) => Ok(Cicd::No),
        ("-", Class::Open) => Ok(Cicd::Yes),
        _ => Err(RowFault::Cicd { text: text.to_owned() }),
    }
}

fn check_notes(notes: &str, origin: Origin) -> Result<(), RowFault> {
    let reserved = [ANSWERED_HERE, NO_STEP_UP].into_iter().find(|phrase| notes.contains(phrase));
    match (origin, reserved) {
        (Origin::Operator, Some(phrase)) => Err(RowFault::ReservedNote { phrase }),
        (Origin::Operator, None) | (Origin::Builtin, _) => Ok(()),
    }
}

/// Parameters must be where the kind of request can carry them, and each name must be unique.
fn check_places(
    method: RowMethod,
    template: &Template,
    parameters: &[ParameterSpec],
    body: BodyKind,
    column: &str,
) -> Result<(), RowFault> {
    let fault = |reason| Err(RowFault::Parameter { text: column.to_owned(), reason });
    let header_only = parameters.iter().all(|spec| spec.place == Place::Header) && body == BodyKind::None;
    if method == RowMethod::Socket && !header_only {
        return fault("a socket carries header parameters only");
    }
    let kept: Vec<&ParameterSpec> = parameters.iter().filter(|spec| !spec.ignored).collect();
    for (at, spec) in kept.iter().enumerate() {
        let again = kept.iter().skip(at + 1).any(|later| later.name.eq_ignore_ascii_case(&spec.name));
        if again || template.slots().any(|slot| slot.name.eq_ignore_ascii_case(&spec.name)) {
            return fault("a name is used twice, counting the named parts of the path");
        }
    }
    Ok(())
}
