use clap::CommandFactory;

use super::*;

fn resolve(flags: &[&str]) -> Result<Config, ConfigError> {
    let command = ["meshcore-operator", "run"];
    let args = Args::try_parse_from(command.iter().chain(flags)).unwrap();
    match args.command {
        Command::Run(run) => Config::resolve(*run),
        Command::Health { .. } | Command::Probe { .. } | Command::Crd => unreachable!(),
    }
}

#[test]
fn the_flags_are_a_valid_command() {
    Args::command().debug_assert();
}

#[test]
fn nothing_said_means_the_defaults_and_so_do_blanks() {
    let blank = [
        "--namespace=",
        "--concurrency= ",
        "--resync-seconds=",
        "--watch-silence-seconds=",
        "--leader-election=",
        "--lease-name=",
        "--lease-namespace=",
        "--address=",
        "--image-registry=",
        "--image-tag=",
        "--log-level=",
    ];
    for flags in [&[][..], &blank] {
        let config = resolve(flags).unwrap();
        assert_eq!(config.namespaces, Namespaces::All);
        assert_eq!(config.concurrency.get(), 16);
        assert_eq!(config.resync, Duration::from_mins(5));
        assert_eq!(config.watch_silence, Duration::from_secs(330));
        assert_eq!(config.lease.unwrap().name, "meshcore-operator");
        assert_eq!(config.address, "[::]:8080".parse().unwrap());
        assert_eq!(config.settings.image_registry, "");
        assert_eq!(config.settings.image_tag, env!("CARGO_PKG_VERSION"));
        assert_eq!(config.log_level, "info");
    }
}

#[test]
fn namespaces_are_given_one_by_one_or_as_a_list() {
    let given = resolve(&["--namespace", "b, a", "--namespace", "c,"]).unwrap();
    let names = ["a", "b", "c"].map(str::to_owned);
    assert_eq!(given.namespaces, Namespaces::Only(names.into()));
}

#[test]
fn every_flag_has_its_effect() {
    let config = resolve(&[
        "--concurrency=3",
        "--resync-seconds=60",
        "--watch-silence-seconds=7",
        "--leader-election=true",
        "--lease-name=north",
        "--lease-namespace=mesh",
        "--address=127.0.0.1:0",
        "--image-registry=registry.example.org:5000/mesh",
        "--image-tag=1.2.3-rc1",
        "--log-level=debug,kube=info",
    ]);
    let lease = LeaseConfig {
        name: "north".to_owned(),
        namespace: Some("mesh".to_owned()),
    };
    let expected = Config {
        namespaces: Namespaces::All,
        concurrency: NonZeroU16::new(3).unwrap(),
        resync: Duration::from_mins(1),
        watch_silence: Duration::from_secs(7),
        lease: Some(lease),
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        settings: Settings {
            image_registry: "registry.example.org:5000/mesh".to_owned(),
            image_tag: "1.2.3-rc1".to_owned(),
        },
        log_level: "debug,kube=info".to_owned(),
    };
    assert_eq!(config, Ok(expected));
    assert_eq!(resolve(&["--leader-election=false"]).unwrap().lease, None);
}

#[test]
fn a_wrong_value_is_named_with_the_cure() {
    let error = resolve(&["--concurrency=lots"]).unwrap_err().to_string();
    assert_eq!(
        error,
        "--concurrency (MESHCORE_OPERATOR_CONCURRENCY) is \"lots\", which is not a number from 1 to 1000; \
         write for example 16"
    );
    let wrong = [
        "--namespace=good,Not_good",
        "--concurrency=0",
        "--concurrency=1001",
        "--resync-seconds=9",
        "--resync-seconds=5m",
        "--watch-silence-seconds=4",
        "--leader-election=perhaps",
        "--lease-name=a..b",
        "--lease-namespace=a.b",
        "--address=localhost:8080",
        "--address=8080",
        "--image-registry=https://registry.example.org",
        "--image-registry=registry.example.org/",
        "--image-tag=-x",
        "--image-tag=a:b",
    ];
    for flag in wrong {
        let error = resolve(&[flag]).unwrap_err().to_string();
        let (name, _) = flag.split_once('=').unwrap();
        assert!(error.starts_with(name), "{flag}: {error}");
        assert!(error.contains("write for example"), "{flag}: {error}");
    }
}

#[test]
fn a_pod_has_its_lease_in_its_own_namespace() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("namespace");
    assert_eq!(own_namespace(&file), None);
    std::fs::write(&file, "meshcore-system\n").unwrap();
    assert_eq!(own_namespace(&file).as_deref(), Some("meshcore-system"));
}

#[test]
fn each_flag_has_a_variable_and_a_sentence() {
    let command = Args::command();
    let run = command.find_subcommand("run").unwrap();
    for arg in run.get_arguments().filter(|arg| arg.get_id() != "help") {
        let name = arg.get_id();
        assert!(arg.get_env().is_some(), "{name}");
        assert!(arg.get_help().is_some(), "{name}");
    }
}
