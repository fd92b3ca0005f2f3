use gateway_approvals::chain::{Step, Uploaded};
use gateway_types::{Caller, ProblemKind, Role, RoleSet};

use super::enforcement::{self, Answer, Ended};
use super::*;
use crate::tests::{Person, World, refused};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn asked(commit: &str) -> wire::RequestApproval {
    wire::RequestApproval {
        app: "web".to_owned(),
        commit: commit.to_owned(),
        branch: Some("main".to_owned()),
        message: Some("a fix".to_owned()),
        manifest: None,
        commands: vec!["bin/migrate".to_owned()],
        metadata: BTreeMap::new(),
    }
}

async fn ask(world: &World, caller: &Caller, commit: &str) -> Result<wire::Approval, ApprovalError> {
    request(&world.app, &world.operator(caller), caller, asked(commit)).await
}

async fn approved(world: &World, by: &Person, id: &str) -> Result<wire::Approval, ApprovalError> {
    let id: ApprovalId = id.parse().unwrap();
    let given = seen(world, id).await;
    approve(&world.app, &world.operator(&by.caller), &by.caller, id, &given).await
}

/// What somebody who looks at it now says to approve.
async fn seen(world: &World, id: ApprovalId) -> wire::SignApproval {
    wire::SignApproval { statement: find(&world.app, id).await.unwrap().digest().to_owned(), reason: None }
}

async fn set(world: &World, key: &str, value: &str) {
    let global = gateway_store::SettingScope::Global;
    world.app.store.settings().set(&global, key, value, None, "test").await.unwrap();
    world.app.settings.refresh(&world.app.store).await.unwrap();
}

async fn says(world: &World, caller: &Caller, step: Step<'_>) -> Answer {
    enforcement::answer(&world.app, &caller.principal, "web", &step).await.unwrap()
}

fn broken(answer: Answer) -> String {
    match answer {
        Answer::Broken(why) => why,
        Answer::Follows(id) => panic!("{id} allows it"),
    }
}

const UPLOAD: Step<'_> = Step::Upload { object: "tmp/x.tgz" };

#[tokio::test]
async fn it_is_asked_for_approved_by_another_used_and_over_by_itself() {
    for world in World::both().await {
        let dee = world.person("dee", &[Role::Deployer]).await;
        let ann = world.person("ann", &[Role::Admin]).await;
        let (_, machine) = world.machine(&dee.user, &[Role::Cicd]).await;
        assert!(broken(says(&world, &machine, UPLOAD).await).starts_with("there is no approval of web"));
        let made = ask(&world, &machine, COMMIT).await.unwrap();
        assert_eq!(
            (made.state.as_str(), made.waits_for.as_deref()),
            ("pending", Some("the approval of one more person"))
        );
        assert!(matches!(&world.told()[..], [Notice::ApprovalAsked { app, .. }] if app == "web"));
        assert!(broken(says(&world, &machine, UPLOAD).await).ends_with("it is pending"));
        assert_eq!(ask(&world, &machine, COMMIT).await.unwrap().id, made.id, "a duplicate is the open one");
        let live = approved(&world, &ann, &made.id).await.unwrap();
        assert_eq!((live.state.as_str(), live.signatures[0].method.as_str()), ("approved", "code"));
        assert!(
            matches!(&world.told()[..], [Notice::ApprovalDecided { approved: true, email, .. }] if email == "dee@example.com")
        );
        let Answer::Follows(id) = says(&world, &machine, UPLOAD).await else { panic!("not allowed") };
        assert_eq!(id.to_string(), made.id);
        // Nobody else may ride it: not its creator, not another token of theirs.
        assert!(broken(says(&world, &dee.caller, UPLOAD).await).starts_with("there is no approval"));
        let (_, other) = world.machine(&dee.user, &[Role::Cicd]).await;
        assert!(broken(says(&world, &other, UPLOAD).await).starts_with("there is no approval"));
        world.clock.advance(Duration::from_secs(15 * 60));
        assert!(broken(says(&world, &machine, UPLOAD).await).ends_with("it is expired"));
        tidy(&world.app, &Operator::system(&*world.app.clock, &*world.app.entropy)).await.unwrap();
        let (action, _, after) = world.last().await;
        assert_eq!((action.as_str(), &after["state"]), ("gateway:approval:expire", &json!("expired")));
    }
}

#[tokio::test]
async fn l2_nobody_approves_their_own_and_each_counts_once() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        let bo = world.person("bo", &[Role::Admin]).await;
        let (_, machine) = world.machine(&ann.user, &[Role::Cicd]).await;
        set(&world, "approval_quorum", "2").await;
        let cy = world.person("cy", &[Role::Admin]).await;
        let made = ask(&world, &machine, COMMIT).await.unwrap();
        refused(approved(&world, &ann, &made.id).await, ProblemKind::Refused, "nobody approves their own");
        assert_eq!(approved(&world, &bo, &made.id).await.unwrap().state, "pending");
        refused(approved(&world, &bo, &made.id).await, ProblemKind::NotPossible, "already");
        assert_eq!(approved(&world, &cy, &made.id).await.unwrap().state, "approved");
        refused(approved(&world, &cy, &made.id).await, ProblemKind::NotPossible, "cannot be approved");
    }
}

#[tokio::test]
async fn l2_a_signature_counts_as_long_as_its_giver_could_give_it() {
    for world in World::both().await {
        let dee = world.person("dee", &[Role::Deployer]).await;
        let ann = world.person("ann", &[Role::Admin]).await;
        world.person("bo", &[Role::Admin]).await;
        let made = ask(&world, &dee.caller, COMMIT).await.unwrap();
        approved(&world, &ann, &made.id).await.unwrap();
        assert!(matches!(says(&world, &dee.caller, UPLOAD).await, Answer::Follows(_)));
        let viewer = RoleSet::of(Role::Viewer);
        world.app.store.users().set_roles(ann.user.id, viewer, ann.user.version).await.unwrap();
        let why = broken(says(&world, &dee.caller, UPLOAD).await);
        assert!(why.contains("0 of 1 signatures count") && why.contains("may not approve any more"), "{why}");
    }
}

#[tokio::test]
async fn l2_reject_after_approve_and_withdraw_stop_it() {
    for world in World::both().await {
        let dee = world.person("dee", &[Role::Deployer]).await;
        let ann = world.person("ann", &[Role::Admin]).await;
        let made = ask(&world, &dee.caller, COMMIT).await.unwrap();
        approved(&world, &ann, &made.id).await.unwrap();
        let id: ApprovalId = made.id.parse().unwrap();
        let no = reject(&world.app, &world.operator(&ann.caller), &ann.caller, id, Some("not today")).await;
        assert_eq!(no.unwrap().state, "rejected");
        assert!(broken(says(&world, &dee.caller, UPLOAD).await).ends_with("it is rejected"));
        refused(approved(&world, &ann, &made.id).await, ProblemKind::NotPossible, "rejected");
        let made = ask(&world, &dee.caller, COMMIT).await.unwrap();
        let id: ApprovalId = made.id.parse().unwrap();
        let (op, by) = (world.operator(&ann.caller), &ann.caller);
        refused(withdraw(&world.app, &op, by, id, None).await, ProblemKind::Refused, "only whoever asked");
        let gone = withdraw(&world.app, &world.operator(&dee.caller), &dee.caller, id, None).await.unwrap();
        assert_eq!(gone.state, "withdrawn");
        refused(approved(&world, &ann, &made.id).await, ProblemKind::NotPossible, "withdrawn");
    }
}

#[tokio::test]
async fn it_is_extended_once() {
    for world in World::both().await {
        let dee = world.person("dee", &[Role::Deployer]).await;
        let ann = world.person("ann", &[Role::Admin]).await;
        let made = ask(&world, &dee.caller, COMMIT).await.unwrap();
        let id: ApprovalId = made.id.parse().unwrap();
        let longer = async || {
            let given = seen(&world, id).await;
            extend(&world.app, &world.operator(&ann.caller), &ann.caller, id, &given).await
        };
        refused(longer().await, ProblemKind::NotPossible, "pending cannot be extended");
        approved(&world, &ann, &made.id).await.unwrap();
        world.clock.advance(Duration::from_secs(10 * 60));
        longer().await.unwrap();
        world.clock.advance(Duration::from_secs(10 * 60));
        assert!(matches!(says(&world, &dee.caller, UPLOAD).await, Answer::Follows(_)));
        refused(longer().await, ProblemKind::NotPossible, "extended once");
        world.clock.advance(Duration::from_secs(5 * 60));
        assert!(broken(says(&world, &dee.caller, UPLOAD).await).ends_with("it is expired"));
    }
}

/// What two people had to allow, one of them does not make last longer.
#[tokio::test]
async fn a_quorum_is_extended_by_a_quorum() {
    for world in World::both().await {
        let dee = world.person("dee", &[Role::Deployer]).await;
        let ann = world.person("ann", &[Role::Admin]).await;
        let bo = world.person("bo", &[Role::Admin]).await;
        set(&world, "approval_quorum", "2").await;
        let made = ask(&world, &dee.caller, COMMIT).await.unwrap();
        let id: ApprovalId = made.id.parse().unwrap();
        approved(&world, &ann, &made.id).await.unwrap();
        let before = approved(&world, &bo, &made.id).await.unwrap();
        let longer = async |by: &Person| {
            let given = seen(&world, id).await;
            extend(&world.app, &world.operator(&by.caller), &by.caller, id, &given).await
        };
        world.clock.advance(Duration::from_secs(10 * 60));
        let by_one = longer(&ann).await.unwrap();
        assert_eq!((by_one.expires, by_one.extended), (before.expires.clone(), false), "one is not enough");
        refused(longer(&ann).await, ProblemKind::NotPossible, "it takes somebody else too");
        let by_two = longer(&bo).await.unwrap();
        assert!(by_two.extended && by_two.expires > before.expires, "{by_two:?}");
        world.clock.advance(Duration::from_secs(10 * 60));
        assert!(matches!(says(&world, &dee.caller, UPLOAD).await, Answer::Follows(_)));
        refused(longer(&ann).await, ProblemKind::NotPossible, "extended once");
    }
}

#[tokio::test]
async fn where_only_passkeys_approve_a_code_does_not() {
    for world in World::both().await {
        let dee = world.person("dee", &[Role::Deployer]).await;
        let ann = world.person("ann", &[Role::Admin]).await;
        set(&world, "approval_passkeys", "true").await;
        let made = ask(&world, &dee.caller, COMMIT).await.unwrap();
        refused(approved(&world, &ann, &made.id).await, ProblemKind::Refused, "passkey");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_for() {
    for world in World::both().await {
        let dee = world.person("dee", &[Role::Deployer]).await;
        let check = async |change: fn(&mut wire::RequestApproval), said: &str| {
            let mut bad = asked(COMMIT);
            change(&mut bad);
            let answer = request(&world.app, &world.operator(&dee.caller), &dee.caller, bad).await;
            refused(answer, ProblemKind::BadParameter, said);
        };
        check(|a| a.commit = "0123".to_owned(), "whole id").await;
        check(|a| a.commit = "G".repeat(40), "whole id").await;
        check(|a| a.commit = "%".repeat(40), "whole id").await;
        check(|a| a.app = "../x".to_owned(), "app's name").await;
        check(|a| a.message = Some("a\u{202e}b".to_owned()), "visible characters").await;
        check(|a| a.branch = Some("x".repeat(501)), "500 visible").await;
        check(|a| a.commands = vec![String::new()], "commands").await;
        check(|a| a.metadata = (0..21).map(|n| (n.to_string(), String::new())).collect(), "at most 20").await;
    }
}

/// The step is taken by one request, of however many.
#[tokio::test]
async fn l5_a_step_is_taken_by_one() {
    for world in World::both().await {
        let dee = world.person("dee", &[Role::Deployer]).await;
        let ann = world.person("ann", &[Role::Admin]).await;
        let made = ask(&world, &dee.caller, COMMIT).await.unwrap();
        approved(&world, &ann, &made.id).await.unwrap();
        let id: ApprovalId = made.id.parse().unwrap();
        let one = async || {
            let operator = world.operator(&dee.caller);
            enforcement::take(&world.app, &operator, &dee.caller.principal, id, &UPLOAD).await
        };
        let taken = tokio::join!(one(), one(), one(), one(), one(), one(), one(), one());
        let all = [taken.0, taken.1, taken.2, taken.3, taken.4, taken.5, taken.6, taken.7];
        let refusals: Vec<&Problem> = all.iter().filter_map(|one| one.as_ref().err()).collect();
        assert_eq!(refusals.len(), 7, "{refusals:?}");
        assert!(refusals.iter().any(|problem| problem.detail.contains("was begun by the request")));
    }
}

/// Approve, reject and withdraw at the same moment: one of them is what became of it.
#[tokio::test]
async fn l5_decisions_at_the_same_moment_have_one_winner() {
    for world in World::both().await {
        let dee = world.person("dee", &[Role::Deployer]).await;
        let ann = world.person("ann", &[Role::Admin]).await;
        let bo = world.person("bo", &[Role::Admin]).await;
        for round in 0..25 {
            let commit = format!("{round:040x}");
            let made = ask(&world, &dee.caller, &commit).await.unwrap();
            let id: ApprovalId = made.id.parse().unwrap();
            let (op_bo, op_dee) = (world.operator(&bo.caller), world.operator(&dee.caller));
            let (yes, no, back) = tokio::join!(
                approved(&world, &ann, &made.id),
                reject(&world.app, &op_bo, &bo.caller, id, None),
                withdraw(&world.app, &op_dee, &dee.caller, id, None)
            );
            // An approved one can still be rejected or withdrawn; those two end it, and only one of them does.
            assert!(no.is_ok() != back.is_ok(), "{no:?} {back:?}");
            let end = read(&world.app, &ann.caller, id).await.unwrap();
            assert_eq!(end.state, if no.is_ok() { "rejected" } else { "withdrawn" });
            assert!(end.signatures.len() <= 1 && (yes.is_ok() == (end.signatures.len() == 1)));
        }
    }
}

fn uploaded() -> Uploaded {
    let manifest = gateway_approvals::chain::ReadManifest {
        sha256: "c".repeat(64),
        images: BTreeMap::new(),
        outline: Vec::new(),
        fault: None,
    };
    Uploaded {
        object: "tmp/x.tgz".to_owned(),
        sha256: "b".repeat(64),
        size_bytes: 1,
        manifests: BTreeMap::from([("convox.yml".to_owned(), manifest)]),
        fault: None,
    }
}

/// What was looked at is what is approved, whatever came since.
#[tokio::test]
async fn l3_a_newer_archive_is_not_approved_unseen() {
    for world in World::both().await {
        let dee = world.person("dee", &[Role::Deployer]).await;
        let ann = world.person("ann", &[Role::Admin]).await;
        set(&world, "approval_order", "artefact").await;
        let made = ask(&world, &dee.caller, COMMIT).await.unwrap();
        let id: ApprovalId = made.id.parse().unwrap();
        let upload = async |archive: Uploaded| {
            let operator = world.operator(&dee.caller);
            let step = Step::Upload { object: &archive.object };
            enforcement::take(&world.app, &operator, &dee.caller.principal, id, &step).await.unwrap();
            enforcement::end(&world.app, &operator, id, &Ended::Uploaded(archive.clone())).await.unwrap();
        };
        upload(uploaded()).await;
        let looked_at = seen(&world, id).await;
        upload(Uploaded { sha256: "d".repeat(64), object: "tmp/evil.tgz".to_owned(), ..uploaded() }).await;
        let operator = world.operator(&ann.caller);
        let unseen = approve(&world.app, &operator, &ann.caller, id, &looked_at).await;
        refused(unseen, ProblemKind::Conflict, "changed since you looked");
        assert_eq!(read(&world.app, &ann.caller, id).await.unwrap().state, "pending");
    }
}

/// One object is written under one approval at a time, also before the first of the two has ended.
#[tokio::test]
async fn l3_one_object_is_of_one_approval() {
    for world in World::both().await {
        let dee = world.person("dee", &[Role::Deployer]).await;
        let ann = world.person("ann", &[Role::Admin]).await;
        let mut ids = Vec::new();
        for commit in [COMMIT, &"a".repeat(40)] {
            let made = ask(&world, &dee.caller, commit).await.unwrap();
            approved(&world, &ann, &made.id).await.unwrap();
            ids.push(made.id.parse::<ApprovalId>().unwrap());
        }
        let why = broken(says(&world, &dee.caller, UPLOAD).await);
        assert!(why.contains("two approvals of yours wait for an upload"), "{why}");
        let take = async |id| {
            let operator = world.operator(&dee.caller);
            enforcement::take(&world.app, &operator, &dee.caller.principal, id, &UPLOAD).await
        };
        take(ids[0]).await.unwrap();
        assert!(enforcement::is_bound_object(&world.app, "web", "tmp/x.tgz").await.unwrap());
        let second = take(ids[1]).await.unwrap_err();
        assert!(second.detail.contains("another upload of this object is under way"), "{}", second.detail);
    }
}

#[tokio::test]
async fn a_dead_one_is_not_answered_for_a_new_request() {
    for world in World::both().await {
        let dee = world.person("dee", &[Role::Deployer]).await;
        let ann = world.person("ann", &[Role::Admin]).await;
        let made = ask(&world, &dee.caller, COMMIT).await.unwrap();
        approved(&world, &ann, &made.id).await.unwrap();
        assert_eq!(ask(&world, &dee.caller, COMMIT).await.unwrap().id, made.id);
        let other = wire::RequestApproval { commands: Vec::new(), ..asked(COMMIT) };
        let other = request(&world.app, &world.operator(&dee.caller), &dee.caller, other).await.unwrap();
        assert_ne!(other.id, made.id, "it asks for something else");
        let operator = world.operator(&dee.caller);
        let id = made.id.parse().unwrap();
        enforcement::take(&world.app, &operator, &dee.caller.principal, id, &UPLOAD).await.unwrap();
        assert_ne!(ask(&world, &dee.caller, COMMIT).await.unwrap().id, made.id, "it is being used");
        let mut open = 3;
        let full = loop {
            match ask(&world, &dee.caller, &format!("{open:040x}")).await {
                Ok(_) => open += 1,
                Err(error) => break error,
            }
        };
        assert!(open >= 20 && full.to_string().contains("20 open approvals"), "{open}: {full}");
    }
}

#[tokio::test]
async fn an_archive_is_uploaded_and_then_approved() {
    for world in World::both().await {
        let dee = world.person("dee", &[Role::Deployer]).await;
        let ann = world.person("ann", &[Role::Admin]).await;
        set(&world, "approval_order", "artefact").await;
        let made = ask(&world, &dee.caller, COMMIT).await.unwrap();
        assert_eq!(made.waits_for.as_deref(), Some("the upload of its archive"));
        refused(approved(&world, &ann, &made.id).await, ProblemKind::NotPossible, "not uploaded yet");
        let id: ApprovalId = made.id.parse().unwrap();
        assert_eq!(says(&world, &dee.caller, UPLOAD).await, Answer::Follows(id));
        let operator = world.operator(&dee.caller);
        enforcement::take(&world.app, &operator, &dee.caller.principal, id, &UPLOAD).await.unwrap();
        enforcement::end(&world.app, &operator, id, &Ended::Uploaded(uploaded())).await.unwrap();
        assert!(enforcement::is_bound_object(&world.app, "web", "tmp/x.tgz").await.unwrap());
        assert!(!enforcement::is_bound_object(&world.app, "api", "tmp/x.tgz").await.unwrap());
        let build =
            Step::Build { url: Some("object://web/tmp/x.tgz"), commit: None, manifest: None, unsigned: None };
        assert!(broken(says(&world, &dee.caller, build).await).ends_with("it is pending"));
        let live = approved(&world, &ann, &made.id).await.unwrap();
        assert_eq!(live.state, "approved");
        assert_eq!(says(&world, &dee.caller, build).await, Answer::Follows(id));
        // Sent again under another key it is what was signed; another archive is not.
        let again = async |archive: Uploaded| {
            let operator = world.operator(&dee.caller);
            enforcement::take(&world.app, &operator, &dee.caller.principal, id, &UPLOAD).await.unwrap();
            enforcement::end(&world.app, &operator, id, &Ended::Uploaded(archive)).await.unwrap();
        };
        again(Uploaded { sha256: "d".repeat(64), object: "tmp/evil.tgz".to_owned(), ..uploaded() }).await;
        let evil = Step::Build {
            url: Some("object://web/tmp/evil.tgz"),
            commit: None,
            manifest: None,
            unsigned: None,
        };
        assert!(broken(says(&world, &dee.caller, evil).await).contains("it is for object://web/tmp/x.tgz"));
        again(Uploaded { object: "tmp/again.tgz".to_owned(), ..uploaded() }).await;
        let build = Step::Build {
            url: Some("object://web/tmp/again.tgz"),
            commit: None,
            manifest: None,
            unsigned: None,
        };
        assert_eq!(says(&world, &dee.caller, build).await, Answer::Follows(id));
        let other =
            Step::Build { url: Some("object://web/tmp/y.tgz"), commit: None, manifest: None, unsigned: None };
        assert!(broken(says(&world, &dee.caller, other).await).contains("and the build is of"));
    }
}

/// Whoever has the database and not the key.
#[tokio::test]
async fn a_forged_row_counts_for_nothing() {
    for world in World::both().await {
        let dee = world.person("dee", &[Role::Deployer]).await;
        let ann = world.person("ann", &[Role::Admin]).await;
        let made = ask(&world, &dee.caller, COMMIT).await.unwrap();
        let id: ApprovalId = made.id.parse().unwrap();
        let row = world.app.store.approvals().by_id(id).await.unwrap().unwrap();
        let real = Standing::of(&world.app, row.clone()).await.unwrap();
        // An approved row without a signature: the seal is of another state.
        let now = world.app.clock.now();
        let mut forged = row.change();
        forged.state = State::Approved;
        forged.expires = Some(now.saturating_add(Duration::from_secs(600)));
        let unsealed = world.app.store.approvals().change(&row, forged.clone()).await.unwrap();
        let why = broken(says(&world, &dee.caller, UPLOAD).await);
        assert!(why.contains("was not written by this gateway, or was changed in its database"), "{why}");
        // Even under the right seal it is approved by nobody.
        let mut sealed = unsealed.change();
        seal::seal(&world.app.store, &unsealed, &mut sealed);
        let row = world.app.store.approvals().change(&unsealed, sealed).await.unwrap();
        let why = broken(says(&world, &dee.caller, UPLOAD).await);
        assert!(why.contains("0 of 1 signatures count"), "{why}");
        // With a signature that nobody sealed.
        let mut statement = real.statement.clone();
        statement.expires = now.saturating_add(Duration::from_secs(600)).to_rfc3339();
        let mut forged = row.change();
        forged.signature = Some(KeptSignature {
            user: ann.user.id,
            purpose: "approve".to_owned(),
            name: "ann@example.com".to_owned(),
            method: "code".to_owned(),
            statement: statement.to_json().unwrap(),
            proof: None,
            reason: None,
            made: now,
            expires: now.saturating_add(Duration::from_secs(600)),
            seal: "0".repeat(64),
        });
        seal::seal(&world.app.store, &row, &mut forged);
        let row = world.app.store.approvals().change(&row, forged).await.unwrap();
        let why = broken(says(&world, &dee.caller, UPLOAD).await);
        assert!(why.contains("it was not written by this gateway"), "{why}");
        let told = evidence(&world.app, id).await.unwrap().verify();
        assert!(!told.is_approved(), "{told:?}");
        assert_eq!(told.signatures[0].fault.as_deref(), Some("it was not written by this gateway"));
        // What was done with it, changed.
        let mut forged = row.change();
        forged.bound = r#"{"build":"BOTHER"}"#.to_owned();
        world.app.store.approvals().change(&row, forged).await.unwrap();
        let page =
            list(&world.app, &ann.caller, &ApprovalFilter { limit: 10, ..Default::default() }).await.unwrap();
        assert!(
            page.items[0].waits_for.as_deref().unwrap_or_default().contains("not written by this gateway")
        );
        let why = broken(says(&world, &dee.caller, UPLOAD).await);
        assert!(why.contains("was not written by this gateway, or was changed in its database"), "{why}");
    }
}

/// The database refuses what the state machine refuses.
#[tokio::test]
async fn the_database_knows_the_moves() {
    for world in World::both().await {
        let dee = world.person("dee", &[Role::Deployer]).await;
        for to in State::ALL {
            let made = ask(&world, &dee.caller, &format!("{:040x}", to as u8)).await.unwrap();
            let row = world.app.store.approvals().by_id(made.id.parse().unwrap()).await.unwrap().unwrap();
            // Past the check of the program: the row claims to be elsewhere.
            let lying = Approval { state: to, ..row.clone() };
            let mut change = row.change();
            change.state = to;
            let moved = world.app.store.approvals().change(&lying, change).await;
            let legal = to == State::Pending
                || Move::ALL.into_iter().any(|happening| State::Pending.after(happening) == Ok(to));
            assert_eq!(moved.is_ok(), legal, "pending to {to}: {moved:?}");
        }
    }
}
