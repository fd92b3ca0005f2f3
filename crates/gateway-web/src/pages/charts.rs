//! The audit log in charts: verdicts by day and by action, drawn as SVG on the server, with the same numbers as tables.

use askama::Template;
use gateway_app::audit::summary::{self, Summary, SummaryFilter, Verdicts};
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_types::{Problem, Timestamp};

use super::audit::moments;
use crate::page::Frame;
use crate::query::Query;
use crate::{Web, reply};

/// The most bars of the chart by time: days are put together until there are no more.
const MOST_BARS: u64 = 60;
/// The most actions that are drawn.
const MOST_ACTIONS: usize = 12;
/// Size of the drawing, in its own units.
const WIDTH: u64 = 600;
const HEIGHT: u64 = 160;
/// A day.
const DAY: i64 = 86_400_000_000;

/// One bar of the chart by time: refused on top of allowed.
struct Bar {
    label: String,
    href: String,
    verdicts: Verdicts,
    x: u64,
    width: u64,
    allowed_y: u64,
    allowed_height: u64,
    refused_y: u64,
    refused_height: u64,
}

/// One line of the chart by action.
struct Line {
    action: String,
    href: String,
    verdicts: Verdicts,
    y: u64,
    allowed_width: u64,
    refused_width: u64,
}

#[derive(Template)]
#[template(path = "audit_charts.html")]
struct ChartsPage {
    frame: Frame,
    app: String,
    actor: String,
    from: String,
    to: String,
    faults: Vec<String>,
    total: Verdicts,
    counted: String,
    bars: Vec<Bar>,
    span: String,
    lines: Vec<Line>,
    lines_height: u64,
    rest: usize,
    events_href: String,
    stories_href: String,
}

/// `GET /app/audit/charts`.
pub(crate) async fn show(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let query = Query::of(request);
    let one = |name| query.one(name).unwrap_or_default();
    let (app, actor, from, to) = (one("app"), one("actor"), one("from"), one("to"));
    let given = |text: &String| (!text.is_empty()).then(|| text.clone());
    let (found, faults) = match moments(&from, &to) {
        Ok((since, until)) => {
            let filter = SummaryFilter { app: given(&app), actor: given(&actor), since, until };
            (Some(summary::summary(&web.app().store, &filter).await?), Vec::new())
        }
        Err(faults) => (None, faults),
    };
    let narrowed = [("app", &app), ("actor", &actor)]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .fold(Query::default(), |query, (name, value)| query.with(name, value));
    let (bars, span) = found.as_ref().map(|found| bars(found, &narrowed)).unwrap_or_default();
    let lines = found.as_ref().map(|found| lines(found, &narrowed)).unwrap_or_default();
    reply::html(&ChartsPage {
        frame: Frame::of(web, request, "Audit log in numbers"),
        total: found.as_ref().map(|found| found.total).unwrap_or_default(),
        counted: found.as_ref().map(|found| counted(found, &app, &actor)).unwrap_or_default(),
        rest: found.as_ref().map_or(0, |found| found.actions.len().saturating_sub(MOST_ACTIONS)),
        lines_height: u64::try_from(lines.len()).unwrap_or(0).saturating_mul(ROW).max(ROW),
        bars,
        span,
        lines,
        events_href: narrowed.link("/app/audit"),
        stories_href: narrowed.clone().with("view", "story").link("/app/audit"),
        faults,
        app,
        actor,
        from,
        to,
    })
}

fn counted(found: &Summary, app: &str, actor: &str) -> String {
    match (app.is_empty() && actor.is_empty(), found.from) {
        (true, _) => format!("The whole log up to entry {}; it is counted each minute.", found.to),
        (false, 0) => format!("All entries up to {}, counted now.", found.to),
        (false, from) => format!(
            "The newest 20,000 entries, from {from} on, counted now; older ones are not in these numbers."
        ),
    }
}

fn part(number: u64, of: u64, length: u64) -> u64 {
    number.saturating_mul(length).checked_div(of).unwrap_or(0)
}

fn day(moment: Timestamp) -> String {
    moment.to_rfc3339().chars().take(10).collect()
}

/// Bars over the whole range, days without a decision included; several days to a bar where there are many.
fn bars(found: &Summary, narrowed: &Query) -> (Vec<Bar>, String) {
    let (Some((first, _)), Some((last, _))) = (found.days.first(), found.days.last()) else {
        return Default::default();
    };
    let number = |moment: &Timestamp| moment.micros().div_euclid(DAY);
    let days = u64::try_from(number(last).saturating_sub(number(first))).unwrap_or(0).saturating_add(1);
    let together = days.div_ceil(MOST_BARS).max(1);
    let count = days.div_ceil(together);
    let mut sums = vec![Verdicts::default(); usize::try_from(count).unwrap_or(0)];
    for (moment, verdicts) in &found.days {
        let place = u64::try_from(number(moment).saturating_sub(number(first))).unwrap_or(0) / together;
        if let Some(sum) = usize::try_from(place).ok().and_then(|place| sums.get_mut(place)) {
            sum.allowed = sum.allowed.saturating_add(verdicts.allowed);
            sum.refused = sum.refused.saturating_add(verdicts.refused);
        }
    }
    let most = sums.iter().map(|sum| sum.all()).max().unwrap_or(0);
    let step = WIDTH / count.max(1);
    let bar = |(place, verdicts): (u64, Verdicts)| {
        let begins = number(first).saturating_add(i64::try_from(place.saturating_mul(together)).unwrap_or(0));
        let start = Timestamp::from_micros(begins.saturating_mul(DAY));
        let length = i64::try_from(together).unwrap_or(1).saturating_mul(DAY);
        let end = Timestamp::from_micros(start.micros().saturating_add(length));
        let allowed_height = part(verdicts.allowed, most, HEIGHT);
        // What was refused is seen, however few there were.
        let refused_height = match verdicts.refused {
            0 => 0,
            refused => part(refused, most, HEIGHT).max(2),
        };
        let allowed_y = HEIGHT.saturating_sub(allowed_height);
        Bar {
            label: day(start),
            href: narrowed.clone().with("from", &day(start)).with("to", &day(end)).link("/app/audit"),
            verdicts,
            x: place.saturating_mul(step),
            width: step.saturating_sub(1).max(1),
            allowed_y,
            allowed_height,
            refused_y: allowed_y.saturating_sub(refused_height),
            refused_height,
        }
    };
    let span = if together == 1 { "day".to_owned() } else { format!("{together} days") };
    ((0..).zip(sums).map(bar).collect(), span)
}

/// Height of a line of the chart by action.
const ROW: u64 = 22;

fn lines(found: &Summary, narrowed: &Query) -> Vec<Line> {
    let most = found.actions.iter().map(|(_, verdicts)| verdicts.all()).max().unwrap_or(0);
    let line = |(place, (action, verdicts)): (u64, &(String, Verdicts))| Line {
        action: action.clone(),
        href: narrowed.clone().with("action", action).link("/app/audit"),
        verdicts: *verdicts,
        y: place.saturating_mul(ROW),
        allowed_width: part(verdicts.allowed, most, WIDTH),
        refused_width: part(verdicts.refused, most, WIDTH),
    };
    (0..).zip(found.actions.iter().take(MOST_ACTIONS)).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(days: &[(i64, u64, u64)]) -> Summary {
        let verdicts = |allowed, refused| Verdicts { allowed, refused };
        let days: Vec<_> = days
            .iter()
            .map(|(day, allowed, refused)| (Timestamp::from_micros(day * DAY), verdicts(*allowed, *refused)))
            .collect();
        Summary { days, actions: Vec::new(), total: Verdicts::default(), from: 0, to: 0 }
    }

    #[test]
    fn every_day_of_the_range_has_its_place() {
        let (drawn, span) = bars(&summary(&[(10, 100, 0), (13, 50, 1)]), &Query::default());
        let heights: Vec<_> =
            drawn.iter().map(|bar| (bar.x, bar.allowed_height, bar.refused_height)).collect();
        // The day with 100 is the highest; one refusal among a hundred is two units, not one.
        assert_eq!(heights, [(0, 160, 0), (150, 0, 0), (300, 0, 0), (450, 80, 2)]);
        assert_eq!((span.as_str(), drawn[3].label.as_str()), ("day", "1970-01-14"));
        assert_eq!(drawn[0].href, "/app/audit?from=1970-01-11&to=1970-01-12");
        let (drawn, span) = bars(&summary(&[(0, 1, 0), (364, 1, 0)]), &Query::default());
        assert_eq!((drawn.len(), span.as_str()), (53, "7 days"));
        assert!(drawn.iter().all(|bar| bar.x + bar.width <= WIDTH));
        assert_eq!(bars(&summary(&[]), &Query::default()).0.len(), 0);
    }
}
