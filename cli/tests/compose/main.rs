//! `meshcore compose`: the files that it prints are kept, so that a change of them is seen and meant.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::Path;
use std::process::{Command, Output};

use meshcore_lifecycle::ShutdownBudget;
use meshcore_testkit::generated_file;
use serde_json::{Value, json};

fn compose(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_meshcore"))
        .arg("compose")
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = compose(arguments);
    assert!(output.status.success(), "{}", complaint(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The file for a resource with this spec beside a source and storage.
fn of(spec: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), spec);
    serde_yaml::from_str(&printed(&["-f", &file])).unwrap()
}

fn write(folder: &Path, spec: &str) -> String {
    let text = format!(
        "apiVersion: meshcore.dev/v1alpha1\nkind: MeshCoreDeployment\nmetadata: {{name: bay}}\nspec:\n  \
         mqttSources: [{{name: a, broker: \"mqtt://b\"}}]\n  storage: {{size: 1Gi}}\n{spec}"
    );
    let file = folder.join("resource.yaml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn samples_become_these_files() {
    for sample in [
        "minimal",
        "tls-broker",
        "several-regions",
        "k3s-raspberry-pi",
    ] {
        let text = printed(&["-f", &format!("manifests/samples/{sample}.yaml")]);
        let _parsed: Value = serde_yaml::from_str(&text).unwrap();
        generated_file(&format!("cli/tests/compose/{sample}.compose.yaml"), &text);
    }
}

#[test]
fn each_service_has_its_part_of_the_budget() {
    for parts in [[5, 20, 10, 15, 10], [0, 0, 0, 0, 5], [30, 120, 60, 75, 15]] {
        let [pre_stop, server, drain, checkpoint, margin] = parts;
        let file = of(&format!(
            "  shutdown: {{preStopSeconds: {pre_stop}, serverDrainSeconds: {server}, ingestorDrainSeconds: {drain}, \
             checkpointSeconds: {checkpoint}, marginSeconds: {margin}}}\n"
        ));
        let service = |name: &str| &file["services"][name];
        let grace = |name: &str| -> u64 {
            let text = service(name)["stop_grace_period"].as_str().unwrap();
            text.strip_suffix('s').unwrap().parse().unwrap()
        };
        let sum: u64 = parts.iter().sum();
        assert_eq!(grace("server") + grace("ingestor"), sum - pre_stop);
        // Each program has a deadline of its own, from the same numbers, and keeps it before it is killed.
        let budget = ShutdownBudget::from_lookup(|name| {
            Some(service("server")["environment"][name].as_str()?.into())
        });
        let budget = budget.unwrap();
        assert_eq!(budget.termination_grace_period_seconds(), sum);
        assert!(grace("server") > budget.server_deadline().as_secs());
        assert!(grace("ingestor") > budget.ingestor_deadline().as_secs());
    }
}

#[test]
fn the_server_starts_after_the_ingestor_and_so_stops_before_it() {
    let file = of("");
    let (ingestor, server) = (&file["services"]["ingestor"], &file["services"]["server"]);
    assert_eq!(
        server["depends_on"],
        json!({"ingestor": {"condition": "service_healthy"}})
    );
    assert_eq!(ingestor.get("depends_on"), None);
    for (service, program) in [(ingestor, "ingestor"), (server, "server")] {
        assert_eq!(
            service["healthcheck"]["test"][0], "CMD",
            "there is no shell"
        );
        assert_eq!(
            service["healthcheck"]["test"][1],
            format!("/usr/bin/meshcore-{program}")
        );
        assert_eq!(
            service["image"],
            format!("meshcore-{program}:{}", env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(service["read_only"], true);
        assert_eq!(service["user"], "65532:65532");
        assert_eq!(service["restart"], "unless-stopped");
    }
}

#[test]
fn images_and_the_port_are_those_of_the_resource() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let file = of(&format!(
        "  image: {{registry: registry.example.org/mesh, tag: \"1.2\", digests: {{server: \"{digest}\"}}, pullPolicy: Always}}\n  \
         service: {{port: 8088}}\n"
    ));
    let (ingestor, server) = (&file["services"]["ingestor"], &file["services"]["server"]);
    assert_eq!(
        ingestor["image"],
        "registry.example.org/mesh/meshcore-ingestor:1.2"
    );
    assert_eq!(
        server["image"],
        format!("registry.example.org/mesh/meshcore-server@{digest}")
    );
    assert_eq!(server["pull_policy"], "always");
    assert_eq!(server["ports"], json!(["8088:8080"]));
}

/// Else compose would put its own variables there.
#[test]
fn a_dollar_stays_a_dollar() {
    let file = of("  ingestor: {env: [{name: A, value: \"$HOME ${B}\"}]}\n");
    let value = &file["services"]["ingestor"]["environment"]["A"];
    assert_eq!(value, "$$HOME $${B}");
}

#[test]
fn secrets_are_a_folder_that_the_heading_describes() {
    let text = printed(&[
        "-f",
        "manifests/samples/tls-broker.yaml",
        "--secrets",
        "keys",
    ]);
    assert!(
        text.contains(
            "#   ./keys/mosquitto/password for spec.mqttSources[0].credentialsSecretRef\n"
        )
    );
    let file: Value = serde_yaml::from_str(&text).unwrap();
    let bound = json!({
        "type": "bind", "source": "./keys", "target": "/etc/meshcore/secrets", "read_only": true,
        "bind": {"create_host_path": true},
    });
    assert_eq!(file["services"]["ingestor"]["volumes"][1], bound);
    assert_eq!(
        file["services"]["server"]["volumes"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let config = file["services"]["ingestor"]["environment"]["MESHCORE_CONFIG"]
        .as_str()
        .unwrap();
    let config: Value = serde_json::from_str(config).unwrap();
    let password = &config["mqttSources"][0]["passwordFile"];
    assert_eq!(password, "/etc/meshcore/secrets/mosquitto/password");
}

#[test]
fn what_can_not_be_done_is_said_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let output = compose(&["-f", &write(folder.path(), "  stopped: true\n")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(complaint(&output).contains("set it to false"), "{output:?}");
    assert!(output.stdout.is_empty());
    let output = compose(&[
        "-f",
        &write(folder.path(), "  shutdown: {marginSeconds: 1}\n"),
    ]);
    assert_eq!(output.status.code(), Some(2));
    let spec = "  paused: true\n  ingestor: {resources: {limits: {memory: 1Gi}}}\n  image: {pullSecrets: [{name: x}]}\n";
    let output = compose(&["-f", &write(folder.path(), spec)]);
    assert!(output.status.success());
    let expected = "Without effect in a compose file: spec.ingestor.resources, spec.paused, spec.image.pullSecrets\n";
    assert_eq!(complaint(&output), expected);
}
