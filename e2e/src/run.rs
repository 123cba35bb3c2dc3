//! `run`: the cluster, in namespaces of its own.

use std::path::Path;

use anyhow::{Context, Result};
use meshcore_testkit::kubernetes::Cluster;
use tokio::net::{TcpStream, UnixListener};

use crate::keep::SOCKET;
use crate::{IMAGES, forward};

pub(crate) fn run(folder: &Path, port: u16) -> Result<()> {
    let cluster = Cluster::start(&IMAGES)?.context("Go is missing")?;
    let apart = cluster.folder().to_str().context("a path that is text")?;
    std::fs::write(folder.join("apart"), apart)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve(&cluster, folder, port))
}

async fn serve(cluster: &Cluster, folder: &Path, port: u16) -> Result<()> {
    let listener = UnixListener::bind(folder.join(SOCKET))?;
    // Written whole: its presence says that the cluster is up.
    let draft = folder.join("kubeconfig.new");
    let address = format!("https://127.0.0.1:{port}");
    std::fs::write(&draft, cluster.admin().kubeconfig_elsewhere(&address)?)?;
    std::fs::rename(&draft, folder.join("kubeconfig"))?;
    let api_server = cluster.url().replace("https://", "");
    forward::forward(
        async || Ok(listener.accept().await?.0),
        async || Ok(TcpStream::connect(&api_server).await?),
    )
    .await
}
