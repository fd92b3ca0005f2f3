use std::time::Duration;

use super::*;
use crate::{Aggregation, Together, gather};

fn aggregating(actions: &[&str]) -> Sampling {
    Sampling::default().with(Aggregation::new(actions.iter().copied()))
}

/// A hundred thousand polls of two people at two apps over four minutes, some of which are no polls.
fn log(numbers: &Numbers) -> Vec<Event> {
    let polled = (0_u64..100_000).map(|index| {
        let mut event = poll(numbers);
        event.time = event.time.saturating_add(Duration::from_micros(index * 2400));
        event.actor.name = ["ada@example.com", "bo@example.com"][usize::from(index % 3 == 0)].to_owned();
        event.resource = Resource::app(["web", "api"][usize::from(index % 5 == 0)]);
        match index % 1000 {
            17 => event.status = Some(500),
            400 => event.verdict = Some(verdict(Decision::Refuse)),
            900 => event.phase = Phase::Intent,
            _ => {}
        }
        event
    });
    polled.collect()
}

fn window(log: &[Event], start: usize, end: usize, rules: &Sampling, numbers: &Numbers) -> Vec<Record> {
    let indices = start..end;
    gather(indices.filter_map(|index| read(&log[index], index as u64, rules, numbers)).collect())
}

#[test]
fn of_a_hundred_thousand_polls_every_one_is_counted() {
    let numbers = numbers();
    let (log, rules) = (log(&numbers), aggregating(&["convox:process:*"]));
    let (mut counted, mut whole, mut sent, mut start) = (0, 0, 0, 0);
    while start < log.len() {
        // Windows of every length, each sent in two halves: what is sent again is the same.
        let end = log.len().min(start + 1 + (start * 7) % 500);
        let records = window(&log, start, end, &rules, &numbers);
        let middle = records.len() / 2;
        let place = records.get(middle).map_or(end as u64, |record| record.index);
        let again = window(&log, start, end, &rules, &numbers);
        let rest: Vec<_> = again.into_iter().filter(|record| record.index >= place).collect();
        let by_index =
            |records: &[Record]| records.iter().map(|one| (one.index, one.together)).collect::<Vec<_>>();
        assert_eq!(by_index(&rest), by_index(&records[middle..]));
        for record in &records {
            sent += 1;
            match record.together {
                Some(Together { count, first, last, first_index }) => {
                    assert!(
                        count > 1 && first <= last && last == record.event.time && first_index < record.index
                    );
                    assert_eq!(first.micros() / 60_000_000, last.micros() / 60_000_000);
                    counted += count;
                }
                None => whole += 1,
            }
        }
        start = end;
    }
    assert_eq!(
        counted + whole,
        100_000,
        "those that are counted and those that stand for themselves are all"
    );
    assert!(whole >= 300, "refusals, failures and changes stand for themselves");
    assert!(sent < 5_000, "{sent} were sent");
}

#[test]
fn only_like_ones_come_together_and_nothing_that_is_no_read() {
    let numbers = numbers();
    let rules = aggregating(&["convox:process:list"]);
    let polls = |number: usize| (0..number).map(|_| poll(&numbers)).collect::<Vec<_>>();
    let mut log = polls(6);
    log[1].actor.name = "bo@example.com".to_owned();
    log[2].resource = Resource::app("api");
    log[3].time = log[3].time.saturating_add(Duration::from_secs(60));
    log[4].actor.id = Some("another ada".to_owned());
    let records = window(&log, 0, 6, &rules, &numbers);
    assert_eq!(records.iter().map(|one| one.index).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(records[4].together.map(|all| (all.count, all.first_index)), Some((2, 0)));
    assert!(records[..4].iter().all(|one| one.together.is_none()));
    // Another action, and everything that is more than a read.
    assert_eq!(window(&polls(3), 0, 3, &aggregating(&["convox:app:*"]), &numbers).len(), 3);
    let refused = |mut event: Event| {
        event.verdict = Some(verdict(Decision::Refuse));
        event
    };
    let refusals: Vec<_> = polls(3).into_iter().map(refused).collect();
    assert_eq!(window(&refusals, 0, 3, &aggregating(&["*"]), &numbers).len(), 3);
}

#[test]
fn what_comes_together_is_not_sampled_and_every_form_says_the_number() {
    let numbers = numbers();
    let one_in_many = SampleRule::new("*", 1_000_000.try_into().unwrap());
    let rules = Sampling::new(vec![one_in_many]).with(Aggregation::new(["convox:process:list"]));
    let log: Vec<_> = (0..7).map(|_| poll(&numbers)).collect();
    let records = window(&log, 0, 7, &rules, &numbers);
    let [record] = &records[..] else { panic!("{records:?}") };
    let line: serde_json::Value = serde_json::from_str(&record.line(&source()).unwrap()).unwrap();
    let time = log[0].time.to_rfc3339();
    assert_eq!(
        line["together"],
        serde_json::json!({ "count": 7, "first": time, "last": time, "first_index": 0 })
    );
    assert_eq!(line["id"], log[6].id.to_string());
    let message = crate::syslog::message(record, &source()).unwrap();
    assert!(message.contains(" count=\"7\" first=\""), "{message}");
    let logs = String::from_utf8(crate::otlp::body(&records, &source()).unwrap()).unwrap();
    assert!(logs.contains(r#"{"key":"rack_gateway.count","value":{"intValue":"7"}}"#), "{logs}");
    let event: serde_json::Value =
        serde_json::from_slice(&crate::cloudevents::body(record, &source()).unwrap()).unwrap();
    assert_eq!((&event["togethercount"], &event["data"]["together"]["count"]), (&7.into(), &7.into()));
}
