use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use gateway_identity::{TotpSecret, TotpStep};
use gateway_store::Remaining;
use gateway_types::{Clock, CredentialKind, FactorId, ProblemKind, Role, Secret};

use super::{Person, World, refused};
use crate::Notice;
use crate::factors::account::{begin, finish, own_backup_codes, remove_own, rename, standing};
use crate::factors::{ENROL_WITHIN, Enrolment};
use crate::users;

/// The code that an authenticator shows now.
fn shows(world: &World, enrolment: &Enrolment) -> String {
    let bytes = BASE32_NOPAD.decode(enrolment.secret.expose().as_bytes()).unwrap();
    let secret = TotpSecret::from_bytes(Secret::new(bytes));
    secret.code(TotpStep::at(world.clock.now())).unwrap().digits().expose().clone()
}

async fn begun(world: &World, person: &Person, name: &str) -> Enrolment {
    begin(&world.app, &world.operator(&person.caller), &person.caller, name).await.unwrap()
}

async fn enrolled(world: &World, person: &Person, name: &str) -> (FactorId, Option<Vec<Secret<String>>>) {
    let enrolment = begun(world, person, name).await;
    let (id, code) = (enrolment.factor.id, shows(world, &enrolment));
    let operator = world.operator(&person.caller);
    let done = finish(&world.app, &operator, &person.caller, id, &code).await.unwrap();
    (done.factor.id, done.backup_codes)
}

#[tokio::test]
async fn the_first_one_comes_with_backup_codes() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Viewer]).await;
        let operator = world.operator(&ann.caller);
        let none = own_backup_codes(&world.app, &operator, &ann.caller).await;
        refused(none, ProblemKind::NotPossible, "enrol a second factor first");
        let (first, codes) = enrolled(&world, &ann, "phone").await;
        assert_eq!(codes.unwrap().len(), 10);
        assert!(matches!(&world.told()[..], [Notice::FactorEnrolled { factor, .. }] if factor == "phone"));
        let (_, codes) = enrolled(&world, &ann, "tablet").await;
        assert!(codes.is_none());
        let now = standing(&world.app, ann.user.id).await.unwrap();
        assert_eq!((now.confirmed(), now.backup_codes_left), (2, 10));
        world.told();
        assert_eq!(own_backup_codes(&world.app, &operator, &ann.caller).await.unwrap().len(), 10);
        assert!(matches!(&world.told()[..], [Notice::BackupCodesMade { .. }]));
        let named = rename(&world.app, &operator, &ann.caller, first, "old phone").await.unwrap();
        assert_eq!(named.name, "old phone");
        let (action, was, is) = world.last().await;
        assert_eq!((action.as_str(), was["name"].as_str()), ("gateway:factor:rename", Some("phone")));
        assert_eq!(is["name"], "old phone");
        let steering = rename(&world.app, &operator, &ann.caller, first, "a\u{1b}[2J").await;
        refused(steering, ProblemKind::BadParameter, "name");
        // Nothing of what is only shown once is in the log.
        let log = format!("{:?}", world.events().await);
        assert!(!log.contains("otpauth"), "{log}");
    }
}

/// G2: wrong codes are counted whatever they are given for.
#[tokio::test]
async fn codes_that_end_an_enrolment_are_bounded() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Viewer]).await;
        let enrolment = begun(&world, &ann, "phone").await;
        let (app, id, code) = (&world.app, enrolment.factor.id, shows(&world, &enrolment));
        let operator = world.operator(&ann.caller);
        let malformed = finish(app, &operator, &ann.caller, id, "12345").await;
        refused(malformed, ProblemKind::BadParameter, "six digits");
        let wrong = if code == "000000" { "000001" } else { "000000" };
        for _ in 0..5 {
            let result = finish(app, &operator, &ann.caller, id, wrong).await;
            refused(result, ProblemKind::BadParameter, "not the one");
        }
        let result = finish(app, &operator, &ann.caller, id, &code).await;
        refused(result, ProblemKind::TooManyRequests, "too many");
        world.clock.advance(Duration::from_secs(5 * 60));
        let code = shows(&world, &enrolment);
        assert!(finish(app, &operator, &ann.caller, id, &code).await.is_ok());
    }
}

#[tokio::test]
async fn an_enrolment_ends_in_time_or_not_at_all() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Viewer]).await;
        let enrolment = begun(&world, &ann, "phone").await;
        world.clock.advance(ENROL_WITHIN);
        assert_eq!(standing(&world.app, ann.user.id).await.unwrap().factors.len(), 1);
        world.clock.advance(Duration::from_secs(1));
        assert!(standing(&world.app, ann.user.id).await.unwrap().factors.is_empty());
        let operator = world.operator(&ann.caller);
        let code = shows(&world, &enrolment);
        let late = finish(&world.app, &operator, &ann.caller, enrolment.factor.id, &code).await;
        refused(late, ProblemKind::NotFound, "no such second factor");
    }
}

#[tokio::test]
async fn the_last_one_takes_the_other_sessions_with_it() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Viewer]).await;
        let other = world.signed_in(&ann.user, CredentialKind::WebSession).await;
        let (first, _) = enrolled(&world, &ann, "phone").await;
        let (second, _) = enrolled(&world, &ann, "tablet").await;
        world.told();
        let operator = world.operator(&ann.caller);
        let left = remove_own(&world.app, &operator, &ann.caller, first).await.unwrap();
        assert_eq!(left, Remaining::Some);
        assert!(world.caller(&other.secret).await.is_ok());
        assert!(matches!(&world.told()[..], [Notice::FactorRemoved { factor, .. }] if factor == "phone"));
        let left = remove_own(&world.app, &operator, &ann.caller, second).await.unwrap();
        assert_eq!(left, Remaining::None);
        assert!(world.caller(&other.secret).await.is_err());
        assert!(world.caller(&ann.secret).await.is_ok());
        assert_eq!(standing(&world.app, ann.user.id).await.unwrap().backup_codes_left, 0);
        let again = remove_own(&world.app, &operator, &ann.caller, second).await;
        refused(again, ProblemKind::NotFound, "no such second factor");
    }
}

/// G4: of another person, or by a token, is nobody's to touch.
#[tokio::test]
async fn factors_are_their_owners() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        let bo = world.person("bo", &[Role::Admin]).await;
        let (id, _) = enrolled(&world, &ann, "phone").await;
        let app = &world.app;
        let operator = world.operator(&bo.caller);
        let stolen = remove_own(app, &operator, &bo.caller, id).await;
        refused(stolen, ProblemKind::NotFound, "no such second factor");
        let stolen = rename(app, &operator, &bo.caller, id, "mine").await;
        refused(stolen, ProblemKind::NotFound, "no such second factor");
        let (_, machine) = world.machine(&ann.user, &[Role::Admin]).await;
        let operator = world.operator(&machine);
        let by_token = remove_own(app, &operator, &machine, id).await;
        refused(by_token, ProblemKind::Refused, "people's");
        let by_token = begin(app, &operator, &machine, "x").await;
        refused(by_token, ProblemKind::Refused, "people's");

        world.told();
        let operator = world.operator(&bo.caller);
        users::reset_factors(app, &operator, &bo.caller, ann.user.id).await.unwrap();
        let (action, was, _) = world.last().await;
        assert_eq!(
            (action.as_str(), was["factors"][0].as_str()),
            ("gateway:user:reset_factors", Some("phone"))
        );
        assert!(
            matches!(&world.told()[..], [Notice::FactorsReset { email, .. }] if email == "ann@example.com")
        );
        assert!(world.caller(&ann.secret).await.is_err());
        let now = standing(app, ann.user.id).await.unwrap();
        assert_eq!((now.factors.len(), now.backup_codes_left), (0, 0));
    }
}
