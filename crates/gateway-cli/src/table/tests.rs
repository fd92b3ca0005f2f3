//! How tables look.

use super::*;

fn rows() -> Rows {
    let mut rows = Rows::new(&["NAME", "ROLES"]);
    rows.add(vec!["ci".to_owned(), "cicd".to_owned()]);
    rows.add(vec!["a long name".to_owned(), String::new()]);
    rows
}

#[test]
fn a_pipe_gets_bare_columns() {
    assert_eq!(rows().render(Looks::Plain), "NAME         ROLES\nci           cicd\na long name  -");
}

#[test]
fn a_terminal_gets_a_line_below_the_header() {
    let drawn = rows().render(Looks::Lines(None));
    let lines: Vec<&str> = drawn.lines().collect();
    assert_eq!((lines.len(), lines[0].split_whitespace().collect()), (4, vec!["NAME", "ROLES"]));
    assert!(lines[1].chars().all(|c| c == '─'), "{drawn}");
    assert_eq!(drawn, rows().render(Looks::Colours(None)));
}

#[test]
fn a_narrow_terminal_gets_narrow_columns_and_every_word() {
    let mut rows = Rows::new(&["NAME", "ROLES", "REASON"]);
    let reason = "because the deployment of yesterday has to be looked at by somebody";
    rows.add(vec!["ada@example.com".to_owned(), "deployer".to_owned(), reason.to_owned()]);
    let drawn = rows.render(Looks::Lines(Some(60)));
    assert!(drawn.lines().all(|line| line.chars().count() <= 60), "{drawn}");
    let words: Vec<&str> = drawn.split_whitespace().collect();
    assert!(
        reason.split(' ').all(|word| words.contains(&word)) && words.contains(&"ada@example.com"),
        "{drawn}"
    );
    // Where it fits nothing is broken, nor in a pipe, nor where a terminal does not say how wide it is.
    let whole = rows.render(Looks::Lines(None));
    assert_eq!(rows.render(Looks::Colours(Some(200))), whole);
    assert_eq!((whole.lines().count(), rows.render(Looks::Plain).lines().count()), (3, 2));
    // However narrow, it ends.
    assert!(!rows.render(Looks::Lines(Some(1))).is_empty());
}

#[test]
fn cells_cannot_steer_a_terminal() {
    let mut rows = Rows::new(&["NAME"]);
    rows.add(vec!["a\u{1b}[2Jb\nc".to_owned()]);
    assert_eq!(rows.render(Looks::Plain), "NAME\na\u{fffd}[2Jb\u{fffd}c");
}
