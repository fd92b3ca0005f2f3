use super::*;

fn state() -> RackState {
    RackState::new(&SimOptions::for_tests())
}

#[test]
fn ids_have_the_shape_of_a_rack_s_and_never_repeat() {
    let state = state();
    let ids: Vec<String> = (0..500).map(|_| state.lock().new_id('R')).collect();
    let shaped = |id: &String| id.len() == 11 && id.bytes().all(|byte| byte.is_ascii_uppercase());
    assert!(ids.iter().all(shaped));
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len());
}

#[test]
fn releases_take_what_is_absent_from_the_newest_one() {
    let state = state();
    let make = |new: NewRelease| state.lock().new_release("myapp", new).unwrap();
    let first = make(NewRelease { env: Some("A=1".to_owned()), ..NewRelease::default() });
    assert_eq!((first.build.as_str(), first.description.as_str()), ("BSEED00001", "env change"));
    assert_eq!(first.manifest, app::MANIFEST);
    let second = make(NewRelease { description: Some("why".to_owned()), ..NewRelease::default() });
    assert_eq!((second.env.as_str(), second.description.as_str()), ("A=1", "why"));
    let third = make(NewRelease { parent: Some("RSEED00001".to_owned()), ..NewRelease::default() });
    assert_eq!(third.env, "DATABASE_PASSWORD=s3cr3t-myapp\nPLAIN=value");
    let unknown = NewRelease { parent: Some("RNOSUCH".to_owned()), ..NewRelease::default() };
    assert_eq!(
        state.lock().new_release("myapp", unknown),
        Err(Refusal::ReleaseNotFound("RNOSUCH".to_owned()))
    );
}

#[test]
fn a_new_app_gets_what_its_manifest_names_when_it_is_promoted() {
    let state = state();
    let mut locked = state.lock();
    locked.apps.insert("fresh".to_owned(), App::empty("testrack", "fresh", "3"));
    let app = locked.app("fresh").unwrap();
    let manifest = "services:\n  web:\n    build: .\n    environment:\n      - X\nresources:\n  db:\n    type: postgres\n";
    app.follow(manifest);
    let names: Vec<&str> = app.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!((names, app.resources.len(), app.processes.len()), (vec!["web"], 1, 1));
}
