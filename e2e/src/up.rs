//! `up`: starts `keep` and waits until the cluster is ready.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::keeper;

/// How long a start may take, with everything built.
const LIMIT: Duration = Duration::from_mins(3);

pub(crate) fn up(folder: &Path) -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "only root can make the namespaces that a cluster is in: type  sudo make cluster-up"
    );
    let kubeconfig = folder.join("kubeconfig");
    if keeper(folder)?.is_none() {
        start(folder, &kubeconfig)?;
    }
    let kubectl = meshcore_testkit::kubernetes::kubectl()?.context("Go is missing")?;
    println!("\nThe cluster is up. Its kubeconfig:\n");
    println!("  export KUBECONFIG={}", kubeconfig.display());
    println!(
        "  export PATH=$PATH:{}",
        kubectl.with_file_name("").display()
    );
    println!("\nOur images are loaded. It ends with:  make cluster-down");
    Ok(())
}

fn start(folder: &Path, kubeconfig: &Path) -> Result<()> {
    // What takes minutes the first time is shown, so it is done here.
    meshcore_testkit::kubernetes::build_cluster(&crate::IMAGES)?;
    std::fs::create_dir_all(folder)?;
    std::fs::remove_file(kubeconfig).ok();
    let log = folder.join("log");
    let output = File::create(&log)?;
    let mut child = Command::new(std::env::current_exe()?)
        .arg("--folder")
        .arg(folder)
        .arg("keep")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        // Ctrl-C of the terminal isn't for it.
        .process_group(0)
        .spawn()?;
    let until = std::time::Instant::now() + LIMIT;
    while !kubeconfig.exists() {
        if let Some(status) = child.try_wait()? {
            bail!(
                "the cluster did not start ({status}): {}\n{}",
                log.display(),
                std::fs::read_to_string(&log)?
            );
        }
        ensure!(
            std::time::Instant::now() < until,
            "the cluster is not up after {LIMIT:?}: see {}",
            log.display()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
