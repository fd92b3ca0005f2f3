//! `docs/actions.md`: every action with what policy knows of it, made of the two tables. For the book; this test keeps it true.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use gateway_types::{Cicd, LowestRole, Operation, StepUp};

use crate::sample::ENGINE;

const HEAD: &str = "\
# Actions

<!-- Made of the tables of routes by a test of gateway-policy; never edited by hand. -->

What grants, policies, `rack-gateway can` and the log call what is asked. *Class* decides how it is recorded and which second factor people give; *from role* is the lowest
role that may; *cicd* says whether machines that deploy may, always or within an approval. An action with several lines is a group of their routes. Events name
further actions, of what the gateway does by itself. What a role may in all circumstances: [roles](policies.md#roles).

| Action | Class | From role | cicd | Second factor of people | Routes |
|---|---|---|---|---|---|
";

fn role(operation: &Operation) -> &'static str {
    match operation.lowest_role {
        LowestRole::Public => "nobody's",
        LowestRole::Own => "one's own",
        LowestRole::Role(role) => role.name(),
    }
}

fn page() -> String {
    let mut rows: BTreeMap<(&str, [&str; 4]), Vec<String>> = BTreeMap::new();
    for operation in ENGINE.operations() {
        let cicd = match operation.cicd {
            Cicd::Yes => "yes",
            Cicd::Approval => "approval",
            Cicd::No => "",
        };
        let factor = match operation.step_up {
            StepUp::None => "",
            StepUp::Window => "window",
            StepUp::Bound => "bound",
        };
        let properties = [operation.class.name(), role(operation), cicd, factor];
        let routes = rows.entry((operation.action.as_str(), properties)).or_default();
        routes.push(format!("`{}`", operation.route.replace('|', "\\|")));
    }
    let mut page = HEAD.to_owned();
    for ((action, properties), routes) in rows {
        writeln!(page, "| `{action}` | {} | {} |", properties.join(" | "), routes.join(", ")).unwrap();
    }
    page
}

#[test]
fn the_list_of_actions_in_the_book_is_that_of_the_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/actions.md");
    let page = page();
    if std::fs::read_to_string(&path).is_ok_and(|text| text == page) {
        return;
    }
    let new = path.with_extension("md.new");
    std::fs::write(&new, page).unwrap();
    panic!("docs/actions.md is not what the tables say; look at {} and move it there", new.display());
}
