//! What holds of every page, and the pages of one's own account, of problems and of confirming.

mod account;
mod contrast;
mod frame;
mod problems;
mod step_up;

/// What holds of every page: one heading of the first level and a title, headings in order, nothing
/// inline, the session's token in every form that posts, a name for every field, nothing of a stranger.
pub(crate) fn check_page(at: &str, html: &str, csrf: Option<&str>) {
    assert!(html.starts_with("<!doctype html>\n<html lang=\"en\""), "{at}: {html}");
    assert_eq!(tags(html, "h1").len(), 1, "{at} has one h1: {html}");
    assert_eq!(tags(html, "main").len(), 1, "{at} has one main");
    let title = html.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next()).unwrap();
    assert!(title.ends_with("· Rack Gateway") && title.len() > 20, "{at}: {title}");
    let mut level = 1;
    for (heading, _) in headings(html) {
        assert!(heading <= level + 1, "{at}: an h{heading} stands below an h{level}");
        level = heading;
    }
    for tag in all_tags(html) {
        let name = tag.split([' ', '>', '\n']).next().unwrap().to_ascii_lowercase();
        assert!(!matches!(name.as_str(), "style" | "base" | "iframe" | "object" | "embed"), "{at}: <{tag}>");
        assert!(!(name == "img" && tag.contains("onerror")), "{at}: <{tag}>");
        for attribute in attributes(tag) {
            let attribute = attribute.to_ascii_lowercase();
            assert!(!attribute.starts_with("on") && attribute != "style", "{at}: {attribute} in <{tag}>");
        }
        if name == "script" {
            let is_own = ["app.js", "second-factor.js", "live.js", "logs.js", "terminal.js", "shared.js"]
                .iter()
                .any(|file| tag.contains(&format!("src=\"/app/static/{file}?v=")));
            assert!(is_own, "{at}: <{tag}>");
        }
    }
    assert!(!html.contains("<script>"), "{at}: {html}");
    check_forms(at, html, csrf);
    let hidden = |c: char| gateway_audit::text::is_hazard(c) && !matches!(c, '\n' | '\t' | '\r');
    assert_eq!(html.chars().find(|c| hidden(*c)), None, "{at}");
    check_ids(at, html);
    check_badges(at, html);
}

/// What every page is drawn by.
const STYLE: &str = include_str!("../static/style.css");

/// A badge has a tone that the style knows, or none.
fn check_badges(at: &str, html: &str) {
    for badge in html.split("class=\"badge").skip(1) {
        for tone in badge.split('"').next().unwrap().split_whitespace() {
            assert!(STYLE.contains(&format!(".badge.{tone} {{")), "{at}: no badge is {tone}");
        }
    }
}

fn check_forms(at: &str, html: &str, csrf: Option<&str>) {
    for form in html.split("<form").skip(1) {
        let form = form.split("</form>").next().unwrap();
        let (head, body) = form.split_once('>').unwrap();
        if head.contains("method=\"post\"") {
            let token = csrf.unwrap_or_else(|| panic!("{at}: a form for somebody without a session: {form}"));
            let field = format!("name=\"_csrf\" value=\"{token}\"");
            assert_eq!(body.matches(&field).count(), 1, "{at}: {form}");
        }
        for tag in all_tags(body) {
            let is_field = ["input", "select", "textarea"].iter().any(|name| tag.starts_with(name));
            if !is_field || tag.contains("type=\"hidden\"") {
                continue;
            }
            let before = body.split(tag).next().unwrap();
            let labelled = before.matches("<label").count() > before.matches("</label>").count();
            assert!(labelled || tag.contains("aria-label"), "{at}: no label for <{tag}>");
        }
    }
}

/// An id is there once, and what is referred to is there.
fn check_ids(at: &str, html: &str) {
    let values = |name: &str| -> Vec<String> {
        let mark = format!(" {name}=\"");
        html.split(&mark).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    let ids = values("id");
    for id in &ids {
        assert_eq!(ids.iter().filter(|other| *other == id).count(), 1, "{at}: id {id} twice");
    }
    for reference in values("aria-labelledby").into_iter().chain(values("aria-describedby")) {
        assert!(ids.contains(&reference), "{at}: nothing has the id {reference}");
    }
}

/// What stands between `<` and `>` of each tag that opens.
fn all_tags(html: &str) -> Vec<&str> {
    html.split('<')
        .skip(1)
        .filter(|tag| tag.starts_with(|c: char| c.is_ascii_alphabetic()))
        .map(|tag| tag.split('>').next().unwrap())
        .collect()
}

fn tags<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    all_tags(html).into_iter().filter(|tag| tag.split([' ', '\n']).next() == Some(name)).collect()
}

/// Levels and texts of the headings.
fn headings(html: &str) -> Vec<(u32, &str)> {
    let heading = |part: &'_ str| part.chars().next().and_then(|c| c.to_digit(10));
    html.split("<h").skip(1).filter_map(|part| Some((heading(part)?, part))).collect()
}

/// Names of the attributes of a tag.
fn attributes(tag: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = tag.split_once([' ', '\n']).map_or("", |(_, rest)| rest);
    while !rest.trim_start().is_empty() {
        rest = rest.trim_start();
        let end = rest.find(['=', ' ', '\n']).unwrap_or(rest.len());
        names.push(&rest[..end]);
        rest = &rest[end..];
        if let Some(value) = rest.strip_prefix("=\"") {
            rest = value.split_once('"').map_or("", |(_, rest)| rest);
        } else if let Some(value) = rest.strip_prefix('=') {
            rest = value.split_once([' ', '\n']).map_or("", |(_, rest)| rest);
        }
    }
    names
}
