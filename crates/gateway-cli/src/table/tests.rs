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
    let drawn = rows().render(Looks::Lines);
    let lines: Vec<&str> = drawn.lines().collect();
    assert_eq!((lines.len(), lines[0].split_whitespace().collect()), (4, vec!["NAME", "ROLES"]));
    assert!(lines[1].chars().all(|c| c == '─'), "{drawn}");
    assert_eq!(drawn, rows().render(Looks::Colours));
}

#[test]
fn cells_cannot_steer_a_terminal() {
    let mut rows = Rows::new(&["NAME"]);
    rows.add(vec!["a\u{1b}[2Jb\nc".to_owned()]);
    assert_eq!(rows.render(Looks::Plain), "NAME\na\u{fffd}[2Jb\u{fffd}c");
}
