use gateway_pki::TrustDomain;

use super::{Registration, ZoneError};

#[test]
fn a_listener_is_for_one_kind_of_callers() {
    let domain: TrustDomain = "prod.internal".parse().unwrap();
    let check = |name: &str, listeners: &[&str], callers: &[&str]| {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Registration::check(&domain, name, &owned(listeners), &owned(callers))
    };
    let dns = check("dns", &["control:gateway:6754", "dns:external:53"], &[]).unwrap();
    assert_eq!(dns.callers, [domain.gateway()]);
    assert_eq!(dns.listeners_text(), ["control:gateway:6754", "dns:external:53"]);
    let db =
        check("db", &["sql:internal:5432"], &["api", "engine", "spiffe://prod.internal/svc/api"]).unwrap();
    assert_eq!(db.callers_text(), ["spiffe://prod.internal/svc/api", "spiffe://prod.internal/svc/engine"]);
    for listeners in [
        &["control:gateway:6754", "control:external:53"][..],
        &["control:gateway:6754", "dns:external:6754"],
        &["control:both:1"],
        &["control:gateway:0"],
        &["control:gateway:70000"],
        &["control:gateway"],
        &["Control:gateway:1"],
    ] {
        let said = check("dns", listeners, &[]);
        assert!(matches!(said, Err(ZoneError::Listener { .. })), "{listeners:?}");
    }
    for caller in ["", "*", "spiffe://other.internal/svc/api", "spiffe://prod.internal", "a/b"] {
        let said = check("db", &["sql:internal:5432"], &[caller]);
        assert!(matches!(said, Err(ZoneError::Caller { .. })), "{caller}");
    }
    assert!(matches!(check("db", &["sql:gateway:5432"], &["api"]), Err(ZoneError::NotInternal)));
    assert!(matches!(check("gw/gateway", &[], &[]), Err(ZoneError::Name(_))));
}
