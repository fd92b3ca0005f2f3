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
    use gateway_types::Facts;
    use serde::ser::SerializeMap;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn are_default(facts: &Facts) -> bool {
        *facts == Facts::default()
    }

    pub(crate) fn serialize<S: Serializer>(facts: &Facts, serializer: S) -> Result<S::Ok, S::Error> {
        // In the order of their names, and all of them: a new one must be written below as well.
        let Facts {
            approval_matches,
            destructive_allowed,
            elevated,
            elevation_possible,
            external_builds_allowed,
            hour,
            labels,
            mfa_bound,
            mfa_enrolled,
            mfa_off,
            mfa_required,
            mfa_window,
            networks,
            observing,
            own_object,
            roles_here,
            sensitive_parameters,
            weekday,
        } = facts;
        let mut map = serializer.serialize_map(None)?;
        member(&mut map, "approval_matches", approval_matches)?;
        member(&mut map, "destructive_allowed", destructive_allowed)?;
        member(&mut map, "elevated", elevated)?;
        member(&mut map, "elevation_possible", elevation_possible)?;
        member(&mut map, "external_builds_allowed", external_builds_allowed)?;
        member(&mut map, "hour", hour)?;
        member(&mut map, "labels", labels)?;
        member(&mut map, "mfa_bound", mfa_bound)?;
        member(&mut map, "mfa_enrolled", mfa_enrolled)?;
        member(&mut map, "mfa_off", mfa_off)?;
        member(&mut map, "mfa_required", mfa_required)?;
        member(&mut map, "mfa_window", mfa_window)?;
        member(&mut map, "networks", networks)?;
        member(&mut map, "observing", observing)?;
        member(&mut map, "own_object", own_object)?;
        member(&mut map, "roles_here", roles_here)?;
        member(&mut map, "sensitive_parameters", sensitive_parameters)?;
        member(&mut map, "weekday", weekday)?;
        map.end()
    }

    fn member<M, T>(map: &mut M, name: &'static str, value: &T) -> Result<(), M::Error>
    where
        M: SerializeMap,
        T: Serialize + Default + PartialEq,
    {
        if *value == T::default() { Ok(()) } else { map.serialize_entry(name, value) }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Facts, D::Error> {
        Facts::deserialize(deserializer)
    }
}
