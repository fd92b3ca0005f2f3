//! Contrast of the style sheet's tokens, in both themes (WCAG 2.2, 1.4.3 and 1.4.11).

use std::collections::BTreeMap;

const STYLE: &str = include_str!("../../static/style.css");

/// The colours of the first `:root` after `from`.
fn tokens(from: &str) -> BTreeMap<&str, &str> {
    let block = STYLE.split_once(from).unwrap().1.split_once('{').unwrap().1.split_once('}').unwrap().0;
    let pair = |line: &'static str| {
        let (name, value) = line.trim().strip_prefix("--")?.split_once(": ")?;
        Some((name, value.trim_end_matches(';').strip_prefix('#')?))
    };
    block.lines().filter_map(pair).collect()
}

fn luminance(colour: &str) -> f64 {
    let part = |at: usize| {
        let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
}

fn contrast(a: &str, b: &str) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn check(theme: &str, tokens: &BTreeMap<&str, &str>, ink: &str, ground: &str, least: f64) {
    let found = contrast(tokens[ink], tokens[ground]);
    assert!(found >= least, "{theme}: {ink} on {ground} has {found:.2}, less than {least}");
}

#[test]
fn every_text_can_be_read_in_both_themes() {
    let light = tokens("Tokens first");
    let dark = tokens("@media (prefers-color-scheme: dark)");
    assert_eq!(light.keys().collect::<Vec<_>>(), dark.keys().collect::<Vec<_>>());
    for (theme, tokens) in [("light", &light), ("dark", &dark)] {
        for ground in ["bg", "surface", "sunken"] {
            for ink in ["text", "muted", "accent", "accent-hover", "bad", "ok", "warn"] {
                check(theme, tokens, ink, ground, 4.5);
            }
        }
        for ground in ["accent-soft", "ok-soft", "warn-soft", "bad-soft"] {
            check(theme, tokens, "text", ground, 4.5);
            check(theme, tokens, "accent", ground, 4.5);
        }
        for tone in ["ok", "warn", "bad"] {
            check(theme, tokens, tone, &format!("{tone}-soft"), 4.5);
        }
        check(theme, tokens, "on-accent", "accent", 4.5);
        check(theme, tokens, "on-accent", "accent-hover", 4.5);
        check(theme, tokens, "on-bad", "bad", 4.5);
        check(theme, tokens, "on-bad", "bad-hover", 4.5);
        for ground in ["bg", "surface", "sunken"] {
            // The edge of a field, and the ring of the focus.
            check(theme, tokens, "line-strong", ground, 3.0);
            check(theme, tokens, "accent", ground, 3.0);
        }
    }
}
