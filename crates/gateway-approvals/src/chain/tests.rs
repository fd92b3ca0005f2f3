use std::collections::BTreeMap;

use super::{
    Approved, Bound, Broken, Once, Order, ReadManifest, ReleaseFacts, Step, UnderWay, Uploaded, follow,
};
use crate::state::State;
use crate::statement::tests::statement;
use crate::statement::{EnvironmentChange, KeyChange, Statement};

pub(crate) fn uploaded() -> Uploaded {
    Uploaded {
        object: "tmp/x.tgz".to_owned(),
        sha256: "b".repeat(64),
        size_bytes: 7,
        manifests: BTreeMap::from([(
            "convox.yml".to_owned(),
            ReadManifest {
                sha256: "c".repeat(64),
                images: BTreeMap::new(),
                outline: Vec::new(),
                fault: None,
            },
        )]),
        fault: None,
    }
}

fn built() -> Bound {
    Bound {
        uploaded: Some(uploaded()),
        build: Some("BONE".to_owned()),
        processes: ["p1".to_owned()].into(),
        ..Bound::default()
    }
}

fn facts() -> ReleaseFacts {
    ReleaseFacts {
        build: Some("BONE".to_owned()),
        environment: statement().environment,
        rewrites_manifest: false,
    }
}

fn commit_statement() -> Statement {
    Statement { artefact: None, images: BTreeMap::new(), ..statement() }
}

const A_BUILD: Step<'_> = Step::Build {
    url: Some("object://shop/tmp/x.tgz"),
    commit: Some("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    manifest: None,
    unsigned: None,
};

/// The step of an approval in this order and state, after what is bound.
fn check(order: Order, state: State, bound: &Bound, step: Step<'_>) -> Result<(), String> {
    let statement = match order {
        Order::Commit => commit_statement(),
        Order::Artefact => statement(),
    };
    let approved = Approved { state, order, statement: &statement, bound };
    follow(&approved, &step, Some(&facts())).map_err(|broken| broken.to_string())
}

fn live(bound: &Bound, step: Step<'_>) -> Result<(), String> {
    check(Order::Commit, State::Deploying, bound, step)
}

#[test]
fn the_whole_chain_in_order() {
    let nothing = Bound::default();
    let uploaded = Bound { uploaded: Some(uploaded()), ..Bound::default() };
    for order in [Order::Commit, Order::Artefact] {
        assert_eq!(check(order, State::Approved, &nothing, Step::Upload { object: "tmp/x.tgz" }), Ok(()));
        assert_eq!(check(order, State::Approved, &uploaded, A_BUILD), Ok(()), "{order:?}");
        let built = built();
        for step in [
            Step::Look,
            Step::ReadBuild { build: "BONE" },
            Step::Start { release: Some("R1"), command: Some("sleep 3600"), unsigned: None },
            Step::Start { release: Some("R1"), command: Some("bin/migrate"), unsigned: None },
            Step::Exec { process: "p1", command: "bin/migrate" },
            Step::Process { process: "p1" },
            Step::Promote { release: "R1", unsigned: None },
        ] {
            assert_eq!(check(order, State::Deploying, &built, step), Ok(()), "{step:?}");
        }
    }
}

#[test]
fn l3_another_thing_than_was_approved() {
    let uploaded = Bound { uploaded: Some(uploaded()), ..Bound::default() };
    let with = |change: fn(&mut Step<'_>)| {
        let mut step = A_BUILD;
        change(&mut step);
        live(&uploaded, step).unwrap_err()
    };
    let commit = "a".repeat(40);
    type Change = fn(&mut Step<'_>);
    let cases: [(Change, String); 5] = [
        (
            |step| {
                if let Step::Build { url, .. } = step {
                    *url = Some("object://shop/tmp/y.tgz")
                }
            },
            "it is for object://shop/tmp/x.tgz, and the build is of object://shop/tmp/y.tgz".to_owned(),
        ),
        (
            |step| {
                if let Step::Build { url, .. } = step {
                    *url = None
                }
            },
            "it is for object://shop/tmp/x.tgz, and the build is of ".to_owned(),
        ),
        (
            |step| {
                if let Step::Build { commit, .. } = step {
                    *commit = Some("aaaa")
                }
            },
            format!("it is for the commit {commit}, and the build names aaaa"),
        ),
        (
            |step| {
                if let Step::Build { manifest, .. } = step {
                    *manifest = Some("other.yml")
                }
            },
            "it is for the manifest convox.yml, and the build names other.yml".to_owned(),
        ),
        (
            |step| {
                if let Step::Build { unsigned, .. } = step {
                    *unsigned = Some("build-args")
                }
            },
            "under an approval it takes no build-args: nobody approved that".to_owned(),
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(with(change), expected);
    }
}

#[test]
fn l3_a_signed_digest_is_the_archives() {
    let mut other = uploaded();
    other.sha256 = "d".repeat(64);
    let bound = Bound { uploaded: Some(other), ..Bound::default() };
    assert_eq!(
        check(Order::Artefact, State::Approved, &bound, A_BUILD).unwrap_err(),
        "the archive is not the one that was approved"
    );
    // A signature without a digest is none for this order.
    let commit_only = commit_statement();
    let bound = Bound { uploaded: Some(uploaded()), ..Bound::default() };
    let approved =
        Approved { state: State::Approved, order: Order::Artefact, statement: &commit_only, bound: &bound };
    assert_eq!(follow(&approved, &A_BUILD, None), Err(Broken::OtherArtefact));
}

#[test]
fn l3_faults_of_archive_and_manifest_refuse_the_build() {
    let mut broken = uploaded();
    broken.fault = Some("it ends early".to_owned());
    let bound = Bound { uploaded: Some(broken), ..Bound::default() };
    assert_eq!(live(&bound, A_BUILD).unwrap_err(), "its archive cannot be built from: it ends early");
    let mut broken = uploaded();
    for manifest in broken.manifests.values_mut() {
        manifest.fault = Some("web: no image".to_owned());
    }
    let bound = Bound { uploaded: Some(broken), ..Bound::default() };
    assert_eq!(live(&bound, A_BUILD).unwrap_err(), "the manifest `convox.yml`: web: no image");
}

#[test]
fn every_step_out_of_its_order_is_refused() {
    let nothing = Bound::default();
    let uploaded = Bound { uploaded: Some(uploaded()), ..Bound::default() };
    let cases = [
        (&nothing, A_BUILD, "no archive was uploaded under it yet"),
        (&nothing, Step::Promote { release: "R1", unsigned: None }, "nothing was built under it yet"),
        (&nothing, Step::ReadBuild { build: "BONE" }, "nothing was built under it yet"),
        (&uploaded, Step::Upload { object: "tmp/z.tgz" }, "its archive was uploaded already (tmp/x.tgz)"),
        (&uploaded, Step::Promote { release: "R1", unsigned: None }, "nothing was built under it yet"),
        (
            &uploaded,
            Step::Start { release: Some("R1"), command: Some("bin/migrate"), unsigned: None },
            "nothing was built under it yet",
        ),
    ];
    for (bound, step, expected) in cases {
        assert_eq!(live(bound, step).unwrap_err(), expected, "{step:?}");
    }
    assert_eq!(live(&built(), A_BUILD).unwrap_err(), "its build was made already (BONE)");
}

#[test]
fn l3_another_release_process_or_command() {
    let bound = Bound { release: Some("R1".to_owned()), ..built() };
    let cases = [
        (Step::Promote { release: "R2", unsigned: None }, "its release is R1, not R2"),
        (Step::ReadRelease { release: "R2" }, "its release is R1, not R2"),
        (Step::ReadBuild { build: "BTWO" }, "its build is BONE, not BTWO"),
        (
            Step::Start { release: None, command: Some("bin/migrate"), unsigned: None },
            "a process must name its release (`--release`)",
        ),
        (
            Step::Start { release: Some("R2"), command: Some("bin/migrate"), unsigned: None },
            "its release is R1, not R2",
        ),
        (
            Step::Start { release: Some("R1"), command: Some("sh"), unsigned: None },
            "the command `sh` is not among those that were approved",
        ),
        (
            Step::Start { release: Some("R1"), command: None, unsigned: None },
            "the command `` is not among those that were approved",
        ),
        (
            Step::Start { release: Some("R1"), command: Some("sleep 3600; sh"), unsigned: None },
            "the command `sleep 3600; sh` is not among those that were approved",
        ),
        (
            Step::Exec { process: "p1", command: "sh" },
            "the command `sh` is not among those that were approved",
        ),
        (Step::Exec { process: "p2", command: "bin/migrate" }, "the process p2 was not started under it"),
        (
            Step::Exec { process: "p1", command: "sleep 3600" },
            "the command `sleep 3600` is not among those that were approved",
        ),
    ];
    for (step, expected) in cases {
        assert_eq!(live(&bound, step).unwrap_err(), expected, "{step:?}");
    }
}

#[test]
fn l3_a_release_of_another_build_or_environment() {
    let bound = built();
    let statement = commit_statement();
    let approved =
        Approved { state: State::Deploying, order: Order::Commit, statement: &statement, bound: &bound };
    let promote = Step::Promote { release: "R1", unsigned: None };
    let other = ReleaseFacts { build: Some("BTWO".to_owned()), ..facts() };
    assert_eq!(
        follow(&approved, &promote, Some(&other)).unwrap_err().to_string(),
        "the release R1 is not of its build BONE"
    );
    assert_eq!(follow(&approved, &promote, None), Err(Broken::UnknownRelease { release: "R1".to_owned() }));
    let other = ReleaseFacts { rewrites_manifest: true, ..facts() };
    assert_eq!(follow(&approved, &promote, Some(&other)), Err(Broken::RewrittenManifest));
    let more = EnvironmentChange { key: "B".to_owned(), change: KeyChange::Removed, handle: None };
    let mut other = facts();
    other.environment.push(more);
    assert_eq!(
        follow(&approved, &promote, Some(&other)).unwrap_err().to_string(),
        "the environment changes other keys than were approved: B"
    );
    let mut other = facts();
    if let Some(change) = other.environment.first_mut() {
        change.handle = Some("rgw-hidden-y".to_owned());
    }
    assert_eq!(
        follow(&approved, &promote, Some(&other)).unwrap_err().to_string(),
        "the environment changes other keys than were approved: A"
    );
}

#[test]
fn l3_nobody_signed_other_parameters_or_another_environment_of_a_process() {
    let bound = built();
    let said = |step: Step<'_>| live(&bound, step).unwrap_err();
    let promote = Step::Promote { release: "R1", unsigned: Some("development") };
    assert_eq!(said(promote), "under an approval it takes no development: nobody approved that");
    let start = Step::Start { release: Some("R1"), command: Some("sleep 1"), unsigned: Some("Node-Labels") };
    assert_eq!(said(start), "under an approval it takes no Node-Labels: nobody approved that");
    let statement = commit_statement();
    let approved =
        Approved { state: State::Deploying, order: Order::Commit, statement: &statement, bound: &bound };
    let other = ReleaseFacts { environment: Vec::new(), ..facts() };
    let start = Step::Start { release: Some("R1"), command: Some("bin/migrate"), unsigned: None };
    assert_eq!(
        follow(&approved, &start, Some(&other)).unwrap_err().to_string(),
        "the environment changes other keys than were approved: A"
    );
}

#[test]
fn an_object_is_held_from_the_first_byte_on() {
    let under_way =
        Some(UnderWay { step: Once::Upload, request: "q".to_owned(), object: Some("tmp/k.tgz".to_owned()) });
    let bound = Bound { under_way, uploaded: Some(uploaded()), ..Bound::default() };
    assert!(bound.holds("tmp/k.tgz") && bound.holds("tmp/x.tgz") && !bound.holds("tmp/y.tgz"));
}

#[test]
fn l4_nothing_follows_what_is_over() {
    for state in [State::Rejected, State::Expired, State::Withdrawn] {
        for step in [
            Step::Look,
            Step::Upload { object: "k" },
            A_BUILD,
            Step::Promote { release: "R1", unsigned: None },
        ] {
            assert_eq!(
                check(Order::Commit, state, &built(), step).unwrap_err(),
                format!("it is {state}"),
                "{step:?}"
            );
        }
    }
    for step in [Step::Upload { object: "k" }, A_BUILD, Step::Promote { release: "R1", unsigned: None }] {
        assert_eq!(
            check(Order::Commit, State::Deployed, &built(), step).unwrap_err(),
            "it is deployed",
            "{step:?}"
        );
    }
    assert_eq!(check(Order::Commit, State::Deployed, &built(), Step::Look), Ok(()));
    assert_eq!(check(Order::Commit, State::Deployed, &built(), Step::Process { process: "p1" }), Ok(()));
}

#[test]
fn before_the_signature_an_archive_may_go_first_where_that_is_the_order() {
    let upload = Step::Upload { object: "k" };
    let nothing = Bound::default();
    assert_eq!(check(Order::Artefact, State::Pending, &nothing, upload), Ok(()));
    assert_eq!(check(Order::Commit, State::Pending, &nothing, upload).unwrap_err(), "it is pending");
    for step in [Step::Look, A_BUILD, Step::Promote { release: "R1", unsigned: None }] {
        assert_eq!(check(Order::Artefact, State::Pending, &built(), step).unwrap_err(), "it is pending");
    }
}

#[test]
fn an_archive_that_is_signed_by_its_digest_may_be_sent_again() {
    let again = Step::Upload { object: "tmp/z.tgz" };
    let sent = Bound { uploaded: Some(uploaded()), ..Bound::default() };
    for state in [State::Pending, State::Approved, State::Deploying] {
        assert_eq!(check(Order::Artefact, state, &sent, again), Ok(()), "{state}");
    }
    assert_eq!(
        check(Order::Artefact, State::Deploying, &built(), again).unwrap_err(),
        "its build was made already (BONE)"
    );
    assert_eq!(live(&sent, again).unwrap_err(), "its archive was uploaded already (tmp/x.tgz)");
}

#[test]
fn l4_a_step_that_is_under_way_is_not_taken_again() {
    for step in [Step::Upload { object: "k" }, A_BUILD, Step::Promote { release: "R1", unsigned: None }] {
        let under_way = Some(UnderWay { step: Once::Build, request: "q1".to_owned(), object: None });
        let bound = Bound { under_way, ..built() };
        assert!(live(&bound, step).unwrap_err().starts_with("this step was begun by the request q1"));
    }
}
