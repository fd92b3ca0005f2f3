use std::sync::Arc;

use gateway_app::{Notice, Notices};
use gateway_config::Mail as MailConfig;
use gateway_store::{JobFilter, NewUser};
use gateway_types::{Clock, Role, RoleSet};
use tokio::sync::Notify;

use super::Place;
use crate::{Audience, Job, MailJob, MailNotices, notices};

fn mail_notices(place: &Place) -> MailNotices {
    let clock = Arc::clone(&place.clock) as Arc<dyn Clock>;
    MailNotices { store: Arc::clone(&place.store), clock, wake: Arc::new(Notify::new()) }
}

async fn add(place: &Place, email: &str, role: Role) -> gateway_store::User {
    let new = NewUser { email: email.to_owned(), name: "N".to_owned(), roles: RoleSet::of(role) };
    place.store.users().create(new).await.unwrap()
}

/// Takes every waiting mail out of the queue: to whom, as what.
async fn waiting(place: &Place) -> Vec<(String, Audience)> {
    let jobs = place.store.jobs();
    let mut recipients = Vec::new();
    while let Some(claimed) = jobs.claim(Job::KINDS, std::time::Duration::from_secs(60)).await.unwrap() {
        let Job::Mail(MailJob { to, audience, at, .. }) =
            Job::from_row(&claimed.job.kind, &claimed.payload).unwrap()
        else {
            panic!("not a mail")
        };
        assert_eq!(at, place.clock.now());
        jobs.complete(&claimed.claim).await.unwrap();
        recipients.push((to, audience));
    }
    recipients.sort_by(|a, b| a.0.cmp(&b.0));
    recipients
}

fn token(owner: &str, for_somebody_else: bool) -> Notice {
    Notice::TokenCreated {
        token: "deploy".to_owned(),
        owner: owner.to_owned(),
        roles: RoleSet::of(Role::Cicd),
        expires: None,
        by: "Ann".to_owned(),
        for_somebody_else,
    }
}

#[tokio::test]
async fn a_notice_is_a_job_for_each_who_is_told() {
    for place in Place::both().await {
        for (email, role) in
            [("ann@x.org", Role::Admin), ("bo@x.org", Role::Admin), ("di@x.org", Role::Deployer)]
        {
            add(&place, email, role).await;
        }
        let locked = add(&place, "cy@x.org", Role::Admin).await;
        place.store.users().set_locked(locked.id, true, locked.version).await.unwrap();
        let notices = mail_notices(&place);
        let check = async |notice: Notice, expected: &[(&str, Audience)]| {
            notices.notify(notice).await;
            let expected: Vec<_> =
                expected.iter().map(|(to, as_what)| ((*to).to_owned(), *as_what)).collect();
            assert_eq!(waiting(&place).await, expected);
        };
        let (person, admin) = (Audience::Person, Audience::Admin);
        check(Notice::BackupCodesMade { email: "di@x.org".to_owned() }, &[("di@x.org", person)]).await;
        check(token("di@x.org", false), &[("di@x.org", person)]).await;
        check(token("di@x.org", true), &[("ann@x.org", admin), ("bo@x.org", admin), ("di@x.org", person)])
            .await;
        // An admin who is the person is told once.
        check(token("bo@x.org", true), &[("ann@x.org", admin), ("bo@x.org", person)]).await;
        let removed = Notice::Removed { email: "gone@x.org".to_owned(), by: "Ann".to_owned() };
        check(removed, &[("ann@x.org", admin), ("bo@x.org", admin), ("gone@x.org", person)]).await;
    }
}

#[tokio::test]
async fn a_notice_wakes_the_worker_and_never_fails() {
    for place in Place::both().await {
        let notices = mail_notices(&place);
        notices.notify(Notice::BackupCodesMade { email: "ann@x.org".to_owned() }).await;
        notices.wake.notified().await;
        place.store.close().await;
        notices.notify(token("ann@x.org", true)).await;
    }
}

#[tokio::test]
async fn without_mail_nothing_is_queued() {
    for place in Place::both().await {
        let clock = Arc::clone(&place.clock) as Arc<dyn Clock>;
        let off = notices(&MailConfig::Off, &place.store, &clock, &Arc::new(Notify::new()));
        off.notify(token("ann@x.org", true)).await;
        assert!(place.store.jobs().list(&JobFilter::default()).await.unwrap().items.is_empty());
    }
}
