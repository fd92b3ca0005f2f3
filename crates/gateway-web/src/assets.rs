//! The files that pages load: compiled in, and addressed by their content, so that a browser keeps them
//! for as long as they stay the same.

use aws_lc_rs::digest;
use data_encoding::BASE64URL_NOPAD;
use gateway_app::control::OwnReply;
use http::header::CACHE_CONTROL;

/// How a browser may keep a file whose address names its content (RFC 8246).
const FOREVER: &str = "public, max-age=31536000, immutable";

/// How a browser may keep a file that was asked for by its name alone, or by an old version of it.
const ASK_EACH_TIME: &str = "no-cache";

/// One file.
#[derive(Debug)]
struct Asset {
    name: &'static str,
    content_type: &'static str,
    body: &'static [u8],
    /// The beginning of the SHA-256 of the body, in base64url.
    version: String,
}

/// All files.
#[derive(Debug)]
pub(crate) struct Assets {
    files: Vec<Asset>,
}

impl Assets {
    /// The files compiled in.
    pub(crate) fn new() -> Self {
        Self {
            files: vec![
                asset("style.css", "text/css; charset=utf-8", include_bytes!("../static/style.css")),
                asset("app.js", "text/javascript; charset=utf-8", include_bytes!("../static/app.js")),
                asset(
                    "second-factor.js",
                    "text/javascript; charset=utf-8",
                    include_bytes!("../static/second-factor.js"),
                ),
                asset("palette.js", "text/javascript; charset=utf-8", include_bytes!("../static/palette.js")),
                asset("screen.js", "text/javascript; charset=utf-8", include_bytes!("../static/screen.js")),
                asset("logs.js", "text/javascript; charset=utf-8", include_bytes!("../static/logs.js")),
                asset(
                    "terminal.js",
                    "text/javascript; charset=utf-8",
                    include_bytes!("../static/terminal.js"),
                ),
                asset("replay.js", "text/javascript; charset=utf-8", include_bytes!("../static/replay.js")),
                asset("live.js", "text/javascript; charset=utf-8", include_bytes!("../static/live.js")),
                asset("witness.js", "text/javascript; charset=utf-8", include_bytes!("../static/witness.js")),
                asset(
                    "transparency.js",
                    "text/javascript; charset=utf-8",
                    include_bytes!("../static/transparency.js"),
                ),
                asset("icon.svg", "image/svg+xml", include_bytes!("../static/icon.svg")),
            ],
        }
    }

    /// The address of a file, with its version; of one that there is not, an address that is not found.
    pub(crate) fn href(&self, name: &str) -> String {
        let version = self.files.iter().find(|file| file.name == name).map_or("", |file| &file.version);
        format!("/app/static/{name}?v={version}")
    }

    /// The same at a host of a service.
    pub(crate) fn href_at_service(&self, name: &str) -> String {
        let address = self.href(name);
        format!("/.rack-gateway/static/{}", address.trim_start_matches("/app/static/"))
    }

    /// The file of this name.
    pub(crate) fn reply(&self, name: &str, version: Option<&str>) -> Option<OwnReply> {
        let file = self.files.iter().find(|file| file.name == name)?;
        let cache = if version == Some(file.version.as_str()) { FOREVER } else { ASK_EACH_TIME };
        Some(OwnReply::new(200, file.content_type, file.body).with_header(CACHE_CONTROL, cache))
    }
}

fn asset(name: &'static str, content_type: &'static str, body: &'static [u8]) -> Asset {
    let hash = digest::digest(&digest::SHA256, body);
    let beginning = hash.as_ref().get(..12).unwrap_or_default();
    Asset { name, content_type, body, version: BASE64URL_NOPAD.encode(beginning) }
}
