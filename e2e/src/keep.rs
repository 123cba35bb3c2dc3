//! `keep`: what stays on the side of the machine: a port, and the end of everything.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::net::{TcpListener, UnixStream};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::{forward, id_file};

/// Where `run` listens; a socket in a folder is seen from both networks.
pub(crate) const SOCKET: &str = "api-server.sock";

pub(crate) fn keep(folder: &Path) -> Result<()> {
    std::fs::write(id_file(folder), std::process::id().to_string())?;
    // One thread: the child ends with the thread that started it.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work(folder))
}

async fn work(folder: &Path) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let socket = folder.join(SOCKET);
    std::fs::remove_file(&socket).ok();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/apart.sh");
    let mut cluster = Command::new("setpriv")
        .args(["--pdeathsig=KILL", script])
        .arg(std::env::current_exe()?)
        .arg("--folder")
        .arg(folder)
        .args(["run", &format!("--port={port}")])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("start setpriv")?;
    let forward = forward::forward(
        async || Ok(listener.accept().await?.0),
        async || Ok(UnixStream::connect(&socket).await?),
    );
    tokio::select! {
        _ = terminate.recv() => cluster.kill().await.context("end the cluster"),
        ended = cluster.wait() => bail!("the cluster ended: {}", ended?),
        result = forward => result,
    }
}
