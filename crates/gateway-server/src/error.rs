//! Why a gateway does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use gateway_app::policies::ReloadError;
use gateway_convox::TableError;
use gateway_jobs::MailError;
use gateway_policy::{OwnTableError, PolicyError};
use gateway_proxy::UpstreamError;
use gateway_secrets::{LabelError, PlainKeysError};
use gateway_services::ServiceFault;
use gateway_store::StoreError;
use gateway_tls::TlsError;

use crate::fetch::FetchSetupError;
use crate::sinks::SinkSetupError;

/// Why a gateway does not start. Each names what to change.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be bound.
    #[error("cannot listen on {address}; another program may use the port, or a lower port may need rights")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The way to the collector of traces cannot be made.
    #[error("the collector of traces (traces.address) cannot be used")]
    Traces {
        /// What is wrong.
        #[source]
        source: SinkSetupError,
    },
    /// Another process's listeners cannot be taken over.
    #[error(
        "the gateway that runs on this data directory cannot be taken over; is it the same user's, and of this version?"
    )]
    TakeOver(#[source] io::Error),
    /// The gateway that is taken over did not let go of the database.
    #[error("the gateway that runs on this database did not let go of it in time; look at its log")]
    StillHeld(#[source] StoreError),
    /// The store cannot be opened.
    #[error("the store cannot be opened")]
    Store(#[from] StoreError),
    /// TLS cannot be set up as configured.
    #[error("TLS cannot be set up; look at listener.tls in the configuration")]
    Tls(#[from] TlsError),
    /// A route table is wrong.
    #[error(
        "the table of rack routes cannot be used; look at rack.route and rack.switched_on in the configuration"
    )]
    Routes(#[from] TableError),
    /// GitHub or CircleCI cannot be asked as configured.
    #[error("GitHub or CircleCI cannot be asked; look at the integrations in the configuration")]
    Integrations(#[from] gateway_app::integrations::SetupError),
    /// The gateway's own table is wrong.
    #[error("the gateway's own table of operations cannot be used")]
    Own(#[from] OwnTableError),
    /// A policy is wrong.
    #[error("the policies cannot be used")]
    Policy(#[from] PolicyError),
    /// A policy file cannot be read.
    #[error("{} cannot be read", path.display())]
    PolicyFile {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The rack's address, credential or TLS settings cannot be used.
    #[error("the way to the rack cannot be used; look at RACK_HOST, RACK_TOKEN and rack.tls")]
    Rack(#[from] UpstreamError),
    /// The rack's address has no host.
    #[error("RACK_HOST names no host")]
    RackHost,
    /// A row's secret labels are wrong.
    #[error("the secret labels of a rack route cannot be understood")]
    Labels(#[from] LabelError),
    /// Identity providers cannot be asked.
    #[error("identity providers cannot be asked")]
    Fetch(#[from] FetchSetupError),
    /// A sink of the audit log cannot be as it is declared.
    #[error("the audit sink `{name}` cannot be used; look at its [[audit.sinks]] in the configuration")]
    Sink {
        /// Its name.
        name: String,
        /// What is wrong.
        #[source]
        source: SinkSetupError,
    },
    /// Checkpoints cannot be posted as configured.
    #[error("the audit log cannot be anchored; look at the keys under [audit.anchors]")]
    Anchors {
        /// What is wrong.
        #[source]
        source: SinkSetupError,
    },
    /// Mail cannot be sent as configured.
    #[error("mail cannot be sent so; look at the keys under [mail]")]
    Mail(#[from] MailError),
    /// The policies in the database do not load.
    #[error(
        "the policies in the database cannot be put in force; `rack-gateway policy list --database-url …` shows them, and `rack-gateway policy remove ID --database-url …` takes one away"
    )]
    Reload(#[from] ReloadError),
    /// Services are wrong.
    #[error("a service cannot be as it is declared: {}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Service {
        /// What is wrong.
        faults: Vec<ServiceFault>,
    },
    /// Services do not go together.
    #[error("the services do not go together; look at [[service]] in the configuration")]
    Services(#[from] gateway_services::TableError),
    /// The list of plain environment keys is wrong.
    #[error("secrets.plain_env_keys cannot be used")]
    PlainKeys(#[from] PlainKeysError),
}
