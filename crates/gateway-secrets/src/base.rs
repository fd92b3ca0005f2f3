//! Which release a posted environment was based on. The client does not say, so the gateway concludes it
//! from what it served to that credential about that app. It must not know how this is stored.

use serde::{Deserialize, Serialize};

/// The release a client has last read on its own, and so edits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// The release's id.
    pub release: String,
    /// Whether the client asked for it because it was the newest. A posted environment is then a change
    /// to it and is merged; else the client wants exactly what it posts, as with a rollback.
    pub newest: bool,
}

/// What the gateway remembers of what it served to one credential about one app.
///
/// The client's `env set` asks for `releases?limit=1`, reads that release and posts; `releases rollback R`
/// reads R and posts. That is the only difference between them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServedBase {
    /// The id in the last reply to `releases?limit=1`; the next read of a single release takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_hint: Option<String>,
    /// What the next posted environment is based on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
}

impl ServedBase {
    /// Notes a list of releases: `limit` is the query parameter as sent, `newest` the first release's id.
    /// Only a list of exactly one says which release the client takes for the newest.
    pub fn served_list(&mut self, limit: Option<&str>, newest: Option<&str>) {
        if limit == Some("1") {
            self.newest_hint = newest.map(str::to_owned);
        }
    }

    /// Notes that a single release was served.
    pub fn served_release(&mut self, id: &str) {
        let newest = self.newest_hint.take().is_some_and(|hint| hint == id);
        self.base = Some(Base { release: id.to_owned(), newest });
    }

    /// What a posted environment is based on. A base serves for one post only, so that a later post
    /// without a read, like `env set --replace`, is not merged with something old.
    pub fn take_base(&mut self) -> Option<Base> {
        self.base.take()
    }

    /// As JSON text, for the store.
    pub fn to_json(&self) -> String {
        // Two optional strings and a flag always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From JSON text of the store.
    ///
    /// # Errors
    /// When the text is not what [`ServedBase::to_json`] makes.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(release: &str, newest: bool) -> Option<Base> {
        Some(Base { release: release.to_owned(), newest })
    }

    #[test]
    fn env_set_is_based_on_the_newest_release() {
        let mut served = ServedBase::default();
        served.served_list(Some("1"), Some("R2"));
        served.served_release("R2");
        assert_eq!(served.take_base(), base("R2", true));
        assert_eq!(served, ServedBase::default(), "a base serves once");
    }

    #[test]
    fn rollback_and_create_from_are_exact() {
        let mut served = ServedBase::default();
        served.served_release("R1");
        assert_eq!(served.take_base(), base("R1", false));
        served.served_list(Some("1"), Some("R2"));
        served.served_release("R1");
        assert_eq!((served.newest_hint.clone(), served.base.clone()), (None, base("R1", false)));
        served.served_release("R2");
        assert_eq!(served.take_base(), base("R2", false), "the hint went with the first read");
    }

    #[test]
    fn other_lists_say_nothing() {
        for limit in [None, Some(""), Some("2"), Some("10"), Some("01"), Some("1 ")] {
            let mut served = ServedBase::default();
            served.served_list(limit, Some("R2"));
            assert_eq!(served, ServedBase::default(), "{limit:?}");
            served.served_list(Some("1"), Some("R2"));
            served.served_list(limit, Some("R9"));
            served.served_release("R2");
            assert_eq!(served.take_base(), base("R2", true), "{limit:?}");
        }
    }

    #[test]
    fn an_app_without_releases_has_no_newest() {
        let mut served = ServedBase::default();
        served.served_list(Some("1"), Some("R2"));
        served.served_list(Some("1"), None);
        served.served_release("R2");
        assert_eq!(served.take_base(), base("R2", false));
        assert_eq!(served.take_base(), None);
    }

    #[test]
    fn survives_the_store() {
        let mut served = ServedBase::default();
        for _ in 0..3 {
            assert_eq!(ServedBase::from_json(&served.to_json()).unwrap(), served);
            served.served_release("R\"1");
            served.served_list(Some("1"), Some("R2"));
        }
        assert!(ServedBase::from_json("{\"hint\":1}").is_err() && ServedBase::from_json("").is_err());
    }
}
