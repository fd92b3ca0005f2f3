//! How single members of an event are written where the derived form would not be canonical.

/// Free JSON: members sorted; a present `null` stays distinct from an absent member.
pub(crate) mod json {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Value;

    use crate::encoding::canonical::Sorted;

    pub(crate) fn serialize<S: Serializer>(value: &Option<Value>, serializer: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(Sorted).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
        Value::deserialize(deserializer).map(Some)
    }
}

/// A resource with its members in order.
pub(crate) mod resource {
    use gateway_types::{Resource, ResourceKind};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize)]
    struct InOrder<'a> {
        id: &'a str,
        kind: ResourceKind,
    }

    pub(crate) fn serialize<S: Serializer>(resource: &Resource, serializer: S) -> Result<S::Ok, S::Error> {
        InOrder { id: &resource.id, kind: resource.kind }.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Resource, D::Error> {
        Resource::deserialize(deserializer)
    }
}

/// Facts: only those that differ from the default, so that a fact added later leaves the bytes of
/// old events as they are.
pub(crate) mod facts {
    use std::sync::LazyLock;

    use gateway_types::Facts;
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::{Map, Value};

    use crate::encoding::canonical::Sorted;

    static DEFAULT: LazyLock<Map<String, Value>> =
        LazyLock::new(|| members(&Facts::default()).unwrap_or_default());

    fn members(facts: &Facts) -> Result<Map<String, Value>, serde_json::Error> {
        serde_json::from_value(serde_json::to_value(facts)?)
    }

    pub(crate) fn are_default(facts: &Facts) -> bool {
        *facts == Facts::default()
    }

    pub(crate) fn serialize<S: Serializer>(facts: &Facts, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = members(facts).map_err(S::Error::custom)?;
        members.retain(|name, value| DEFAULT.get(name) != Some(value));
        Sorted(&Value::Object(members)).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Facts, D::Error> {
        let mut members = DEFAULT.clone();
        members.extend(Map::deserialize(deserializer)?);
        serde_json::from_value(Value::Object(members)).map_err(D::Error::custom)
    }
}
