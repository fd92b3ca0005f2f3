//! What to do about the errors that people meet. Errors that already say it have no line here.

mod gateway;

use std::error::Error;

use gateway_app::AppError;
use gateway_client::ClientError;
use gateway_client::sign_in::SignInError;
use gateway_config::ConfigFaults;
use gateway_server::StartError;
use gateway_store::StoreError;

use super::Exit;
use crate::racks::RacksError;

/// A gateway says itself what its no is. A store that does not answer is a gateway that does not;
/// everything else is a failure.
pub(super) fn exit(error: &(dyn Error + 'static)) -> Exit {
    if let Some(error) = error.downcast_ref::<ClientError>() {
        return gateway::exit(error);
    }
    if let Some(error) = error.downcast_ref::<SignInError>() {
        return gateway::sign_in_exit(error);
    }
    if let Some(RacksError::UnknownRack(_) | RacksError::NameTaken { .. }) =
        error.downcast_ref::<RacksError>()
    {
        return Exit::Usage;
    }
    let store = match (error.downcast_ref::<StartError>(), error.downcast_ref::<AppError>()) {
        (Some(StartError::Store(store)), _) | (_, Some(AppError::Store(store))) => Some(store),
        _ => error.downcast_ref::<StoreError>(),
    };
    if store.is_some_and(StoreError::is_unavailable) { Exit::Unreachable } else { Exit::Failed }
}

/// The hint for the first error in the chain that has one.
pub(super) fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<ClientError>() {
            return gateway::hint(error);
        }
        if let Some(SignInError::Client(error)) = error.downcast_ref::<SignInError>() {
            return gateway::hint(error);
        }
        if let Some(hint) = of(error) {
            return Some(hint.to_owned());
        }
        next = error.source();
    }
    None
}

fn of(error: &(dyn Error + 'static)) -> Option<&'static str> {
    if let Some(error) = error.downcast_ref::<StartError>() {
        return start(error);
    }
    if let Some(error) = error.downcast_ref::<AppError>() {
        return app(error);
    }
    if let Some(error) = error.downcast_ref::<StoreError>() {
        return store(error);
    }
    error.is::<ConfigFaults>().then_some(
        "every key is explained in rack-gateway.toml.example; `rack-gateway config check` tells when all is well",
    )
}

fn start(error: &StartError) -> Option<&'static str> {
    match error {
        StartError::Listen { .. } => Some(
            "stop the other program, or take other ports with --port and --admin-port (0 takes any free one)",
        ),
        StartError::Policy(_) | StartError::PolicyFile { .. } => Some(
            "look at the files in policy_dir; `rack-gateway config check` reads them without starting anything",
        ),
        StartError::Service { .. } | StartError::Services(_) => {
            Some("look at [[service]] in the configuration; docs/services.md explains each field")
        }
        StartError::Integrations(_) => {
            Some("look at the integrations in the configuration; docs/integrations.md explains each key")
        }
        StartError::Store(error) => store(error),
        StartError::TakeOver(_) => Some(
            "start without --take-over once the other has ended; `rack-gateway drain --wait` ends it without cutting anybody off",
        ),
        StartError::StillHeld(_) => Some("end the other gateway, then start again without --take-over"),
        StartError::Routes(_)
        | StartError::Own(_)
        | StartError::Rack(_)
        | StartError::RackHost
        | StartError::Labels(_)
        | StartError::PlainKeys(_)
        | StartError::Fetch(_)
        | StartError::Tls(_)
        | StartError::Mail(_)
        | StartError::Sink { .. }
        | StartError::Traces { .. }
        | StartError::Anchors { .. }
        | StartError::Reload(_) => None,
    }
}

fn app(error: &AppError) -> Option<&'static str> {
    match error {
        AppError::Store(error) => store(error),
        AppError::Log(_) | AppError::Checkpoint(_) | AppError::Anchor(_) => Some(
            "keep a copy of the database as it is now, and compare it with an export or a checkpoint kept elsewhere",
        ),
        AppError::UnknownPerson { .. }
        | AppError::UnknownToken(_)
        | AppError::UnknownTrustRule(_)
        | AppError::AmbiguousToken { .. }
        | AppError::BadTokenName
        | AppError::NoRole
        | AppError::CertificateEnded
        | AppError::KeyIsBound
        | AppError::UnknownAction { .. }
        | AppError::UnknownRequest(_)
        | AppError::SigningKey
        | AppError::PrunedMeanwhile
        | AppError::Write(_) => None,
    }
}

fn store(error: &StoreError) -> Option<&'static str> {
    match error {
        StoreError::Unavailable { .. } | StoreError::TimedOut { .. } => Some(
            "look whether the database runs, and at DATABASE_URL; `rack-gateway config explain` shows what is in force",
        ),
        StoreError::File { .. } => {
            Some("name a directory that this user can write with --data-dir or DATA_DIR")
        }
        StoreError::Url { .. } => Some("write sqlite:///path/to/file or postgres://user:password@host/name"),
        StoreError::OtherRack => Some(
            "give the RACK_HOST or the DATABASE_URL that belong together; if the rack moved to this address, start once with `rack-gateway serve --adopt-database`",
        ),
        StoreError::NotRecorded { .. } => {
            Some("nothing was changed; repeat it when the database can be written")
        }
        _ => None,
    }
}
