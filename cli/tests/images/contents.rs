//! What is in the images and on them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use meshcore_resource::Image as Wish;
use meshcore_testkit::can_mount;
use serde_json::json;

use crate::archive::{NAMES, WORKSPACE, build, image, images, modified};

/// The most that an image may weigh on its way, in bytes.
const LIMIT: u64 = 40_000_000;

#[test]
fn an_image_is_less_than_40_mb_to_transfer() {
    for image in images().into_iter().flatten() {
        let bytes = image.compressed();
        let files = image.config["rootfs"]["diff_ids"].as_array().unwrap().len();
        println!(
            "{:<10} {bytes:>9} bytes compressed, {files} layers",
            image.name
        );
        assert!(bytes < LIMIT, "{}: {bytes}", image.name);
    }
}

#[test]
fn nothing_is_built_again_when_nothing_has_changed() {
    if images().is_none() {
        return;
    }
    let archives = build();
    let times: Vec<_> = archives.iter().map(|path| modified(path)).collect();
    let again = build();
    assert_eq!(archives, again);
    assert_eq!(
        times,
        again.iter().map(|path| modified(path)).collect::<Vec<_>>()
    );
}

/// An operator without settings asks for these, and a kubelet puts the usual registry before names without one.
#[test]
fn names_are_those_that_an_operator_without_settings_asks_for() {
    for image in images().into_iter().flatten() {
        let name = match image.name {
            "meshcore" => format!("meshcore:{}", env!("CARGO_PKG_VERSION")),
            name => Wish::default().reference(name, "", "", env!("CARGO_PKG_VERSION")),
        };
        assert_eq!(image.reference, format!("docker.io/library/{name}"));
    }
}

#[test]
fn an_image_says_who_runs_what_in_it() {
    let machine = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    };
    for image in images().into_iter().flatten() {
        let program = program_of(image.name);
        assert_eq!(image.config["architecture"], machine);
        assert_eq!(image.config["os"], "linux");
        assert_eq!(image.setting("User"), "65532:65532");
        assert_eq!(image.setting("StopSignal"), "SIGTERM");
        assert_eq!(
            *image.setting("Entrypoint"),
            json!([format!("/usr/bin/{program}")])
        );
        let ports = image.setting("ExposedPorts").as_object().unwrap();
        let ports: Vec<_> = ports.keys().map(String::as_str).collect();
        let expected: &[&str] = match image.name {
            "ingestor" => &["8081/tcp"],
            "meshcore" => &["1883/tcp", "8080/tcp", "8081/tcp"],
            _ => &["8080/tcp"],
        };
        assert_eq!(ports, expected, "{}", image.name);
        assert_eq!(image.setting("Healthcheck"), &serde_json::Value::Null);
    }
}

#[test]
fn labels_say_what_it_is_and_which_version() {
    for image in images().into_iter().flatten() {
        let labels = image.setting("Labels").as_object().unwrap();
        let label = |name: &str| labels[&format!("org.opencontainers.image.{name}")].as_str();
        assert_eq!(label("title"), Some(program_of(image.name)));
        assert!(label("description").is_some_and(|text| !text.is_empty()));
        assert_eq!(label("licenses"), Some("Apache-2.0"));
        assert_eq!(label("version"), Some(env!("CARGO_PKG_VERSION")));
        let revision = label("revision").unwrap();
        let head = head().unwrap_or_else(|| "unknown".to_owned());
        assert!(revision.starts_with(&head), "{revision} is not of {head}");
    }
}

/// As the user of the image, with nothing but the files of the image.
#[test]
fn the_program_reports_the_version_of_its_label() {
    if !can_mount() {
        return;
    }
    for image in images().into_iter().flatten() {
        let program = program_of(image.name);
        let output = Command::new("chroot")
            .arg("--userspec=65532:65532")
            .arg(&image.root)
            .args([&format!("/usr/bin/{program}"), "--version"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .output()
            .unwrap();
        let version = &image.setting("Labels")["org.opencontainers.image.version"];
        let expected = format!("{program} {}\n", version.as_str().unwrap());
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            expected,
            "{output:?}"
        );
    }
}

/// No shell, no interpreter, nothing that could change its user, nothing that another could write.
#[test]
fn nothing_can_be_started_but_the_programs() {
    for image in images().into_iter().flatten() {
        let entries: Vec<_> = image.listing.lines().map(Entry::parse).collect();
        let programs: BTreeSet<_> = entries
            .iter()
            .filter(|entry| entry.mode.starts_with('-') && entry.mode.contains('x'))
            .filter(|entry| !entry.path.starts_with("lib"))
            .map(|entry| entry.path)
            .collect();
        let expected: BTreeSet<_> = match image.name {
            "meshcore" => ["meshcore", "meshcore-ingestor", "meshcore-server"].into(),
            name => [program_of(name)].into(),
        };
        let expected: BTreeSet<_> = expected
            .iter()
            .map(|name| format!("usr/bin/{name}"))
            .collect();
        assert!(
            programs.iter().eq(expected.iter()),
            "{}: {programs:?}",
            image.name
        );
        for Entry { mode, owner, path } in entries {
            assert!(!mode.contains(['s', 'S', 'l', 'b', 'c']), "{mode} {path}");
            let theirs = ["data/", "data"].contains(&path);
            assert_eq!(owner, if theirs { "65532/65532" } else { "0/0" }, "{path}");
            let everybody = mode.chars().nth(8) == Some('w');
            assert_eq!(everybody, path == "tmp/", "{mode} {path}");
        }
    }
}

/// What the programs and the C library look for, and may look for in vain in an image without a system.
#[test]
fn authorities_users_and_licences_are_there() {
    for image in images().into_iter().flatten() {
        let read = |path: &str| std::fs::read_to_string(image.root.join(path)).unwrap();
        assert!(read("etc/ssl/certs/ca-certificates.crt").contains("BEGIN CERTIFICATE"));
        assert!(read("etc/passwd").contains("nonroot:x:65532:65532:"));
        assert!(read("etc/group").contains("nonroot:x:65532:"));
        assert_eq!(read("etc/nsswitch.conf"), "hosts: files dns\n");
        assert!(read("usr/share/doc/meshcore/LICENSE").contains("Apache License"));
        assert!(read("usr/share/doc/libc6/copyright").contains("GNU"));
    }
}

/// A new volume gets its owner from the image, and so the programs can write there.
#[test]
fn the_data_folder_belongs_to_the_user() {
    for name in NAMES {
        let Some(image) = image(name) else { return };
        let has_data = image.root.join("data").is_dir();
        assert_eq!(has_data, name != "operator");
        let volumes = image.setting("Volumes");
        let expected = if has_data {
            json!({"/data": {}})
        } else {
            json!(null)
        };
        assert_eq!(*volumes, expected, "{name}");
    }
}

pub(crate) fn program_of(image: &str) -> &'static str {
    match image {
        "operator" => "meshcore-operator",
        "ingestor" => "meshcore-ingestor",
        "server" => "meshcore-server",
        _ => "meshcore",
    }
}

/// A line of `tar`: mode, owner, size, date, time, path.
struct Entry<'a> {
    mode: &'a str,
    owner: &'a str,
    path: &'a str,
}

impl<'a> Entry<'a> {
    fn parse(line: &'a str) -> Self {
        let mut words = line.split_whitespace();
        let mode = words.next().unwrap();
        let owner = words.next().unwrap();
        let path = words.nth(3).unwrap();
        Self { mode, owner, path }
    }
}

/// The commit that is checked out, where there is a repository.
fn head() -> Option<String> {
    let mut git = Command::new("git");
    git.args(["rev-parse", "HEAD"])
        .current_dir(Path::new(WORKSPACE));
    let output = git.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
