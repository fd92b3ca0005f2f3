use super::Place;

#[tokio::test]
async fn read_only_is_one_row_that_every_instance_hears_of() {
    for place in Place::both() {
        let (there, here) = place.open_two().await;
        assert_eq!(here.modes().read_only().await.unwrap(), None);
        let mut changes = there.callers().subscribe_changes();
        changes.mark_unchanged();
        here.modes().set_read_only("first", "ann").await.unwrap();
        let set = here.modes().set_read_only("the rack moves", "bob").await.unwrap();
        assert_eq!((set.reason.as_str(), set.set_by.as_str()), ("the rack moves", "bob"));
        changes.changed().await.unwrap();
        assert_eq!(there.modes().read_only().await.unwrap(), Some(set));
        here.modes().set_normal().await.unwrap();
        here.modes().set_normal().await.unwrap();
        assert_eq!(there.modes().read_only().await.unwrap(), None);
        there.close().await;
        here.close().await;
    }
}
