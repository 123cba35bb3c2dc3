//! From text to resource: what is read, and what is said about what is not.

use meshcore_resource::{MeshCoreDeployment, Parsed, Protocol, ResourceError, parse};

const MINIMAL: &str = "\
apiVersion: meshcore.dev/v1alpha1
kind: MeshCoreDeployment
metadata: {name: bay-area}
spec:
  mqttSources:
    - name: local
      broker: mqtt://mosquitto:1883
  storage: {size: 10Gi}
";

fn read(text: &str) -> Parsed {
    parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn resource(text: &str) -> MeshCoreDeployment {
    read(text).resource
}

fn refusal(text: &str) -> String {
    parse(text).expect_err("a refusal").to_string()
}

#[test]
fn a_minimal_resource_has_the_defaults() {
    let resource = resource(MINIMAL);
    let spec = &resource.spec;
    assert_eq!(resource.name(), "bay-area");
    assert_eq!(spec.mqtt_sources[0].topics(), ["meshcore/#"]);
    assert_eq!(spec.mqtt_sources[0].protocol(), Protocol::Auto);
    assert_eq!(spec.shutdown.termination_grace_period_seconds(), 60);
    assert_eq!(spec.retention.packet_days, None, "the ingestor's default");
    assert_eq!(spec.server.max_connections, 2000);
    assert_eq!(resource.validate(), []);
    assert!(spec.without_effect_outside_a_cluster().is_empty());
}

#[test]
fn yaml_and_json_read_the_same_and_read_back() {
    let from_yaml = resource(MINIMAL);
    let json = serde_json::to_string_pretty(&from_yaml).unwrap();
    assert_eq!(resource(&json), from_yaml);
    // JSON may have tabs, which YAML refuses.
    assert_eq!(resource(&json.replace("  ", "\t")), from_yaml);
    // What says nothing is not written.
    assert!(!json.contains("service") && !json.contains("retention"));
    assert_eq!(resource(&format!("\u{feff}{MINIMAL}")), from_yaml);
    assert_eq!(resource(&MINIMAL.replace('\n', "\r\n")), from_yaml);
}

#[test]
fn what_kubectl_prints_is_read() {
    let printed = MINIMAL.replace(
        "metadata: {name: bay-area}",
        "metadata:\n  name: bay-area\n  namespace: mesh\n  creationTimestamp: '2026-11-21T00:00:00Z'\n  \
         generation: 3\n  resourceVersion: '7'\n  uid: x\n  managedFields: [{manager: kubectl}]",
    ) + "status: {observedGeneration: 3, anything: [1]}\n";
    assert_eq!(
        resource(&printed).metadata.namespace.as_deref(),
        Some("mesh")
    );
}

#[test]
fn empty_values_are_values_that_are_not_there() {
    let text = MINIMAL.to_owned() + "  retention:\n  ingress: null\n  pod: {labels: ~}\n";
    assert_eq!(resource(&text), resource(MINIMAL));
}

#[test]
fn other_documents_are_named_and_skipped() {
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: mosquitto}\nstringData: {password: x}\n";
    let text = format!("---\n# nothing here\n---\n{secret}---\n{MINIMAL}---\n");
    let parsed = read(&text);
    assert_eq!(parsed.resource, resource(MINIMAL));
    let skipped: Vec<_> = parsed.skipped.iter().map(ToString::to_string).collect();
    assert_eq!(skipped, ["Secret mosquitto"]);
    // Lines are those of the whole text.
    assert_eq!(parsed.line("spec.mqttSources[0].broker"), Some(15));
}

#[test]
fn a_text_without_the_one_resource_is_refused_with_a_sentence() {
    let two = format!("{MINIMAL}---\n{}", MINIMAL.replace("bay-area", "second"));
    for (text, expected) in [
        ("", "there is no MeshCoreDeployment in it: it is empty"),
        ("# only a comment", "it is empty"),
        (
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a}",
            "there is no MeshCoreDeployment in it, only Secret a",
        ),
        (
            two.as_str(),
            "there are 2 resources of kind MeshCoreDeployment in it (bay-area, second); leave one",
        ),
        (
            "just a text",
            "document 1 has no keys and values; a resource begins with \
             `apiVersion: meshcore.dev/v1alpha1` and `kind: MeshCoreDeployment`",
        ),
        ("- a", "document 1 has no keys and values"),
        ("mqttSources: []", "document 1 has no kind"),
        ("kind: MeshCoreDeployment", "document 1 has no apiVersion"),
        (
            "{\"kind\": \"MeshCoreDeployment\"",
            "it is not valid JSON: EOF while parsing an object at line 1",
        ),
        ("a: [", "it is not valid YAML: "),
        ("a: 1\na: 2", "the key \"a\" stands there twice"),
        ("a: .nan", "a number must be finite"),
    ] {
        let message = refusal(text);
        assert!(message.contains(expected), "{text}: {message}");
    }
    let refused = |from: &str, to: &str| refusal(&MINIMAL.replace(from, to));
    assert_eq!(
        refused("v1alpha1", "v1beta1"),
        "apiVersion is meshcore.dev/v1beta1; this version of the program reads \
         meshcore.dev/v1alpha1"
    );
    for kind in ["MeshcoreDeployment", "Analyzer"] {
        assert_eq!(
            refused("kind: MeshCoreDeployment", &format!("kind: {kind}")),
            format!(
                "kind is {kind}; the one that there is in meshcore.dev/v1alpha1 is \
                 MeshCoreDeployment"
            )
        );
    }
}

#[test]
fn unknown_fields_are_told_all_at_once_with_line_and_suggestion() {
    let text = MINIMAL
        .replace("broker:", "brokr: x\n      broker:")
        .replace("storage:", "colour: red\n  shutdwn: {}\n  storage:");
    assert_eq!(
        refusal(&text),
        "its fields can't be used:\
         \n  spec.mqttSources[0].brokr (line 7): unknown field; did you mean broker?\
         \n  spec.colour (line 9): unknown field; remove it, or look up its name\
         \n  spec.shutdwn (line 10): unknown field; did you mean shutdown?"
    );
    let with = |line: &str| refusal(&format!("{MINIMAL}{line}\n"));
    for (line, expected) in [
        (
            "  shutdown: {marginSecond: 5}",
            "spec.shutdown.marginSecond (line 9): unknown field; did you mean marginSeconds?",
        ),
        (
            "  pod: {nodeselector: {}}",
            "spec.pod.nodeselector (line 9): unknown field; did you mean nodeSelector?",
        ),
        (
            "sepc: {}",
            "sepc (line 9): unknown field; did you mean spec?",
        ),
    ] {
        assert!(with(line).contains(expected), "{}", with(line));
    }
    let metadata = MINIMAL.replace("{name: bay-area}", "{name: bay-area, lables: {}}");
    assert!(
        refusal(&metadata)
            .contains("metadata.lables (line 3): unknown field; did you mean labels?")
    );
}

#[test]
fn values_of_a_wrong_type_are_told_with_line_and_type() {
    for (from, to, expected) in [
        (
            "size: 10Gi",
            "size: 10",
            "spec.storage.size (line 8): wrong type: integer `10`, expected a text (in quotes)",
        ),
        (
            "mqtt://mosquitto:1883",
            "x\n      protocol: 5",
            "spec.mqttSources[0].protocol (line 8): wrong type: integer `5`, expected a text (in quotes)",
        ),
        (
            "mqtt://mosquitto:1883",
            "x\n      protocol: '4'",
            "spec.mqttSources[0].protocol (line 8): unknown variant `4`, expected one of `auto`, `5`, `3.1.1`",
        ),
        (
            "mqtt://mosquitto:1883",
            "x\n      topics: meshcore/#",
            "spec.mqttSources[0].topics (line 8): wrong type: a text, expected a list",
        ),
        (
            "size: 10Gi}",
            "size: 10Gi}\n  stopped: 'yes'",
            "spec.stopped (line 9): wrong type: a text, expected true or false without quotes",
        ),
        (
            "size: 10Gi}",
            "size: 10Gi}\n  shutdown: {marginSeconds: -1}",
            "spec.shutdown.marginSeconds (line 9): -1 is out of range; use 0 to 3600",
        ),
        (
            "size: 10Gi}",
            "size: 10Gi}\n  retention: 90",
            "spec.retention (line 9): wrong type: integer `90`, expected keys and values",
        ),
        (
            "      broker: mqtt://mosquitto:1883\n",
            "",
            "spec.mqttSources[0].broker (line 6): is missing",
        ),
        (
            "  storage: {size: 10Gi}\n",
            "",
            "spec.storage (line 4): is missing",
        ),
        (
            "metadata: {name: bay-area}",
            "metadata: {}",
            "metadata.name (line 3): is missing",
        ),
    ] {
        let message = refusal(&MINIMAL.replace(from, to));
        assert!(message.contains(expected), "{to}: {message}");
    }
}

#[test]
fn no_value_that_may_be_a_password_is_repeated() {
    for to in [
        "{hunter2: 1}",
        "[mqtt://me:hunter2@b]",
        "mqtt://me:hunter2@b",
    ] {
        let text = MINIMAL.replace("mqtt://mosquitto:1883", to);
        let message = match parse(&text) {
            Ok(parsed) => format!("{:?}", parsed.resource.validate()),
            Err(error) => error.to_string(),
        };
        assert!(
            message.contains("broker") && !message.contains("hunter2"),
            "{message}"
        );
    }
}

#[test]
fn large_and_unfolding_texts_are_refused_at_once() {
    let large = format!("# {}\n{MINIMAL}", "x".repeat(1024 * 1024));
    assert_eq!(parse(&large), Err(ResourceError::TooLarge));
    let billion = (1..10).fold(
        "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned(),
        |text, level| {
            let item = format!("*a{}", level - 1);
            text + &format!("a{level}: &a{level} [{}]\n", vec![item; 10].join(","))
        },
    );
    assert!(refusal(&billion).contains("alias"), "{}", refusal(&billion));
    // Few aliases of something long, which no limit on the aliases alone would notice.
    let list = vec!["x"; 100_000].join(",");
    let quadratic = format!("a: &a [{list}]\nb: [{}]\n", vec!["*a"; 100_000].join(","));
    assert!(refusal(&quadratic).contains("too many values"));
    let text = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(500_000),
        vec!["*a"; 1000].join(",")
    );
    assert!(refusal(&text).contains("too many values"));
    assert!(refusal(&"[".repeat(100_000)).contains("not valid YAML"));
    assert!(refusal(&"{\"a\":".repeat(100_000)).contains("not valid JSON"));
    // Anchors as people use them are fine.
    let shared = MINIMAL.replace("metadata:", "metadata: &m").replace(
        "storage:",
        "ingress: {host: &h mesh.example.org, tlsSecretName: *h}\n  storage:",
    );
    let ingress = resource(&shared).spec.ingress.unwrap();
    assert_eq!(ingress.tls_secret_name.as_deref(), Some("mesh.example.org"));
}

#[test]
fn all_samples_are_good_resources() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../manifests/samples");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(resource(&text).validate(), [], "{}", path.display());
        count += 1;
    }
    assert!(count >= 2, "samples are there");
}

#[test]
fn a_kept_resource_is_read_with_fields_that_are_not_known_yet() {
    let json =
        br#"{"metadata": {"name": "mesh", "uid": "1"}, "status": {"conditions": "in another form"},
        "spec": {"mqttSources": [], "storage": {"size": "1Gi"}, "newerField": {"a": 1}}}"#;
    let resource = meshcore_resource::read(json).unwrap();
    assert_eq!(resource.metadata.uid.as_deref(), Some("1"));
    assert_eq!(resource.status, None);
}

#[test]
fn a_kept_resource_that_can_t_be_read_says_where() {
    for (spec, path, part) in [
        (
            r#"{"mqttSources": [], "storage": {"size": 10}}"#,
            "spec.storage.size",
            "wrong type",
        ),
        (
            r#"{"storage": {"size": "1Gi"}}"#,
            "spec.mqttSources",
            "is missing",
        ),
    ] {
        let json = format!(r#"{{"metadata": {{"name": "mesh"}}, "spec": {spec}}}"#);
        let error = meshcore_resource::read(json.as_bytes()).unwrap_err();
        assert_eq!(error.path, path);
        assert!(error.message.contains(part), "{error}");
        assert!(!error.message.contains("column"), "{error}");
    }
}
