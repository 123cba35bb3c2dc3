//! What the programs need before they start: ports, binaries, pipes, a file.

use std::io::{self, PipeReader, PipeWriter};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use anyhow::Context;
use meshcore_resource::MeshCoreDeployment;
use meshcore_resource::programs::Places;

use crate::up::place::{find_program, listen};

const INGESTOR: &str = "meshcore-ingestor";
const SERVER: &str = "meshcore-server";

pub(super) struct Addresses {
    pub(super) ingestor: SocketAddr,
    pub(super) server: SocketAddr,
    /// Keep the ports taken until their programs start.
    pub(super) reserved: Vec<TcpListener>,
}

pub(super) struct Binaries {
    pub(super) ingestor: PathBuf,
    pub(super) server: PathBuf,
}

/// The pipes whose ends tell the programs to stop. The reading ends are cloned for each life of a program.
pub(super) struct Lifelines {
    pub(super) ingestor: (PipeReader, PipeWriter),
    pub(super) server: (PipeReader, PipeWriter),
}

impl Binaries {
    pub(super) fn find() -> anyhow::Result<Self> {
        Ok(Self {
            ingestor: find_program(INGESTOR)?,
            server: find_program(SERVER)?,
        })
    }
}

impl Lifelines {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            ingestor: io::pipe()?,
            server: io::pipe()?,
        })
    }
}

impl Addresses {
    pub(super) fn reserve(server: SocketAddr, ingestor: SocketAddr) -> anyhow::Result<Self> {
        let server = listen(server, "server", "--listen")?;
        let ingestor = listen(ingestor, "ingestor", "--health-address")?;
        Ok(Self {
            server: server.local_addr()?,
            ingestor: ingestor.local_addr()?,
            reserved: vec![server, ingestor],
        })
    }
}

/// The configuration has no secrets in it, only the names of files.
pub(super) fn write_config(places: &Places, resource: &MeshCoreDeployment) -> anyhow::Result<()> {
    let config = resource.spec.ingestor_config(&places.secrets);
    let text = serde_json::to_string_pretty(&config)?;
    std::fs::write(&places.config, text + "\n").with_context(|| {
        format!(
            "cannot write {}; is there room on the disk?",
            places.config.display()
        )
    })
}
