use gateway_types::Entropy as _;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::sampling::is_plain_read;
use crate::{SampleRule, Share};

fn rules(rules: &[(&str, u64)]) -> Sampling {
    let rule = |(action, rate): &(&str, u64)| SampleRule::new(action, (*rate).try_into().unwrap());
    Sampling::new(rules.iter().map(rule).collect())
}

/// The log holds all; the sink about one in a hundred, each with its rate.
#[test]
fn of_a_hundred_thousand_polls_one_in_n_is_kept() {
    const POLLS: u64 = 100_000;
    const RATE: u64 = 100;
    let sampling = rules(&[("convox:process:list", RATE)]);
    let numbers = numbers();
    let kept: Vec<Record> =
        (0..POLLS).filter_map(|index| read(&poll(&numbers), index, &sampling, &numbers)).collect();
    // 1000 expected; five standard deviations are 158.
    let expected = (POLLS / RATE) as f64;
    let far = (kept.len() as f64 - expected).abs();
    assert!(far < 5.0 * expected.sqrt(), "{} were kept", kept.len());
    assert!(kept.iter().all(|record| record.one_in == RATE));
    let line: serde_json::Value = serde_json::from_str(&kept[0].line(&source()).unwrap()).unwrap();
    assert_eq!(line["one_in"], RATE);
}

#[test]
fn the_first_rule_that_is_about_an_action_counts() {
    let sampling = rules(&[("convox:process:list", 2), ("convox:*", 1_000_000)]);
    let numbers = numbers();
    let kept = (0..1000).filter_map(|index| read(&poll(&numbers), index, &sampling, &numbers));
    assert!((400..600).contains(&kept.inspect(|record| assert_eq!(record.one_in, 2)).count()));
    let others = rules(&[("convox:app:list", 1_000_000)]);
    assert!((0..100).all(|index| read(&poll(&numbers), index, &others, &numbers).unwrap().one_in == 1));
}

/// What is done to a poll so that it is none any more.
fn altered(change: usize) -> Event {
    let mut event = poll(&numbers());
    match change {
        0 => event.phase = Phase::Intent,
        1 => event.phase = Phase::Outcome,
        2 => event.verdict = Some(verdict(Decision::Refuse)),
        3 => event.verdict = None,
        4 => event.end = Some(End::Refused),
        5 => event.end = Some(End::UpstreamLost),
        6 => event.end = None,
        7 => event.status = Some(404),
        8 => event.status = None,
        9 => event.before = Some(json!({ "a": 1 })),
        10 => event.after = Some(json!(null)),
        11 => event.count = Some(3),
        12 => event.approval = Some("a".to_owned()),
        13 => event.step_up = Some("totp".to_owned()),
        14 => event.intent = Some(1),
        15 => event.route = Some("POST /apps".to_owned()),
        16 => event.route = Some("SOCKET /apps/{app}/logs".to_owned()),
        17 => event.route = None,
        _ => {
            if let Some(verdict) = &mut event.verdict {
                verdict.observed.push("not-on-fridays".to_owned());
            }
        }
    }
    event
}

proptest! {
    /// Changes, refusals, failures and whatever is not plainly a read are in every sink, whatever is drawn.
    #[test]
    fn nothing_but_a_plain_read_is_ever_left_out(change in 0_usize..19, seed: u64, rate in 2_u64..=1_000_000) {
        let event = altered(change);
        prop_assert!(!is_plain_read(&event));
        let sampling = rules(&[("*", rate)]);
        let entropy = Numbers(AtomicU64::new(seed));
        let mut nonce = [0; 16];
        entropy.fill(&mut nonce);
        let leaf = event.to_leaf(nonce).unwrap();
        prop_assert_eq!(sampling.share(&event, &leaf.hash), Share::Whole);
    }

    /// The same entry is kept, or left out, at each attempt.
    #[test]
    fn the_draw_is_of_the_entry(seed: u64) {
        let entropy = Numbers(AtomicU64::new(seed));
        let event = poll(&entropy);
        let mut nonce = [0; 16];
        entropy.fill(&mut nonce);
        let leaf = event.to_leaf(nonce).unwrap();
        let share = || rules(&[("*", 3)]).share(&event, &leaf.hash);
        prop_assert_eq!(share(), share());
    }
}
