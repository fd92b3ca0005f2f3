//! Rules against manifests.

use proptest::prelude::*;

use super::*;

const COMMIT_A: &str = "0123456789abcdef0123456789abcdef01234567";
const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// Checks one service `web` with this image; `expected` is a part of the refusal, or nothing.
fn check(rules: &[&str], image: &str, digests: Digests, expected: &str) {
    let yaml = format!("services:\n  web:\n    image: '{image}'\n");
    check_manifest(rules, &yaml, digests, expected);
}

fn check_manifest(rules: &[&str], yaml: &str, digests: Digests, expected: &str) {
    let manifest = Manifest::parse(yaml.as_bytes()).expect("a manifest");
    let rules = ImageRules::parse(&owned(rules)).expect("rules");
    match rules.check(&manifest, COMMIT_A, digests) {
        Ok(_) => assert_eq!(expected, "", "was allowed: {yaml}"),
        Err(fault) => {
            let text = fault.to_string();
            assert!(!expected.is_empty() && text.contains(expected), "{text}\n{yaml}");
        }
    }
}

fn rule_refused(line: &str, expected: &str) {
    let fault = ImageRules::parse(&owned(&[line])).expect_err("a fault").to_string();
    assert!(fault.contains(expected), "{fault}");
}

#[test]
fn a_pattern_is_for_the_whole_reference() {
    use Digests::Optional;
    check(&["web=nginx:1"], "nginx:1", Optional, "");
    check(&["web=nginx:1"], "nginx:12", Optional, "does not match");
    check(&["web=nginx:1"], "evil/nginx:1", Optional, "does not match");
    check(&["web=a|b"], "ab", Optional, "does not match");
    check(&["web=a|b"], "b", Optional, "");
    check(&["web=(?m)^a$"], "a", Optional, "");
    check(&["web=r/.*"], "r/x", Optional, "");
    check(&[" web = nginx:1 "], "nginx:1", Optional, "");
    check(&["web=x=y"], "x", Optional, "does not match");
}

#[test]
fn a_service_follows_its_own_rules_and_else_those_of_the_star() {
    use Digests::Optional;
    check(&["*=nginx:1"], "nginx:1", Optional, "");
    check(&["*=nginx:1", "web=redis:1"], "nginx:1", Optional, "does not match `redis:1`");
    check(&["*=nginx:1", "web=redis:1"], "redis:1", Optional, "");
    check(&["web=nginx:1", "web=nginx:2"], "nginx:2", Optional, "");
    check(&["api=nginx:1"], "nginx:1", Optional, "no rule names this service");
    check(&["api=nginx:1"], "nginx:1", Optional, "`web` runs the image `nginx:1`");
    check(&[], "anything:1", Optional, "");
    check_manifest(&["api=x"], "services:\n  web:\n    build: .\n", Optional, "");
    check_manifest(&["api=x"], "services:\n  web:\n", Optional, "");
    check_manifest(&["api=x"], "services: {}\n", Optional, "");
}

#[test]
fn an_image_beside_a_build_is_checked_because_the_rack_runs_the_image() {
    let yaml = "services:\n  web:\n    build: .\n    image: evil\n";
    check_manifest(&["web=good"], yaml, Digests::Optional, "does not match");
}

#[test]
fn images_of_other_places_are_checked_too() {
    use Digests::Optional;
    let init =
        "services:\n  web:\n    build: .\n    initContainer:\n      image: busybox\n      command: x\n";
    check_manifest(&["web=busybox"], init, Optional, "");
    check_manifest(&["web=other"], init, Optional, "`web.initContainer`");
    let resource =
        "resources:\n  db:\n    type: postgres\n    options:\n      image: evil\nservices:\n  web:\n";
    check_manifest(&["web=evil"], resource, Optional, "`resources.db`");
    check_manifest(&["*=postgres.*"], resource, Optional, "`resources.db`");
    check_manifest(&["*=evil"], resource, Optional, "");
    let sidecar = "services:\n  web:\n    sidecars:\n      - image: evil\n";
    check_manifest(&["*=.*"], sidecar, Optional, "services.web.sidecars.image");
    check_manifest(&[], sidecar, Digests::Required, "services.web.sidecars.image");
    check_manifest(&[], sidecar, Optional, "");
    let wrong_case = "services:\n  web:\n    Image: evil\n";
    check_manifest(&["*=good"], wrong_case, Optional, "services.web.Image");
}

#[test]
fn the_commit_is_put_in_as_text() {
    use Digests::Optional;
    let image = format!("r/app:{COMMIT_A}");
    check(&["web=r/app:{{GIT_COMMIT}}"], &image, Optional, "");
    check(&["web=r/app:{{GIT_COMMIT}}"], "r/app:latest", Optional, "does not match");
    check(&["web=r/app:{{GIT_COMMIT}}"], &format!("{image}0"), Optional, "does not match");
    let manifest = Manifest::parse(b"services:\n  web:\n    image: r/app:evil\n").expect("a manifest");
    let rules = ImageRules::parse(&owned(&["web=r/app:{{GIT_COMMIT}}"])).expect("rules");
    for commit in [".*", "", "abc", "%", &COMMIT_A.to_uppercase(), &COMMIT_A[..39], &format!("{COMMIT_A}\n")]
    {
        let fault = rules.check(&manifest, commit, Optional).expect_err("a fault");
        assert!(matches!(fault, ImageFault::Commit { .. }), "{commit:?}: {fault:?}");
    }
    assert!(with_commit("x{{GIT_COMMIT}}", ".*").expect("a pattern").is_match("x.*"));
    assert!(!with_commit("x{{GIT_COMMIT}}", ".*").expect("a pattern").is_match("xyz"));
}

#[test]
fn digests_are_whole_or_not_there() {
    use Digests::Required;
    check(&[], &format!("r/app@{DIGEST}"), Required, "");
    check(&[], &format!("r/app:tag@{DIGEST}"), Required, "");
    check(&[], "r/app:tag", Required, "has no digest");
    check(&[], &format!("r/app@{}", &DIGEST[..70]), Required, "has no digest");
    check(&[], &format!("r/app@{}", DIGEST.to_uppercase()), Required, "has no digest");
    check(&[], &format!("r/app@{DIGEST}0"), Required, "has no digest");
    check(&[], &format!("r/app@{DIGEST}@{DIGEST}"), Required, "has no digest");
    check(&[], &format!("r/app@sha512:{}", &DIGEST[7..]), Required, "has no digest");
    check(&["web=r/app"], &format!("r/app@{DIGEST}"), Required, "does not match");
    check_manifest(&[], "services:\n  web:\n    build: .\n", Required, "");
}

#[test]
fn placeholders_and_what_is_no_reference_are_refused() {
    use Digests::{Optional, Required};
    check(&["*=.*"], "${IMAGE}", Optional, "has a `${…}`");
    check(&["*=.*"], "r/app:${TAG}", Optional, "has a `${…}`");
    check(&[], "r/app:${TAG}", Required, "has a `${…}`");
    check(&[], "r/app:${TAG}", Optional, "");
    check(&["*=.*"], "nginx AS x", Optional, "no image reference");
    check(&[], "nginx AS x", Optional, "no image reference");
    check(&["*=.*"], "--platform=x", Optional, "no image reference");
    check(&["*=.*"], "$IMAGE", Optional, "no image reference");
    check(&["*=.*"], "nginx\\", Optional, "no image reference");
    check(&["*=.*"], &"a".repeat(513), Optional, "no image reference");
    let lines = "services:\n  web:\n    image: \"nginx\\nRUN curl evil\"\n";
    check_manifest(&["*=(?s).*"], lines, Optional, "no image reference");
    check_manifest(&[], lines, Optional, "no image reference");
}

#[test]
fn a_build_stays_within_the_source() {
    use Digests::Optional;
    for (build, expected) in [
        (".", ""),
        ("./web", ""),
        ("a/../b", ""),
        ("/web", ""),
        ("..", "not below"),
        ("../x", "not below"),
        ("a/../../x", "not below"),
        ("./..", "not below"),
    ] {
        check_manifest(&[], &format!("services:\n  web:\n    build: {build}\n"), Optional, expected);
    }
}

#[test]
fn the_images_are_given_by_place() {
    let yaml =
        "services:\n  web:\n    image: a:1\n    initContainer:\n      image: b:1\n  api:\n    build: .\n";
    let manifest = Manifest::parse(yaml.as_bytes()).expect("a manifest");
    let images = ImageRules::default().check(&manifest, COMMIT_A, Digests::Optional).expect("images");
    let expected = [("web".to_owned(), "a:1".to_owned()), ("web.initContainer".to_owned(), "b:1".to_owned())];
    assert_eq!(images, BTreeMap::from(expected));
}

#[test]
fn faulty_rules_are_refused() {
    rule_refused("nginx", "is no image rule");
    rule_refused("=nginx", "is no image rule");
    rule_refused("web=", "is no image rule");
    rule_refused("Web=x", "is no image rule");
    rule_refused("we*=x", "is no image rule");
    rule_refused("web=a(", "cannot be used");
    rule_refused("web=a)|(b", "cannot be used");
    rule_refused("web=(?x)a #", "cannot be used");
    rule_refused("web=((a{100}){100}){100}", "cannot be used");
    rule_refused("web=a\nb", "control characters");
    rule_refused(&format!("web={}", "a".repeat(1_000)), "longer than");
    assert_eq!(ImageRules::parse(&owned(&["*=a"; 101])), Err(ImageRuleFault::TooMany));
    assert!(ImageRules::parse(&owned(&["*=a"; 100])).is_ok());
}

proptest! {
    #[test]
    fn an_escaped_image_matches_only_itself(image in "[a-z0-9][a-z0-9./:-]{0,30}", other in "[a-z0-9][a-z0-9./:-]{0,30}") {
        let rule = format!("web={}", regex::escape(&image));
        let rules = ImageRules::parse(&[rule]).expect("rules");
        let yaml = format!("services:\n  web:\n    image: '{other}'\n");
        let manifest = Manifest::parse(yaml.as_bytes()).expect("a manifest");
        let allowed = rules.check(&manifest, COMMIT_A, Digests::Optional).is_ok();
        prop_assert_eq!(allowed, image == other);
    }

    #[test]
    fn no_rule_panics(line in ".{0,60}") {
        let _ = ImageRules::parse(&[line]);
    }
}
