//! A local server that answers as GitHub's reference describes, call by call.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A call's answer.
pub(crate) type Answer = (u16, String);

#[derive(Debug, Default)]
struct State {
    answers: BTreeMap<String, Answer>,
    /// Call, credential, body.
    asked: Vec<(String, String, String)>,
}

/// The server. What it has no answer for is a 404.
#[derive(Clone, Debug)]
pub(crate) struct Hub {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Hub {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hub = Self { addr: listener.local_addr().unwrap(), state: Arc::default() };
        let served = hub.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let hub = served.clone();
                tokio::spawn(async move { hub.serve(stream).await });
            }
        });
        hub
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The credentials of all calls.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.iter().map(|(_, token, _)| token.clone()).collect()
    }

    /// The documents that were sent with a call, oldest first.
    pub(crate) fn bodies(&self, call: &str) -> Vec<Value> {
        let state = self.state.lock().unwrap();
        let of_call = state.asked.iter().filter(|(asked, _, _)| asked == call);
        of_call.map(|(_, _, body)| serde_json::from_str(body).unwrap()).collect()
    }

    /// Everything that came but the credentials, which belong there.
    pub(crate) fn everything(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.asked.iter().map(|(call, _, body)| format!("{call}\n{body}")).collect()
    }

    /// Answers a call so from now on; what it answered before.
    pub(crate) fn set(&self, call: &str, status: u16, body: &str) -> Answer {
        let old = self.state.lock().unwrap().answers.insert(call.to_owned(), (status, body.to_owned()));
        old.unwrap_or_else(|| (404, String::new()))
    }

    pub(crate) fn put(&self, call: &str, (status, body): Answer) {
        self.set(call, status, &body);
    }

    /// Answers with a changed document; what it answered before.
    pub(crate) fn edit(&self, call: &str, edit: &dyn Fn(&mut Value)) -> Answer {
        let old =
            self.state.lock().unwrap().answers.get(call).cloned().unwrap_or_else(|| panic!("no {call}"));
        let mut document: Value = serde_json::from_str(&old.1).unwrap();
        edit(&mut document);
        self.set(call, 200, &document.to_string());
        old
    }

    /// A commit that meets every demand.
    pub(crate) fn good(&self, sha: &str) {
        let head = "7".repeat(40);
        let commit = json!({
            "sha": sha,
            "commit": {
                "message": "Fix it",
                "author": {"name": "ann", "email": "ann@example.org"},
                "committer": {"name": "ann", "email": "ann@example.org"},
                "verification": {"verified": true, "reason": "valid"}
            },
            "author": {"login": "ann", "id": 1, "type": "User"},
            "committer": {"login": "ann", "id": 1, "type": "User"}
        });
        let path = format!("GET /repos/acme/shop/commits/{sha}");
        let documents = [
            (path.clone(), commit.clone()),
            (
                "GET /repos/acme/shop/branches/main".to_owned(),
                json!({"name": "main", "commit": {"sha": head}}),
            ),
            (
                format!("GET /repos/acme/shop/compare/{head}...{sha}"),
                json!({"status": "behind", "merge_base_commit": {"sha": sha}}),
            ),
            (
                format!("{path}/pulls"),
                json!([{
                    "number": 12, "state": "open", "draft": false, "merged_at": null, "merge_commit_sha": null,
                    "user": {"login": "ann", "id": 1, "type": "User"},
                    "head": {"ref": "fix", "sha": sha, "repo": {"full_name": "acme/shop"}},
                    "base": {"ref": "main", "sha": head, "repo": {"full_name": "acme/shop"}}
                }]),
            ),
            (
                "GET /repos/acme/shop/pulls/12/reviews".to_owned(),
                json!([{
                    "id": 80, "user": {"login": "bob", "id": 2, "type": "User"}, "state": "APPROVED",
                    "commit_id": sha, "author_association": "MEMBER", "submitted_at": "2026-04-14T17:43:52Z"
                }]),
            ),
            ("GET /repos/acme/shop/pulls/12/commits".to_owned(), json!([commit])),
            (
                format!("{path}/check-runs"),
                json!({"total_count": 2, "check_runs": [
                    {"id": 4, "name": "unit", "status": "completed", "conclusion": "success"},
                    {"id": 5, "name": "wait", "status": "in_progress", "conclusion": null}
                ]}),
            ),
            (
                format!("{path}/status"),
                json!({"state": "success", "sha": sha, "total_count": 0, "statuses": []}),
            ),
        ];
        for (call, document) in documents {
            self.set(&call, 200, &document.to_string());
        }
    }

    async fn serve(self, mut stream: TcpStream) -> Option<()> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (have, value) = line.split_once(':')?;
                have.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let length: usize = header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        while bytes.len() < end + length {
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
        let mut words = head.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let call = format!("{method} {}", target.split('?').next()?);
        let token = header("authorization").or_else(|| header("circle-token")).unwrap_or_default();
        let body = String::from_utf8_lossy(&bytes[end..]).into_owned();
        let (status, answer) = {
            let mut state = self.state.lock().unwrap();
            state.asked.push((call.clone(), token, body));
            state
                .answers
                .get(&call)
                .cloned()
                .unwrap_or_else(|| (404, r#"{"message":"Not Found"}"#.to_owned()))
        };
        // How long whoever asks too often has to wait.
        let wait = if status == 429 { "Retry-After: 30\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 {status} X\r\n{wait}Content-Type: application/json\r\nContent-Length: {}\r\n\
             Location: https://evil.example/\r\nConnection: close\r\n\r\n",
            answer.len()
        );
        stream.write_all(head.as_bytes()).await.ok()?;
        stream.write_all(answer.as_bytes()).await.ok()
    }
}
