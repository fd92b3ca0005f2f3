//! The upstream request, serialised from a [`RackRequest`] and from nothing else.

use std::fmt;

use crate::parameter::{Parameter, Place};
use crate::request::RackRequest;
use crate::table::BodyKind;
use crate::urlencoded;

/// What to send to the rack. Credentials, `Host` and the gateway's own headers are added by the proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamRequest {
    /// The method.
    pub method: &'static str,
    /// Path and query, percent-encoded; begins with exactly one slash. No `?` when there is no query.
    pub target: String,
    /// The parameter headers, canonical names; no others.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: UpstreamBody,
    /// Whether to ask for an upgrade to a WebSocket.
    pub is_socket: bool,
}

/// The body of an upstream request.
#[derive(Clone, PartialEq, Eq)]
pub enum UpstreamBody {
    /// None at all.
    None,
    /// A form, to be sent as `application/x-www-form-urlencoded`; may be empty.
    Form(Vec<u8>),
    /// The client's body, passed on as a stream.
    Stream {
        /// What to label it, whatever the client said: the rack eats a body that is labelled as a
        /// form (API.md 1.1).
        content_type: &'static str,
    },
}

impl RackRequest {
    /// The request to send upstream.
    pub fn serialise(&self) -> UpstreamRequest {
        let path = self.row.template.expand(self.at(Place::Path).map(|parameter| parameter.value.as_str()));
        let query = self.encoded(Place::Query);
        UpstreamRequest {
            method: self.method.name(),
            target: if query.is_empty() { path } else { format!("{path}?{query}") },
            headers: self
                .at(Place::Header)
                .map(|header| (header.name.clone(), header.value.clone()))
                .collect(),
            body: self.upstream_body(),
            is_socket: self.row.is_socket(),
        }
    }

    fn upstream_body(&self) -> UpstreamBody {
        let takes_form = self.row.parameters.iter().any(|spec| spec.place == Place::Form && !spec.ignored);
        match self.row.body {
            BodyKind::Form if takes_form => UpstreamBody::Form(self.encoded(Place::Form).into_bytes()),
            BodyKind::None | BodyKind::Form => UpstreamBody::None,
            BodyKind::Stream | BodyKind::Json => {
                UpstreamBody::Stream { content_type: "application/octet-stream" }
            }
        }
    }

    fn encoded(&self, place: Place) -> String {
        urlencoded::write(self.at(place).map(|parameter| (parameter.name.as_str(), parameter.value.as_str())))
    }

    fn at(&self, place: Place) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(move |parameter| parameter.place == place)
    }
}

impl fmt::Debug for UpstreamRequest {
    /// Header values and the form may be secret, so only names and sizes are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        write!(f, "UpstreamRequest({} {}, {headers:?}, {:?})", self.method, self.target, self.body)
    }
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpstreamBody::None => f.write_str("None"),
            UpstreamBody::Form(form) => write!(f, "Form({} bytes)", form.len()),
            UpstreamBody::Stream { content_type } => write!(f, "Stream({content_type})"),
        }
    }
}
