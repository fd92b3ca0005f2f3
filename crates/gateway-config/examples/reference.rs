//! Writes `rack-gateway.toml.example` and `docs/config.md` anew from the table of keys.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::create_dir_all(root.join("docs"))?;
    std::fs::write(root.join("rack-gateway.toml.example"), gateway_config::reference::example_text())?;
    std::fs::write(root.join("docs/config.md"), gateway_config::reference::markdown())
}
