//! What the Containerfile says once more must be what it says elsewhere.

use std::path::Path;

use crate::archive::WORKSPACE;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(WORKSPACE).join(path)).unwrap()
}

#[test]
fn a_build_without_arguments_has_the_version_of_the_workspace() {
    let recipe = read("Containerfile");
    let versions: Vec<_> = recipe
        .lines()
        .filter_map(|line| line.strip_prefix("ARG VERSION="))
        .collect();
    assert_eq!(versions, [env!("CARGO_PKG_VERSION"); 4]);
    let example = format!("-t meshcore-operator:{} .", env!("CARGO_PKG_VERSION"));
    assert_eq!(recipe.matches(&example).count(), 2);
}

#[test]
fn it_compiles_with_the_toolchain_of_the_workspace() {
    let recipe = read("Containerfile");
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain
        .lines()
        .find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"'))
        .unwrap();
    assert!(
        recipe.contains(&format!("library/rust:{channel}-")),
        "{channel}"
    );
    assert!(recipe.contains(&format!("RUSTUP_TOOLCHAIN={channel}\n")));
}

/// Every member of the workspace must reach the build, or cargo refuses the workspace.
#[test]
fn what_docker_leaves_out_is_not_needed() {
    let ignored = read(".dockerignore");
    let workspace = read("Cargo.toml");
    let members = workspace
        .lines()
        .find_map(|line| line.strip_prefix("members = ["))
        .unwrap();
    let members = members.trim_end_matches(']').split(", ");
    for member in members.map(|member| member.trim_matches('"').trim_end_matches("/*")) {
        assert!(
            ignored.lines().any(|line| line == format!("!{member}")),
            "{member}"
        );
    }
}
