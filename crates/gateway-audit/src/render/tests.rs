//! Lines for people.

use gateway_types::Layer;

use super::*;
use crate::event::tests::{event, full_event};
use crate::text::is_hazard;

#[test]
fn lines_are_known() {
    assert_eq!(
        line(3, &event(1)),
        "3 1970-01-01T00:00:01.000000Z anonymous - convox:app:list Rack::rack - -"
    );
    assert_eq!(
        line(42, &full_event()),
        "42 1970-01-01T00:00:42.000000Z token:ci allow convox:app:list App::web 201 \
         01900000-0000-7000-8000-000000000007 of=41 completed x3 for=ada@example.com from=2001:db8::1 \
         reason=because"
    );
    let mut refused = event(1);
    (refused.layer, refused.end, refused.status) =
        (Some(Layer::Authentication), Some(End::Refused), Some(401));
    assert_eq!(
        line(0, &refused),
        "0 1970-01-01T00:00:01.000000Z anonymous refuse:authentication convox:app:list Rack::rack 401 - refused"
    );
}

#[test]
fn names_cannot_pose_as_columns_or_steer_the_terminal() {
    let mut event = full_event();
    event.actor.name = "x allow convox:app:delete\n\u{1b}[2J".to_owned();
    event.reason = Some("\u{202e}evil\r".to_owned());
    event.resource.id = "a b".to_owned();
    let line = line(1, &event);
    assert!(!line.chars().any(is_hazard));
    assert!(
        line.contains("\"x allow convox:app:delete\\u000a\\u001b[2J\" allow convox:app:list App::\"a b\"")
    );
    assert!(line.ends_with("reason=\"\\u202eevil\\u000d\""));
}
