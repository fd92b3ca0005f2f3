//! Measurements of an app, of one of its services and of the rack over time, drawn as SVG on the server, with the same
//! numbers as tables. What is measured, and under which names, is the rack's own.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_convox::replies::{Metric, MetricValue};
use gateway_types::{Problem, Timestamp};

use super::{Tab, listed, moment, parameter, tabs};
use crate::page::Frame;
use crate::pages::command;
use crate::query::Query;
use crate::{Web, filters, reply};

/// Size of a drawing, in its own units.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 120.0;
/// The most rows of a table: the newest.
const MOST_ROWS: usize = 200;

/// How far back is looked: the label, seconds, and how many of them one point stands for.
const SPANS: [(&str, i64, u32); 3] = [("Hour", 3600, 60), ("Day", 86_400, 900), ("Week", 7 * 86_400, 3600)];

/// The way to the same page over another time.
struct Span {
    label: &'static str,
    href: String,
    is_current: bool,
}

/// One metric as it is drawn.
struct Series {
    name: String,
    /// Points of the line of averages, as `polyline` takes them.
    line: String,
    /// Points of the band from the least to the most, as `polygon` takes them.
    band: String,
    lowest: String,
    highest: String,
    newest: String,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    /// Newest first.
    rows: Vec<Row>,
    rest: usize,
}

struct Row {
    at: Option<Timestamp>,
    average: String,
    least: String,
    most: String,
}

#[derive(Template)]
#[template(path = "rack_metrics.html")]
struct MetricsPage {
    frame: Frame,
    /// The app that the page belongs to; empty = the rack's own.
    app: String,
    tabs: Vec<Tab>,
    title: String,
    spans: Vec<Span>,
    series: Vec<Series>,
    columns: Vec<&'static str>,
    commands: Vec<String>,
}

/// `GET /app/apps/{app}/metrics`.
pub(crate) async fn of_app(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = parameter(request, "app");
    let commands = vec![format!("rack-gateway ps --app {}", command::word(&app))];
    show(web, request, format!("Metrics of {app}"), app, commands)
}

/// `GET /app/apps/{app}/services/{service}/metrics`.
pub(crate) async fn of_service(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, service) = (parameter(request, "app"), parameter(request, "service"));
    let commands = vec![format!("rack-gateway services --app {}", command::word(&app))];
    show(web, request, format!("Metrics of the service {service} of {app}"), app, commands)
}

/// `GET /app/rack/metrics`.
pub(crate) async fn of_rack(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let commands = vec!["rack-gateway instances".to_owned()];
    show(web, request, "Metrics of the rack".to_owned(), String::new(), commands)
}

fn show(
    web: &Web,
    request: &OwnRequest,
    title: String,
    app: String,
    commands: Vec<String>,
) -> Result<OwnReply, Problem> {
    let measured: Vec<Metric> = listed(request)?;
    reply::html(&MetricsPage {
        frame: Frame::of(web, request, &title),
        tabs: if app.is_empty() { Vec::new() } else { tabs(web, request, &app) },
        spans: spans(request, web.app().clock.now()),
        series: measured.into_iter().filter_map(drawn).collect(),
        columns: vec!["At", "Average", "Least", "Most"],
        app,
        title,
        commands,
    })
}

fn spans(request: &OwnRequest, now: Timestamp) -> Vec<Span> {
    let query = Query::of(request);
    let current = query.one("period").unwrap_or_default();
    let span = |(label, seconds, period): (&'static str, i64, u32)| {
        let start = Timestamp::from_micros(now.micros().saturating_sub(seconds.saturating_mul(1_000_000)));
        let period = period.to_string();
        let query = Query::default().with("start", &in_racks_form(start)).with("period", &period);
        Span { label, href: query.link(&request.head.path), is_current: current == period }
    };
    SPANS.into_iter().map(span).collect()
}

/// A moment as a rack's parameters have it: `20060102.150405.000000000`.
fn in_racks_form(at: Timestamp) -> String {
    let digits: String =
        at.to_rfc3339().chars().take(19).filter(|c| c.is_ascii_digit() || *c == 'T').collect();
    format!("{}.000000000", digits.replace('T', "."))
}

/// The drawing of a metric; `None` when nothing was measured.
fn drawn(metric: Metric) -> Option<Series> {
    let values: Vec<MetricValue> = metric.values.unwrap_or_default();
    let (first, last) = (values.first()?, values.last()?);
    let least = |value: &MetricValue| value.min.min(value.avg);
    let most = |value: &MetricValue| value.max.max(value.avg);
    let lowest = values.iter().map(least).fold(f64::INFINITY, f64::min);
    let highest = values.iter().map(most).fold(f64::NEG_INFINITY, f64::max);
    // From nothing on, where nothing is below it: a drawing that begins elsewhere makes much of little.
    let (floor, ceiling) = (lowest.min(0.0), highest.max(0.0));
    let point = |place: usize, value: f64| {
        let x = WIDTH * share(place as f64, values.len().saturating_sub(1) as f64);
        let y = HEIGHT * (1.0 - share(value / 2.0 - floor / 2.0, ceiling / 2.0 - floor / 2.0));
        format!("{x:.1},{y:.1}")
    };
    let line = values.iter().enumerate().map(|(place, value)| point(place, value.avg));
    let upper = values.iter().enumerate().map(|(place, value)| point(place, most(value)));
    let lower = values.iter().enumerate().rev().map(|(place, value)| point(place, least(value)));
    let row = |value: &MetricValue| Row {
        at: moment(&value.time),
        average: number(value.avg),
        least: number(least(value)),
        most: number(most(value)),
    };
    Some(Series {
        line: line.collect::<Vec<_>>().join(" "),
        band: upper.chain(lower).collect::<Vec<_>>().join(" "),
        lowest: number(lowest),
        highest: number(highest),
        newest: number(last.avg),
        from: moment(&first.time),
        until: moment(&last.time),
        rows: values.iter().rev().take(MOST_ROWS).map(row).collect(),
        rest: values.len().saturating_sub(MOST_ROWS),
        name: metric.name,
    })
}

/// `of` as a part of `whole`, from 0 to 1; 0 where there is no whole.
fn share(of: f64, whole: f64) -> f64 {
    if whole > 0.0 { (of / whole).clamp(0.0, 1.0) } else { 0.0 }
}

/// A measured number with as many digits as say something.
fn number(value: f64) -> String {
    let size = value.abs();
    match () {
        () if size >= 1e15 => format!("{value:e}"),
        () if size >= 1000.0 || value.fract() == 0.0 => format!("{value:.0}"),
        () if size >= 0.01 => format!("{value:.2}"),
        () => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(values: &[(f64, f64, f64)]) -> Metric {
        let value = |(min, avg, max): &(f64, f64, f64)| MetricValue {
            time: "2026-11-20T10:00:00Z".to_owned(),
            avg: *avg,
            min: *min,
            max: *max,
        };
        Metric { name: "cpu".to_owned(), values: Some(values.iter().map(value).collect()) }
    }

    #[test]
    fn a_drawing_begins_at_nothing_and_fills_its_place() {
        let series = drawn(metric(&[(0.0, 50.0, 100.0), (25.0, 50.0, 75.0), (0.0, 0.0, 0.0)])).unwrap();
        assert_eq!(series.line, "0.0,60.0 300.0,60.0 600.0,120.0");
        assert_eq!(series.band, "0.0,0.0 300.0,30.0 600.0,120.0 600.0,120.0 300.0,90.0 0.0,120.0");
        assert_eq!((series.lowest, series.highest, series.newest), ("0".into(), "100".into(), "0".into()));
        // Racks that tell the average alone, and what is below nothing.
        assert_eq!(drawn(metric(&[(0.0, 4.0, 0.0)])).unwrap().highest, "4");
        assert_eq!(drawn(metric(&[(-2.0, -1.0, 0.0), (0.0, 1.0, 2.0)])).unwrap().line, "0.0,90.0 600.0,30.0");
    }

    #[test]
    fn whatever_was_measured_stays_in_the_drawing() {
        for values in [vec![(0.0, 0.0, 0.0)], vec![(f64::MIN, 0.0, f64::MAX), (f64::MAX, f64::MIN, 1.0)]] {
            let series = drawn(metric(&values)).unwrap();
            let points = series.line.split(' ').chain(series.band.split(' '));
            for (x, y) in points.map(|point| point.split_once(',').unwrap()) {
                let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                assert!((0.0..=WIDTH).contains(&x) && (0.0..=HEIGHT).contains(&y), "{x},{y}");
            }
        }
        assert!(drawn(metric(&[])).is_none());
    }

    #[test]
    fn a_moment_is_said_as_racks_take_it() {
        let at = Timestamp::parse_rfc3339("2018-10-01T03:04:05Z").unwrap();
        assert_eq!(in_racks_form(at), "20181001.030405.000000000");
        assert_eq!([1234.5, 3.0, 0.123, 0.00012, 2e20].map(number), ["1234", "3", "0.12", "0.0001", "2e20"]);
    }
}
