//! Signature Version 4, by the crate that the SDK of AWS for Rust signs with. Here is only what our requests need of it.
//!
//! Source: AWS, "Signature Version 4 signing process" (IAM User Guide, "Create a signed AWS API request").

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::http::header::HOST;
use ::http::{HeaderValue, Request};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode,
};
use aws_sigv4::sign::v4;
use gateway_types::Timestamp;

use super::AwsCredentials;

/// How the body of a request is signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Payload {
    /// By its hash, in the signature only: every service but S3.
    Hashed,
    /// By its hash, told in `x-amz-content-sha256` too; the path is signed as it is sent. For S3.
    HashedForS3,
}

/// Signs a request for `service` in `region`, as of `now`: the headers of the signature are added. Headers that are there
/// already are signed, `Host` too, which is taken from the address unless it is given.
///
/// # Errors
/// `None` when the request, the credentials or the region cannot be put in a signature.
pub fn sign(
    request: Request<Vec<u8>>,
    credentials: &AwsCredentials,
    region: &str,
    service: &str,
    payload: Payload,
    now: Timestamp,
) -> Option<Request<Vec<u8>>> {
    let identity = Credentials::new(
        credentials.access_key_id.clone(),
        credentials.secret_access_key.expose().clone(),
        credentials.session_token.as_ref().map(|token| token.expose().clone()),
        None,
        "rack-gateway",
    )
    .into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(moment(now)?)
        .settings(settings(payload))
        .build()
        .ok()?
        .into();
    let mut request = request;
    if !request.headers().contains_key(HOST) {
        let authority = request.uri().authority()?.as_str().parse().ok()?;
        request.headers_mut().insert(HOST, authority);
    }
    let headers: Vec<(&str, &str)> = request
        .headers()
        .iter()
        .map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect::<Option<_>>()?;
    let uri = request.uri().to_string();
    let body = SignableBody::Bytes(request.body());
    let signable =
        SignableRequest::new(request.method().as_str(), uri.as_str(), headers.into_iter(), body).ok()?;
    let (instructions, _signature) = aws_sigv4::http_request::sign(signable, &parameters).ok()?.into_parts();
    // Not by the crate's own way, which panics at a session token that no header can hold.
    let (added, _parameters) = instructions.into_parts();
    for header in added {
        let mut value = HeaderValue::from_str(header.value()).ok()?;
        value.set_sensitive(header.sensitive());
        request.headers_mut().insert(header.name(), value);
    }
    Some(request)
}

fn settings(payload: Payload) -> SigningSettings {
    let mut settings = SigningSettings::default();
    match payload {
        Payload::Hashed => {}
        Payload::HashedForS3 => {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
    }
    settings
}

fn moment(now: Timestamp) -> Option<SystemTime> {
    let micros = u64::try_from(now.micros()).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_micros(micros))
}
