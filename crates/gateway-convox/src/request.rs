//! A request as a typed value: first its route ([`Identified`]), then its parameters ([`RackRequest`]).
//!
//! Nothing here knows who asks or whether they may. The upstream request is made in [`crate::upstream`].

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use gateway_types::{Operation, Resource};

use crate::error::ParameterError;
use crate::method::Method;
use crate::parameter::{Parameter, ParameterSpec, Place, Secrecy, ValueType, write_map};
use crate::table::{BodyKind, Row};
use crate::template::{is_app_name, is_object_key};

mod intake;

/// A request whose method and path are one row's. Made by [`crate::RouteTable::identify`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identified {
    row: Arc<Row>,
    method: Method,
    path: Vec<(String, String)>,
}

impl Identified {
    pub(crate) fn new(row: Arc<Row>, method: Method, path: Vec<(String, String)>) -> Self {
        Self { row, method, path }
    }

    /// The row.
    pub fn row(&self) -> &Row {
        &self.row
    }

    /// The row's operation. [`RackRequest::operation`] may be a more harmful one, once the parameters are known.
    pub fn operation(&self) -> &Operation {
        &self.row.operation
    }

    /// The app of a path `/apps/{app}/…`, else the rack.
    pub fn resource(&self) -> Resource {
        resource_of(&self.row, self.path_parameter("app"))
    }

    /// A named part of the path, decoded.
    pub fn path_parameter(&self, name: &str) -> Option<&str> {
        self.path.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What body the request may have.
    pub fn body_kind(&self) -> BodyKind {
        self.row.body
    }

    /// Reads the parameters. Of `headers`, which are all of the request's, only this row's are read.
    /// `form` is the whole body of a [`BodyKind::Form`] row, `None` when the request has no body.
    ///
    /// `ack_by` is checked and then dropped: it names an actor, and that is the gateway's to say.
    ///
    /// # Errors
    /// The first parameter that is unknown, twice, misplaced, missing or not of its type; see [`ParameterError`].
    pub fn complete<'h>(
        self,
        query: Option<&str>,
        headers: impl Iterator<Item = (&'h str, &'h [u8])>,
        content_type: Option<&str>,
        form: Option<&[u8]>,
    ) -> Result<RackRequest, ParameterError> {
        let given = intake::read(&self.row, query, headers, content_type, form)?;
        Ok(self.complete_with(given.into_iter()))
    }

    /// The request with these parameters, which are already checked and in table order.
    fn complete_with(self, given: impl Iterator<Item = Parameter>) -> RackRequest {
        let path = self.path.into_iter().map(|(name, value)| Parameter {
            name,
            place: Place::Path,
            value,
            secrecy: Secrecy::Plain,
        });
        RackRequest { parameters: path.chain(given).collect(), method: self.method, row: self.row }
    }
}

fn resource_of(row: &Row, app: Option<&str>) -> Resource {
    app.filter(|_| row.template.is_of_an_app()).map_or_else(Resource::rack, Resource::app)
}

/// A request of the rack, complete and typed. What policy sees, what is recorded and what is sent
/// upstream all come from this one value.
#[derive(Clone, PartialEq, Eq)]
pub struct RackRequest {
    pub(crate) row: Arc<Row>,
    pub(crate) method: Method,
    pub(crate) parameters: Vec<Parameter>,
}

impl RackRequest {
    /// The row.
    pub fn row(&self) -> &Row {
        &self.row
    }

    /// The operation in effect: `convox:app:unlock` when the app's termination protection is taken
    /// off, else the row's.
    pub fn operation(&self) -> &Operation {
        match &self.row.unlock {
            Some(unlock) if self.get("lock") == Some("false") => unlock,
            Some(_) | None => &self.row.operation,
        }
    }

    /// The app of a path `/apps/{app}/…`, else the rack.
    pub fn resource(&self) -> Resource {
        resource_of(&self.row, self.get("app"))
    }

    /// All parameters: those of the path, then the others in table order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The value of a parameter, decoded. Names of headers are compared without regard to case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.position(name).and_then(|at| self.parameters.get(at)).map(|parameter| parameter.value.as_str())
    }

    /// Sets a parameter to a value of the gateway's own, after the same check of its type.
    ///
    /// # Errors
    /// A name that the row does not take or that is part of the path, or a value that is not of its type.
    pub fn set(&mut self, name: &str, value: String) -> Result<(), ParameterError> {
        let row = Arc::clone(&self.row);
        if row.template.slots().any(|slot| slot.name == name) {
            return Err(ParameterError::Fixed { name: name.to_owned() });
        }
        let (order, spec) = row
            .spec(name)
            .ok_or_else(|| ParameterError::Unknown { name: name.to_owned(), place: row_place(&row) })?;
        let parameter = typed(&row, spec, &value)?;
        match self.position(name).and_then(|at| self.parameters.get_mut(at)) {
            Some(present) => *present = parameter,
            None => {
                let after = |present: &Parameter| {
                    present.place != Place::Path && row.spec(&present.name).is_some_and(|(at, _)| at > order)
                };
                let at = self.parameters.iter().position(after).unwrap_or(self.parameters.len());
                self.parameters.insert(at, parameter);
            }
        }
        Ok(())
    }

    /// Removes an optional parameter; whether it was there. Parts of the path and required
    /// parameters stay.
    pub fn remove(&mut self, name: &str) -> bool {
        let required = self.row.spec(name).is_none_or(|(_, spec)| spec.required);
        match self.position(name).filter(|_| !required) {
            Some(at) => {
                self.parameters.remove(at);
                true
            }
            None => false,
        }
    }

    /// The decoded pairs of a map parameter, in the order given.
    pub fn map(&self, name: &str) -> Option<Vec<(String, String)>> {
        let (_, spec) = self.row.spec(name).filter(|(_, spec)| spec.value_type == ValueType::Map)?;
        spec.map(self.get(name)?).ok()
    }

    /// Sets a map parameter from decoded pairs.
    ///
    /// # Errors
    /// As [`RackRequest::set`], and [`ParameterError::NotAMap`].
    pub fn set_map(&mut self, name: &str, pairs: &[(String, String)]) -> Result<(), ParameterError> {
        if let Some((_, spec)) = self.row.spec(name) {
            if spec.value_type != ValueType::Map {
                return Err(ParameterError::NotAMap { name: name.to_owned() });
            }
            spec.check_map(pairs)?;
        }
        self.set(name, write_map(pairs))
    }

    /// Lower-case names of what asks for more than the operation usually does: `image`, `volumes`,
    /// `privileged`, `environment` of a process start, `public` of an object, `external` (only when
    /// true) of a build, and `foreign-url` for a build whose url is not an object of the same app.
    pub fn sensitive_parameters(&self) -> BTreeSet<String> {
        let names: &[&str] = match self.row.operation.action.as_str() {
            "convox:process:start" => &["image", "volumes", "privileged", "environment"],
            "convox:object:create" => &["public"],
            "convox:build:create" => return self.sensitive_build_parameters(),
            _ => &[],
        };
        names.iter().filter(|name| self.get(name).is_some()).map(|name| (*name).to_owned()).collect()
    }

    fn sensitive_build_parameters(&self) -> BTreeSet<String> {
        let external = self.get("external") == Some("true");
        // The client sends an empty url with an external build.
        let foreign = self.get("url").is_some_and(|url| !url.is_empty() && !self.is_own_object(url));
        [(external, "external"), (foreign, "foreign-url")]
            .into_iter()
            .filter(|(present, _)| *present)
            .map(|(_, name)| name.to_owned())
            .collect()
    }

    fn is_own_object(&self, url: &str) -> bool {
        let own = |app| url.strip_prefix("object://")?.strip_prefix(app)?.strip_prefix('/');
        self.get("app").and_then(own).is_some_and(is_object_key)
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.parameters.iter().position(|parameter| match parameter.place {
            Place::Header => parameter.name.eq_ignore_ascii_case(name),
            Place::Path | Place::Query | Place::Form => parameter.name == name,
        })
    }
}

impl fmt::Debug for RackRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RackRequest({} as {}, {:?})",
            self.row.operation.route,
            self.method.name(),
            self.parameters
        )
    }
}

/// The place named when a row has no such parameter at all.
fn row_place(row: &Row) -> Place {
    if row.is_socket() { Place::Header } else { Place::Form }
}

/// A parameter of this row with a value of its type.
fn typed(row: &Row, spec: &ParameterSpec, value: &str) -> Result<Parameter, ParameterError> {
    let value = spec.canonical(value)?;
    // One app name addresses the objects of all apps, so what names an app is held to the same class as in a path.
    let names_an_app = spec.name == "app" || spec.name == "name" && is_app_create(row);
    if names_an_app && !is_app_name(&value) {
        return Err(ParameterError::BadValue { name: spec.name.clone(), expected: "an app name" });
    }
    Ok(Parameter { name: spec.name.clone(), place: spec.place, value, secrecy: spec.secrecy })
}

fn is_app_create(row: &Row) -> bool {
    row.operation.action.as_str() == "convox:app:create"
}

#[cfg(test)]
mod tests;
