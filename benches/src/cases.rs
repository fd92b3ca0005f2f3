//! What is measured.

use crate::load::Reuse;

/// How long one upload or download is, in bytes.
pub(crate) const TRANSFER_BYTES: usize = crate::upstream::DOWNLOAD_BYTES;

/// One case: the same request at each of its parties.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Short, for `--only` and file names.
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) method: &'static str,
    /// At the rack itself.
    pub(crate) path: &'static str,
    /// Whose token is sent to the gateway; empty = none.
    pub(crate) role: &'static str,
    pub(crate) body_bytes: usize,
    pub(crate) connections: usize,
    pub(crate) reuse: Reuse,
    /// What the gateway answers; the others answer 200 everywhere.
    pub(crate) gateway_status: u16,
    pub(crate) what: What,
    pub(crate) who: &'static [Who],
}

/// How a case is driven.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// As fast as it goes.
    Throughput,
    /// At half of what the party did in the case of this id in the same round.
    HalfOf(&'static str),
    /// WebSocket messages of this many bytes, one after the other.
    Echo(usize),
}

/// A party of a case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Who {
    Direct,
    Hop,
    Nginx,
    NginxAuth,
    Caddy,
    Gateway,
    GatewayPostgres,
    GatewayTls,
    /// The gateway with 1,000,000 tokens.
    GatewayTokens,
    /// The gateway with 10,000 policies.
    GatewayPolicies,
}

impl Who {
    pub(crate) const ALL: [Who; 10] = [
        Who::Direct,
        Who::Hop,
        Who::Nginx,
        Who::NginxAuth,
        Who::Caddy,
        Who::Gateway,
        Who::GatewayPostgres,
        Who::GatewayTls,
        Who::GatewayTokens,
        Who::GatewayPolicies,
    ];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Who::Direct => "direct",
            Who::Hop => "bare hyper hop",
            Who::Nginx => "nginx proxy_pass",
            Who::NginxAuth => "nginx auth_request",
            Who::Caddy => "Caddy forward_auth",
            Who::Gateway => "gateway",
            Who::GatewayPostgres => "gateway, PostgreSQL",
            Who::GatewayTls => "gateway, TLS",
            Who::GatewayTokens => "gateway, 10⁶ tokens",
            Who::GatewayPolicies => "gateway, 10⁴ policies",
        }
    }

    pub(crate) const fn is_gateway(self) -> bool {
        match self {
            Who::Direct | Who::Hop | Who::Nginx | Who::NginxAuth | Who::Caddy => false,
            Who::Gateway
            | Who::GatewayPostgres
            | Who::GatewayTls
            | Who::GatewayTokens
            | Who::GatewayPolicies => true,
        }
    }
}

/// All but those with large tables, which have a case of their own.
const EVERYBODY: &[Who] = Who::ALL.split_at(8).0;
const GATEWAYS: &[Who] = &[Who::Gateway, Who::GatewayPostgres];
const TRANSFER: &[Who] = &[Who::Direct, Who::Hop, Who::Nginx, Who::Gateway, Who::GatewayTls];

const SMALL: Case = Case {
    id: "get-32",
    title: "GET small JSON, c = 32",
    method: "GET",
    path: "/apps/web/services",
    role: "viewer",
    body_bytes: 0,
    connections: 32,
    reuse: Reuse::Kept,
    gateway_status: 200,
    what: What::Throughput,
    who: EVERYBODY,
};

/// Every case, in the order of the table.
pub(crate) fn all() -> Vec<Case> {
    vec![
        Case { id: "get-1", title: "GET small JSON, c = 1", connections: 1, ..SMALL },
        SMALL,
        Case { id: "get-256", title: "GET small JSON, c = 256", connections: 256, ..SMALL },
        Case {
            id: "get-half",
            title: "the same at half of the rate of c = 32",
            connections: 64,
            what: What::HalfOf("get-32"),
            ..SMALL
        },
        Case {
            id: "scale",
            title: "GET small JSON, c = 32, large tables",
            who: &[Who::Gateway, Who::GatewayTokens, Who::GatewayPolicies],
            ..SMALL
        },
        Case {
            id: "change-1",
            title: "POST with durable intent, c = 1",
            method: "POST",
            path: "/apps/web/cancel",
            role: "deployer",
            connections: 1,
            who: GATEWAYS,
            ..SMALL
        },
        Case {
            id: "change-64",
            title: "POST with durable intent, c = 64",
            method: "POST",
            path: "/apps/web/cancel",
            role: "deployer",
            connections: 64,
            who: GATEWAYS,
            ..SMALL
        },
        Case {
            id: "releases",
            title: "releases of 200 kB, secrets redacted, c = 4",
            path: "/apps/web/releases",
            role: "ops",
            connections: 4,
            who: &[Who::Direct, Who::Hop, Who::Nginx, Who::Gateway],
            ..SMALL
        },
        Case {
            id: "upload",
            title: "upload of 100 MB, c = 2",
            method: "POST",
            path: "/apps/web/objects/upload.tgz",
            role: "deployer",
            body_bytes: TRANSFER_BYTES,
            connections: 2,
            who: TRANSFER,
            ..SMALL
        },
        Case {
            id: "download",
            title: "download of 100 MB, c = 2",
            path: "/echo/download",
            role: "viewer",
            connections: 2,
            who: TRANSFER,
            ..SMALL
        },
        Case {
            id: "service",
            title: "GET at a service, signed request token, c = 32",
            path: "/signed/x",
            who: &[Who::Hop, Who::Nginx, Who::Gateway],
            ..SMALL
        },
        Case {
            id: "socket",
            title: "WebSocket echo of 64 bytes, one after the other",
            path: "/echo/socket",
            what: What::Echo(64),
            connections: 1,
            who: &[Who::Direct, Who::Nginx, Who::Gateway],
            ..SMALL
        },
        Case {
            id: "socket-32k",
            title: "WebSocket echo of 32 kB",
            path: "/echo/socket",
            what: What::Echo(32 * 1024),
            connections: 1,
            who: &[Who::Direct, Who::Nginx, Who::Gateway],
            ..SMALL
        },
        Case {
            id: "new",
            title: "GET, a new connection each, c = 8",
            connections: 8,
            reuse: Reuse::New,
            ..SMALL
        },
        Case {
            id: "refused",
            title: "refusals (no credential), c = 32",
            role: "",
            gateway_status: 401,
            who: &[Who::Gateway],
            ..SMALL
        },
    ]
}

impl Case {
    /// The case that the others are variants of.
    pub(crate) const fn small() -> Self {
        SMALL
    }

    /// The path of this case at a party.
    pub(crate) fn path_at(&self, who: Who) -> String {
        let is_service = self.path.starts_with("/echo") || self.path.starts_with("/signed");
        if who.is_gateway() && !is_service {
            format!("/api/v1/rack-proxy{}", self.path)
        } else {
            self.path.to_owned()
        }
    }
}
