//! `web`: the gateway's pages in the person's browser.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::login::open_page;
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::output::remark;
use crate::remote::Target;

/// The arguments of `web`.
#[derive(Args, Debug)]
pub(crate) struct WebArguments {
    /// Which page, such as users, tokens, audit or account/factors [default: the home page]
    #[arg(value_name = "PAGE")]
    pub(crate) page: Option<String>,
    /// Print the address and open nothing
    #[arg(long)]
    pub(crate) no_browser: bool,
}

#[derive(Serialize)]
struct Answer {
    url: String,
    opened: bool,
}

/// Opens a page, or says where it is.
pub(crate) fn run(context: &Context, arguments: &WebArguments) -> Result<ExitCode, Failure> {
    let target = Target::of(context)?;
    let mut segments = vec!["app"];
    segments.extend(segments_of(arguments.page.as_deref().unwrap_or_default())?);
    let page = target.address.at(&segments);
    let wanted = !arguments.no_browser && context.environment.has_display;
    let opened = wanted && open_page(&target.address, &page);
    if wanted && !opened {
        remark("no browser can be opened; the address is:");
    }
    let answer = Answer { url: page.into(), opened };
    context.output.answer(&answer, || answer.url.clone())?;
    Ok(ExitCode::SUCCESS)
}

/// The segments of a page's path below `/app`. It is a path and nothing else: what looks like an address
/// of its own is refused (M1).
fn segments_of(page: &str) -> Result<Vec<&str>, Failure> {
    let page = page.trim_matches('/');
    let page = page.strip_prefix("app/").unwrap_or(page);
    if page.is_empty() || page == "app" {
        return Ok(Vec::new());
    }
    let is_segment = |segment: &str| {
        !segment.is_empty()
            && segment != "."
            && segment != ".."
            && segment.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let segments: Vec<&str> = page.split('/').collect();
    if segments.iter().all(|segment| is_segment(segment)) {
        return Ok(segments);
    }
    Err(Failure::new(Exit::Usage, "that is no page of the gateway")
        .hint("name one by its path, such as users, tokens, settings, audit or account/factors"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m1_a_page_is_a_path_below_the_gateways_own() {
        assert_eq!(segments_of("").unwrap(), Vec::<&str>::new());
        assert_eq!(segments_of("/app/").unwrap(), Vec::<&str>::new());
        assert_eq!(segments_of("users").unwrap(), ["users"]);
        assert_eq!(segments_of("/app/account/factors").unwrap(), ["account", "factors"]);
        for bad in
            ["https://evil.example.com", "..", "../x", "a/../b", "a?b", "a#b", "a\\b", "a//b", "a b", "@evil"]
        {
            assert!(segments_of(bad).is_err(), "{bad}");
        }
    }
}
