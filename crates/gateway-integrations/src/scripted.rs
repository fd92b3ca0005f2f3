//! A service that answers by a script, and remembers what it was asked.

use std::collections::BTreeMap;
use std::sync::Mutex;

use ::http::{Request, Response};
use serde_json::Value;
use url::Url;

use crate::http::{Http, Pending, Unreachable};

/// How one call is answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Json(u16, Value),
    Raw(u16, Vec<(&'static str, &'static str)>, Vec<u8>),
    Timeout,
    Lost,
}

/// Answers by `METHOD path`, with ` page N` or ` token T` after it for later pages. What is not scripted is a 404.
#[derive(Debug, Default)]
pub(crate) struct Scripted {
    replies: BTreeMap<String, Reply>,
    asked: Mutex<Vec<(String, Request<Vec<u8>>)>>,
}

impl Scripted {
    pub(crate) fn on(&mut self, call: &str, reply: Reply) -> &mut Self {
        self.replies.insert(call.to_owned(), reply);
        self
    }

    pub(crate) fn json(&mut self, call: &str, document: Value) -> &mut Self {
        self.on(call, Reply::Json(200, document))
    }

    /// Changes a scripted document.
    pub(crate) fn edit(&mut self, call: &str, edit: impl FnOnce(&mut Value)) -> &mut Self {
        match self.replies.get_mut(call) {
            Some(Reply::Json(_, document)) => edit(document),
            other => panic!("{call} has no document to edit: {other:?}"),
        }
        self
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(call, _)| call.clone()).collect()
    }

    /// The body of the only request of this call.
    pub(crate) fn body(&self, call: &str) -> Value {
        let asked = self.asked.lock().unwrap();
        let (_, request) = asked.iter().find(|(name, _)| name == call).unwrap_or_else(|| panic!("no {call}"));
        serde_json::from_slice(request.body()).unwrap()
    }

    /// A header of every request.
    pub(crate) fn headers(&self, name: &str) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let of = |request: &Request<Vec<u8>>| request.headers()[name].to_str().unwrap().to_owned();
        asked.iter().map(|(_, request)| of(request)).collect()
    }
}

fn name(request: &Request<Vec<u8>>) -> String {
    let url = Url::parse(&request.uri().to_string()).unwrap();
    let mut name = format!("{} {}", request.method(), url.path());
    for (key, value) in url.query_pairs() {
        match (&*key, &*value) {
            ("page", "1") | ("per_page", _) => {}
            ("page", page) => name.push_str(&format!(" page {page}")),
            ("page-token", token) => name.push_str(&format!(" token {token}")),
            (other, _) => panic!("an unknown parameter: {other}"),
        }
    }
    name
}

impl Http for Scripted {
    fn send<'a>(&'a self, request: Request<Vec<u8>>) -> Pending<'a> {
        let call = name(&request);
        let host = request.uri().host().unwrap_or_default().to_owned();
        self.asked.lock().unwrap().push((call.clone(), request));
        let reply = self.replies.get(&call).cloned();
        Box::pin(async move {
            let (status, headers, body) = match reply {
                Some(Reply::Json(status, document)) => {
                    (status, Vec::new(), serde_json::to_vec(&document).unwrap())
                }
                Some(Reply::Raw(status, headers, body)) => (status, headers, body),
                Some(Reply::Timeout) => return Err(Unreachable::Timeout { host }),
                Some(Reply::Lost) => return Err(Unreachable::Connect { host, source: None }),
                None => (404, Vec::new(), br#"{"message":"Not Found"}"#.to_vec()),
            };
            let mut answer = Response::builder().status(status);
            for (key, value) in headers {
                answer = answer.header(key, value);
            }
            Ok(answer.body(body).unwrap())
        })
    }
}
