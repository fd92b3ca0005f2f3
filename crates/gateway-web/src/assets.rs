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
    body: Vec<u8>,
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
        // What a script imports stands before it.
        let scripts: [(&str, &[u8]); 11] = [
            ("palette.js", include_bytes!("../static/palette.js")),
            ("screen.js", include_bytes!("../static/screen.js")),
            ("transparency.js", include_bytes!("../static/transparency.js")),
            ("second-factor.js", include_bytes!("../static/second-factor.js")),
            ("live.js", include_bytes!("../static/live.js")),
            ("logs.js", include_bytes!("../static/logs.js")),
            ("terminal.js", include_bytes!("../static/terminal.js")),
            ("replay.js", include_bytes!("../static/replay.js")),
            ("shared.js", include_bytes!("../static/shared.js")),
            ("witness.js", include_bytes!("../static/witness.js")),
            ("app.js", include_bytes!("../static/app.js")),
        ];
        let mut files = vec![
            asset("style.css", "text/css; charset=utf-8", include_bytes!("../static/style.css").to_vec()),
            asset("icon.svg", "image/svg+xml", include_bytes!("../static/icon.svg").to_vec()),
        ];
        for (name, body) in scripts {
            let body = with_versions(&files, body);
            files.push(asset(name, "text/javascript; charset=utf-8", body));
        }
        Self { files }
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
        Some(OwnReply::new(200, file.content_type, file.body.clone()).with_header(CACHE_CONTROL, cache))
    }
}

/// A script whose imports are by address with a version, so that they are kept as it is itself.
fn with_versions(files: &[Asset], body: &[u8]) -> Vec<u8> {
    let mut text = String::from_utf8_lossy(body).into_owned();
    for file in files {
        let (name, version) = (file.name, &file.version);
        text = text.replace(&format!("\"./{name}\""), &format!("\"./{name}?v={version}\""));
    }
    text.into_bytes()
}

fn asset(name: &'static str, content_type: &'static str, body: Vec<u8>) -> Asset {
    let hash = digest::digest(&digest::SHA256, &body);
    let beginning = hash.as_ref().get(..12).unwrap_or_default();
    Asset { name, content_type, body, version: BASE64URL_NOPAD.encode(beginning) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is asked for without a version is asked for on each page, and each time is an entry of the audit log.
    #[test]
    fn what_scripts_import_is_kept_for_as_long_as_it_stays_the_same() {
        let assets = Assets::new();
        let mut imports = 0;
        for file in &assets.files {
            let text = String::from_utf8(file.body.clone()).unwrap();
            for address in text.split("\"./").skip(1).filter_map(|rest| rest.split('"').next()) {
                let (name, version) = address.split_once("?v=").unwrap_or_else(|| panic!("{address}"));
                let reply = assets.reply(name, Some(version)).unwrap();
                assert!(
                    reply.headers.iter().any(|(_, value)| value == FOREVER),
                    "{address} in {}",
                    file.name
                );
                imports += 1;
            }
        }
        assert_eq!(imports, 5, "a script that imports another stands behind it in the list");
    }
}
