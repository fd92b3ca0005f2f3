//! The trust zone: `/zone` for admins, and `/zone/enrol`, `/zone/renew`, `/zone/report` and `/zone/bundle` for members.

use std::time::Duration;

use data_encoding::BASE64;
use gateway_app::App;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::zone::authority::{self, NewZone, Rehearsal, Shown};
use gateway_app::zone::members::{self, Joined, RefusedThere, Report};
use gateway_app::zone::{Registration, ZoneError, kept};
use gateway_config::duration::{format_duration, parse_duration};
use gateway_pki::rotation::Kind;
use gateway_pki::{Bundle, Cost, Detail};
use gateway_services::Claim;
use gateway_store::{ZoneAuthority as KeptAuthority, ZoneMember as KeptMember, ZoneService as KeptService};
use gateway_types::wire::zone::{
    BackUpZone, Enrol, Enrolled, InitZone, MakeJoinToken, MemberReport, MemberStanding, RegisterZoneService,
    Renew, RestoreZone, RotateZone, Zone, ZoneAuthority, ZoneBackup, ZoneJoinToken, ZoneMember, ZoneRotated,
    ZoneService,
};
use gateway_types::{Problem, Secret, Timestamp, ZoneMemberId};
use http::header::CACHE_CONTROL;

use crate::input::{self, bad};
use crate::paging::{bare, no_query};
use crate::reply::{self, Answer};

/// How long leaves live unless it is said.
const LEAF_LIFE: Duration = Duration::from_secs(3600);

/// The shortest that is said by this way.
const SHORTEST_LEAF_LIFE: Duration = Duration::from_secs(300);

fn zone(shown: Shown, now: Timestamp) -> Zone {
    let Shown { content, services, members, domain } = shown;
    Zone {
        gateway: domain.gateway().to_string(),
        trust_domain: domain.to_string(),
        sequence: content.zone.sequence,
        leaf_life: format_duration(content.zone.leaf_life),
        created: content.zone.created.to_rfc3339(),
        authorities: content.authorities.into_iter().map(one_authority).collect(),
        services: services.into_iter().map(|(kept, checked)| service(kept, &checked)).collect(),
        members: members.into_iter().map(|one| member(one, now)).collect(),
    }
}

fn one_authority(one: KeptAuthority) -> ZoneAuthority {
    let kind = if one.root.is_none() { "root" } else { "issuer" };
    ZoneAuthority {
        key: one.name,
        kind: kind.to_owned(),
        phase: one.phase,
        created: one.created.to_rfc3339(),
        expires: one.expires.to_rfc3339(),
    }
}

fn service(kept: KeptService, checked: &Registration) -> ZoneService {
    ZoneService {
        name: kept.name,
        spiffe_id: checked.id.to_string(),
        listeners: checked.listeners_text(),
        callers: checked.callers_text(),
        updated: kept.updated.to_rfc3339(),
        updated_by: kept.updated_by,
    }
}

fn member(one: KeptMember, now: Timestamp) -> ZoneMember {
    let state = match (one.banned, one.expires < now) {
        (Some(_), _) => "banned",
        (None, true) => "over",
        (None, false) => "live",
    };
    ZoneMember {
        id: one.id.to_string(),
        service: one.service,
        state: state.to_owned(),
        issuer: one.issuer,
        sequence: one.seen,
        enrolled: one.enrolled.to_rfc3339(),
        last_seen: one.last_seen.to_rfc3339(),
        expires: one.expires.to_rfc3339(),
        banned_by: one.banned_by,
    }
}

fn standing(app: &App, bundle: &Bundle, registration: &Registration) -> Result<MemberStanding, Problem> {
    Ok(MemberStanding {
        bundle: bundle.to_json(Detail::Members).map_err(ZoneError::from)?,
        gateway: bundle.domain.gateway().to_string(),
        token_issuer: app.token_issuer(),
        callers: registration.callers_text(),
        listeners: registration.listeners_text(),
        registration_refused: None,
    })
}

fn enrolled(app: &App, joined: &Joined) -> Answer {
    reply::json(&Enrolled {
        member: joined.member.to_string(),
        spiffe_id: joined.registration.id.to_string(),
        chain: joined.leaf.chain.iter().map(|der| BASE64.encode(der)).collect(),
        not_before: joined.leaf.not_before.to_rfc3339(),
        not_after: joined.leaf.not_after.to_rfc3339(),
        standing: standing(app, &joined.bundle, &joined.registration)?,
    })
}

fn der(text: &str) -> Result<Vec<u8>, Problem> {
    BASE64.decode(text.as_bytes()).map_err(|_bad| bad("csr: a certificate request as DER in base64"))
}

/// The zone: its authorities, the services that may join, and who did.
#[utoipa::path(get, path = "/api/v1/zone", tag = "zone", responses((status = 200, body = Zone)))]
pub(crate) async fn read(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    reply::json(&zone(authority::show(app).await?, app.clock.now()))
}

/// Makes the zone: a root, whose key is sealed by the passphrase, and an issuer.
#[utoipa::path(post, path = "/api/v1/zone", tag = "zone", request_body = InitZone,
    responses((status = 201, body = Zone)))]
pub(crate) async fn init(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let asked: InitZone = input::secret_json(request)?;
    let leaf_life = match &asked.leaf_life {
        None => LEAF_LIFE,
        Some(text) => {
            parse_duration(text).filter(|life| *life >= SHORTEST_LEAF_LIFE).ok_or(ZoneError::LeafLife)?
        }
    };
    let new = NewZone {
        trust_domain: asked.trust_domain,
        leaf_life,
        passphrase: Secret::new(asked.passphrase),
        cost: Cost::default(),
    };
    let operator = app.operator(&request.caller, request.request_id);
    authority::init(app, &operator, new).await?;
    reply::created("/api/v1/zone", &zone(authority::show(app).await?, app.clock.now()))
}

/// Registers a service, or writes anew what it is: its listeners and who may call it.
#[utoipa::path(put, path = "/api/v1/zone/services/{name}", tag = "zone", params(("name" = String, Path)),
    request_body = RegisterZoneService, responses((status = 200, body = ZoneService)))]
pub(crate) async fn register(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let name: String = input::path(request, "name")?;
    let asked: RegisterZoneService = input::json(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let done = authority::register(app, &operator, &name, &asked.listeners, &asked.callers).await?;
    reply::json(&service(done.0, &done.1))
}

/// Forgets a service: its members are banned, its join tokens are worth nothing.
#[utoipa::path(delete, path = "/api/v1/zone/services/{name}", tag = "zone", params(("name" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn unregister(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let name: String = input::path(request, "name")?;
    let operator = app.operator(&request.caller, request.request_id);
    authority::unregister(app, &operator, &name).await?;
    Ok(reply::no_content())
}

/// Makes a join token: good once, for ten minutes. It is shown here and never again.
#[utoipa::path(post, path = "/api/v1/zone/services/{name}/join-token", tag = "zone",
    params(("name" = String, Path)), request_body = MakeJoinToken,
    responses((status = 200, body = ZoneJoinToken)))]
pub(crate) async fn join_token(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let name: String = input::path(request, "name")?;
    let asked: MakeJoinToken = input::json_or_default(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let (token, registration, expires) =
        authority::join_token(app, &operator, &name, asked.key.as_deref()).await?;
    reply::json(&ZoneJoinToken {
        token: token.text().expose().clone(),
        spiffe_id: registration.id.to_string(),
        expires: expires.to_rfc3339(),
    })
}

/// Bans a member: its leaf is refused, and it gets no other.
#[utoipa::path(delete, path = "/api/v1/zone/members/{id}", tag = "zone", params(("id" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn ban(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let id: ZoneMemberId = input::path(request, "id")?;
    let operator = app.operator(&request.caller, request.request_id);
    authority::ban(app, &operator, id).await?;
    Ok(reply::no_content())
}

/// Takes one step of a rotation, or rehearses it.
#[utoipa::path(post, path = "/api/v1/zone/rotate", tag = "zone", request_body = RotateZone,
    responses((status = 200, body = ZoneRotated)))]
pub(crate) async fn rotate(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let asked: RotateZone = input::secret_json(request)?;
    let kind = match asked.kind.as_str() {
        "issuer" => Kind::Issuer,
        "root" => Kind::Root,
        _ => return Err(ZoneError::RotationKind.into()),
    };
    let step = asked.step.parse().map_err(ZoneError::from)?;
    let rehearsal = if asked.rehearse { Rehearsal::Only } else { Rehearsal::No };
    let operator = app.operator(&request.caller, request.request_id);
    let passphrase = asked.passphrase.map(Secret::new);
    let done = authority::rotate(app, &operator, kind, step, passphrase, rehearsal).await?;
    let moves = done.plan.moves.iter().map(|(key, phase)| format!("{key} {}", phase.name())).collect();
    reply::json(&ZoneRotated {
        rehearsed: asked.rehearse,
        makes: done.plan.makes,
        moves,
        sequence: done.sequence,
    })
}

/// The whole zone, sealed by a passphrase.
#[utoipa::path(post, path = "/api/v1/zone/backup", tag = "zone", request_body = BackUpZone,
    responses((status = 200, body = ZoneBackup)))]
pub(crate) async fn backup(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let asked: BackUpZone = input::secret_json(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let sealed = kept::back_up(app, &operator, Secret::new(asked.passphrase)).await?;
    reply::json(&ZoneBackup { format: kept::FORMAT.to_owned(), sealed })
}

/// Puts a backup in force where there is no zone.
#[utoipa::path(post, path = "/api/v1/zone/restore", tag = "zone", request_body = RestoreZone,
    responses((status = 201, body = Zone)))]
pub(crate) async fn restore(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let asked: RestoreZone = input::secret_json(request)?;
    if asked.backup.format != kept::FORMAT {
        return Err(ZoneError::Backup.into());
    }
    let operator = app.operator(&request.caller, request.request_id);
    kept::restore(app, &operator, Secret::new(asked.passphrase), &asked.backup.sealed).await?;
    reply::created("/api/v1/zone", &zone(authority::show(app).await?, app.clock.now()))
}

/// Joins the zone by a join token. Only the key is taken from the request; names are the registration's.
#[utoipa::path(post, path = "/zone/enrol", tag = "zone", request_body = Enrol,
    responses((status = 200, body = Enrolled)))]
pub(crate) async fn enrol(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let asked: Enrol = input::secret_json(request)?;
    let csr = der(&asked.csr)?;
    let operator = app.operator(&request.caller, request.request_id);
    let token = Secret::new(asked.token);
    enrolled(app, &members::enrol(app, &operator, token.expose(), &csr).await?)
}

/// Gives a member its next leaf; the one that holds is shown in the handshake.
#[utoipa::path(post, path = "/zone/renew", tag = "zone", request_body = Renew,
    responses((status = 200, body = Enrolled)))]
pub(crate) async fn renew(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let asked: Renew = input::json(request)?;
    let csr = der(&asked.csr)?;
    let operator = app.operator(&request.caller, request.request_id);
    let leaf = request.head.client_certificate.as_deref();
    enrolled(app, &members::renew(app, &operator, leaf, &csr).await?)
}

/// Takes what a member saw, and says what it must know; its leaf is shown in the handshake.
#[utoipa::path(post, path = "/zone/report", tag = "zone", request_body = MemberReport,
    responses((status = 200, body = MemberStanding)))]
pub(crate) async fn report(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let asked: MemberReport = input::json(request)?;
    let refused: Vec<RefusedThere> = asked
        .refused
        .into_iter()
        .map(|one| RefusedThere {
            peer: one.peer,
            claimed: one.claimed,
            reason: one.reason,
            count: one.count,
        })
        .collect();
    let operator = app.operator(&request.caller, request.request_id);
    let leaf = request.head.client_certificate.as_deref();
    let claim = asked.registration.map(|one| Claim {
        address: one.address,
        prefix: one.prefix,
        version: one.version,
        is_healthy: one.healthy,
        capabilities: one.capabilities,
    });
    let report = Report { sequence: asked.sequence, refused, claim };
    let told = members::report(app, &operator, leaf, &report).await?;
    let mut standing = standing(app, &told.bundle, &told.registration)?;
    standing.registration_refused = told.claim_fault.map(|fault| fault.to_string());
    reply::json(&standing)
}

/// The roots of the zone, as a SPIFFE bundle. For members also who is banned.
#[utoipa::path(get, path = "/zone/bundle", tag = "zone",
    responses((status = 200, body = String, content_type = "application/json")))]
pub(crate) async fn bundle(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let text = members::bundle(app, request.head.client_certificate.as_deref()).await?;
    Ok(OwnReply::new(200, "application/json", text).with_header(CACHE_CONTROL, "no-store"))
}
