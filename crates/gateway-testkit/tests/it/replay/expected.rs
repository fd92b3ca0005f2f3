//! Every way in which the traffic through the gateway differs from the recorded one, each with its reason.
//!
//! A difference that is not here fails the test, and so does a row that no longer occurs. `*` in a
//! recording or a request stands for anything. The values of handles are written as they stand in JSON.

use Change::{AnsweredHere, Follows, Handles, Refused, RefusedInSocket};

/// What is different about an exchange.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// Exactly these values come as handles; every other byte of the reply is the recorded one.
    Handles(&'static [&'static str]),
    /// A problem of this status and kind comes back; the rack sees nothing.
    Refused(u16, &'static str),
    /// The socket is opened to say this, with exit code 1; the rack sees nothing.
    RefusedInSocket(&'static str),
    /// The gateway answers with this status and body instead of the rack, which sees nothing.
    AnsweredHere(u16, &'static str),
    /// The rack answers with this status and a body that begins so, because an earlier request was refused.
    Follows(u16, &'static str),
}

/// An exchange that differs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    pub(super) recording: &'static str,
    pub(super) request: &'static str,
    pub(super) change: Change,
    pub(super) reason: &'static str,
}

const fn row(
    recording: &'static str,
    request: &'static str,
    change: Change,
    reason: &'static str,
) -> Expected {
    Expected { recording, request, change, reason }
}

const ENV: &str = "an environment variable that is not on the plain list is secret";
const WRITTEN_ENV: &str = "the answer to a written environment carries it again";
const URL_PASSWORD: &str = "of a URL only the password is secret";
const PARAMETER: &str = "a parameter that is not on the plain list is secret";
const HOOK: &str = "the address of a webhook is a credential, as parameter and as url";
const EXTERNAL: &str = "external builds are off: the rack would answer with its own password";
const NO_BUILD: &str = "the build was refused, so the rack has none";
const CONSOLE: &str = "the list of racks for console mode is the gateway's own; the client ignores it here";
const PROBE: &str = "asked by the client before a socket whose path begins with /app; it ignores the answer";

const SEED: &[&str] = &["s3cr3t-myapp", "value"];

/// Exchanges that differ, the first fitting row counts.
pub(super) const EXCHANGES: &[Expected] = &[
    row("*", "GET /machines?", AnsweredHere(404, ""), PROBE),
    row(
        "*",
        "GET /racks?",
        AnsweredHere(
            200,
            r#"[{"Name":"testrack","Organization":{"Name":"rack-gateway"},"Provider":"rack-gateway","Status":"running"}]"#,
        ),
        CONSOLE,
    ),
    // What is secret.
    row("10-env-unset", "GET /apps/myapp/releases*", Handles(&["b", "s3cr3t-myapp", "value"]), ENV),
    row("62-*", "GET /registries?", Handles(&["registry-pa55word"]), "a registry's password is secret"),
    row("63-*", "POST /registries?", Handles(&["pw"]), "a registry's password is secret, also in the answer"),
    row("*", "GET /apps/myapp/releases*", Handles(SEED), ENV),
    row("09-env-set", "POST /apps/myapp/releases?", Handles(&["b", "s3cr3t-myapp", "value"]), WRITTEN_ENV),
    row(
        "51-prefix-env-set",
        "POST /apps/myapp/releases?",
        Handles(&["d", "s3cr3t-myapp", "value"]),
        WRITTEN_ENV,
    ),
    row("d24-env-set-replace", "POST /apps/myapp/releases?", Handles(&["1", "a b"]), WRITTEN_ENV),
    row(
        "d62-env-set-promote",
        "POST /apps/myapp/releases?",
        Handles(&["s3cr3t-myapp", "q", "value"]),
        WRITTEN_ENV,
    ),
    row("*", "POST /apps/*/releases?", Handles(SEED), WRITTEN_ENV),
    row("*", "GET /apps/myapp/resources*", Handles(&["dbpa55"]), URL_PASSWORD),
    row(
        "d35-instances-keyroll",
        "POST /instances/keyroll?",
        Handles(&[r"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]),
        "a private key is secret",
    ),
    row("d40-*", "POST /resources?", Handles(&["https://hooks.example.test/x"]), HOOK),
    row("d40-*", "GET /resources/hook2?", Handles(&["https://hooks.example.test/x"]), HOOK),
    row("*", "* /resources*", Handles(&["https://hooks.example.test/T/secret"]), HOOK),
    row(
        "*-v2-*",
        "GET /system?",
        Handles(&["internal.example.test", "http://user:pr0xy@10.0.0.1:3128"]),
        PARAMETER,
    ),
    // What is refused by default, and what follows from it.
    row("33-build-external", "POST /apps/myapp/builds?", Refused(403, "refused"), EXTERNAL),
    row("33-build-external", "* /apps/myapp/builds/*", Follows(404, "build not found"), NO_BUILD),
    row("d52-builds-import-image", "POST /apps/myapp/builds?", Refused(403, "refused"), EXTERNAL),
    row("d52-builds-import-image", "* /apps/myapp/builds/*", Follows(404, "build not found"), NO_BUILD),
    row(
        "d52-builds-import-image",
        "POST /apps/myapp/releases?",
        Follows(200, "{"),
        "the build was refused, so the rack makes a release with the manifest of the one before",
    ),
    row(
        "87-rack-access",
        "POST /system/jwt/token?",
        Refused(404, "unknown-route"),
        "whoever holds a rack token goes past the gateway",
    ),
    row(
        "d38-access-key-rotate",
        "PUT /system/jwt/rotate?",
        Refused(404, "unknown-route"),
        "rotating the key cuts the gateway's own tokens of the rack",
    ),
    // Who is refused.
    row(
        "26-exec-badauth",
        "GET /apps/myapp/processes/*/exec",
        RefusedInSocket("the credential is not valid"),
        "the rack's password is no credential here; the client is told in the way that gives exit code 1",
    ),
    row(
        "d58-apps-info-badauth",
        "GET /apps/myapp?",
        Refused(401, "unauthenticated"),
        "the rack's password is no credential here",
    ),
];

/// What becomes of a header field of the client.
#[derive(Clone, Copy, Debug)]
pub(super) enum HeaderChange {
    /// It does not reach the rack.
    Dropped,
    /// It reaches the rack with one of these values. `{rack}` is the rack's address, `{password}` the
    /// gateway's credential for it, `{actor}` who acts and `{length}` the length of the new body.
    Becomes(&'static [&'static str]),
    /// It is made anew: the rack gets one, and another one.
    Fresh,
}

/// A header field that differs.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExpectedHeader {
    /// Its name in lower case.
    pub(super) name: &'static str,
    /// For which requests.
    pub(super) request: &'static str,
    pub(super) change: HeaderChange,
    pub(super) reason: &'static str,
}

const fn header(
    name: &'static str,
    request: &'static str,
    change: HeaderChange,
    reason: &'static str,
) -> ExpectedHeader {
    ExpectedHeader { name, request, change, reason }
}

/// Header fields that differ, of every request. All others reach the rack as they were recorded.
pub(super) const HEADERS: &[ExpectedHeader] = &[
    header("host", "*", HeaderChange::Becomes(&["{rack}"]), "the rack compares it with its own name"),
    header(
        "authorization",
        "*",
        HeaderChange::Becomes(&["{password}"]),
        "the caller's credential stays here",
    ),
    header(
        "user-agent",
        "*",
        HeaderChange::Becomes(&[concat!("rack-gateway/", env!("CARGO_PKG_VERSION"))]),
        "the rack's own client is the gateway",
    ),
    header("version", "*", HeaderChange::Dropped, "always `dev`, and racks do not read it"),
    header("convox-actor", "*", HeaderChange::Becomes(&["{actor}"]), "the rack's log shows who acts"),
    header(
        "x-convox-actor",
        "*",
        HeaderChange::Dropped,
        "a caller does not choose who it is in the rack's log",
    ),
    header("origin", "*", HeaderChange::Dropped, "the rack refuses the origin of another host"),
    header("sec-websocket-key", "*", HeaderChange::Fresh, "each handshake has its own"),
    header(
        "accept",
        "GET *",
        HeaderChange::Becomes(&["*/*"]),
        "sent with sockets too, which racks do not mind",
    ),
    header(
        "accept-encoding",
        "*",
        HeaderChange::Becomes(&["identity"]),
        "a reply that may hold secrets has to be read here",
    ),
    header(
        "content-type",
        "*",
        HeaderChange::Dropped,
        "the client sends application/octet-stream where there is no body, and a form with GET /certificates",
    ),
    header(
        "content-type",
        "POST *",
        HeaderChange::Becomes(&["application/x-www-form-urlencoded"]),
        "a row that takes a form gets one, though the client had no parameter for it",
    ),
    header("content-length", "*", HeaderChange::Becomes(&["{length}"]), "a changed form has another length"),
    header("content-length", "GET /certificates?", HeaderChange::Dropped, "the form of a GET is dropped"),
];

/// What becomes of a parameter.
#[derive(Clone, Copy, Debug)]
pub(super) enum ParameterChange {
    /// The rack gets this value. `{caller}` is the caller's name.
    Set(&'static str),
    /// The rack does not get it.
    Dropped,
}

/// A parameter that differs.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExpectedParameter {
    pub(super) request: &'static str,
    pub(super) name: &'static str,
    pub(super) change: ParameterChange,
    pub(super) reason: &'static str,
}

/// Parameters that differ, in query or form.
pub(super) const PARAMETERS: &[ExpectedParameter] = &[
    ExpectedParameter {
        request: "*",
        name: "ack_by",
        change: ParameterChange::Set("{caller}"),
        reason: "the rack takes this word for who acted; so the gateway says it",
    },
    ExpectedParameter {
        request: "GET /certificates?",
        name: "generated",
        change: ParameterChange::Dropped,
        reason: "the client sends it as the body of a GET, which racks do not read",
    },
];

/// A read of the gateway's own.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnRead {
    pub(super) recording: &'static str,
    pub(super) request: &'static str,
    pub(super) reason: &'static str,
}

/// Reads that the gateway makes for itself.
pub(super) const OWN_READS: &[OwnRead] = &[
    OwnRead {
        recording: "*",
        request: "GET /apps/*/releases?limit=1",
        reason: "a written environment is merged with the newest, and command lines are scanned for its secrets",
    },
    OwnRead {
        recording: "*",
        request: "GET /apps/*/releases/*",
        reason: "a written environment is merged with the one it was based on",
    },
    OwnRead {
        recording: "*",
        request: "GET /system",
        reason: "the log gets the difference that a write of the rack's parameters makes",
    },
];

/// A secret that was planted in the recordings. It comes back in no reply, not even in bulk data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planted {
    pub(super) secret: &'static str,
    /// The recordings in which these bytes are the secret and not just a word.
    pub(super) recording: &'static str,
}

const fn planted(secret: &'static str, recording: &'static str) -> Planted {
    Planted { secret, recording }
}

/// The planted secrets (README of the recordings).
pub(super) const PLANTED: &[Planted] = &[
    planted("convox:secret@", "*"),
    planted("Y29udm94OnNlY3JldA==", "*"),
    planted("s3cr3t-myapp", "*"),
    planted("s3cr3t-other", "*"),
    planted("registry-pa55word", "*"),
    planted("\"pw\"", "63-registries-add"),
    planted("dbpa55", "*"),
    planted("https://hooks.example.test/T/secret", "*"),
    planted("user:pr0xy@", "*"),
    planted("eyJ", "87-rack-access"),
    planted("PRIVATE KEY", "*"),
    planted("YmFy", "d53-config-set-stdin"),
];
