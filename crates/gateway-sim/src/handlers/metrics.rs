//! What a rack measures: of apps and services their processor and memory, of itself how much of the cluster is taken.

use gateway_types::Timestamp;
use serde_json::{Value, json};

use super::{Answer, app_of};
use crate::call::Call;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::state::{State, now};

const SECOND: i64 = 1_000_000;
/// How far back is looked where nobody says.
const A_DAY: i64 = 86_400;
/// The most measurements of one metric.
const MOST: usize = 1_000;

pub(crate) fn of_app(call: &Call, state: &mut State) -> Answer {
    app_of(call, state)?;
    measured(call, &["cpu", "mem"])
}

/// The same for each of the services that are asked for.
pub(crate) fn by_service(call: &Call, state: &mut State) -> Answer {
    let app = app_of(call, state)?;
    let mut rows = Vec::new();
    for service in call.required("services")?.split(',') {
        app.service(service)?;
        rows.push(json!({"name": service, "metrics": series(call, &["cpu", "mem"])?}));
    }
    Ok(Reply::json(&rows))
}

pub(crate) fn of_service(call: &Call, state: &mut State) -> Answer {
    app_of(call, state)?.service(call.var("service"))?;
    measured(call, &["cpu", "mem"])
}

pub(crate) fn of_rack(call: &Call, _: &mut State) -> Answer {
    measured(call, &["cluster:cpu:utilization", "cluster:mem:utilization"])
}

fn measured(call: &Call, names: &[&str]) -> Answer {
    Ok(Reply::json(&series(call, names)?))
}

fn series(call: &Call, names: &[&str]) -> Result<Vec<Value>, Refusal> {
    let end = moment(call, "end")?.unwrap_or_else(now).micros().div_euclid(SECOND);
    let start =
        moment(call, "start")?.map_or(end.saturating_sub(A_DAY), |start| start.micros().div_euclid(SECOND));
    let period = call.int("period")?.unwrap_or(3600);
    let step = usize::try_from(period).ok().filter(|step| *step > 0).ok_or(Refusal::Invalid("period"))?;
    let wanted = call.value("metrics").filter(|wanted| !wanted.is_empty());
    let is_wanted = |name: &&&str| wanted.is_none_or(|wanted| wanted.split(',').any(|one| one == **name));
    let first = start.saturating_sub(start.rem_euclid(period));
    let moments: Vec<i64> = (first..end).step_by(step).take(MOST).collect();
    let one = |name: &&str| {
        let values: Vec<Value> = moments.iter().map(|at| value(*at)).collect();
        json!({"name": name, "values": values})
    };
    Ok(names.iter().filter(is_wanted).map(one).collect())
}

/// What was measured at a second: the same whenever it is asked for, in waves of an hour and a day.
fn value(at: i64) -> Value {
    let wave = |length: i64| at.rem_euclid(length).abs_diff(length / 2) * 20 / length.unsigned_abs();
    let average = 20 + 2 * wave(3600) + 3 * wave(86_400);
    let time = Timestamp::from_micros(at.saturating_mul(SECOND)).to_rfc3339();
    json!({"avg": average, "count": 60, "max": average + 10, "min": average / 2, "sum": average * 60, "time": time})
}

/// A moment of the query, `20060102.150405.000000000`.
fn moment(call: &Call, name: &'static str) -> Result<Option<Timestamp>, Refusal> {
    let Some(text) = call.value(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let read = || {
        let (day, rest) = text.split_once('.')?;
        let (time, _fraction) = rest.split_once('.')?;
        let (year, month, date) = (day.get(..4)?, day.get(4..6)?, day.get(6..8)?);
        let (hour, minute, second) = (time.get(..2)?, time.get(2..4)?, time.get(4..6)?);
        Timestamp::parse_rfc3339(&format!("{year}-{month}-{date}T{hour}:{minute}:{second}Z"))
    };
    read().map(Some).ok_or(Refusal::Invalid(name))
}
