use std::time::Duration;

use gateway_types::Role;

use super::World;
use crate::me::{OwnObjects, permissions, read};
use crate::roles::list;

#[tokio::test]
async fn somebody_reads_who_they_are() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Ops]).await;
        let me = read(&world.app, &ann.caller).await.unwrap();
        let factor = me.second_factor.unwrap();
        assert_eq!((factor.asked_for, factor.factors, factor.stepped_up), (true, 0, None));
        assert_eq!(factor.window, Duration::from_secs(600));
        assert_eq!(me.expires, me.session.map(|session| session.expires));
        let (token, machine) = world.machine(&ann.user, &[Role::Viewer]).await;
        let me = read(&world.app, &machine).await.unwrap();
        assert_eq!((me.second_factor, me.session, me.expires), (None, None, token.expires));
    }
}

#[tokio::test]
async fn permissions_are_those_of_the_engine() {
    let [world, _] = World::both().await;
    let ops = world.person("ops", &[Role::Ops]).await;
    let can = permissions(&world.app, &ops.caller, OwnObjects::Count);
    let has = |action: &str| can.iter().any(|known| known == action);
    assert!(has("gateway:me:read") && has("gateway:user:list") && has("convox:app:list"));
    assert!(has("gateway:factor:remove"), "with every factor given");
    assert!(!has("gateway:user:invite") && !has("convox:app:delete"));
    assert!(can.is_sorted());
    let others = permissions(&world.app, &ops.caller, OwnObjects::Ignore);
    assert!(!others.iter().any(|action| action == "gateway:me:read"));
    let (_, machine) = world.machine(&ops.user, &[Role::Admin]).await;
    let machine = permissions(&world.app, &machine, OwnObjects::Count);
    assert!(machine.iter().any(|action| action == "gateway:user:list"));
    assert!(!machine.iter().any(|action| action == "gateway:user:invite"), "not more than its owner");
    assert!(!machine.iter().any(|action| action == "gateway:factor:enrol"), "people's");
}

#[tokio::test]
async fn each_role_permits_what_those_below_do() {
    let [world, _] = World::both().await;
    let known = list(&world.app);
    assert_eq!(known.len(), Role::ALL.len());
    for info in &known {
        for below in info.includes {
            let below = known.iter().find(|other| other.role == *below).unwrap();
            let missing: Vec<&String> =
                below.actions.iter().filter(|action| !info.actions.contains(action)).collect();
            assert!(missing.is_empty(), "{} lacks {missing:?}", info.role);
        }
    }
}
