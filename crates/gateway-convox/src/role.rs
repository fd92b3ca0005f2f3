//! What the rack asks of whoever signs in: its three roles, and the least one that a request needs (API.md 2.1).

use crate::method::Method;
use crate::request::RackRequest;

/// How far a credential of the rack reaches. Each holds those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RackRole {
    /// What GET asks for.
    Read,
    /// What every other method asks for, and sockets into processes and networks.
    Write,
    /// Keys of tokens, and limits of costs.
    Admin,
}

impl RackRole {
    /// All, least first.
    pub const ALL: [RackRole; 3] = [RackRole::Read, RackRole::Write, RackRole::Admin];

    /// The name with which the rack mints a token of it.
    pub const fn name(self) -> &'static str {
        match self {
            RackRole::Read => "read",
            RackRole::Write => "write",
            RackRole::Admin => "admin",
        }
    }
}

/// Rows inside which the rack asks for its administrator.
const ADMIN: [&str; 5] = [
    "POST /apps/{app}/budget",
    "DELETE /apps/{app}/budget",
    "POST /apps/{app}/budget/reset",
    "PUT /system/jwt/rotate",
    "POST /system/jwt/token",
];

/// Opens a channel by plain HTTP, with whatever method.
const CHANNEL: &str = "ANY /custom/http/proxy/{path*}";

impl RackRequest {
    /// The least role of the rack with which it does this. Of a request that it does with less when its parameters say
    /// so, it is the role that covers them all.
    pub fn least_role(&self) -> RackRole {
        let row = self.row();
        let route = row.operation.route.as_ref();
        if ADMIN.contains(&route) {
            return RackRole::Admin;
        }
        // A handshake is a GET, and exec, shell, proxy and console ask for more once they are open. Logs do not.
        let opens = route == CHANNEL || (row.is_socket() && row.operation.class.needs_intent());
        if self.method == Method::Get && !opens { RackRole::Read } else { RackRole::Write }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RequestKind, RouteTable};

    fn check(method: &str, path: &str, kind: RequestKind, expected: RackRole) {
        let table = RouteTable::builtin().unwrap().switched_on(&["rack:rotate_jwt".to_owned()]).unwrap();
        let identified = table.identify(method, path, kind).unwrap();
        let request = identified.complete(None, std::iter::empty(), None, None).unwrap();
        assert_eq!(request.least_role(), expected, "{method} {path}");
    }

    #[test]
    fn each_kind_of_request_has_its_least_role() {
        use RackRole::{Admin, Read, Write};
        check("GET", "/apps", RequestKind::Plain, Read);
        check("GET", "/apps/web/releases", RequestKind::Plain, Read);
        check("GET", "/apps/web/logs", RequestKind::Socket, Read);
        check("DELETE", "/apps/web", RequestKind::Plain, Write);
        check("GET", "/proxy/10.0.0.1/5432", RequestKind::Socket, Write);
        check("DELETE", "/apps/web/budget", RequestKind::Plain, Admin);
        check("PUT", "/system/jwt/rotate", RequestKind::Plain, Admin);
    }
}
