//! `RACK_URL`, as the official client takes it: a gateway's rack proxy with a credential in it.

use gateway_client::GatewayAddress;
use gateway_config::Proxy;
use gateway_types::Secret;
use url::Url;

use super::Target;
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::racks::{Book, Racks};

impl Target {
    /// The gateway in front of the rack that is meant: the one that `--rack` names, that of `RACK_GATEWAY_URL`, that of
    /// `RACK_URL`, else the current one.
    ///
    /// # Errors
    /// When none is, or `RACK_URL` does not name a gateway.
    pub(crate) fn of_rack(context: &Context) -> Result<Self, Failure> {
        let is_named = context.rack.is_some() || context.environment.url.is_some();
        let Some(url) = context.environment.rack_url.clone().transpose()?.filter(|_| !is_named) else {
            return Self::of(context);
        };
        let (address, token) = read(&url)?;
        let rack = match Racks::of(&context.environment).map(|racks| racks.book()) {
            Ok(book) => book.unwrap_or_else(|_| Book::default()).at(&address).cloned(),
            // Nothing that is kept on this machine is needed.
            Err(_) => None,
        };
        let ca_file = context.environment.ca_file.clone().or_else(|| rack.as_ref()?.ca_file.clone());
        Ok(Self { address, ca_file, rack, given: Some(token) })
    }
}

/// Address and credential. No failure repeats what is in it.
fn read(text: &Secret<String>) -> Result<(GatewayAddress, Secret<String>), Failure> {
    let slip = |what: &'static str| {
        Failure::new(Exit::Usage, what)
            .hint("write https://convox:TOKEN@GATEWAY/api/v1/rack-proxy, or unset RACK_URL and sign in with `rack-gateway login`")
    };
    let mut url = Url::parse(text.expose().trim()).map_err(|_| slip("RACK_URL is not a URL"))?;
    let token = url.password().unwrap_or_default().to_owned();
    // RFC 3986 unreserved: tokens and the codes behind them hold nothing else.
    if token.is_empty() || !token.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c)) {
        return Err(slip("RACK_URL holds no token of a gateway"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    let Some(prefix) = path.strip_suffix(Proxy::PREFIX) else {
        return Err(slip(
            "RACK_URL does not name a gateway's rack proxy, and these commands ask no rack itself",
        ));
    };
    url.set_path(prefix);
    if url.set_username("").and_then(|()| url.set_password(None)).is_err() {
        return Err(slip("RACK_URL has no host"));
    }
    let address = url
        .as_str()
        .parse::<GatewayAddress>()
        .map_err(|fault| Failure::new(Exit::Usage, format!("RACK_URL: {fault}")))?;
    Ok((address, Secret::new(token)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(String, String), Exit> {
        read(&Secret::new(text.to_owned()))
            .map(|(address, token)| (address.to_string(), token.expose().clone()))
            .map_err(|failure| {
                assert!(!failure.to_string().contains("rgw_"), "{failure}");
                failure.exit()
            })
    }

    #[test]
    fn a_gateway_is_told_from_a_rack() {
        let good = |address: &str, token: &str| Ok((address.to_owned(), token.to_owned()));
        assert_eq!(
            check("https://convox:rgw_x@g.example.com/api/v1/rack-proxy"),
            good("https://g.example.com", "rgw_x")
        );
        assert_eq!(
            check("https://convox:rgs_x.totp.123456@g.example.com/behind/api/v1/rack-proxy/"),
            good("https://g.example.com/behind", "rgs_x.totp.123456")
        );
        for slip in [
            "https://convox:rgw_x@rack.example.com",
            "https://g.example.com/api/v1/rack-proxy",
            "https://convox:rgw_x%40@g.example.com/api/v1/rack-proxy",
            "http://convox:rgw_x@g.example.com/api/v1/rack-proxy",
            "rgw_x",
        ] {
            assert_eq!(check(slip), Err(Exit::Usage), "{slip}");
        }
    }

    #[test]
    fn what_is_named_comes_before_it() {
        let mut context = Context::for_tests();
        let url = "https://convox:rgw_x@one.example.com/api/v1/rack-proxy";
        context.environment.rack_url = Some(Ok(Secret::new(url.to_owned())));
        assert_eq!(Target::of_rack(&context).unwrap().address.to_string(), "https://one.example.com");
        context.environment.url = Some("https://other.example.com".into());
        assert_eq!(Target::of_rack(&context).unwrap().address.to_string(), "https://other.example.com");
    }
}
