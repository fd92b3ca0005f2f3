//! What of AWS is the gateway's to say: the region, and a role to take on. Where credentials are, the environment says.

use crate::config::Aws;
use crate::fault::FaultKind;
use crate::keys;
use crate::resolver::Resolver;

pub(crate) fn aws(resolver: &mut Resolver<'_>) -> Option<Aws> {
    let region = resolver.optional(&keys::AWS_REGION, region);
    let assume_role = resolver.optional(&keys::AWS_ASSUME_ROLE_ARN, role);
    let external_id = resolver.optional(&keys::AWS_ASSUME_ROLE_EXTERNAL_ID, external_id);
    let (region, assume_role, external_id) = (region?, assume_role?, external_id?);
    if external_id.is_some() && assume_role.is_none() {
        let origin = resolver.origin(&keys::AWS_ASSUME_ROLE_EXTERNAL_ID);
        let other = keys::AWS_ASSUME_ROLE_ARN.label();
        resolver.fault(&keys::AWS_ASSUME_ROLE_EXTERNAL_ID, origin, FaultKind::Incomplete { other });
        return None;
    }
    Some(Aws { region, assume_role, external_id })
}

fn region(text: &str) -> Result<String, FaultKind> {
    let is_region =
        text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    held(is_region, text, "a region such as eu-west-1")
}

fn role(text: &str) -> Result<String, FaultKind> {
    let is_role = text.starts_with("arn:")
        && text.contains(":iam::")
        && text.contains(":role/")
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    held(is_role, text, "the ARN of a role, such as arn:aws:iam::123456789012:role/rack-gateway-secrets")
}

/// Source: AWS STS API Reference, `AssumeRole`, `ExternalId`.
fn external_id(text: &str) -> Result<String, FaultKind> {
    let is_id = (2..=1224).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&byte));
    held(is_id, text, "2 to 1224 letters, digits and _+=,.@:/-")
}

fn held(is_fit: bool, text: &str, expected: &'static str) -> Result<String, FaultKind> {
    if is_fit { Ok(text.to_owned()) } else { Err(FaultKind::Malformed { value: text.to_owned(), expected }) }
}
