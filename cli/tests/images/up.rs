//! `meshcore up` in its image, for people with one container and no cluster.

use std::time::Duration;

use meshcore_testkit::container::{Bind, Container, ContainerSpec, Root};
use meshcore_testkit::{can_mount, wait_until};

use crate::archive::image;

const SOON: Duration = Duration::from_mins(1);

#[test]
fn a_demo_runs_in_one_container_and_stops_cleanly() {
    let Some(image) = image("meshcore").filter(|_| can_mount()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("volume");
    std::fs::create_dir(&data).unwrap();
    std::os::unix::fs::chown(&data, Some(65532), Some(65532)).unwrap();
    let words = [
        "/usr/bin/meshcore",
        "up",
        "--demo",
        "--data",
        "/data",
        "--listen",
        "[::]:8080",
    ];
    let spec = ContainerSpec {
        name: "up".to_owned(),
        root: Root::Image(image.root.clone()),
        command: words.map(str::to_owned).to_vec(),
        env: Vec::new(),
        mounts: vec![Bind {
            source: data.clone(),
            target: "/data".to_owned(),
            read_only: false,
        }],
        user: 65532,
        group: 65532,
        more_group: 65532,
        read_only: true,
        termination_log: None,
    };
    let mut container = Container::start(spec, folder.path(), None).unwrap();
    let health = ["/usr/bin/meshcore", "health", "--listen", "[::]:8080"];
    let healthy = wait_until("both programs are ready", SOON, || {
        let answer = container.exec(&health).unwrap();
        answer.status.success().then_some(())
    });
    assert!(healthy.is_ok(), "{}", container.log());
    assert_eq!(
        container.stop(SOON).unwrap(),
        Some(0),
        "{}",
        container.log()
    );
    assert!(data.join("meshcore.db").exists());
}
