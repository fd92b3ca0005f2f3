//! Events as comma-separated values (RFC 4180), for spreadsheets.
//!
//! # Security
//! Names, reasons and parameters are other people's text. A cell that a spreadsheet would take for a formula
//! gets an apostrophe in front (OWASP, CSV injection).

use gateway_audit::Event;
use gateway_types::Decision;

/// The first line.
pub(super) const HEAD: &str = "index,time,actor,on_behalf_of,channel,source_ip,action,resource,route,phase,\
verdict,layer,rules,status,end,reason,step_up,request_id,intent,count,parameters\r\n";

/// Adds the line of one event.
pub(super) fn line(body: &mut Vec<u8>, index: u64, event: &Event) {
    let verdict = event.verdict.as_ref().map(|verdict| match verdict.decision {
        Decision::Allow => "allow",
        Decision::Refuse => "refuse",
    });
    let text = |number: Option<String>| number.unwrap_or_default();
    let rules = event.verdict.as_ref().map(|verdict| verdict.rules.join(" ")).unwrap_or_default();
    let parameters: Vec<String> =
        event.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let cells = [
        index.to_string(),
        event.time.to_rfc3339(),
        event.actor.name.clone(),
        event.actor.on_behalf_of.clone().unwrap_or_default(),
        text(event.channel.map(|channel| channel.name().to_owned())),
        text(event.source_ip.map(|address| address.to_string())),
        event.action.to_string(),
        event.resource.to_string(),
        event.route.clone().unwrap_or_default(),
        event.phase.name().to_owned(),
        verdict.unwrap_or_default().to_owned(),
        text(event.layer.map(|layer| layer.name().to_owned())),
        rules,
        text(event.status.map(|status| status.to_string())),
        text(event.end.map(|end| end.name().to_owned())),
        event.reason.clone().unwrap_or_default(),
        event.step_up.clone().unwrap_or_default(),
        text(event.request_id.map(|id| id.to_string())),
        text(event.intent.map(|intent| intent.to_string())),
        text(event.count.map(|count| count.to_string())),
        parameters.join("; "),
    ];
    row(body, &cells);
}

/// Adds a line of these cells.
pub(crate) fn row(body: &mut Vec<u8>, cells: &[String]) {
    for (position, text) in cells.iter().enumerate() {
        if position > 0 {
            body.push(b',');
        }
        cell(body, text);
    }
    body.extend_from_slice(b"\r\n");
}

/// What a formula begins with, also as full-width forms, which some spreadsheets take for the same.
const FORMULA: [char; 11] =
    ['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// Adds one cell.
fn cell(body: &mut Vec<u8>, text: &str) {
    let is_formula = text.starts_with(FORMULA);
    let quoted = is_formula || text.contains([',', '"', '\r', '\n']);
    if !quoted {
        body.extend_from_slice(text.as_bytes());
        return;
    }
    body.push(b'"');
    if is_formula {
        body.push(b'\'');
    }
    body.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    body.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::cell;

    fn check(text: &str, expected: &str) {
        let mut body = Vec::new();
        cell(&mut body, text);
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }

    #[test]
    fn cells_are_text_and_nothing_else() {
        check("plain", "plain");
        check("a,b", "\"a,b\"");
        check("say \"x\"", "\"say \"\"x\"\"\"");
        check("two\nlines", "\"two\nlines\"");
        check("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\"");
        check("@x", "\"'@x\"");
        check("-1", "\"'-1\"");
        check("\u{ff1d}1+1", "\"'\u{ff1d}1+1\"");
        check("\n=1", "\"'\n=1\"");
    }
}
