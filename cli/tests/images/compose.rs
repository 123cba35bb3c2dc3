//! The services of a compose file, run from the images as the file says: there is no docker here, but everything that
//! the file tells one is done by what Linux has for it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use meshcore_testkit::container::{Bind, Container, ContainerSpec, Root};
use meshcore_testkit::{can_mount, wait_until};
use serde_json::Value;

use crate::archive::{Image, image};

const SOON: Duration = Duration::from_mins(1);

const RESOURCE: &str = r##"
apiVersion: meshcore.dev/v1alpha1
kind: MeshCoreDeployment
metadata: {name: bay-area}
spec:
  mqttSources:
    - {name: away, broker: "mqtt://127.0.0.1:1", credentialsSecretRef: {name: broker}}
  channels: {hashtags: ["#test"]}
  ingestor: {env: [{name: PRICE, value: "5$ or ${6}"}]}
  storage: {size: 1Gi}
"##;

/// What `meshcore compose` prints, after what compose does with it.
fn compose(folder: &Path) -> Value {
    std::fs::write(folder.join("resource.yaml"), RESOURCE).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_meshcore"))
        .args(["compose", "-f", "resource.yaml"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    // A dollar that is meant is written twice; a single one would be a variable.
    assert!(!text.replace("$$", "").contains('$'), "{text}");
    serde_yaml::from_str(&text.replace("$$", "$")).unwrap()
}

/// One service as a container. `folders` are the volumes, and what is bound.
fn spec(service: &Value, image: &Image, folders: &BTreeMap<&str, &Path>) -> ContainerSpec {
    assert_eq!(
        format!("docker.io/library/{}", text(&service["image"])),
        image.reference
    );
    assert_eq!(service["cap_drop"][0], "ALL");
    assert_eq!(service["security_opt"][0], "no-new-privileges:true");
    let (user, group) = text(&service["user"]).split_once(':').unwrap();
    let mut mounts: Vec<_> = service["volumes"].as_array().unwrap().iter().collect();
    mounts.sort_by_key(|mount| mount["target"].to_string());
    let mut mounts: Vec<_> = mounts
        .into_iter()
        .map(|mount| Bind {
            source: folders[text(&mount["source"])].to_owned(),
            target: text(&mount["target"]).to_owned(),
            read_only: mount["read_only"] == true,
        })
        .collect();
    let tmpfs = text(&service["tmpfs"][0]).split(':').next().unwrap();
    mounts.push(Bind {
        source: folders["tmpfs"].to_owned(),
        target: tmpfs.to_owned(),
        read_only: false,
    });
    let env = service["environment"].as_object().unwrap();
    ContainerSpec {
        name: image.name.to_owned(),
        root: Root::Image(image.root.clone()),
        command: vec![text(&image.setting("Entrypoint")[0]).to_owned()],
        env: env
            .iter()
            .map(|(name, value)| (name.clone(), text(value).to_owned()))
            .collect(),
        mounts,
        user: user.parse().unwrap(),
        group: group.parse().unwrap(),
        more_group: group.parse().unwrap(),
        read_only: service["read_only"] == true,
        termination_log: None,
    }
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

/// Waits until the service's own health check says that it is healthy.
fn wait_healthy(container: &Container, service: &Value) {
    let test = service["healthcheck"]["test"].as_array().unwrap();
    assert_eq!(test[0], "CMD");
    let test: Vec<_> = test[1..].iter().map(text).collect();
    let healthy = wait_until("it is healthy", SOON, || {
        let answer = container.exec(&test).unwrap();
        answer.status.success().then_some(())
    });
    assert!(healthy.is_ok(), "{test:?}\n{}", container.log());
}

/// Stops it as compose does, and gives how long that took.
fn stop(container: &mut Container, service: &Value) -> Duration {
    assert_eq!(service["stop_signal"], "SIGTERM");
    let grace = text(&service["stop_grace_period"]).trim_end_matches('s');
    let began = Instant::now();
    let code = container
        .stop(Duration::from_secs(grace.parse().unwrap()))
        .unwrap();
    assert_eq!(code, Some(0), "{}", container.log());
    began.elapsed()
}

#[test]
fn the_services_become_healthy_and_stop_within_their_grace() {
    let images = image("ingestor").zip(image("server"));
    let Some((ingestor_image, server_image)) = images.filter(|_| can_mount()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = compose(folder.path());
    let (ingestor, server) = (&file["services"]["ingestor"], &file["services"]["server"]);
    let made = |name: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(65532), Some(65532)).unwrap();
        path
    };
    let (data, secrets, tmp, server_tmp) = (
        made("volume"),
        made("secrets"),
        made("tmp"),
        made("tmp-of-server"),
    );
    let folders = |tmp| {
        let folders: [(&str, &Path); 3] =
            [("data", &data), ("./secrets", &secrets), ("tmpfs", tmp)];
        BTreeMap::from(folders)
    };

    let first = spec(ingestor, ingestor_image, &folders(&tmp));
    let mut first = Container::start(first, folder.path(), None).unwrap();
    wait_healthy(&first, ingestor);
    assert_eq!(
        server["depends_on"]["ingestor"]["condition"],
        "service_healthy"
    );
    // In a network of its own, as each service has.
    let second = spec(server, server_image, &folders(&server_tmp));
    let mut second = Container::start(second, folder.path(), None).unwrap();
    wait_healthy(&second, server);
    for container in [&first, &second] {
        assert_eq!(container.capabilities().unwrap(), "0000000000000000");
    }
    // The configuration has come through as it is: its source looks for the secrets, and for them alone.
    let sources = ["curl", "--silent", "http://127.0.0.1:8081/sources"];
    wait_until("the source names its secret", SOON, || {
        let answer = first.in_its_network(&sources).unwrap();
        let words = String::from_utf8_lossy(&answer.stdout).into_owned();
        words
            .contains("/etc/meshcore/secrets/broker/")
            .then_some(())
    })
    .unwrap();

    let took = [stop(&mut second, server), stop(&mut first, ingestor)];
    println!("server stopped in {:?}, ingestor in {:?}", took[0], took[1]);
    assert!(data.join("meshcore.db").exists());
    let wal = std::fs::metadata(data.join("meshcore.db-wal"));
    assert!(wal.map_or(true, |wal| wal.len() == 0));
}
