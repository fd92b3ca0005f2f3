//! The authorities together with the check of peers, and with other people's programs.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use gateway_types::{Entropy, OsEntropy, Secret, Timestamp, ZoneMemberId};
use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::CertificateDer;

use crate::authority::SiteName;
use crate::peer::Allowed;
use crate::rotation::{Kind, MemberStanding, Phase, RotationFault, Standing, Step, plan};
use crate::{
    Bundle, Cost, Custody, Detail, Issuer, IssuerScope, JoinToken, KeyId, Leaf, LeafRequest, Passphrase,
    Peer, PeerFault, PkiError, RequestFault, RequestedKey, Role, RootAuthority, SpiffeId, TokenFault,
    TrustDomain, bundle, check, request,
};

const DAY: Duration = Duration::from_secs(24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((1_800_000_000 + seconds) * 1_000_000)
}

struct Zone {
    domain: TrustDomain,
    root: RootAuthority,
    issuer: Issuer,
}

impl Zone {
    fn new(domain: &str) -> Self {
        let domain: TrustDomain = domain.parse().unwrap();
        let root = RootAuthority::make(&domain, at(0), DAY * 3650, &OsEntropy).unwrap();
        let issuer = root.issuer(IssuerScope::Zone, at(0), DAY * 30, &OsEntropy).unwrap();
        Self { domain, root, issuer }
    }

    fn id(&self, name: &str) -> SpiffeId {
        self.domain.service(name).unwrap()
    }

    fn bundle(&self) -> Bundle {
        Bundle {
            domain: self.domain.clone(),
            sequence: 1,
            refresh: Duration::from_secs(5),
            roots: vec![self.root.certificate().clone()],
            tainted: BTreeSet::new(),
            distrusted: BTreeSet::new(),
            banned: BTreeSet::new(),
        }
    }
}

fn member() -> ZoneMemberId {
    ZoneMemberId::new(at(0), &OsEntropy)
}

fn issue(issuer: &Issuer, id: &SpiffeId, member: ZoneMemberId) -> (Leaf, Secret<Vec<u8>>) {
    let (private, csr) = request::make().unwrap();
    let key = RequestedKey::take(&csr, id).unwrap();
    let asked = LeafRequest { id, member, key: &key, life: HOUR };
    (issuer.issue(&asked, at(0), &OsEntropy).unwrap(), private)
}

fn meet(leaf: &Leaf, bundle: &Bundle, may: &SpiffeId, now: i64) -> Result<Peer, PeerFault> {
    check(&leaf.chain, Role::Client, Allowed::Exactly(std::slice::from_ref(may)), bundle, at(now))
}

#[test]
fn a_member_is_taken_by_its_exact_id() {
    let (zone, other) = (Zone::new("prod.internal"), Zone::new("other.internal"));
    let twin = Zone::new("prod.internal");
    let (dns, api) = (zone.id("dns"), zone.id("api"));
    let who = member();
    let (leaf, _) = issue(&zone.issuer, &dns, who);
    let peer = meet(&leaf, &zone.bundle(), &dns, 0).unwrap();
    assert_eq!((peer.id(), peer.member(), peer.issuer()), (&dns, who, zone.issuer.key()));
    assert_eq!((peer.serial(), peer.not_after()), (leaf.serial.as_str(), leaf.not_after));
    assert_eq!(meet(&leaf, &zone.bundle(), &api, 0), Err(PeerFault::NotAllowed { id: dns.clone() }));
    let code = |fault: PeerFault| fault.code();
    assert_eq!(code(meet(&leaf, &other.bundle(), &dns, 0).unwrap_err()), "other_zone");
    // A deployment of the same name is another zone all the same: its root is another one.
    assert_eq!(code(meet(&leaf, &twin.bundle(), &dns, 0).unwrap_err()), "untrusted");
    // Over, and not begun: a clock may be two minutes behind, and not an hour.
    assert_eq!(code(meet(&leaf, &zone.bundle(), &dns, 3601).unwrap_err()), "untrusted");
    meet(&leaf, &zone.bundle(), &dns, -120).unwrap();
    assert_eq!(code(meet(&leaf, &zone.bundle(), &dns, -3600).unwrap_err()), "untrusted");
    let mut bundle = zone.bundle();
    bundle.banned.insert(who);
    assert_eq!(meet(&leaf, &bundle, &dns, 0), Err(PeerFault::Banned { id: dns.clone() }));
    assert!(!peer.holds(&bundle, at(0)) && peer.holds(&zone.bundle(), at(0)));
    assert!(!peer.holds(&zone.bundle(), at(3601)));
    let mut bundle = zone.bundle();
    bundle.distrusted.insert(zone.issuer.key().clone());
    assert_eq!(code(meet(&leaf, &bundle, &dns, 0).unwrap_err()), "untrusted");
    assert!(!peer.holds(&bundle, at(0)));
    let no_issuer = [leaf.chain[0].clone()];
    let allowed = Allowed::Exactly(std::slice::from_ref(&dns));
    assert!(check(&no_issuer, Role::Client, allowed, &zone.bundle(), at(0)).is_err());
    assert_eq!(check(&[], Role::Client, allowed, &zone.bundle(), at(0)), Err(PeerFault::NoCertificate));
    // An authority never stands for a peer.
    let authority = check(zone.issuer.chain(), Role::Client, allowed, &zone.bundle(), at(0));
    assert_eq!(authority, Err(PeerFault::NotALeaf));
}

#[test]
fn an_issuer_issues_within_its_scope_and_dates() {
    let zone = Zone::new("prod.internal");
    let other: SpiffeId = "spiffe://other.internal/svc/dns".parse().unwrap();
    let (_, csr) = request::make().unwrap();
    let key = RequestedKey::take(&csr, &zone.id("dns")).unwrap();
    let ask = |issuer: &Issuer, id: &SpiffeId, life: Duration, now: i64| {
        issuer.issue(&LeafRequest { id, member: member(), key: &key, life }, at(now), &OsEntropy)
    };
    assert!(matches!(ask(&zone.issuer, &other, HOUR, 0), Err(PkiError::OutOfScope { .. })));
    assert!(matches!(ask(&zone.issuer, &zone.id("dns"), DAY * 2, 0), Err(PkiError::Lifetime)));
    assert!(matches!(ask(&zone.issuer, &zone.id("dns"), Duration::from_secs(1), 0), Err(PkiError::Lifetime)));
    let month = 30 * 24 * 3600;
    let last = ask(&zone.issuer, &zone.id("dns"), HOUR, month - 60).unwrap();
    assert_eq!(last.not_after, zone.issuer.not_after());
    assert!(matches!(ask(&zone.issuer, &zone.id("dns"), HOUR, month), Err(PkiError::AuthorityDates)));

    let site = IssuerScope::Site(SiteName::parse("berlin").unwrap());
    let site = zone.root.issuer(site, at(0), DAY, &OsEntropy).unwrap();
    let here = zone.domain.service("berlin/dns").unwrap();
    let leaf = ask(&site, &here, HOUR, 0).unwrap();
    meet(&leaf, &zone.bundle(), &here, 0).unwrap();
    for elsewhere in [zone.id("dns"), zone.domain.service("paris/dns").unwrap(), zone.domain.gateway()] {
        assert!(matches!(ask(&site, &elsewhere, HOUR, 0), Err(PkiError::OutOfScope { .. })));
    }
}

#[test]
fn a_key_that_an_issuer_lost_signs_nothing_beyond_its_names() {
    // What `issue` would refuse is refused by members too: the constraints stand in the issuer's certificate.
    let zone = Zone::new("prod.internal");
    let site = IssuerScope::Site(SiteName::parse("berlin").unwrap());
    let site = zone.root.issuer(site, at(0), DAY, &OsEntropy).unwrap();
    let stolen =
        Issuer::open(&zone.domain, IssuerScope::Zone, site.chain().to_vec(), &site.private_key()).unwrap();
    let (leaf, _) = issue(&stolen, &zone.id("dns"), member());
    let fault = meet(&leaf, &zone.bundle(), &zone.id("dns"), 0).unwrap_err();
    assert!(
        matches!(fault, PeerFault::Untrusted { reason: webpki::Error::NameConstraintViolation, .. }),
        "{fault}"
    );
}

#[test]
fn keys_belong_to_their_certificates() {
    let (zone, other) = (Zone::new("prod.internal"), Zone::new("prod.internal"));
    let root = |key: &Secret<Vec<u8>>| {
        RootAuthority::open(&zone.domain, zone.root.certificate().clone(), key).map(|root| root.key().clone())
    };
    assert_eq!(root(&zone.root.private_key()).unwrap(), *zone.root.key());
    assert!(matches!(root(&other.root.private_key()), Err(PkiError::OtherKey)));
    assert!(matches!(root(&Secret::new(b"nothing".to_vec())), Err(PkiError::OtherKey)));
    let chain = || zone.issuer.chain().to_vec();
    let open = |key: &Secret<Vec<u8>>| Issuer::open(&zone.domain, IssuerScope::Zone, chain(), key);
    open(&zone.issuer.private_key()).unwrap();
    assert!(matches!(open(&other.issuer.private_key()), Err(PkiError::OtherKey)));
}

fn csr(change: impl FnOnce(&mut CertificateParams), pair: &KeyPair) -> Vec<u8> {
    let mut params = CertificateParams::default();
    change(&mut params);
    params.serialize_request(pair).unwrap().der().to_vec()
}

#[test]
fn a_request_gives_its_key_and_nothing_else() {
    let zone = Zone::new("prod.internal");
    let id = zone.id("dns");
    let pair = KeyPair::generate().unwrap();
    let uri = |text: &str| rcgen::SanType::URI(text.to_owned().try_into().unwrap());
    let take = |der: &[u8]| RequestedKey::take(der, &id);
    take(&csr(|_| {}, &pair)).unwrap();
    take(&csr(|params| params.subject_alt_names = vec![uri(&id.to_string())], &pair)).unwrap();
    for name in [zone.domain.gateway().to_string(), "spiffe://other.internal/svc/dns".to_owned()] {
        let asked = csr(|params| params.subject_alt_names = vec![uri(&id.to_string()), uri(&name)], &pair);
        assert_eq!(take(&asked), Err(RequestFault::Name { name }));
    }
    let asked =
        csr(|params| params.subject_alt_names = vec![rcgen::SanType::IpAddress([10, 0, 0, 1].into())], &pair);
    assert!(matches!(take(&asked), Err(RequestFault::Name { .. })));
    let mut broken = csr(|_| {}, &pair);
    *broken.last_mut().unwrap() ^= 1;
    assert!(matches!(take(&broken), Err(RequestFault::Signature | RequestFault::Malformed)));
    assert_eq!(take(b"nothing"), Err(RequestFault::Malformed));
    assert_eq!(take(&[csr(|_| {}, &pair), vec![0]].concat()), Err(RequestFault::Malformed));
}

/// Requests as openssl makes them, among them some that rcgen cannot make.
#[test]
fn requests_of_openssl() {
    let directory = tempfile::tempdir().unwrap();
    let id: SpiffeId = "spiffe://prod.internal/svc/dns".parse().unwrap();
    let make = |key: &[&str], extension: &[&str]| {
        let out = directory.path().join("csr.der");
        let done = Command::new("openssl")
            .args(["req", "-new", "-nodes", "-subj", "/CN=gateway.gw.prod.internal", "-outform", "DER"])
            .args(["-keyout", "/dev/null", "-out"])
            .arg(&out)
            .args(key)
            .args(extension)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        RequestedKey::take(&std::fs::read(&out).unwrap(), &id)
    };
    let p256 = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    for key in [&p256[..], &["-newkey", "rsa:2048"], &["-newkey", "ed25519"]] {
        let key = make(key, &[]).unwrap();
        // Whatever the subject was: the leaf's names are the registration's.
        let zone = Zone::new("prod.internal");
        let asked = LeafRequest { id: &id, member: member(), key: &key, life: HOUR };
        let leaf = zone.issuer.issue(&asked, at(0), &OsEntropy).unwrap();
        meet(&leaf, &zone.bundle(), &id, 0).unwrap();
    }
    assert_eq!(make(&["-newkey", "rsa:1024"], &[]), Err(RequestFault::Key));
    assert_eq!(
        make(&["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"], &[]),
        Err(RequestFault::Key)
    );
    assert_eq!(make(&p256, &["-addext", "basicConstraints=critical,CA:TRUE"]), Err(RequestFault::Authority));
    assert_eq!(make(&p256, &["-addext", "keyUsage=keyCertSign"]), Err(RequestFault::Authority));
    assert_eq!(make(&p256, &["-addext", "nameConstraints=permitted;DNS:x"]), Err(RequestFault::Extension));
    let other = make(&p256, &["-addext", "subjectAltName=DNS:dns.svc.prod.internal,DNS:*.prod.internal"]);
    assert_eq!(other, Err(RequestFault::Name { name: "*.prod.internal".to_owned() }));
}

#[test]
fn openssl_verifies_the_chain() {
    let zone = Zone::new("prod.internal");
    let next = RootAuthority::make(&zone.domain, at(0), DAY * 3650, &OsEntropy).unwrap();
    let cross = zone.root.cross_sign(&next, at(0), &OsEntropy).unwrap();
    let crossed = next.issuer(IssuerScope::Zone, at(0), DAY, &OsEntropy).unwrap().with_cross_signed(cross);
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let verify = |root: &RootAuthority, issuer: &Issuer, purpose: &str| {
        let (leaf, _) = issue(issuer, &zone.id("dns"), member());
        let root = file("root.pem", bundle::pem(std::slice::from_ref(root.certificate())));
        let chain = file("chain.pem", bundle::pem(&leaf.chain[1..]));
        let leaf = file("leaf.pem", bundle::pem(&leaf.chain[..1]));
        let done = Command::new("openssl")
            .args([
                "verify",
                "-x509_strict",
                "-purpose",
                purpose,
                "-attime",
                "1800000010",
                "-verify_hostname",
            ])
            .args(["dns.svc.prod.internal", "-CAfile"])
            .args([&root, std::path::Path::new("-untrusted"), &chain, &leaf])
            .output()
            .unwrap();
        (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    for purpose in ["sslserver", "sslclient"] {
        let (fine, said) = verify(&zone.root, &zone.issuer, purpose);
        assert!(fine, "{said}");
        // Who knows only the old root takes what the next one issued, and so does who knows only the next one.
        for root in [&zone.root, &next] {
            let (fine, said) = verify(root, &crossed, purpose);
            assert!(fine, "{said}");
        }
        assert!(!verify(&next, &zone.issuer, purpose).0, "a chain to another root");
    }
}

#[test]
fn another_implementation_of_spiffe_takes_leaves_and_bundle() {
    let zone = Zone::new("prod.internal");
    let (leaf, key) = issue(&zone.issuer, &zone.id("dns"), member());
    let chain: Vec<u8> = leaf.chain.iter().flat_map(|certificate| certificate.to_vec()).collect();
    let svid = spiffe::X509Svid::parse_from_der(&chain, key.expose()).unwrap();
    assert_eq!(svid.spiffe_id().to_string(), "spiffe://prod.internal/svc/dns");
    assert_eq!(svid.cert_chain().len(), 2);
    let domain = spiffe::TrustDomain::new("prod.internal").unwrap();
    let bundle = spiffe::X509Bundle::parse_from_der(domain, zone.root.certificate()).unwrap();
    assert_eq!(bundle.authorities().len(), 1);
    // The JWK says the same key as the certificate in it (SPIFFE Trust Domain and Bundle, section 4.2).
    let json: serde_json::Value =
        serde_json::from_str(&zone.bundle().to_json(Detail::Roots).unwrap()).unwrap();
    let key = &json["keys"][0];
    assert_eq!(
        (key["use"].as_str(), key["kty"].as_str(), key["crv"].as_str()),
        (Some("x509-svid"), Some("EC"), Some("P-384"))
    );
    let decode =
        |name: &str| data_encoding::BASE64URL_NOPAD.decode(key[name].as_str().unwrap().as_bytes()).unwrap();
    let point = [vec![4], decode("x"), decode("y")].concat();
    assert!(zone.root.certificate().windows(97).any(|window| window == point));
    assert_eq!((json["spiffe_sequence"].as_u64(), json["spiffe_refresh_hint"].as_u64()), (Some(1), Some(5)));
}

#[test]
fn bundles_are_read_as_they_were_written() {
    let zone = Zone::new("prod.internal");
    let mut whole = zone.bundle();
    whole.tainted.insert(zone.issuer.key().clone());
    whole.distrusted.insert(zone.root.key().clone());
    whole.banned.insert(member());
    assert_eq!(Bundle::from_json(&whole.to_json(Detail::Members).unwrap()).unwrap(), whole);
    let public = Bundle::from_json(&whole.to_json(Detail::Roots).unwrap()).unwrap();
    assert!(public.banned.is_empty(), "who is banned is for members");
    assert_eq!(whole.to_pem().matches("BEGIN CERTIFICATE").count(), 1);
    for bad in ["", "{}", r#"{"keys":[]}"#] {
        assert!(Bundle::from_json(bad).is_err());
    }
    let leaf = issue(&zone.issuer, &zone.id("dns"), member()).0.chain[0].clone();
    let with_leaf = Bundle { roots: vec![leaf], ..zone.bundle() };
    assert!(with_leaf.to_json(Detail::Roots).is_err(), "a leaf is no root");
}

#[test]
fn a_join_token_knows_its_zone() {
    let (zone, other) = (Zone::new("prod.internal"), Zone::new("prod.internal"));
    let token = JoinToken::make(&zone.domain, zone.root.certificate(), &OsEntropy);
    let text = token.text().expose().clone();
    assert!(text.starts_with("rgj_") && text.len() < 140);
    let read = JoinToken::parse(&format!(" {text}\n")).unwrap();
    assert_eq!(read.domain(), &zone.domain);
    assert_eq!(read.digest(), token.digest());
    assert!(read.is_for(zone.root.certificate()) && !read.is_for(other.root.certificate()));
    assert_ne!(token.digest(), JoinToken::make(&zone.domain, zone.root.certificate(), &OsEntropy).digest());
    let last = if text.ends_with('A') { "B" } else { "A" };
    for (bad, fault) in [
        (text[4..].to_owned(), TokenFault::Malformed),
        (text[..80].to_owned(), TokenFault::Malformed),
        (text[..text.len() - 4].to_owned(), TokenFault::Check),
        (format!("rgj_{last}{}", &text[5..]), TokenFault::Check),
    ] {
        if bad != text {
            assert_eq!(JoinToken::parse(&bad).unwrap_err(), fault, "{bad}");
        }
    }
}

#[test]
fn without_the_passphrase_no_key_is_usable() {
    let cost = Cost { memory_kib: 64, passes: 1 };
    let with = |text: &str| Passphrase::new(Secret::new(text.to_owned()), cost).unwrap();
    let zone = Zone::new("prod.internal");
    let secret = zone.root.private_key();
    let sealed = with("correct horse battery").seal(&secret, "zone root", &OsEntropy).unwrap();
    assert_eq!(with("correct horse battery").open(&sealed, "zone root").unwrap(), secret);
    for (passphrase, purpose) in [("correct horse batterx", "zone root"), ("correct horse battery", "backup")]
    {
        assert!(matches!(with(passphrase).open(&sealed, purpose), Err(PkiError::NotOpened)));
    }
    let mut costly = sealed.clone();
    costly.memory_kib = u32::MAX;
    assert!(matches!(with("correct horse battery").open(&costly, "zone root"), Err(PkiError::SealedForm)));
    let text = serde_json::to_string(&sealed).unwrap();
    let der = data_encoding::BASE64.encode(secret.expose());
    assert!(!text.contains(&der[20..60]), "the key is in the open");
    assert!(matches!(
        Passphrase::new(Secret::new("short".to_owned()), cost),
        Err(PkiError::ShortPassphrase { .. })
    ));
}

fn key(number: u8) -> KeyId {
    KeyId::of(&[number])
}

fn standing(number: u8, root: Option<u8>, phase: Phase, since: u64) -> Standing {
    Standing { key: key(number), root: root.map(key), phase, since }
}

fn member_at(seen: u64, issuer: u8) -> MemberStanding {
    MemberStanding { member: member(), seen, issuer: key(issuer), not_after: at(10) }
}

#[test]
fn a_member_that_missed_the_bundle_blocks_activation() {
    let zone = [
        standing(1, None, Phase::Active, 1),
        standing(2, Some(1), Phase::Active, 1),
        standing(3, Some(1), Phase::Prepared, 4),
    ];
    let behind = member_at(3, 2);
    let said = plan(Kind::Issuer, Step::Activate, &zone, &[member_at(4, 2), behind.clone()], at(0));
    assert_eq!(said, Err(RotationFault::NotAcknowledged { members: vec![behind.member] }));
    // One whose leaf is over has to enrol again in any case.
    plan(Kind::Issuer, Step::Activate, &zone, &[member_at(4, 2), behind], at(11)).unwrap();
    let done = plan(Kind::Issuer, Step::Activate, &zone, &[member_at(4, 2)], at(0)).unwrap();
    assert_eq!(done.moves, [(key(3), Phase::Active), (key(2), Phase::Outgoing)]);
    assert!(matches!(
        plan(Kind::Root, Step::Prepare, &zone, &[], at(0)),
        Err(RotationFault::UnderWay { .. })
    ));
    assert!(matches!(plan(Kind::Root, Step::Activate, &zone, &[], at(0)), Err(RotationFault::None { .. })));
}

#[test]
fn an_authority_in_use_is_not_retired() {
    let zone = [
        standing(1, None, Phase::Tainted, 7),
        standing(2, Some(1), Phase::Tainted, 7),
        standing(3, None, Phase::Active, 6),
        standing(4, Some(3), Phase::Active, 6),
        standing(9, Some(1), Phase::Retired, 2),
    ];
    let old = member_at(7, 2);
    let said = plan(Kind::Root, Step::Retire, &zone, std::slice::from_ref(&old), at(0));
    assert_eq!(said, Err(RotationFault::InUse { members: vec![old.member] }));
    let done = plan(Kind::Root, Step::Retire, &zone, &[member_at(7, 4)], at(0)).unwrap();
    assert_eq!(done.moves, [(key(1), Phase::Retired), (key(2), Phase::Retired)]);
}

/// One zone, driven by any steps: a small model of what the store and the members do.
fn drive(steps: &[(Kind, Step, bool)]) {
    let mut all = vec![standing(1, None, Phase::Active, 1), standing(2, Some(1), Phase::Active, 1)];
    let mut members = vec![member_at(1, 2), member_at(1, 2)];
    let (mut sequence, mut next) = (1, 3);
    for (kind, step, members_follow) in steps {
        if let Ok(plan) = plan(*kind, *step, &all, &members, at(0)) {
            sequence += 1;
            if plan.makes {
                let root = match kind {
                    Kind::Root => {
                        all.push(standing(next, None, Phase::Prepared, sequence));
                        next += 1;
                        next - 1
                    }
                    Kind::Issuer => {
                        let active = all.iter().find(|one| one.root.is_none() && one.phase == Phase::Active);
                        let active = active.unwrap().key.clone();
                        (1..next).find(|number| key(*number) == active).unwrap()
                    }
                };
                all.push(standing(next, Some(root), Phase::Prepared, sequence));
                next += 1;
            }
            for (key, phase) in plan.moves {
                let one = all.iter_mut().find(|one| one.key == key).unwrap();
                (one.phase, one.since) = (phase, sequence);
            }
        }
        if *members_follow {
            let active = all.iter().find(|one| one.root.is_some() && one.phase == Phase::Active).unwrap();
            for member in &mut members {
                (member.seen, member.issuer) = (sequence, active.key.clone());
            }
        }
        for is_root in [true, false] {
            let active = all.iter().filter(|one| one.root.is_none() == is_root && one.phase == Phase::Active);
            assert_eq!(active.count(), 1, "exactly one issues: {all:?}");
        }
        let issuer = all.iter().find(|one| one.root.is_some() && one.phase == Phase::Active).unwrap();
        let root = all.iter().find(|one| Some(&one.key) == issuer.root.as_ref()).unwrap();
        assert_eq!(root.phase, Phase::Active, "the active issuer is under the active root: {all:?}");
        for member in &members {
            let issuer = all.iter().find(|one| one.key == member.issuer).unwrap();
            assert_ne!(issuer.phase, Phase::Retired, "a live leaf of a retired issuer: {all:?}");
        }
    }
}

proptest! {
    #[test]
    fn no_order_of_steps_breaks_a_zone(
        steps in prop::collection::vec(
            (
                prop_oneof![Just(Kind::Issuer), Just(Kind::Root)],
                prop::sample::select(Step::ALL.to_vec()),
                any::<bool>(),
            ),
            1..60,
        )
    ) {
        drive(&steps);
    }

    #[test]
    fn nothing_that_is_read_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let der = CertificateDer::from(bytes.clone());
        let zone_id: SpiffeId = "spiffe://prod.internal/svc/dns".parse().unwrap();
        prop_assert!(crate::der::leaf(&der).is_none());
        prop_assert!(RequestedKey::take(&bytes, &zone_id).is_err());
        let _ = Bundle::from_json(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn serial_numbers_are_random_and_positive() {
    #[derive(Debug)]
    struct Ones;
    impl Entropy for Ones {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0xff);
        }
    }
    let zone = Zone::new("prod.internal");
    let (_, csr) = request::make().unwrap();
    let id = zone.id("dns");
    let key = RequestedKey::take(&csr, &id).unwrap();
    let asked = LeafRequest { id: &id, member: member(), key: &key, life: HOUR };
    let serial = |entropy: &dyn Entropy| zone.issuer.issue(&asked, at(0), entropy).unwrap().serial;
    assert!(serial(&Ones).starts_with("7f"));
    let many: BTreeSet<String> = (0..50).map(|_| serial(&OsEntropy)).collect();
    assert_eq!(many.len(), 50);
}
