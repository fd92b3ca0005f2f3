//! Where AWS is: the endpoints of its APIs, and which address may be asked for container credentials.

use std::net::IpAddr;

use url::{Host, Url};

use super::AwsFault;
use super::settings::AwsSettings;

/// Where the agent of ECS answers a task.
pub(super) const ECS_AGENT: &str = "http://169.254.170.2";

/// Where the metadata service of EC2 answers an instance.
pub(super) const INSTANCE_METADATA: &str = "http://169.254.169.254";

/// The hosts that give credentials over plain HTTP: ECS, and EKS Pod Identity in both families of addresses.
///
/// Source: AWS SDKs and Tools Reference Guide, "Container credential provider".
const AGENTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];

/// The endpoint of `service` in `region`: the one of the variables, else the public one.
pub(super) fn endpoint(
    settings: &AwsSettings,
    service: &str,
    variable: &'static str,
    region: &str,
) -> Result<Url, AwsFault> {
    let (from, text) = match (settings.variable(variable), settings.variable("AWS_ENDPOINT_URL")) {
        (Some(text), _) => (variable, text.to_owned()),
        (None, Some(text)) => ("AWS_ENDPOINT_URL", text.to_owned()),
        (None, None) => ("AWS_REGION", public(service, region)),
    };
    let is_region = !region.is_empty()
        && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !is_region {
        return Err(AwsFault::Variable { variable: "AWS_REGION", expected: "a region such as eu-west-1" });
    }
    let expected = "an https:// address without user name, query and fragment (http on loopback only)";
    let url =
        Url::parse(&text).ok().filter(|url| is_plain(url) && (url.scheme() == "https" || is_local(url)));
    url.ok_or(AwsFault::Variable { variable: from, expected })
}

/// Whether the variables name an endpoint of the service, so that AWS is not the one that is asked.
pub(super) fn is_elsewhere(settings: &AwsSettings, variable: &str) -> bool {
    settings.variable(variable).or_else(|| settings.variable("AWS_ENDPOINT_URL")).is_some()
}

/// Source: AWS General Reference, "AWS service endpoints"; China has a domain of its own.
fn public(service: &str, region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://{service}.{region}.{domain}")
}

/// Whether container credentials may be asked for there.
///
/// # Security
/// The answer is a key, and the request carries a token: over plain HTTP only this machine and the agents are asked.
pub(super) fn may_give_credentials(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_agent = url.scheme() == "http" && AGENTS.contains(&host);
    is_plain_but_query(url) && (url.scheme() == "https" || is_agent || is_local(url))
}

/// Whether it is plain HTTP to this machine.
pub(super) fn is_local(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "http" && is_loopback
}

fn is_plain(url: &Url) -> bool {
    is_plain_but_query(url) && url.query().is_none()
}

fn is_plain_but_query(url: &Url) -> bool {
    url.host().is_some() && url.username().is_empty() && url.password().is_none() && url.fragment().is_none()
}
