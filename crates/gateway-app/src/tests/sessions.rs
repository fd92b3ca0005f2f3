use std::time::Duration;

use gateway_types::{CredentialKind, OsEntropy, ProblemKind, Role, SessionId, UserId};

use super::{World, refused};
use crate::sessions::{current, of_person, revoke, revoke_others};

#[tokio::test]
async fn sessions_are_listed_page_by_page_without_those_at_rest() {
    for world in World::both().await {
        let old = world.person("ann", &[Role::Viewer]).await;
        world.clock.advance(Duration::from_secs(3600 + 61));
        let mut people = Vec::new();
        for kind in [CredentialKind::WebSession, CredentialKind::CliSession, CredentialKind::CliSession] {
            people.push(world.signed_in(&old.user, kind).await);
            world.clock.advance(Duration::from_millis(5));
        }
        let by = &people[1].caller;
        let page = of_person(&world.app, by, old.user.id, None, 2).await.unwrap();
        assert_eq!(page.items.iter().map(|item| item.current).collect::<Vec<_>>(), [false, true]);
        let rest = of_person(&world.app, by, old.user.id, page.next.as_deref(), 2).await.unwrap();
        assert_eq!((rest.items.len(), rest.next), (1, None));
        assert_eq!(rest.items[0].session.kind, CredentialKind::WebSession);
        let whole = of_person(&world.app, by, old.user.id, None, 3).await.unwrap();
        assert_eq!((whole.items.len(), whole.next), (3, None));
        let nobody = UserId::new(old.user.created, &OsEntropy);
        refused(of_person(&world.app, by, nobody, None, 2).await, ProblemKind::NotFound, "nobody");
    }
}

#[tokio::test]
async fn a_session_ends_only_as_one_of_its_person() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        let bo = world.person("bo", &[Role::Viewer]).await;
        let app = &world.app;
        let bos = current(&bo.caller).unwrap();
        let operator = world.operator(&ann.caller);
        let wrong = revoke(app, &operator, &ann.caller, ann.user.id, bos).await;
        refused(wrong, ProblemKind::NotFound, "no such session");
        let unknown = SessionId::new(ann.user.created, &OsEntropy);
        let wrong = revoke(app, &operator, &ann.caller, bo.user.id, unknown).await;
        refused(wrong, ProblemKind::NotFound, "no such session");
        assert!(world.caller(&bo.secret).await.is_ok());

        revoke(app, &operator, &ann.caller, bo.user.id, bos).await.unwrap();
        let (action, was, _) = world.last().await;
        assert_eq!((action.as_str(), was["device"].as_str()), ("gateway:session:revoke_any", Some("test")));
        assert!(world.caller(&bo.secret).await.is_err(), "E2");
        let again = revoke(app, &operator, &ann.caller, bo.user.id, bos).await;
        refused(again, ProblemKind::NotFound, "over");
        let own = current(&ann.caller).unwrap();
        revoke(app, &operator, &ann.caller, ann.user.id, own).await.unwrap();
        assert_eq!(world.last().await.0, "gateway:session:revoke");
        assert!(world.caller(&ann.secret).await.is_err());
    }
}

#[tokio::test]
async fn all_others_end() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        let other = world.signed_in(&ann.user, CredentialKind::WebSession).await;
        let bo = world.person("bo", &[Role::Viewer]).await;
        let (_, machine) = world.machine(&ann.user, &[Role::Admin]).await;
        let operator = world.operator(&machine);
        let result = revoke_others(&world.app, &operator, &machine).await;
        refused(result, ProblemKind::Refused, "not your own");
        let operator = world.operator(&ann.caller);
        assert_eq!(revoke_others(&world.app, &operator, &ann.caller).await.unwrap(), 1);
        assert!(world.caller(&ann.secret).await.is_ok());
        assert!(world.caller(&bo.secret).await.is_ok());
        assert!(world.caller(&other.secret).await.is_err());
    }
}
