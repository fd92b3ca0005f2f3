use std::sync::Arc;

use gateway_types::{OsEntropy, Role, Secret};

use super::{Place, add_user};
use crate::rotation::{Rotation, rotate};
use crate::{Access, Rotated, Store, StoreError, StoreOptions};

const NEW: &str = "another key of at least thirty-two characters";

fn options(place: &Place, access: Access, key: &str) -> StoreOptions {
    StoreOptions { access, app_secret_key: Some(Secret::new(key.to_owned())), ..place.options(access) }
}

fn rotation(place: &Place, present: &str, new: &str) -> Rotation {
    let options = place.options(Access::Tool);
    Rotation {
        url: options.url,
        present: Some(Secret::new(present.to_owned())),
        new: Secret::new(new.to_owned()),
        clock: options.clock,
        entropy: Arc::new(OsEntropy),
    }
}

#[tokio::test]
async fn what_is_sealed_opens_with_the_new_key_and_what_is_derived_stays() {
    for place in Place::both() {
        let old = place.options(Access::Tool).app_secret_key.expect("a key").expose().clone();
        let store = Store::open(options(&place, Access::Serve, &old)).await.unwrap();
        let user = add_user(&store, "ann@example.com", &[Role::Viewer]).await;
        let seed = Secret::new(b"12345678901234567890".to_vec());
        let factor = store.factors().create_totp(user.id, "phone", &seed).await.unwrap();
        let derived = store.derive_key("handles/v1");
        // Nobody exchanges the key of a gateway that runs.
        let running = rotate(rotation(&place, &old, NEW)).await.unwrap_err();
        assert!(matches!(running, StoreError::Serving | StoreError::Locked { .. }), "{running}");
        store.close().await;
        drop(store);
        let wrong = rotate(rotation(&place, "not the key at all, but long enough", NEW)).await.unwrap_err();
        assert!(matches!(wrong, StoreError::WrongSecretKey), "{wrong}");
        let weak = rotate(rotation(&place, &old, "short")).await.unwrap_err();
        assert!(matches!(weak, StoreError::WeakKey { .. }), "{weak}");

        let rotated = rotate(rotation(&place, &old, NEW)).await.unwrap();
        assert_eq!(rotated, Rotated { sealed: 1, sign_ins: 0 });
        let refused = Store::open(options(&place, Access::Serve, &old)).await.unwrap_err();
        assert!(matches!(refused, StoreError::WrongSecretKey), "{refused}");
        // And once more, so that what is kept is taken over from key to key.
        let third = "a third key of at least thirty-two characters";
        assert_eq!(rotate(rotation(&place, NEW, third)).await.unwrap().sealed, 1);
        let store = Store::open(options(&place, Access::Serve, third)).await.unwrap();
        assert_eq!(store.derive_key("handles/v1"), derived);
        store.factors().confirm(user.id, factor.id, None).await.unwrap();
        let seeds = store.factors().seeds(user.id).await.unwrap();
        assert_eq!(seeds.iter().map(|(_, seed)| seed).collect::<Vec<_>>(), [&seed]);
        store.close().await;
    }
}
