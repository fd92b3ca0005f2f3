//! Documents that are made from the code.

use std::fmt::Write as _;
use std::path::Path;

use gateway_types::ProblemKind;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("a crate two levels down")
}

fn errors() -> String {
    let mut text = String::from(
        "# Problems\n\n\
         Every refusal and failure is an RFC 9457 problem (`application/problem+json`). `type` is `/problems/KIND`, which the\n\
         gateway itself serves. `layer` names the layer that decided: `network`, `authentication`, `authorization`, `mfa` or\n\
         `audit`. `instance` is the request id: `rack-gateway why ID` shows the rules and the facts. `remedies` say what would\n\
         turn a refusal into a yes. On the rack proxy `error` repeats it in one sentence, because the Convox client prints that.\n\n\
         This page is made from `gateway_types::ProblemKind`; a test compares it.\n\n\
         | kind | status | what it means | what to do |\n| --- | --- | --- | --- |\n",
    );
    for kind in ProblemKind::ALL {
        let _infallible = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            kind.name(),
            kind.status(),
            kind.title(),
            kind.advice()
        );
    }
    text
}

#[test]
fn the_page_of_problems_is_current() {
    let path = repository().join("docs/errors.md");
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    if written != errors() {
        std::fs::write(path.with_extension("md.new"), errors()).unwrap();
        panic!("docs/errors.md is not what the code says; look at docs/errors.md.new and move it there");
    }
}
