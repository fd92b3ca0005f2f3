use std::time::Duration;

use super::buckets::Buckets;
use super::*;

fn rate(count: u32, seconds: u64, burst: u32) -> Rate {
    Rate { count, period: Duration::from_secs(seconds), burst }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_micros(1_795_000_000_000_000 + millis * 1000)
}

/// How many of `tries` requests at these moments pass.
fn passes(buckets: &Buckets, whose: &str, rate: Rate, moments: impl IntoIterator<Item = i64>) -> usize {
    moments
        .into_iter()
        .filter(|millis| buckets.take(whose, &[(Bucket::Caller, rate)], at(*millis)).is_ok())
        .count()
}

#[test]
fn k5_a_burst_passes_and_then_the_rate_counts() {
    let buckets = Buckets::new(100);
    let three = rate(1, 1, 3);
    assert_eq!(passes(&buckets, "one", three, [0; 10]), 3);
    assert_eq!(passes(&buckets, "other", three, [0; 10]), 3, "one caller's flood is not another's");
    assert_eq!(passes(&buckets, "one", three, [999]), 0);
    assert_eq!(passes(&buckets, "one", three, [1000, 1000]), 1);
    assert_eq!(passes(&buckets, "one", three, [10_000; 10]), 3);
    // Ten seconds of a request each millisecond: the burst and ten.
    assert_eq!(passes(&buckets, "steady", three, 0..10_000), 3 + 9);
    assert_eq!(passes(&buckets, "minute", rate(60, 60, 5), 0..60_000), 5 + 59);
}

#[test]
fn k5_a_repeat_after_the_wait_is_let_through() {
    for (count, seconds, burst) in [(1, 1, 1), (3, 1, 2), (7, 60, 5), (50, 1, 200), (100_000, 1, 1)] {
        let (buckets, rate) = (Buckets::new(100), rate(count, seconds, burst));
        let moments = std::iter::repeat_n(0, burst as usize);
        assert_eq!(passes(&buckets, "a", rate, moments), burst as usize);
        let Err(slow) = buckets.take("a", &[(Bucket::Caller, rate)], at(0)) else { continue };
        assert!(slow.wait_seconds >= 1);
        assert_eq!(slow.standings[0].remaining, 0);
        let then = i64::try_from(slow.wait_seconds).unwrap() * 1000;
        assert_eq!(passes(&buckets, "a", rate, [then]), 1, "{rate:?} {slow:?}");
    }
}

#[test]
fn standings_count_down() {
    let buckets = Buckets::new(100);
    let rate = rate(2, 1, 4);
    let mut told = Vec::new();
    for _ in 0..4 {
        let [standing] = buckets.take("a", &[(Bucket::Caller, rate)], at(0)).unwrap().try_into().unwrap();
        told.push((standing.remaining, standing.reset_seconds));
    }
    assert_eq!(told, [(3, 1), (2, 1), (1, 2), (0, 1)]);
}

#[test]
fn of_two_buckets_both_are_taken_from_or_none() {
    let limits = Limits::new(options());
    for _ in 0..2 {
        assert!(limits.take_caller("a", Class::Change, at(0)).is_ok());
    }
    let slow = limits.take_caller("a", Class::Critical, at(0)).unwrap_err();
    assert_eq!((slow.bucket, slow.standings[0].remaining), (Bucket::Change, 8));
    assert_eq!(limits.take_caller("a", Class::Execute, at(0)).unwrap()[0].remaining, 7, "nothing was taken");
    assert_eq!(limits.take_caller("a", Class::Read, at(0)).unwrap().len(), 1);
}

#[test]
fn k5_a_clock_that_moves_back_locks_nobody_out_for_long() {
    let buckets = Buckets::new(100);
    let one = rate(1, 1, 2);
    assert_eq!(passes(&buckets, "a", one, [3_600_000; 3]), 2);
    assert_eq!(passes(&buckets, "a", one, [0]), 0);
    assert_eq!(passes(&buckets, "a", one, [10_000]), 1);
}

#[test]
fn k5_rotating_keys_does_not_grow_the_table() {
    let buckets = Buckets::new(1000);
    let one = rate(1, 1, 1);
    assert_eq!(passes(&buckets, "kept", one, [0]), 1);
    for n in 0..100_000 {
        assert_eq!(passes(&buckets, &n.to_string(), one, [0]), 1);
        if n % 100 == 0 {
            assert_eq!(passes(&buckets, "kept", one, [0]), 0, "who is still active is remembered");
        }
    }
    assert!(buckets.len() <= 1000, "{}", buckets.len());
    buckets.tidy(at(2000));
    assert_eq!(buckets.len(), 0);
}

#[test]
fn k5_an_address_counts_as_its_64() {
    let counts_as = |text: &str| source(text.parse().unwrap());
    assert_eq!(counts_as("192.0.2.1"), "address 192.0.2.1");
    assert_eq!(counts_as("::ffff:192.0.2.1"), "address 192.0.2.1");
    assert_eq!(counts_as("2001:db8:1:2:aaaa::1"), counts_as("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert_ne!(counts_as("2001:db8:1:2::1"), counts_as("2001:db8:1:3::1"));
}

#[test]
fn what_is_open_is_bounded_and_free_again() {
    let limits = Limits::new(options());
    let held: Vec<Held> = (0..3).filter_map(|_| limits.hold_socket("a")).collect();
    assert_eq!(held.len(), 3);
    assert!(limits.hold_socket("a").is_none());
    assert!(limits.hold_socket("b").is_some() && limits.hold_request("a").is_some());
    drop(held);
    assert!(limits.hold_socket("a").is_some());
    assert_eq!(limits.open.keys(), 0, "nothing is kept of what is not open");
}

fn options() -> LimitOptions {
    LimitOptions {
        address: rate(100, 1, 100),
        sign_in: rate(10, 60, 10),
        caller: rate(10, 1, 10),
        reveal: rate(2, 1, 2),
        change: rate(2, 1, 2),
        execute: rate(2, 1, 2),
        concurrent_requests: 3,
        address_concurrent_requests: 3,
        sockets: 3,
        connections_per_address: 3,
    }
}

/// Two instances that share what they take each second: together they let through what one would.
#[test]
fn k5_two_instances_together_keep_the_rate() {
    let rate = rate(50, 1, 100);
    let instances = [Buckets::new(10), Buckets::new(10)];
    let text = "requests|a";
    let mut told = [0_i64, 0];
    let mut passed = 0;
    for second in 0..60 {
        for millis in 0..1000 {
            for buckets in &instances {
                passed += passes(buckets, "a", rate, [second * 1000 + millis]);
            }
        }
        let sums: Vec<i64> = instances.iter().map(|buckets| sum(buckets, text)).collect();
        for (n, buckets) in instances.iter().enumerate() {
            let other = 1 - n;
            buckets.charge(Bucket::Caller, "a", rate, sums[other] - told[other], at((second + 1) * 1000));
        }
        told = [sums[0], sums[1]];
    }
    // The burst of each, and the rate of one; each is one second behind the other.
    let expected = 60 * 50 + 100;
    let most = expected + 100 + 100;
    assert!((expected * 95 / 100..=most).contains(&passed), "{passed}");
}

fn sum(buckets: &Buckets, key: &str) -> i64 {
    buckets.unshared(|_, _| 1).into_iter().find(|(name, _)| name == key).map_or(0, |(_, used)| used)
}

#[test]
fn a_declared_rate_is_told_by_its_name() {
    let rate = declared_rate("2/5 wiki GET wiki:/x credential 7").unwrap();
    assert_eq!((rate.count, rate.burst, rate.period), (2, 5, Duration::from_secs(1)));
    for bad in ["", "2", "0/5 wiki", "2/0 wiki", "-1/5 wiki", "address 192.0.2.1"] {
        assert_eq!(declared_rate(bad), None, "{bad}");
    }
}

#[test]
fn k5_rotating_addresses_leave_nothing_to_share() {
    let limits = Limits::new(options());
    for n in 0..1000_u32 {
        let address = IpAddr::from(std::net::Ipv4Addr::from(0x0a00_0000 + n));
        assert!(limits.take_address(Bucket::Address, address, at(0)).is_ok());
    }
    let least = |bucket, whose: &str| limits.least_news(bucket, whose);
    assert_eq!(limits.addresses.unshared(least), []);
    let busy = IpAddr::from([192, 0, 2, 1]);
    for _ in 0..5 {
        assert!(limits.take_address(Bucket::Address, busy, at(0)).is_ok());
    }
    assert_eq!(limits.addresses.unshared(least), [("address|address 192.0.2.1".to_owned(), 5)]);
    limits.addresses.shared(Bucket::Address, "address 192.0.2.1", 5);
    assert_eq!(limits.addresses.unshared(least), []);
}

#[test]
fn k5_sums_of_others_count_once_and_are_bounded() {
    let others = Others::default();
    let row =
        |key: &str, used| gateway_store::OthersCount { key: key.to_owned(), instance: "i".to_owned(), used };
    assert_eq!(others.news(vec![row("a", 500)]), [], "what was before this instance ran");
    assert_eq!(others.news(vec![row("a", 500)]), []);
    assert_eq!(others.news(vec![row("a", 530), row("b", 7)]), [("a".to_owned(), 30), ("b".to_owned(), 7)]);
    assert_eq!(others.news(vec![row("a", 4)]), [("a".to_owned(), 4)], "it forgot the key and began anew");
    for n in 0..30 {
        others.news((0..10_000).map(|m| row(&format!("{n} {m}"), 1)).collect());
    }
    assert!(others.len() <= 110_000, "{}", others.len());
}
