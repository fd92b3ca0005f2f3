//! The table of keys: the one place where a key's name, variable, type, default and meaning are
//! written. The parser, `config explain`, `rack-gateway.toml.example` and `docs/config.md` all read it.

/// How a key's value is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A string.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Switch,
    /// An array of strings; in a variable, joined by commas.
    List,
    /// A string such as `10m`.
    Duration,
    /// A string that is never shown: the value, `env:NAME` or `file:/path`.
    Secret,
}

impl Kind {
    /// The name in the reference.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Text => "string",
            Kind::Integer => "integer",
            Kind::Switch => "boolean",
            Kind::List => "list of strings (a variable joins them with commas)",
            Kind::Duration => "duration, such as `10m` or `1h30m`",
            Kind::Secret => "secret: the value, `env:NAME` or `file:/path`",
        }
    }
}

/// What holds when nobody gives a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fallback {
    /// This value, written as in a variable.
    Value(&'static str),
    /// Nothing: the gateway does not start.
    Required {
        /// A value for the reference.
        example: &'static str,
    },
    /// Nothing, which means something.
    Absent {
        /// What it means, continuing "Without it, …".
        means: &'static str,
        /// A value for the reference.
        example: &'static str,
    },
}

/// One key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// Its dotted name in the file; `None` = it can only be given as a variable.
    pub name: Option<&'static str>,
    /// Its environment variable.
    pub variable: &'static str,
    /// Its command-line flag.
    pub flag: Option<&'static str>,
    /// How its value is written.
    pub kind: Kind,
    /// What holds without a value.
    pub fallback: Fallback,
    doc: &'static str,
}

impl Key {
    /// The name in the file, or the variable's when there is none.
    pub const fn label(&self) -> &'static str {
        match self.name {
            Some(name) => name,
            None => self.variable,
        }
    }

    /// What it means, on one line.
    pub fn meaning(&self) -> String {
        self.doc.lines().map(str::trim).collect::<Vec<_>>().join(" ")
    }

    /// The default as it is written in a variable.
    pub const fn default_text(&self) -> Option<&'static str> {
        match self.fallback {
            Fallback::Value(text) => Some(text),
            Fallback::Required { .. } | Fallback::Absent { .. } => None,
        }
    }
}

macro_rules! keys {
    ($(
        $(#[doc = $doc:literal])+
        $variable:ident: $name:expr, $([$flag:literal])? $kind:ident, $fallback:expr;
    )+) => {
        $(
            $(#[doc = $doc])+
            pub const $variable: Key = Key {
                name: $name,
                variable: variables::$variable,
                flag: keys!(@flag $($flag)?),
                kind: Kind::$kind,
                fallback: $fallback,
                doc: concat!($($doc, "\n"),+),
            };
        )+

        /// Every key, in the order of the reference.
        pub const ALL: &[Key] = &[$($variable),+];

        /// The names of the environment variables, one constant each.
        pub mod variables {
            $(
                $(#[doc = $doc])+
                pub const $variable: &str = stringify!($variable);
            )+

            /// Path of the configuration file; the flag `--config` comes before it.
            pub const RACK_GATEWAY_CONFIG: &str = "RACK_GATEWAY_CONFIG";

            /// What the name of a setting's variable starts with: `RGW_SETTING_MFA_STEP_UP`.
            pub const SETTING_PREFIX: &str = "RGW_SETTING_";

            /// What the name of an app's setting's variable starts with:
            /// `RGW_APP_<APP>_SETTING_DESTRUCTIVE_ACTIONS`, the app's name in capitals with `_` for `-`.
            pub const APP_SETTING_PREFIX: &str = "RGW_APP_";

            /// Every variable with a fixed name.
            pub const ALL: &[&str] = &[$($variable,)+ RACK_GATEWAY_CONFIG];
        }
    };
    (@flag $flag:literal) => { Some($flag) };
    (@flag) => { None };
}

keys! {
    /// Directory in which the gateway keeps its own files: the SQLite database and the key made for it.
    /// It must be writable by the gateway and by nobody else.
    DATA_DIR: Some("data_dir"), ["--data-dir"] Text, Fallback::Value("/var/lib/rack-gateway");

    /// The database: `postgres://user:password@host/name` or `sqlite:///path/to/file`.
    DATABASE_URL: Some("database_url"), ["--database-url"] Secret, Fallback::Absent {
        means: "SQLite is used, in the file `gateway.db` of the data directory",
        example: "postgres://gateway@database/gateway",
    };

    /// The key under which secrets in the database are sealed; at least 32 characters, such as the
    /// output of `openssl rand -hex 32`. All instances of one gateway need the same one.
    APP_SECRET_KEY: Some("app_secret_key"), Secret, Fallback::Absent {
        means: "a key is made at the first start and kept beside the database, with a warning",
        example: "file:/run/secrets/app-secret-key",
    };

    /// Directory of further Cedar policies; every file `*.cedar` in it is read.
    POLICY_DIR: Some("policy_dir"), Text, Fallback::Absent {
        means: "only the built-in policies hold",
        example: "/etc/rack-gateway/policies",
    };

    /// IP addresses the public listener binds.
    LISTENER_ADDRESSES: Some("listener.addresses"), List, Fallback::Value("0.0.0.0");

    /// TCP port of the public listener; 0 takes any free one. With `listener.tls = "acme"` it is 443 unless
    /// another is given here.
    PORT: Some("listener.port"), ["--port"] Integer, Fallback::Value("8443");

    /// The gateway's public host name, without scheme or port.
    DOMAIN: Some("listener.domain"), Text, Fallback::Absent {
        means: "the origin of the first sign-in by one of ADMIN_USERS is kept",
        example: "gateway.example.com",
    };

    /// How the public listener does TLS: `acme` gets certificates from an ACME server, `files` reads them from
    /// files, `off` leaves TLS to a router in front.
    LISTENER_TLS: Some("listener.tls"), Text, Fallback::Absent {
        means: "it is `acme` when DOMAIN is given and PORT is not, else `off`",
        example: "files",
    };

    /// PEM files of certificate chains, the leaf first in each; the first is shown to clients that name no
    /// host, or one that is in none of them. The files are read again when they change.
    TLS_CERTIFICATE_FILES: Some("listener.tls_certificate_files"), List, Fallback::Value("");

    /// PEM files of the private keys, in the order of the certificates.
    TLS_KEY_FILES: Some("listener.tls_key_files"), List, Fallback::Value("");

    /// TCP port that answers HTTP-01 challenges and sends everybody else to HTTPS, or `off`; 0 takes any free one.
    HTTP_PORT: Some("listener.http_port"), Text, Fallback::Absent {
        means: "it is `80` with `listener.tls = \"acme\"`, else `off`",
        example: "80",
    };

    /// Ask clients for a certificate, without demanding one. A token may be bound to a certificate, which is then
    /// the machine's credential; who issued it does not matter.
    CLIENT_CERTIFICATES: Some("listener.client_certificates"), Switch, Fallback::Value("false");

    /// Networks of the routers in front, whose `X-Forwarded-For` and `X-Forwarded-Proto`, or `Forwarded`, are
    /// believed, for the client's address and for whether it came over TLS, and for nothing else. The right-most
    /// address that is in none of them is the client. An empty list believes nobody. Networks wider than /8
    /// (IPv6: /7) are refused.
    TRUSTED_FORWARDERS: Some("listener.trusted_forwarders"), List, Fallback::Absent {
        means: "it is nobody with `listener.tls = \"acme\"` or `\"files\"`; with `\"off\"` it is the private and loopback \
                networks, which the gateway says when it starts",
        example: "10.0.3.0/24",
    };

    /// Networks of the balancers in front that begin each connection with a PROXY header of version 2. Their
    /// connections are refused without one, and nobody else's header is read. Networks wider than /8
    /// (IPv6: /7) are refused.
    PROXY_PROTOCOL_FROM: Some("listener.proxy_protocol_from"), List, Fallback::Value("");

    /// Whether clients may speak HTTP/2 without TLS, from the first byte on: for a router in front that ends
    /// TLS and speaks HTTP/2 to what is behind it. With TLS, HTTP/2 is always offered.
    H2C: Some("listener.h2c"), Switch, Fallback::Value("false");

    /// Networks from which alone the gateway is used; everybody else gets a 403. An empty list lets every
    /// network in.
    NETWORK_ALLOW: Some("network.allow"), List, Fallback::Value("");

    /// Networks from which the gateway is not used, also when `allow` lists them.
    NETWORK_DENY: Some("network.deny"), List, Fallback::Value("");

    /// The address of the ACME server's directory.
    ACME_DIRECTORY: Some("acme.directory"), Text,
        Fallback::Value("https://acme-v02.api.letsencrypt.org/directory");

    /// You have read the terms of service of the certificate authority and agree to them.
    ACME_ACCEPT_TERMS: Some("acme.accept_terms"), Switch, Fallback::Value("false");

    /// PEM file of the only authorities that may have signed the ACME server's own certificate.
    ACME_CA_FILE: Some("acme.ca_file"), Text, Fallback::Absent {
        means: "the machine's own list of authorities is used",
        example: "/etc/rack-gateway/acme-ca.pem",
    };

    /// E-mail address that the certificate authority may write to.
    ACME_CONTACT: Some("acme.contact"), Text, Fallback::Absent {
        means: "it is given none",
        example: "ops@example.com",
    };

    /// How the names are proved: `tls-alpn-01` on port 443, `http-01` on port 80, or `dns-01` by TXT records,
    /// which also serves a gateway without a public address.
    ACME_CHALLENGE: Some("acme.challenge"), Text, Fallback::Absent {
        means: "it is `dns-01` when acme.dns.server is given, else `tls-alpn-01` and `http-01` in turn",
        example: "http-01",
    };

    /// Key id of an account that the certificate authority's operator gave you (external account binding);
    /// needs ACME_EAB_KEY too.
    ACME_EAB_KEY_ID: Some("acme.eab_key_id"), Text, Fallback::Absent {
        means: "no such account is used",
        example: "kid-1",
    };

    /// HMAC key of that account in base64url; needs ACME_EAB_KEY_ID too.
    ACME_EAB_KEY: Some("acme.eab_key"), Secret, Fallback::Absent {
        means: "no such account is used",
        example: "file:/run/secrets/acme-eab-key",
    };

    /// IP address, and port unless it is 53, of an authority of the zone that takes dynamic updates (RFC 2136).
    ACME_DNS_SERVER: Some("acme.dns.server"), Text, Fallback::Absent {
        means: "no TXT records are written",
        example: "10.0.0.53",
    };

    /// The zone in which the records are written; every host name must be in it.
    ACME_DNS_ZONE: Some("acme.dns.zone"), Text, Fallback::Absent {
        means: "no TXT records are written",
        example: "example.com",
    };

    /// Name of the TSIG key that signs the updates.
    ACME_DNS_TSIG_NAME: Some("acme.dns.tsig_name"), Text, Fallback::Absent {
        means: "no TXT records are written",
        example: "gateway",
    };

    /// Algorithm of the TSIG key: `hmac-sha256`, `hmac-sha384` or `hmac-sha512`.
    ACME_DNS_TSIG_ALGORITHM: Some("acme.dns.tsig_algorithm"), Text, Fallback::Value("hmac-sha256");

    /// Secret of the TSIG key in base64, as `tsig-keygen` writes it.
    ACME_DNS_TSIG_SECRET: Some("acme.dns.tsig_secret"), Secret, Fallback::Absent {
        means: "no TXT records are written",
        example: "file:/run/secrets/tsig",
    };

    /// IP address of the second listener (`/metrics`, `/healthz`, `/readyz`). It has no sign-in, so it
    /// must be loopback or private: probes and scrapers reach it, the public never.
    ADMIN_ADDRESS: Some("admin_listener.address"), Text, Fallback::Value("127.0.0.1");

    /// TCP port of the second listener; 0 takes any free one.
    ADMIN_PORT: Some("admin_listener.port"), ["--admin-port"] Integer, Fallback::Value("9443");

    /// The rack's API: a host, `host:port`, or a URL without path. Without a scheme it is https.
    RACK_HOST: Some("rack.host"), Text, Fallback::Required { example: "rack.example.com" };

    /// User name of the rack's credential.
    RACK_USERNAME: Some("rack.username"), Text, Fallback::Value("convox");

    /// The rack's password (the token that Convox calls `RACK_TOKEN`). It never leaves the gateway. It may also be
    /// kept in Vault (`vault:mount/path#key`) or AWS Secrets Manager (`aws:secretsmanager:NAME#key`).
    RACK_TOKEN: Some("rack.token"), Secret, Fallback::Required { example: "file:/run/secrets/rack-token" };

    /// Sign requests to the rack with short-lived tokens of the least role that the rack asks for, minted with the
    /// password, in its place. For v3 racks. The rack's own log then names the token's role and not the person.
    RACK_JWT: Some("rack.jwt"), Switch, Fallback::Value("false");

    /// The rack's name for people: letters, digits, dots and hyphens.
    RACK_NAME: Some("rack.name"), Text, Fallback::Absent {
        means: "it is the host name of the rack",
        example: "production",
    };

    /// PEM file of the only authorities that may have signed the rack's certificate.
    RACK_CA_FILE: Some("rack.ca_file"), Text, Fallback::Absent {
        means: "the machine's own list of authorities is used",
        example: "/etc/rack-gateway/rack-ca.pem",
    };

    /// SHA-256 fingerprint of the rack's own certificate, 64 hexadecimal digits, colons allowed. Only
    /// that certificate is accepted. `openssl x509 -noout -fingerprint -sha256` prints it.
    RACK_CERT_FINGERPRINT: Some("rack.cert_fingerprint"), Text, Fallback::Absent {
        means: "authorities decide",
        example: "3a:7b:0c:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd",
    };

    /// Keep the first certificate the rack shows and accept only that one from then on; for racks with
    /// self-signed certificates whose fingerprint is not known beforehand.
    RACK_TRUST_ON_FIRST_USE: Some("rack.trust_on_first_use"), Switch, Fallback::Value("false");

    /// Actions of the rack that are refused unless they are named here, such as `rack:mint_jwt`. They
    /// are then of class *critical*, for admins only.
    RACK_SWITCHED_ON: Some("rack.switched_on"), List, Fallback::Value("");

    /// Host names on which `/` is the rack, besides `/api/v1/rack-proxy` on every host.
    PROXY_HOSTS: Some("proxy.hosts"), List, Fallback::Value("");

    /// E-mail addresses of people who become admins when they are first seen.
    ADMIN_USERS: Some("users.admin"), List, Fallback::Value("");

    /// E-mail addresses of people who become deployers when they are first seen.
    DEPLOYER_USERS: Some("users.deployer"), List, Fallback::Value("");

    /// E-mail addresses of people who get the role `ops` when they are first seen.
    OPERATIONS_USERS: Some("users.operations"), List, Fallback::Value("");

    /// E-mail addresses of people who become viewers when they are first seen.
    VIEWER_USERS: Some("users.viewer"), List, Fallback::Value("");

    /// Client id of the Google OAuth client; needs GOOGLE_CLIENT_SECRET too.
    GOOGLE_CLIENT_ID: None, Text, Fallback::Absent {
        means: "Google is no identity provider",
        example: "1234.apps.googleusercontent.com",
    };

    /// Client secret of the Google OAuth client; needs GOOGLE_CLIENT_ID too.
    GOOGLE_CLIENT_SECRET: None, Secret, Fallback::Absent {
        means: "Google is no identity provider",
        example: "file:/run/secrets/google-client-secret",
    };

    /// Google Workspace domains, joined by commas, whose people may sign in without being listed.
    GOOGLE_ALLOWED_DOMAIN: None, List, Fallback::Value("");

    /// The number that Yubico's validation server knows this gateway by; needs YUBICO_SECRET_KEY too.
    YUBICO_CLIENT_ID: Some("yubico.client_id"), Text, Fallback::Absent {
        means: "what YubiKeys type is no second factor; passkeys on them are",
        example: "12345",
    };

    /// What requests to the validation server and its replies are signed with, in base64; needs YUBICO_CLIENT_ID too.
    YUBICO_SECRET_KEY: Some("yubico.secret_key"), Secret, Fallback::Absent {
        means: "what YubiKeys type is no second factor; passkeys on them are",
        example: "file:/run/secrets/yubico-secret-key",
    };

    /// Address of the validation server's `verify`: Yubico's own, or one of yours (validation protocol 2.0).
    YUBICO_VALIDATION_URL: Some("yubico.validation_url"), Text, Fallback::Value("https://api.yubico.com/wsapi/2.0/verify");

    /// Address that the gateway's mail comes from.
    MAIL_FROM: Some("mail.from"), Text, Fallback::Absent {
        means: "it is POSTMARK_FROM, or `no-reply@` and the first domain whose people may sign in",
        example: "gateway@example.com",
    };

    /// Host name of the SMTP server that takes the gateway's mail.
    SMTP_HOST: Some("mail.smtp.host"), Text, Fallback::Absent {
        means: "no SMTP server is used",
        example: "smtp.example.com",
    };

    /// TCP port of the SMTP server. With `tls = "tls"` it is 465 unless another is given here.
    SMTP_PORT: Some("mail.smtp.port"), Integer, Fallback::Value("587");

    /// How the connection to the SMTP server is kept private: `starttls` (required, not only tried), `tls` from
    /// the first byte, or `off`, which is refused unless the server is on this machine.
    SMTP_TLS: Some("mail.smtp.tls"), Text, Fallback::Value("starttls");

    /// User name at the SMTP server; needs SMTP_PASSWORD too.
    SMTP_USERNAME: Some("mail.smtp.username"), Text, Fallback::Absent {
        means: "the gateway does not sign in there",
        example: "gateway",
    };

    /// Password at the SMTP server; needs SMTP_USERNAME too.
    SMTP_PASSWORD: Some("mail.smtp.password"), Secret, Fallback::Absent {
        means: "the gateway does not sign in there",
        example: "file:/run/secrets/smtp-password",
    };

    /// Server token of Postmark, which then takes the gateway's mail; not together with an SMTP server.
    POSTMARK_API_TOKEN: Some("mail.postmark.api_token"), Secret, Fallback::Absent {
        means: "Postmark is not used",
        example: "file:/run/secrets/postmark-token",
    };

    /// Where Postmark's API is: an `https://` URL without path.
    POSTMARK_API_BASE: Some("mail.postmark.api_base"), Text, Fallback::Value("https://api.postmarkapp.com");

    /// Postmark's message stream.
    POSTMARK_STREAM: Some("mail.postmark.stream"), Text, Fallback::Value("outbound");

    /// Another name of MAIL_FROM.
    POSTMARK_FROM: None, Text, Fallback::Absent {
        means: "MAIL_FROM says it",
        example: "gateway@example.com",
    };

    /// Token with which GitHub is asked about deploys; not together with a GitHub App. It needs to read contents, pull
    /// requests, checks and commit statuses of the repositories that apps are bound to.
    GITHUB_TOKEN: Some("integrations.github.token"), Secret, Fallback::Absent {
        means: "GitHub is asked as the GitHub App, or not at all, and no app can be bound to a repository",
        example: "file:/run/secrets/github-token",
    };

    /// Where GitHub's API is. Of an Enterprise Server it is `https://HOST/api/v3`.
    GITHUB_API_URL: Some("integrations.github.api_url"), Text, Fallback::Value("https://api.github.com");

    /// Number of the GitHub App as which GitHub is asked; needs its installation and its private key too.
    GITHUB_APP_ID: Some("integrations.github.app_id"), Text, Fallback::Absent {
        means: "GitHub is asked with GITHUB_TOKEN, if that is given",
        example: "12345",
    };

    /// Number of the installation of the GitHub App at the owner of the repositories.
    GITHUB_APP_INSTALLATION: Some("integrations.github.app_installation"), Text, Fallback::Absent {
        means: "GitHub is asked with GITHUB_TOKEN, if that is given",
        example: "67890",
    };

    /// Private key of the GitHub App, in PEM as GitHub gave it.
    GITHUB_APP_PRIVATE_KEY: Some("integrations.github.app_private_key"), Secret, Fallback::Absent {
        means: "GitHub is asked with GITHUB_TOKEN, if that is given",
        example: "file:/run/secrets/github-app.pem",
    };

    /// Certificates, in PEM, of the authority that certifies the builders of attestations (of Sigstore: Fulcio's root and
    /// the one below it). Needs the key of its transparency log too.
    ATTESTATION_AUTHORITY: Some("integrations.attestations.authority"), Secret, Fallback::Absent {
        means: "no attestation is believed, and no app whose setting attestation_builders names somebody can be deployed by approval",
        example: "file:/run/secrets/fulcio.pem",
    };

    /// Public key, in PEM, of the transparency log that tells when an attestation was signed (of Sigstore: Rekor's).
    ATTESTATION_LOG_KEY: Some("integrations.attestations.log_key"), Secret, Fallback::Absent {
        means: "no attestation is believed; needs the authority too",
        example: "file:/run/secrets/rekor.pub",
    };

    /// Who must have vouched for the builder when it was certified.
    ATTESTATION_ISSUER: Some("integrations.attestations.issuer"), Text,
        Fallback::Value("https://token.actions.githubusercontent.com");

    /// Personal token with which CircleCI's waiting jobs are approved, of a user who may approve them.
    CIRCLECI_TOKEN: Some("integrations.circleci.token"), Secret, Fallback::Absent {
        means: "no job of CircleCI is approved",
        example: "file:/run/secrets/circleci-token",
    };

    /// Where CircleCI is; a CircleCI server has an address of its own.
    CIRCLECI_URL: Some("integrations.circleci.url"), Text, Fallback::Value("https://circleci.com");

    /// Bot token of the Slack app that tells of approvals (scope `chat:write`); needs SLACK_SIGNING_SECRET too.
    SLACK_BOT_TOKEN: Some("integrations.slack.bot_token"), Secret, Fallback::Absent {
        means: "approvals are told at Slack only when an admin gave the gateway a token while it ran",
        example: "file:/run/secrets/slack-bot-token",
    };

    /// Signing secret of the same app: what shows that a request is Slack's.
    SLACK_SIGNING_SECRET: Some("integrations.slack.signing_secret"), Secret, Fallback::Absent {
        means: "nothing that claims to be Slack's is taken, unless an admin gave the gateway a secret while it ran",
        example: "file:/run/secrets/slack-signing-secret",
    };

    /// Where Slack's web API is.
    SLACK_API_URL: Some("integrations.slack.api_url"), Text, Fallback::Value("https://slack.com/api");

    /// Keys of an app's environment, and parameters of apps and racks, that are not secret; every other
    /// one is. Exact or with one `*` at the start or the end, without regard to case. The list replaces
    /// the default one.
    PLAIN_ENV_KEYS: Some("secrets.plain_env_keys"), List, Fallback::Value(
        "PORT,HOST,TZ,LANG,LC_*,NODE_ENV,RAILS_ENV,RACK_ENV,APP_ENV,GO_ENV,MIX_ENV,FLASK_ENV,\
            DJANGO_SETTINGS_MODULE,ASPNETCORE_ENVIRONMENT,ENVIRONMENT,LOG_LEVEL,LOGLEVEL,RUST_LOG,\
            DEBUG,VERBOSE,*_ENABLED,*_DISABLED,AWS_REGION,AWS_DEFAULT_REGION,WEB_CONCURRENCY,\
            RAILS_MAX_THREADS,RAILS_LOG_TO_STDOUT,RAILS_SERVE_STATIC_FILES,\
            NODE_OPTIONS_MAX_OLD_SPACE_SIZE,PYTHONUNBUFFERED,PYTHONDONTWRITEBYTECODE,Autoscale,\
            AvailabilityZones,availability_zones,BuildCpu,BuildMemory,BuildInstance,build_node_type,\
            build_node_min_count,cert_duration,cidr,gpu_tag_enable,high_availability,\
            HighAvailability,idle_timeout,instance_type,InstanceType,InstanceCount,Internal,\
            InternalOnly,k8s_version,LogRetention,max_on_demand_count,min_on_demand_count,name,\
            node_capacity_type,node_disk,node_type,Private,proxy_protocol,region,release,\
            schedule_rack_scale_down,schedule_rack_scale_up,ssl_ciphers,ssl_protocols,SwapSize,\
            telemetry,Tenancy,Version,VolumeSize,vpc_id"
    );

    /// Where Vault is, for `vault:mount/path#key` in the credential of a `[[service]]`: an `https://` URL without path.
    VAULT_ADDR: Some("vault.address"), Text, Fallback::Absent {
        means: "no `vault:` reference can be followed",
        example: "https://vault.example.com:8200",
    };

    /// Token for Vault.
    VAULT_TOKEN: Some("vault.token"), Secret, Fallback::Absent {
        means: "VAULT_TOKEN_FILE says it",
        example: "file:/run/secrets/vault-token",
    };

    /// File that holds the token for Vault, such as the sink of a Vault agent; read again for each use.
    VAULT_TOKEN_FILE: Some("vault.token_file"), Text, Fallback::Absent {
        means: "VAULT_TOKEN says it",
        example: "/run/vault/token",
    };

    /// Namespace in Vault Enterprise.
    VAULT_NAMESPACE: Some("vault.namespace"), Text, Fallback::Absent {
        means: "there is none",
        example: "platform",
    };

    /// Directory in which checkpoints of the audit log are kept, each a small file: best one that the gateway can add to and
    /// not alter.
    AUDIT_ANCHOR_DIRECTORY: Some("audit.anchors.directory"), Text, Fallback::Absent {
        means: "none are kept in files",
        example: "/mnt/anchors",
    };

    /// Where checkpoints of the audit log are posted as CloudEvents: an https address (http on this machine).
    AUDIT_ANCHOR_WEBHOOK_URL: Some("audit.anchors.webhook_url"), Secret, Fallback::Absent {
        means: "none are posted",
        example: "https://hooks.example.com/anchors",
    };

    /// What those posts are signed with (Standard Webhooks): `whsec_` and base64 of 24 to 64 random bytes.
    AUDIT_ANCHOR_WEBHOOK_SECRET: Some("audit.anchors.webhook_secret"), Secret, Fallback::Absent {
        means: "none are posted",
        example: "file:/run/secrets/audit-anchor",
    };

    /// A bucket of S3 with Object Lock, in which checkpoints of the audit log are kept so that nobody can alter or remove them. It is
    /// asked with the gateway's credentials at AWS, and at `AWS_ENDPOINT_URL_S3` when that is another store.
    AUDIT_ANCHOR_BUCKET: Some("audit.anchors.bucket"), Text, Fallback::Absent {
        means: "none are kept at S3",
        example: "corp-audit-anchors",
    };

    /// What the names of the objects begin with.
    AUDIT_ANCHOR_PREFIX: Some("audit.anchors.prefix"), Text, Fallback::Absent {
        means: "nothing stands before them",
        example: "rack-gateway/",
    };

    /// The region of the bucket.
    AUDIT_ANCHOR_REGION: Some("audit.anchors.region"), Text, Fallback::Absent {
        means: "`aws.region` says it",
        example: "eu-west-1",
    };

    /// For how many days nobody, the owner of the account included, can remove an object (1 to 36500).
    AUDIT_ANCHOR_RETENTION_DAYS: Some("audit.anchors.retention_days"), Integer, Fallback::Value("400");

    /// The key of KMS under which the objects are sealed: its ARN, id or alias.
    AUDIT_ANCHOR_KMS_KEY: Some("audit.anchors.kms_key"), Text, Fallback::Absent {
        means: "they are sealed as the bucket has it",
        example: "alias/audit-anchors",
    };

    /// How often, besides the start and the stop.
    AUDIT_ANCHOR_INTERVAL: Some("audit.anchors.interval"), Duration, Fallback::Value("1h");

    /// The region of AWS Secrets Manager and STS, for `aws:secretsmanager:` references that are no whole ARN.
    AWS_REGION: Some("aws.region"), Text, Fallback::Absent {
        means: "AWS_DEFAULT_REGION says it",
        example: "eu-west-1",
    };

    /// ARN of a role that is taken on with whatever credentials the gateway has at AWS.
    AWS_ASSUME_ROLE_ARN: Some("aws.assume_role"), Text, Fallback::Absent {
        means: "the gateway acts as what its machine, task or pod is",
        example: "arn:aws:iam::123456789012:role/rack-gateway-secrets",
    };

    /// External id that the role's trust policy asks for.
    AWS_ASSUME_ROLE_EXTERNAL_ID: Some("aws.external_id"), Text, Fallback::Absent {
        means: "none is sent",
        example: "rack-gateway",
    };

    /// Largest request head (request line and headers), in bytes.
    HEAD_SIZE_BYTES: Some("limits.head_size_bytes"), Integer, Fallback::Value("65536");

    /// Largest form or JSON body that is read into memory, in bytes. Uploads are streamed and not
    /// limited by it.
    FORM_SIZE_BYTES: Some("limits.form_size_bytes"), Integer, Fallback::Value("1048576");

    /// How long a client may take to send a request head, a PROXY header, or its first byte.
    HEAD_TIMEOUT: Some("limits.head_timeout"), Duration, Fallback::Value("10s");

    /// How long a client may pause while it sends a body. Bodies as a whole have no limit of time.
    BODY_TIMEOUT: Some("limits.body_timeout"), Duration, Fallback::Value("30s");

    /// The least bytes per second of a body, beside one pause; 0 = any.
    BODY_BYTES_PER_SECOND: Some("limits.body_bytes_per_second"), Integer, Fallback::Value("256");

    /// How long a client may leave a reply unread before it is broken off. Sockets are not: somebody may
    /// look at a terminal.
    SEND_TIMEOUT: Some("limits.send_timeout"), Duration, Fallback::Value("5m");

    /// How long a connection may stay open between two requests. A router in front should give up earlier
    /// (AWS balancers: 60 seconds), so that it never sends a request into a connection that just ends.
    IDLE_TIMEOUT: Some("limits.idle_timeout"), Duration, Fallback::Value("75s");

    /// How long connecting to the rack may take.
    RACK_CONNECT_TIMEOUT: Some("limits.rack_connect_timeout"), Duration, Fallback::Value("10s");

    /// How often the rack is compared with the audit log, so that a change which did not come through the gateway is told of
    /// (docs/zone.md); 0s = never.
    SENTINEL_INTERVAL: Some("rack.sentinel_interval"), Duration, Fallback::Value("30s");

    /// Base address of a collector of OpenTelemetry that takes traces over HTTP; `/v1/traces` follows. docs/monitoring.md has what
    /// they tell.
    TRACES_ADDRESS: Some("traces.address"), Text, Fallback::Absent {
        means: "requests are not traced",
        example: "https://collector.example.com:4318",
    };

    /// Of which share of the requests that went well the trace is told, 0 to 1, such as 0.05; of refusals and failures it is always.
    TRACES_RATIO: Some("traces.ratio"), Text, Fallback::Value("0.01");

    /// A header that the collector wants, as `NAME: VALUE`.
    TRACES_HEADER: Some("traces.header"), Secret, Fallback::Absent {
        means: "none is sent",
        example: "file:/run/secrets/collector-header",
    };

    /// Certificates in PEM that the collector's is checked against.
    TRACES_CA_FILE: Some("traces.ca_file"), Text, Fallback::Absent {
        means: "those of the operating system",
        example: "/etc/rack-gateway/collector-ca.pem",
    };

    /// Compose file whose labels (`rack-gateway.service` and the others of docs/services.md) ask for services. They are shown as
    /// candidates, with what would change, and are in force only once an admin approves. It is read whenever somebody looks.
    CANDIDATES_COMPOSE_FILE: Some("candidates.compose_file"), Text, Fallback::Absent {
        means: "no file is looked at, and a file can still be given to `rack-gateway services candidates`",
        example: "/srv/deployment/compose.yaml",
    };

    /// How often the gateway itself looks whether anything answers past it (docs/zone.md): the ports of zone.probe_manifest at
    /// zone.probe_hosts, and its services in the trust zone without an identity; 0s = never.
    ZONE_PROBE_INTERVAL: Some("zone.probe_interval"), Duration, Fallback::Value("5m");

    /// Manifest of the deployment (docs/zone.md), whose gateway and external ports alone may answer at zone.probe_hosts. It is read
    /// at each look.
    ZONE_PROBE_MANIFEST: Some("zone.probe_manifest"), Text, Fallback::Absent {
        means: "no ports are looked at",
        example: "/etc/rack-gateway/zone.toml",
    };

    /// Names or addresses of the deployment's machines, as the gateway reaches them.
    ZONE_PROBE_HOSTS: Some("zone.probe_hosts"), List, Fallback::Absent {
        means: "no ports are looked at",
        example: "10.0.0.5,db.internal",
    };

    /// How long open requests, and after SIGTERM also sockets, may go on once the gateway stops. Together with
    /// limits.drain_notice and 5 s for the farewell of sockets it must end before the supervisor kills (systemd's
    /// TimeoutStopSec, Kubernetes' terminationGracePeriodSeconds).
    DRAIN_TIMEOUT: Some("limits.drain_timeout"), Duration, Fallback::Value("30s");

    /// How long a gateway that is to stop still takes new requests while it says that it drains (503 at /readyz and
    /// /api/v1/health, `Connection: close` on its replies), so that balancers stop sending first. Longer than one
    /// interval of their checks.
    DRAIN_NOTICE: Some("limits.drain_notice"), Duration, Fallback::Value("5s");

    /// How long open sockets may go on after `rack-gateway drain`, or after another process took the listener over
    /// (`rack-gateway serve --take-over`): then no supervisor waits with a kill.
    HAND_OVER_TIMEOUT: Some("limits.hand_over_timeout"), Duration, Fallback::Value("10m");

    /// How long a credential that this instance has seen may read on while the database cannot be asked who it is:
    /// the longest time that a revocation can miss (docs/degraded.md).
    KNOWN_CALLERS_TIMEOUT: Some("limits.known_callers_timeout"), Duration, Fallback::Value("15m");

    /// How long a TLS handshake may take.
    HANDSHAKE_TIMEOUT: Some("limits.handshake_timeout"), Duration, Fallback::Value("10s");

    /// TLS handshakes that may be unfinished at one time, at most half of limits.connections. When there are
    /// more, the oldest of the address that has the most is ended.
    HANDSHAKES: Some("limits.handshakes"), Integer, Fallback::Value("1024");

    /// Connections open at one time, all clients together.
    CONNECTIONS: Some("limits.connections"), Integer, Fallback::Value("4096");

    /// Connections open at one time from one address (IPv6: one /64). Those of listed forwarders are not
    /// counted: they are of many clients.
    CONNECTIONS_PER_ADDRESS: Some("limits.connections_per_address"), Integer, Fallback::Value("512");

    /// Requests that one HTTP/2 connection may have open at one time.
    HTTP2_STREAMS: Some("limits.http2_streams"), Integer, Fallback::Value("100");

    /// Requests per second that one address (IPv6: one /64) may send over time, with whatever credential or
    /// none. They are counted before a credential is looked at.
    ADDRESS_REQUESTS_PER_SECOND: Some("limits.address_requests_per_second"), Integer, Fallback::Value("200");

    /// Requests that one address may send at once before its rate counts.
    ADDRESS_REQUEST_BURST: Some("limits.address_request_burst"), Integer, Fallback::Value("1000");

    /// Requests to sign in, and to give, add or remove a second factor, that one address may send in a minute
    /// over time.
    SIGN_INS_PER_MINUTE: Some("limits.sign_ins_per_minute"), Integer, Fallback::Value("120");

    /// Such requests that one address may send at once before their rate counts.
    SIGN_IN_BURST: Some("limits.sign_in_burst"), Integer, Fallback::Value("120");

    /// Requests per second that one caller may send over time, of all classes together.
    REQUESTS_PER_SECOND: Some("limits.requests_per_second"), Integer, Fallback::Value("50");

    /// Requests that one caller may send at once before the rate counts.
    REQUEST_BURST: Some("limits.request_burst"), Integer, Fallback::Value("200");

    /// Requests per second of class *reveal* that one caller may send over time.
    REVEALS_PER_SECOND: Some("limits.reveals_per_second"), Integer, Fallback::Value("10");

    /// Requests of class *reveal* that one caller may send at once before the rate counts.
    REVEAL_BURST: Some("limits.reveal_burst"), Integer, Fallback::Value("100");

    /// Requests per second of class *change* or *critical* that one caller may send over time.
    CHANGES_PER_SECOND: Some("limits.changes_per_second"), Integer, Fallback::Value("10");

    /// Requests of class *change* or *critical* that one caller may send at once before the rate counts.
    CHANGE_BURST: Some("limits.change_burst"), Integer, Fallback::Value("100");

    /// Requests per second of class *execute* that one caller may send over time.
    EXECUTES_PER_SECOND: Some("limits.executes_per_second"), Integer, Fallback::Value("5");

    /// Requests of class *execute* that one caller may send at once before the rate counts.
    EXECUTE_BURST: Some("limits.execute_burst"), Integer, Fallback::Value("50");

    /// Requests that one caller may have open at one time.
    CONCURRENT_REQUESTS: Some("limits.concurrent_requests"), Integer, Fallback::Value("200");

    /// Requests that one address (IPv6: one /64) may have open at one time.
    ADDRESS_CONCURRENT_REQUESTS: Some("limits.address_concurrent_requests"), Integer, Fallback::Value("1000");

    /// Sockets (logs, exec) that one caller may have open at one time.
    SOCKETS: Some("limits.sockets"), Integer, Fallback::Value("100");

    /// How the program's own log is written: `json`, one object a line, or `text`, for people.
    LOG_FORMAT: Some("log.format"), Text, Fallback::Value("json");

    /// Which lines the program's own log has: a level, or a `tracing` filter such as
    /// `info,gateway_proxy=debug`. What the TLS library says of each broken handshake is left out, unless the filter names
    /// `rustls`.
    LOG_FILTER: Some("log.filter"), Text, Fallback::Value("info");
}
