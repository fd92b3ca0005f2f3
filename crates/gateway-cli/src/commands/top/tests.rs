//! Two looks at the numbers of a gateway, and what is made of them.

use std::time::{Duration, Instant};

use super::numbers::Numbers;
use super::view::Activity;

const BEFORE: &str = r#"# TYPE rack_gateway_build gauge
rack_gateway_build{version="0.1.0"} 1
process_cpu_seconds_total 1.5
process_resident_memory_bytes 67108864
rack_gateway_requests_total{channel="api",class="read",end="completed",status="2xx"} 100
rack_gateway_requests_total{channel="api",class="change",end="refused",status="4xx"} 5
rack_gateway_request_duration_seconds_bucket{le="0.01",channel="api",class="read"} 100
rack_gateway_request_duration_seconds_bucket{le="0.1",channel="api",class="read"} 100
rack_gateway_request_duration_seconds_bucket{le="+Inf",channel="api",class="read"} 100
rack_gateway_stage_duration_seconds_sum{stage="policy"} 1.0
rack_gateway_stage_duration_seconds_count{stage="policy"} 100
rack_gateway_audit_commits_total 10
# EOF
"#;

const NOW: &str = r#"rack_gateway_build{version="0.1.0"} 1
process_cpu_seconds_total 2.5
process_resident_memory_bytes 67108864
rack_gateway_requests_total{channel="api",class="read",end="completed",status="2xx"} 190
rack_gateway_requests_total{channel="rack_proxy",class="read",end="upstream_lost",status="5xx"} 10
rack_gateway_requests_total{channel="api",class="change",end="refused",status="4xx"} 7
rack_gateway_request_duration_seconds_bucket{le="0.01",channel="api",class="read"} 150
rack_gateway_request_duration_seconds_bucket{le="0.1",channel="api",class="read"} 200
rack_gateway_request_duration_seconds_bucket{le="+Inf",channel="api",class="read"} 200
rack_gateway_stage_duration_seconds_sum{stage="policy"} 1.2
rack_gateway_stage_duration_seconds_count{stage="policy"} 200
rack_gateway_audit_commits_total 14
rack_gateway_open_connections 12
rack_gateway_connection_places 4096
rack_gateway_open_sockets 3
rack_gateway_audit_sink_up{name="si\"em"} 0
rack_gateway_audit_sink_lag_entries{name="si\"em"} 42
rack_gateway_jobs{state="dead"} 1
rack_gateway_jobs{state="waiting"} 2
rack_gateway_store_up 0
rack_gateway_fault{of="audit_anchors"} 1
rack_gateway_fault{of="policies"} 0
"#;

fn activity(before: &str, now: &str) -> Activity {
    let start = Instant::now();
    let before = Numbers::parse(before, start).unwrap();
    Activity::between(&before, &Numbers::parse(now, start + Duration::from_secs(2)).unwrap())
}

#[test]
fn it_reads_like_this() {
    let text = activity(BEFORE, NOW).text(|_tone, word| word.to_owned());
    insta::assert_snapshot!(text, @r#"
    rack-gateway 0.1.0: 51.0 requests/s, 1.0 refused/s, 5.0 failed/s; 50 % of a core, 64 MiB
    12 of 4096 connections, 3 sockets; log: 0 waiting, 2.0 commits/s

    CLASS      PER SECOND        P50        P99
    read             50.0    10.0 ms    98.2 ms

    stages: admit -, authenticate -, inspect -, policy 2.0 ms, audit -, upstream -
    jobs: 1 dead, 2 waiting
    sink si"em: away, 42 entries behind
    the database is away: known callers read, changes are refused
    jobs were given up (rack-gateway jobs --state dead)
    audit anchors not as declared: /readyz says why
    "#);
}

#[test]
fn rates_and_quantiles_are_those_of_the_time_between() {
    let shown = serde_json::to_value(activity(BEFORE, NOW)).unwrap();
    let near = |name: &str, expected: f64| {
        let found = shown.pointer(name).unwrap().as_f64().unwrap();
        assert!((found - expected).abs() < 0.001, "{name}: {found}");
    };
    near("/requests_per_second", 51.0);
    near("/refused_per_second", 1.0);
    near("/failed_per_second", 5.0);
    near("/cpu_percent", 50.0);
    // Half of the hundred new reads took up to 10 ms, the others up to 100.
    near("/classes/0/p50_ms", 10.0);
    near("/classes/0/p99_ms", 98.2);
    near("/stages/3/mean_ms", 2.0);
    near("/log/commits_per_second", 2.0);
    assert!(shown["stages"][0]["mean_ms"].is_null(), "nothing was admitted");
}

#[test]
fn a_gateway_that_was_started_anew_counts_from_nothing() {
    let shown = serde_json::to_value(activity(NOW, BEFORE)).unwrap();
    assert!(shown["requests_per_second"].as_f64().unwrap() > 0.0, "{shown}");
}

#[test]
fn what_is_no_gateways_is_said() {
    let read = |text| Numbers::parse(text, Instant::now());
    for other in
        ["", "<html>", "up 1\n", "rack_gateway_build{version=\"0.1.0\" 1\n", "rack_gateway_build{version} x"]
    {
        assert!(read(other).is_none(), "{other:?}");
    }
    let escaped = read("rack_gateway_build{version=\"a\\\\b\\\"c\\nd\"} 1\n").unwrap();
    assert_eq!(escaped.all("rack_gateway_build")[0].label("version"), "a\\b\"c\nd");
}
