//! The query of a page: read by name, and written anew for links to other pages of the same listing.

use gateway_app::control::OwnRequest;

/// The pairs of a query, decoded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// The query of a request.
    pub(crate) fn of(request: &OwnRequest) -> Self {
        Self::parse(request.head.query.as_deref().unwrap_or_default())
    }

    /// The pairs of an undecoded query.
    pub(crate) fn parse(query: &str) -> Self {
        Self { pairs: form_urlencoded::parse(query.as_bytes()).into_owned().collect() }
    }

    /// The value of `name` when it is there exactly once and not blank, trimmed.
    pub(crate) fn one(&self, name: &str) -> Option<String> {
        let mut values = self.pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.trim());
        let first = values.next().filter(|value| !value.is_empty())?;
        if values.next().is_some() { None } else { Some(first.to_owned()) }
    }

    /// The same with `name` set to `value`.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self = self.without(name);
        self.pairs.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same without `name`.
    #[must_use]
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.pairs.retain(|(key, _)| key != name);
        self
    }

    /// A link to `path` with this query.
    pub(crate) fn link(&self, path: &str) -> String {
        if self.pairs.is_empty() {
            return path.to_owned();
        }
        let mut text = form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(&self.pairs);
        format!("{path}?{}", text.finish())
    }
}

/// The links below a listing that is read page by page. `cursor` is the name of the parameter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Pager {
    /// Back to the beginning; `None` on the first page.
    pub(crate) first: Option<String>,
    /// On to what follows; `None` on the last page.
    pub(crate) next: Option<String>,
}

impl Pager {
    /// The links of the listing at `path`, shown for `query`, when `next` is the cursor of what follows.
    pub(crate) fn new(path: &str, query: &Query, next: Option<&str>) -> Self {
        let plain = query.clone().without("done").without("cursor");
        Self {
            first: query.one("cursor").map(|_cursor| plain.link(path)),
            next: next.map(|cursor| plain.clone().with("cursor", cursor).link(path)),
        }
    }

    /// Whether there is no other page.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.next.is_none()
    }
}
