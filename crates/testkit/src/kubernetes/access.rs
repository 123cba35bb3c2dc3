//! Somebody's way to the API server: as a client, as a kubeconfig, by kubectl.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::io::AsyncWriteExt;

/// How somebody proves who it is.
#[derive(Debug, Clone)]
pub(super) enum Credential {
    Token(String),
    Certificate { certificate: PathBuf, key: PathBuf },
}

/// Somebody's way to the API server.
#[derive(Debug, Clone)]
pub struct Access {
    pub(super) folder: PathBuf,
    pub(super) kubectl: PathBuf,
    pub(super) server: String,
    pub(super) user: String,
    pub(super) credential: Credential,
    pub(super) kubeconfig: PathBuf,
}

impl Access {
    pub(super) fn new(
        folder: &Path,
        kubectl: PathBuf,
        server: String,
        user: &str,
        credential: Credential,
    ) -> Result<Self> {
        let kubeconfig = folder.join(format!("{:016x}.kubeconfig", crate::random()));
        let access = Self {
            folder: folder.to_owned(),
            kubectl,
            server,
            user: user.to_owned(),
            credential,
            kubeconfig,
        };
        std::fs::write(&access.kubeconfig, access.kubeconfig_text())?;
        Ok(access)
    }

    /// The same somebody at another address.
    pub(super) fn through(&self, server: &str) -> Result<Self> {
        let Credential::Token(_) = self.credential else {
            bail!(
                "{} proves itself by a certificate, which no proxy can pass on; take a ServiceAccount",
                self.user
            );
        };
        let kubectl = self.kubectl.clone();
        let credential = self.credential.clone();
        Self::new(
            &self.folder,
            kubectl,
            server.to_owned(),
            &self.user,
            credential,
        )
    }

    /// The name that the audit log and RBAC know.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// A kubeconfig for a program.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client for the runtime of the caller.
    pub async fn client(&self) -> Result<Client> {
        Ok(Client::try_from(self.config().await?)?)
    }

    /// What a client is made of, for one with time-outs or headers of its own.
    pub async fn config(&self) -> Result<Config> {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig)?;
        Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
    }

    /// What `kubectl` prints.
    ///
    /// # Errors
    /// When it fails; with what it says.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl_with_input(arguments, "").await
    }

    /// [`Self::kubectl`] with something to read, for `-f -`.
    pub async fn kubectl_with_input(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut child = tokio::process::Command::from(self.kubectl_command(arguments))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("start kubectl")?;
        let mut to_child = child.stdin.take().context("kubectl's input")?;
        let write = async {
            // A kubectl that has refused its arguments reads nothing, and says so below.
            drop(to_child.write_all(input.as_bytes()).await);
            drop(to_child);
        };
        let ((), output) = tokio::join!(write, child.wait_with_output());
        answer(arguments, &output?)
    }

    /// Applies objects, by the API server's own merge.
    pub async fn apply_yaml(&self, yaml: &str) -> Result<String> {
        let arguments = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        self.kubectl_with_input(&arguments, yaml).await
    }

    /// [`Self::kubectl`] where nothing can be awaited.
    pub(super) fn kubectl_now(&self, arguments: &[&str]) -> Result<String> {
        let output = self
            .kubectl_command(arguments)
            .stdin(Stdio::null())
            .output()?;
        answer(arguments, &output)
    }

    fn kubectl_command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(&self.kubectl);
        command
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBECACHEDIR", self.folder.join("kubectl"));
        command
    }

    /// A kubeconfig for those who reach the API server at another address, and don't see its folder.
    pub fn kubeconfig_elsewhere(&self, server: &str) -> Result<String> {
        let authority = std::fs::read(self.folder.join("ca.crt"))?;
        let data = format!("certificate-authority-data: {}", STANDARD.encode(authority));
        Ok(self.kubeconfig_with(server, &data))
    }

    fn kubeconfig_text(&self) -> String {
        let file = self.folder.join("ca.crt");
        let file = format!("certificate-authority: {}", file.display());
        self.kubeconfig_with(&self.server, &file)
    }

    fn kubeconfig_with(&self, server: &str, authority: &str) -> String {
        let user = match &self.credential {
            Credential::Token(token) => format!("token: {token}"),
            Credential::Certificate { certificate, key } => format!(
                "client-certificate: {}, client-key: {}",
                certificate.display(),
                key.display()
            ),
        };
        format!(
            "apiVersion: v1\n\
             kind: Config\n\
             clusters: [{{name: tests, cluster: {{server: \"{server}\", {authority}}}}}]\n\
             users: [{{name: user, user: {{{user}}}}}]\n\
             contexts: [{{name: tests, context: {{cluster: tests, user: user}}}}]\n\
             current-context: tests\n"
        )
    }
}

fn answer(arguments: &[&str], output: &Output) -> Result<String> {
    ensure!(
        output.status.success(),
        "kubectl {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
