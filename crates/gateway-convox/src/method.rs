//! HTTP methods, as a closed list.

/// A method that some row may take. Names are compared exactly: `get` is no method.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Method {
    /// DELETE
    Delete,
    /// GET
    Get,
    /// HEAD
    Head,
    /// OPTIONS
    Options,
    /// PATCH
    Patch,
    /// POST
    Post,
    /// PUT
    Put,
}

impl Method {
    /// Every method, by name.
    pub const ALL: [Method; 7] = [
        Method::Delete,
        Method::Get,
        Method::Head,
        Method::Options,
        Method::Patch,
        Method::Post,
        Method::Put,
    ];

    /// The name as sent.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Delete => "DELETE",
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Options => "OPTIONS",
            Method::Patch => "PATCH",
            Method::Post => "POST",
            Method::Put => "PUT",
        }
    }

    /// The method of exactly this name.
    pub fn parse(name: &str) -> Option<Method> {
        Method::ALL.into_iter().find(|method| method.name() == name)
    }
}

/// What the method column of a row accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RowMethod {
    /// Exactly this method, not as a socket.
    One(Method),
    /// Any method of [`Method::ALL`], not as a socket.
    Any,
    /// GET with `Upgrade: websocket`.
    Socket,
}

impl RowMethod {
    /// The meaning of the column.
    pub(crate) fn parse(column: &str) -> Option<RowMethod> {
        match column {
            "any" => Some(RowMethod::Any),
            "socket" => Some(RowMethod::Socket),
            name => Method::parse(name).map(RowMethod::One),
        }
    }

    /// The word printed before the template.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            RowMethod::One(method) => method.name(),
            RowMethod::Any => "ANY",
            RowMethod::Socket => "SOCKET",
        }
    }

    /// The methods for an `Allow` header. A socket is a GET on the wire.
    pub(crate) fn allowed(self) -> Vec<Method> {
        match self {
            RowMethod::One(method) => vec![method],
            RowMethod::Any => Method::ALL.to_vec(),
            RowMethod::Socket => vec![Method::Get],
        }
    }

    /// Whether every request that `later` accepts is accepted by this one.
    pub(crate) fn covers(self, later: RowMethod) -> bool {
        match (self, later) {
            (RowMethod::Any, RowMethod::One(_) | RowMethod::Any) => true,
            (RowMethod::Socket, RowMethod::Socket) => true,
            (RowMethod::One(mine), RowMethod::One(theirs)) => mine == theirs,
            (RowMethod::Any | RowMethod::One(_), RowMethod::Socket)
            | (RowMethod::One(_), RowMethod::Any)
            | (RowMethod::Socket, RowMethod::One(_) | RowMethod::Any) => false,
        }
    }
}
