//! Bars as SVG: one for each party, with the spread of its rounds.

use std::fmt::Write as _;

const LEFT: f64 = 190.0;
const WIDTH: f64 = 760.0;
const ROW: f64 = 30.0;
const TOP: f64 = 50.0;

/// A bar for each `(name, value, spread)`.
pub(super) fn bars(title: &str, bars: &[(&str, f64, f64)]) -> String {
    let most = bars.iter().map(|(_, value, spread)| value + spread).fold(1.0, f64::max);
    let scale = (WIDTH - LEFT - 110.0) / most;
    let height = TOP + ROW * bars.len() as f64 + 10.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\"><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\
         <text x=\"12\" y=\"28\" font-size=\"16\">{title}: requests a second</text>"
    );
    for (row, (name, value, spread)) in bars.iter().enumerate() {
        let y = TOP + ROW * row as f64;
        let end = LEFT + value * scale;
        let fill = if name.starts_with("gateway") { "#1f6feb" } else { "#8b949e" };
        // Writing to a string does not fail.
        let _ = write!(
            svg,
            "<text x=\"{x}\" y=\"{middle}\" text-anchor=\"end\">{name}</text>\
             <rect x=\"{LEFT}\" y=\"{top}\" width=\"{width:.1}\" height=\"18\" fill=\"{fill}\"/>\
             <line x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{line}\" y2=\"{line}\" stroke=\"#000\"/>\
             <text x=\"{label:.1}\" y=\"{middle}\">{value:.0}</text>",
            x = LEFT - 8.0,
            middle = y + 14.0,
            top = y,
            width = end - LEFT,
            from = end - spread * scale,
            to = end + spread * scale,
            line = y + 9.0,
            label = end + spread * scale + 6.0,
        );
    }
    svg.push_str("</svg>\n");
    svg
}
