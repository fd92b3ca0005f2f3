//! Every key in the blocks of configuration of the book exists, with a value of its type.

use std::path::Path;

use super::*;
use crate::FaultKind;

/// Blocks that are other files than the gateway's configuration, by what stands in them.
const OTHERS: [&str; 3] = ["# /etc/rack-gateway-dns.toml", "trust_domain = ", "version = 1\n"];

fn blocks(text: &str) -> Vec<&str> {
    text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn every_key_of_the_book_exists() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let (mut count, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(docs).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for block in
            blocks(&text).into_iter().filter(|block| !OTHERS.iter().any(|other| block.contains(other)))
        {
            count += 1;
            let Err(faults) = parse(sources(&REQUIRED, block)) else { continue };
            // Files that are named there are not here, and one block is not a whole configuration.
            let about_keys = faults.0.iter().filter(|fault| {
                matches!(
                    fault.kind,
                    FaultKind::Unknown { .. } | FaultKind::WrongType { .. } | FaultKind::Syntax { .. }
                )
            });
            wrong.extend(about_keys.map(|fault| format!("{}: {fault}", path.display())));
        }
    }
    assert!(count > 10, "{count} blocks were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
