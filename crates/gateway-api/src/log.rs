//! The log's tree, for whoever checks it: `/log`.

use gateway_app::App;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::tree::{self, Tile};
use gateway_audit::Hash;
use gateway_types::wire::log::{LogKeys, Proof, ProofQuery};
use gateway_types::{Layer, Problem, ProblemKind};
use http::header::CACHE_CONTROL;

use crate::input;
use crate::paging::no_query;
use crate::reply::{self, Answer};

/// What tiles and bundles are.
const BYTES: &str = "application/octet-stream";

/// The signed checkpoint of the audit log's present head (C2SP tlog-checkpoint, a signed note).
#[utoipa::path(get, path = "/log/checkpoint", tag = "audit",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn checkpoint(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let note = app.store.audit().checkpoint().await.map_err(gateway_app::AppError::from)?;
    Ok(reply::text(note).with_header(CACHE_CONTROL, "no-store"))
}

/// Every key that ever signed the log's checkpoints, oldest first, each handed over by the one before.
#[utoipa::path(get, path = "/log/keys", tag = "audit", responses((status = 200, body = LogKeys)))]
pub(crate) async fn keys(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    reply::json(&tree::keys(&app.store).await?)
}

/// A proof: `inclusion` (that entry `index` is in the tree of `size` entries) or `consistency` (that the tree
/// of `old` entries is the beginning of that of `size`).
#[utoipa::path(get, path = "/log/proof/{kind}", tag = "audit", params(("kind" = String, Path), ProofQuery),
    responses((status = 200, body = Proof)))]
pub(crate) async fn proof(app: &App, request: &OwnRequest) -> Answer {
    let asked: ProofQuery = input::query(request)?;
    let proof = match request.parameter("kind") {
        Some("inclusion") if asked.old.is_none() => {
            let index = asked.index.ok_or_else(|| input::bad("`index` is missing"))?;
            tree::inclusion(&app.store, index, asked.size).await?
        }
        Some("consistency") if asked.index.is_none() => {
            let old = asked.old.ok_or_else(|| input::bad("`old` is missing"))?;
            tree::consistency(&app.store, old, asked.size).await?
        }
        Some("inclusion") => return Err(input::bad("an inclusion proof takes `index` and `size`")),
        Some("consistency") => return Err(input::bad("a consistency proof takes `old` and `size`")),
        Some(_) | None => {
            let detail = "the proofs are `inclusion` and `consistency`";
            return Err(Problem::new(ProblemKind::NotFound, Layer::Network, detail));
        }
    };
    reply::json(&Proof {
        size: proof.size,
        leaf_hash: proof.leaf_hash.as_ref().map(Hash::to_hex),
        path: proof.path.iter().map(Hash::to_hex).collect(),
    })
}

/// A hash tile or an entry bundle (C2SP tlog-tiles): `0/x001/067`, `1/000.p/3`, `entries/000`.
#[utoipa::path(get, path = "/log/tile/{path}", tag = "audit", params(("path" = String, Path)),
    responses((status = 200, body = String, content_type = "application/octet-stream")))]
pub(crate) async fn tile(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    Ok(match tree::tile(&app.store, request.parameter("path").unwrap_or_default()).await? {
        // A tile never changes, but is only for those who may read the log.
        Tile::Hashes(bytes) => OwnReply::new(200, BYTES, bytes)
            .with_header(CACHE_CONTROL, "private, max-age=31536000, immutable"),
        Tile::Entries(bytes) => OwnReply::new(200, BYTES, bytes).with_header(CACHE_CONTROL, "no-store"),
    })
}
