//! What is read of a manifest, and what is refused.

use proptest::prelude::*;

use super::*;

fn parse(yaml: &str) -> Manifest {
    Manifest::parse(yaml.as_bytes()).unwrap_or_else(|fault| panic!("{fault}\n{yaml}"))
}

fn image_of(manifest: &Manifest, service: &str) -> String {
    manifest.services[service].image.clone().unwrap_or_default()
}

/// The image of the service `web`; nothing if it is built.
fn check(yaml: &str, expected: &str) {
    assert_eq!(image_of(&parse(yaml), "web"), expected, "{yaml}");
}

/// A part of the refusal.
fn refused(yaml: &str, expected: &str) {
    match Manifest::parse(yaml.as_bytes()) {
        Ok(manifest) => panic!("was read: {manifest:?}\n{yaml}"),
        Err(fault) => assert!(fault.to_string().contains(expected), "{fault}\n{yaml}"),
    }
}

#[test]
fn the_manifest_of_the_recorded_deploy_is_read() {
    let manifest = parse("services:\n  web:\n    build: .\n    port: 3000\n");
    let web = Service { build: Some(".".to_owned()), ..Service::default() };
    assert_eq!(manifest.services, BTreeMap::from([("web".to_owned(), web)]));
    assert_eq!(manifest.sha256, "c2b7504896ab0cc8dc7d6284c7490ecd6096a8b79f56c5bae2a7d74d399ea836");
}

#[test]
fn everything_that_approvals_need_is_read() {
    let yaml = "environment:\n  - COMPANY=Convox\nresources:\n  database:\n    type: postgres\n    options:\n      \
                storage: 200\nservices:\n  api:\n    build:\n      path: ./api\n      manifest: Dockerfile.api\n    \
                command: bin/api\n    initContainer:\n      image: busybox:1\n      command: bin/migrate\n  metrics:\n    \
                agent: true\n    image: awesome/metrics\n  web:\n    port: 3000\ntimers:\n  cleanup:\n    schedule: \
                \"0 3 * * *\"\n    command: bin/cleanup\n    service: api\n";
    let manifest = parse(yaml);
    let api = &manifest.services["api"];
    assert_eq!(api.build.as_deref(), Some("./api"));
    assert_eq!(api.image, None);
    assert_eq!(api.init_container.as_ref().and_then(|init| init.image.as_deref()), Some("busybox:1"));
    assert_eq!(image_of(&manifest, "metrics"), "awesome/metrics");
    assert_eq!(manifest.services["metrics"].build, None);
    assert_eq!(manifest.services["web"].build.as_deref(), Some("."));
    assert_eq!(manifest.timers["cleanup"].service.as_deref(), Some("api"));
    assert_eq!(manifest.resources["database"].kind.as_deref(), Some("postgres"));
    assert_eq!(manifest.resources["database"].image, None);
    let commands: Vec<_> = manifest.commands();
    assert_eq!(
        commands,
        [
            ("services.api.initContainer.command".to_owned(), "bin/migrate"),
            ("services.api.command".to_owned(), "bin/api"),
            ("timers.cleanup.command".to_owned(), "bin/cleanup"),
        ]
    );
    assert!(manifest.other_images.is_empty() && manifest.placeholders.is_empty());
}

#[test]
fn styles_of_writing_give_the_same() {
    check("services:\n  web:\n    image: a:1\n", "a:1");
    check("services: {web: {image: 'a:1'}}\n", "a:1");
    check("{\"services\": {\"web\": {\"image\": \"a:1\"}}}", "a:1");
    check("services:\n  web:\n    \"image\": |-\n      a:1\n", "a:1");
    check("services:\r\n  web:\r\n    image: a:1\r\n", "a:1");
    check("\u{feff}services:\n  web:\n    image: a:1\n", "a:1");
    check("---\nservices:\n  web:\n    image: !!str a:1\n...\n", "a:1");
    check("services:\n  web:\n    image: ~\n", "");
    check("services:\n  web:\n    image: ''\n", "");
    check("services:\n  web:\n    image:\n", "");
    check("services:\n  web: !!map\n    image: a:1\n", "a:1");
}

#[test]
fn aliases_and_merge_keys_are_resolved() {
    check("x: &i a:1\nservices:\n  web:\n    image: *i\n", "a:1");
    check("x: &b {image: a:1}\nservices:\n  web:\n    <<: *b\n", "a:1");
    check("x: &b {image: b:1}\nservices:\n  web:\n    <<: *b\n    image: a:1\n", "a:1");
    check("x: &b {image: a:1}\ny: &c {image: c:1}\nservices:\n  web:\n    <<: [*b, *c]\n", "a:1");
    check("x: &b {image: a:1}\ny: &c {<<: *b}\nservices:\n  web:\n    <<: *c\n", "a:1");
    check("x: &s {web: {image: a:1}}\nservices: *s\n", "a:1");
    check("x: &s {web: {image: a:1}}\nservices:\n  <<: *s\n  api:\n    image: b:1\n", "a:1");
    check("x: &i b:1\ny: &i a:1\nservices:\n  web:\n    image: *i\n", "a:1");
    check("x: &b {image: a:1}\nservices:\n  web:\n    image: a:1\n    <<: *b\n", "a:1");
}

#[test]
fn an_image_cannot_be_hidden() {
    refused("services:\n  web:\n    image: a\n---\nservices:\n  web:\n    image: b\n", "second document");
    refused("services:\n  web:\n    image: a\n...\n---\nx: 1\n", "second document");
    refused("services:\n  web:\n    image: a\n    image: b\n", "`image` for the second time");
    refused("services:\n  web:\n    image: a\n    \"image\": b\n", "`image` for the second time");
    refused(
        "services:\n  web:\n    image: a\nservices:\n  web:\n    image: b\n",
        "`services` for the second time",
    );
    refused("x: &b {image: b}\nservices:\n  web:\n    image: a\n    <<: *b\n", "put the `<<` first");
    refused("x: &b {image: b}\nservices:\n  web:\n    <<: *b\n    <<: *b\n", "`<<` for the second time");
    refused("x: &b {image: b}\nservices:\n  web:\n    \"<<\": *b\n", "no plain word");
    refused("services:\n  web:\n    <<: b\n", "leads to no map");
    refused("services:\n  web:\n    <<: [b]\n", "leads to no map");
    refused("services:\n  web:\n    command: a\u{85}    image: b\n", "U+0085");
    refused("services:\n  web:\n    command: a\u{2028}    image: b\n", "U+2028");
    refused("services:\n  web:\n    command: a\0    image: b\n", "U+0000");
    refused("services:\n  web:\n    image: a\n\u{feff}    image: b\n", "U+FEFF");
    refused("services:\n  web:\n    image: a\n    \u{e000}0\u{e001}: b\n", "U+E000");
}

#[test]
fn tags_keys_and_shapes_that_readers_take_differently_are_refused() {
    refused("services:\n  web:\n    image: !x a\n", "tag");
    refused("services:\n  web:\n    image: !!binary YQ==\n", "tag");
    refused("services: !!omap\n  web:\n    image: a\n", "tag");
    refused("services:\n  web:\n    image: ! a\n", "tag");
    refused("%TAG !! tag:evil,2000:\n---\nservices:\n  web:\n    image: !!str a\n", "tag");
    refused("services:\n  web:\n    ? [image]\n    : a\n", "no plain word");
    refused("x: &i image\nservices:\n  web:\n    *i : a\n", "no plain word");
    refused("services:\n  web:\n    image: [a]\n", "services.web.image");
    refused("services:\n  web:\n    command: [a, b]\n", "services.web.command");
    refused("services:\n  - web\n", "`services`");
    refused("services: web\n", "`services`");
    refused("services:\n  web: a\n", "`services.web`");
    refused("- a\n", "the whole");
    refused("services:\n  1:\n    image: a\n", "no name");
    refused("services:\n  010:\n    image: a\n", "no name");
    refused("services:\n  Web:\n    image: a\n", "no name");
    refused("services:\n  \"we b\":\n    image: a\n", "no name");
    refused("resources:\n  db:\n    image: a\n    options:\n      image: b\n", "one image");
}

#[test]
fn words_that_may_be_numbers_want_quotes() {
    for word in [
        "010",
        "1.10",
        "1e3",
        "0x1F",
        "5000",
        "1:30",
        "2001-12-14",
        ".inf",
        "yes",
        "True",
        "on",
        "12345678",
        "<<",
    ] {
        refused(&format!("services:\n  web:\n    image: {word}\n"), "put it in quotes");
        check(&format!("services:\n  web:\n    image: '{word}'\n"), word);
    }
    for word in ["nginx", "1password/x", "127.0.0.1:5000/app", "./x", ".", "7zip", "a1", "deadbeef/x"] {
        check(&format!("services:\n  web:\n    image: {word}\n"), word);
    }
}

#[test]
fn what_is_no_document_is_refused() {
    refused("", "empty");
    refused("# nothing\n", "empty");
    refused("~\n", "empty");
    refused("services:\n\tweb: a\n", "no YAML");
    refused("services: [\n", "no YAML");
    refused("services: *nobody\n", "no YAML");
    assert_eq!(Manifest::parse(b"a: \xff\n"), Err(ManifestFault::NotUtf8));
    assert_eq!(Manifest::parse(b"\xff\xfea\0:\0"), Err(ManifestFault::NotUtf8));
    let long = vec![b'#'; MOST_BYTES + 1];
    assert_eq!(Manifest::parse(&long), Err(ManifestFault::TooLong { most: MOST_BYTES }));
}

#[test]
fn bombs_are_refused() {
    let mut laughs = "a: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for at in 1..9 {
        let before = at - 1;
        let aliases = vec![format!("*a{before}"); 10].join(", ");
        laughs.push_str(&format!("a{at}: &a{at} [{aliases}]\n"));
    }
    refused(&laughs, "more than 20000 nodes");
    refused(&format!("a: {}{}\n", "[".repeat(100), "]".repeat(100)), "nested");
    let mut chain = "a0: &a0 [x]\n".to_owned();
    for at in 1..100 {
        let before = at - 1;
        chain.push_str(&format!("a{at}: &a{at} [*a{before}]\n"));
    }
    refused(&chain, "nested");
    refused("a: &a [*a]\n", "itself in");
    refused(&format!("a: [{}]\n", "x,".repeat(20_001)), "more than 20000 nodes");
    let wide: String = (0..19_000).map(|at| format!("k{at}: v\n")).collect();
    refused(&wide, "more than 20000 nodes");
    assert!(Manifest::parse("- ".repeat(100_000).as_bytes()).is_err());
    assert!(Manifest::parse("? ".repeat(100_000).as_bytes()).is_err());
    assert!(Manifest::parse("{".repeat(100_000).as_bytes()).is_err());
}

#[test]
fn placeholders_are_what_the_rack_takes_for_them() {
    let manifest = parse("services:\n  web:\n    image: r/app:${TAG}\n    command: run ${A} ${B-x}\n");
    assert_eq!(image_of(&manifest, "web"), "r/app:${TAG}");
    assert_eq!(manifest.services["web"].command.as_deref(), Some("run ${A} ${B-x}"));
    assert_eq!(manifest.placeholders, BTreeSet::from(["A", "B-x", "TAG"].map(str::to_owned)));
    check("services:\n  web:\n    image: ${IMAGE}\n", "${IMAGE}");
    check("services:\n  web: {image: \"${A}\", command: \"${, b: x}\"}\n", "${A}");
    check("services:\n  web:\n    image: a${\n", "a${");
    // To the rack this service has no image: it is between the braces.
    let hidden = parse("services:\n  web: {command: \"${\", image: good, x: \"}\"}\n");
    assert_eq!(hidden.services["web"].image, None);
    assert_eq!(hidden.services["web"].command.as_deref(), Some("${\", image: good, x: \"}"));
    refused("services:\n  web:\n    # ${\n    image: good\n    # }\n    image: evil\n", "line 3");
    refused("services:\n  web:\n    ${KEY}: good\n", "in a key");
    refused("services:\n  ${NAME}:\n    image: good\n", "in a key");
    refused(&format!("services:\n  web:\n    image: ${{{}}}\n", "A".repeat(201)), "not on the same line");
}

#[test]
fn with_values_it_reads_what_the_rack_will() {
    let values = |value: &str| BTreeMap::from([("X".to_owned(), value.to_owned())]);
    let read = |yaml: &str, value: &str| Manifest::parse_with(yaml.as_bytes(), &values(value));
    let block = "services:\n  web:\n    image: good\n    command: ${X}\n";
    assert_eq!(
        read(block, "bin/web").expect("a manifest").services["web"].command.as_deref(),
        Some("bin/web")
    );
    assert!(matches!(read(block, "a\n    image: evil"), Err(ManifestFault::TwiceKey { .. })));
    assert!(matches!(read(block, "a\r    image: evil"), Err(ManifestFault::TwiceKey { .. })));
    assert!(matches!(read(block, "a\u{85}    image: evil"), Err(ManifestFault::Character { .. })));
    let flow = "services:\n  web: {command: ${X}, build: .}\n";
    assert_eq!(image_of(&read(flow, "a, image: evil").expect("a manifest"), "web"), "evil");
    assert_eq!(
        image_of(&read("services:\n  web:\n    image: r:${X}\n", "1").expect("a manifest"), "web"),
        "r:1"
    );
    assert_eq!(
        image_of(&read("services:\n  web:\n    image: r${Y}\n", "1").expect("a manifest"), "web"),
        "r"
    );
    let sum = |yaml| parse(yaml).sha256;
    assert_eq!(read(block, "bin/web").expect("a manifest").sha256, sum(block));
}

#[test]
fn images_at_places_that_are_not_known_are_noted() {
    let yaml = "x-base: {image: ignored}\nservices:\n  web:\n    labels: {image: word}\n    deep:\n      - image: evil\n";
    let manifest = parse(yaml);
    assert_eq!(
        manifest.other_images,
        BTreeMap::from([("services.web.deep.image".to_owned(), "evil".to_owned())])
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Manifest::parse(&bytes);
    }

    #[test]
    fn no_yaml_panics(text in "[ a\n:{}\\[\\],&*?|>'\"!%#<$-]{0,80}") {
        let _ = Manifest::parse(text.as_bytes());
    }

    #[test]
    fn any_image_in_quotes_is_read_back(image in "[a-z0-9][a-z0-9./:@_-]{0,60}") {
        let manifest = parse(&format!("services:\n  web:\n    image: '{image}'\n"));
        prop_assert_eq!(image_of(&manifest, "web"), image);
    }

    #[test]
    fn placeholders_come_back_as_they_were(text in "[a-z ]{0,9}(\\$\\{[A-Z\"#:, ]{0,9}\\}[a-z ]{0,9}){0,4}") {
        let replaced = placeholder::replace(&text, Values::Unknown).expect("replaced");
        prop_assert_eq!(restore(&replaced.text, &replaced.names), text);
    }
}
