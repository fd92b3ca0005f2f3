//! Documents in the form that GitHub's reference describes, and what each change of them leads to.

mod attestations;
mod evidence;
mod names;
mod write;

use gateway_types::Secret;
use serde_json::{Value, json};

use super::{Commit, GitHub, Repository};
use crate::scripted::{Reply, Scripted};

pub(super) const SHA: &str = "6dcb09b5b57875f334f61aebed695e2e4193db5e";
pub(super) const NEWER: &str = "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d";
pub(super) const TOKEN: &str = "ghp_canary0000000000000000000000000000";

const COMMIT: &str = "GET /repos/acme/shop/commits/6dcb09b5b57875f334f61aebed695e2e4193db5e";

pub(super) fn github() -> GitHub {
    GitHub::new("https://api.github.com".parse().unwrap(), Secret::new(TOKEN.to_owned())).unwrap()
}

pub(super) fn shop() -> Repository {
    "acme/shop".parse().unwrap()
}

pub(super) fn commit() -> Commit {
    SHA.parse().unwrap()
}

fn commit_document(login: &str, email: &str) -> Value {
    json!({
        "sha": SHA,
        "html_url": format!("https://github.com/acme/shop/commit/{SHA}"),
        "commit": {
            "author": {"name": login, "email": email, "date": "2026-04-14T16:00:49Z"},
            "committer": {"name": "GitHub", "email": "noreply@github.com", "date": "2026-04-14T16:00:49Z"},
            "message": "Fix all the bugs",
            "verification": {"verified": true, "reason": "valid", "signature": "-----BEGIN", "payload": "tree",
                             "verified_at": "2026-04-14T16:01:00Z"}
        },
        "author": {"login": login, "id": 1, "type": "User"},
        "committer": {"login": "web-flow", "id": 19_864_447, "type": "User"},
        "parents": []
    })
}

fn review(id: u64, login: &str, state: &str) -> Value {
    json!({
        "id": 80 + id, "user": {"login": login, "id": id, "type": "User"}, "body": "Fine.", "state": state,
        "html_url": "https://github.com/acme/shop/pull/12#pullrequestreview-80", "commit_id": SHA,
        "submitted_at": "2026-04-14T17:43:52Z", "author_association": "MEMBER"
    })
}

fn run(name: &str, status: &str, conclusion: Option<&str>) -> Value {
    json!({
        "id": 4, "head_sha": SHA, "name": name, "status": status, "conclusion": conclusion,
        "html_url": "https://github.com/acme/shop/runs/4", "app": {"id": 1, "slug": "github-actions"}
    })
}

fn status(context: &str, state: &str) -> Value {
    json!({"context": context, "state": state, "target_url": "https://ci.example.com/1000/output",
           "description": "Build has completed", "id": 1})
}

/// Everything that is asked, and all of it good.
pub(super) fn good() -> Scripted {
    let mut world = Scripted::default();
    world
        .json(COMMIT, commit_document("ann", "ann@example.com"))
        .json(
            "GET /repos/acme/shop/branches/main",
            json!({"name": "main", "commit": {"sha": SHA}, "protected": true}),
        )
        .json(
            &format!("{COMMIT}/pulls"),
            json!([{
                "number": 12, "state": "open", "draft": false, "title": "Fix", "merged_at": null,
                "merge_commit_sha": "e5bd3914e2e596debea16f433f57875b5b90bcd6",
                "user": {"login": "ann", "id": 1, "type": "User"},
                "head": {"ref": "fix", "sha": SHA, "repo": {"full_name": "acme/shop"}},
                "base": {"ref": "main", "sha": NEWER, "repo": {"full_name": "acme/shop"}}
            }]),
        )
        .json(
            "GET /repos/acme/shop/pulls/12/reviews",
            json!([review(2, "bob", "APPROVED"), review(3, "cyd", "APPROVED")]),
        )
        .json("GET /repos/acme/shop/pulls/12/commits", json!([commit_document("ann", "ann@example.com")]))
        .json(
            &format!("{COMMIT}/check-runs"),
            json!({"total_count": 2, "check_runs": [run("test", "completed", Some("success")),
                                                    run("docs", "completed", Some("skipped"))]}),
        )
        .json(
            &format!("{COMMIT}/status"),
            json!({"state": "pending", "sha": SHA, "total_count": 2,
                   "statuses": [status("ci/build", "success"), status("rack-gateway/shop", "pending")]}),
        );
    world
}

/// What a call that goes wrong can look like, and how it is told.
pub(super) fn broken() -> Vec<(Reply, &'static str)> {
    let raw = |status, body: &[u8]| Reply::Raw(status, Vec::new(), body.to_vec());
    vec![
        (Reply::Timeout, "did not answer in time"),
        (Reply::Lost, "no connection to api.github.com"),
        (raw(401, br#"{"message":"Bad credentials"}"#), "answered 401"),
        (raw(403, b"{}"), "answered 403"),
        (raw(404, br#"{"message":"Not Found"}"#), "answered 404"),
        (raw(500, b""), "answered 500"),
        (raw(200, b"<html>"), "has another form"),
        (raw(200, b""), "has another form"),
        (raw(200, b"null"), "has another form"),
        (raw(200, br#"{"unexpected":true}"#), "has another form"),
        (raw(200, &vec![b' '; 1024 * 1024 + 1]), "is larger than"),
        (Reply::Raw(301, vec![("location", "https://evil.example/")], Vec::new()), "has moved"),
    ]
}
