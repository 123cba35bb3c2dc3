//! `down`: ends `keep` and waits until nothing is left.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::process::{Signal, kill_process};

use crate::keeper;

const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn down(folder: &Path) -> Result<()> {
    let Some(id) = keeper(folder)? else {
        println!("No cluster is up.");
        return Ok(());
    };
    let apart = std::fs::read_to_string(folder.join("apart")).unwrap_or_default();
    kill_process(id, Signal::TERM)?;
    let until = Instant::now() + LIMIT;
    while keeper(folder)?.is_some() || (!apart.is_empty() && Path::new(&apart).exists()) {
        ensure!(
            Instant::now() < until,
            "process {} or the folder {apart} is still there after {LIMIT:?}",
            id.as_raw_nonzero()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    std::fs::remove_dir_all(folder)?;
    println!("The cluster is gone.");
    Ok(())
}
