//! What the script of a page holds the audit log against: the same as `/log` tells, to whoever is signed in with a browser.

use gateway_app::audit::AuditError;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::{AppError, tree};
use gateway_audit::Hash;
use gateway_types::wire::log::Proof;
use gateway_types::{Layer, Problem, ProblemKind};
use http::header::CACHE_CONTROL;
use serde::Serialize;

use crate::query::Query;
use crate::{Web, reply};

/// `GET /app/log/checkpoint`: the signed head, as a note.
pub(crate) async fn checkpoint(web: &Web, _request: &OwnRequest) -> Result<OwnReply, Problem> {
    let note = web.app().store.audit().checkpoint().await.map_err(AppError::from)?;
    Ok(OwnReply::new(200, "text/plain; charset=utf-8", note).with_header(CACHE_CONTROL, "no-store"))
}

/// `GET /app/log/keys`: the keys that sign and signed.
pub(crate) async fn keys(web: &Web, _request: &OwnRequest) -> Result<OwnReply, Problem> {
    reply::json(&tree::keys(&web.app().store).await?)
}

/// What is said in the place of a proof.
#[derive(Serialize)]
struct NoProof {
    /// How many entries the log has.
    have: u64,
}

/// `GET /app/log/proof/consistency`: that the tree of `old` entries is the beginning of that of `size`; [`NoProof`] where the
/// log has no such trees.
pub(crate) async fn proof(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let query = Query::of(request);
    let number = |name: &str| query.one(name).and_then(|text| text.parse::<u64>().ok());
    if request.parameter("kind") != Some("consistency") {
        let detail = "pages ask for the proof `consistency`; /log/proof has the others";
        return Err(Problem::new(ProblemKind::NotFound, Layer::Network, detail));
    }
    let (Some(old), Some(size)) = (number("old"), number("size")) else {
        let detail = "a consistency proof takes `old` and `size`";
        return Err(Problem::new(ProblemKind::BadParameter, Layer::Network, detail));
    };
    match tree::consistency(&web.app().store, old, Some(size)).await {
        Ok(proof) => {
            let path = proof.path.iter().map(Hash::to_hex).collect();
            reply::json(&Proof { size: proof.size, leaf_hash: None, path })
        }
        // An answer and no error: it is a word about the log. An error, as of an instance of a version without this page, is none.
        Err(AuditError::NoSuchTree { have, .. }) => reply::json(&NoProof { have }),
        Err(error) => Err(error.into()),
    }
}
