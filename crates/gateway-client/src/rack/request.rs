//! One request of the rack.

use form_urlencoded::Serializer;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::client::Client;
use crate::error::ClientError;
use crate::transport::{Body, Call};

/// Where the rack proxy begins, below the gateway's API.
const PROXY: &str = "rack-proxy";

/// A request of the rack: method, path, and what the rack reads from query, form and headers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RackRequest {
    method: Method,
    path: Vec<String>,
    query: Vec<(String, String)>,
    form: Vec<(String, String)>,
    headers: Vec<(&'static str, String)>,
}

impl RackRequest {
    /// A request with this method. Each text is one segment of the path, whatever is in it.
    pub fn new(method: Method, path: &[&str]) -> Self {
        let path = path.iter().map(|&segment| segment.to_owned()).collect();
        Self { method, path, query: Vec::new(), form: Vec::new(), headers: Vec::new() }
    }

    /// A GET.
    pub fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path)
    }

    /// A POST.
    pub fn post(path: &[&str]) -> Self {
        Self::new(Method::POST, path)
    }

    /// A PUT.
    pub fn put(path: &[&str]) -> Self {
        Self::new(Method::PUT, path)
    }

    /// A DELETE.
    pub fn delete(path: &[&str]) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// With this in the query, when there is a value.
    #[must_use]
    pub fn query<T: ToString>(mut self, name: &str, value: Option<T>) -> Self {
        self.query.extend(value.map(|value| (name.to_owned(), value.to_string())));
        self
    }

    /// With this in the form, when there is a value.
    #[must_use]
    pub fn form<T: ToString>(mut self, name: &str, value: Option<T>) -> Self {
        self.form.extend(value.map(|value| (name.to_owned(), value.to_string())));
        self
    }

    /// With this option header, when there is a value.
    #[must_use]
    pub fn header<T: ToString>(mut self, name: &'static str, value: Option<T>) -> Self {
        self.headers.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// The request as it is sent.
    ///
    /// # Errors
    /// When a segment is empty or a step to elsewhere, which would make it a request of something else, or a header
    /// holds what it cannot.
    pub(super) fn call(&self, client: &Client) -> Result<(Call, HeaderMap), ClientError> {
        if let Some(segment) = self.path.iter().find(|segment| matches!(segment.as_str(), "" | "." | "..")) {
            return Err(ClientError::BadName(segment.clone()));
        }
        let path: Vec<&str> = [PROXY].into_iter().chain(self.path.iter().map(String::as_str)).collect();
        let mut url = client.address().api(&path);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        let mut call = Call::new(self.method.clone(), url);
        if !self.form.is_empty() {
            // The official client sorts them.
            let mut form = self.form.clone();
            form.sort();
            call.body = Body::Form(Serializer::new(String::new()).extend_pairs(&form).finish());
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| ClientError::BadHeader(name))?;
            let value = HeaderValue::from_str(value)
                .map_err(|_| ClientError::BadHeader("a value of this command"))?;
            headers.insert(name, value);
        }
        Ok((call, headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::TlsOptions;

    fn client() -> Client {
        Client::new("https://g.example.com/a".parse().unwrap(), None, &TlsOptions::default()).unwrap()
    }

    #[test]
    fn a_name_stays_one_segment_and_no_name_makes_another_request() {
        let (call, _) = RackRequest::delete(&["certificates", "a/../b"]).call(&client()).unwrap();
        assert_eq!(call.url.as_str(), "https://g.example.com/a/api/v1/rack-proxy/certificates/a%2F..%2Fb");
        for name in ["", ".", ".."] {
            let refused = RackRequest::delete(&["apps", name, "budget"]).call(&client());
            assert!(matches!(refused, Err(ClientError::BadName(_))), "{name:?}");
        }
    }

    #[test]
    fn only_what_has_a_value_is_sent() {
        let request = RackRequest::put(&["apps", "web"])
            .form("min", Some(1))
            .form("count", None::<u32>)
            .form("b", Some("x y"))
            .query("limit", Some(2))
            .header("Tail", None::<u32>);
        let (call, headers) = request.call(&client()).unwrap();
        assert!(headers.is_empty() && call.url.query() == Some("limit=2"));
        assert!(matches!(call.body, Body::Form(form) if form == "b=x+y&min=1"));
    }

    #[test]
    fn a_header_takes_no_second_line() {
        let refused =
            RackRequest::get(&["system", "logs"]).header("Filter", Some("a\r\nX-Y: z")).call(&client());
        assert!(matches!(refused, Err(ClientError::BadHeader(_))));
    }
}
