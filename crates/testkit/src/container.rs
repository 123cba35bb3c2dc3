//! Containers without an engine: namespaces of Linux, put together from what a pod template, a compose file or an image
//! says. Needs root.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::Program;

/// A container as whoever runs it is told.
#[derive(Debug, Clone)]
pub struct ContainerSpec {
    /// Its name, which is that of its folder.
    pub name: String,
    /// What it sees as `/`, below its mounts.
    pub root: Root,
    /// The program, by its path in the container, and its arguments.
    pub command: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Folders of this machine, and where they are in the container.
    pub mounts: Vec<Bind>,
    /// The user.
    pub user: u32,
    /// The user's own group.
    pub group: u32,
    /// Another group of the user.
    pub more_group: u32,
    /// Whether nothing but the mounts can be written to.
    pub read_only: bool,
    /// Where the program may leave its last words, if there is such a place.
    pub termination_log: Option<String>,
}

/// What a container sees as `/`.
#[derive(Debug, Clone)]
pub enum Root {
    /// The system of this machine, read-only, with the programs of a folder in [`PROGRAMS`].
    Host {
        /// The folder.
        programs: PathBuf,
    },
    /// The files of an image.
    Image(PathBuf),
}

/// The folder of the programs in a container that has no image.
pub const PROGRAMS: &str = "/program";

/// A folder that a container has.
#[derive(Debug, Clone)]
pub struct Bind {
    /// The folder here.
    pub source: PathBuf,
    /// Its place there.
    pub target: String,
    /// Whether it can't be written to.
    pub read_only: bool,
}

/// A container that runs; it is killed with this value.
#[derive(Debug)]
pub struct Container {
    spec: ContainerSpec,
    program: Program,
    termination_log: PathBuf,
}

impl Container {
    /// Starts one, with files of its own below `folder`: in a network of its own, or in that of another one.
    ///
    /// # Errors
    /// When `folder` can't be written to, or there is no `unshare`.
    pub fn start(spec: ContainerSpec, folder: &Path, network: Option<&Self>) -> Result<Self> {
        let own = folder.join(&spec.name);
        for part in ["root", "layer"] {
            fs::create_dir_all(own.join(part))?;
        }
        let termination_log = own.join("termination-log");
        fs::write(&termination_log, "")?;
        fs::set_permissions(&termination_log, fs::Permissions::from_mode(0o666))?;
        let script = own.join("start.sh");
        fs::write(&script, spec.script(&own, network.is_none()))?;
        let mut command = if let Some(other) = network {
            let mut command = Command::new("nsenter");
            command.args(["--net", "--target", &other.id(), "unshare"]);
            command
        } else {
            let mut command = Command::new("unshare");
            command.arg("--net");
            command
        };
        command.args(["--mount", "sh", "-e"]).arg(&script);
        let program = Program::start_command::<&str, &str>(&mut command, &[], &own.join("log"))?;
        Ok(Self {
            spec,
            program,
            termination_log,
        })
    }

    /// Runs a command as an engine runs one in a container: with its user, its environment and its files.
    ///
    /// # Errors
    /// When there is no `nsenter`. That the container has no such program is in the output.
    pub fn exec<S: AsRef<str>>(&self, command: &[S]) -> Result<Output> {
        let (user, group) = (self.spec.user.to_string(), self.spec.group.to_string());
        let mut nsenter = Command::new("nsenter");
        nsenter
            .args(["--target", &self.id(), "--net", "--mount", "--root", "--wd"])
            .args(["--setuid", &user, "--setgid", &group, "--"])
            .args(command.iter().map(AsRef::as_ref))
            .env_clear()
            .envs(self.spec.env.iter().map(|(name, value)| (name, value)));
        nsenter.output().context("start nsenter")
    }

    /// Runs a command of this machine in the container's network.
    ///
    /// # Errors
    /// When there is no `nsenter`.
    pub fn in_its_network(&self, command: &[&str]) -> Result<Output> {
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--target", &self.id(), "--net", "--"]);
        nsenter.args(command).output().context("start nsenter")
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        self.program.log()
    }

    /// What it has left as its last words.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn termination_log(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.termination_log)?)
    }

    /// The capabilities that its program has, as the kernel prints them: a number in hexadecimal digits.
    ///
    /// # Errors
    /// When it runs no more.
    pub fn capabilities(&self) -> Result<String> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        Ok(line.context("a line CapEff")?.trim().to_owned())
    }

    /// Sends SIGTERM and gives the exit code.
    ///
    /// # Errors
    /// When it has not ended after `limit`.
    pub fn stop(&mut self, limit: Duration) -> Result<Option<i32>> {
        ensure!(
            self.program.ended()?.is_none(),
            "it has ended before:\n{}",
            self.log()
        );
        self.program.terminate()?;
        Ok(self.program.wait(limit)?.code())
    }

    fn id(&self) -> String {
        self.program.id().to_string()
    }
}

impl ContainerSpec {
    /// What makes the container, and becomes it in its last line.
    fn script(&self, own: &Path, is_first: bool) -> String {
        let root = own.join("root").display().to_string();
        let mut lines = self.root.script(own, &root);
        if let Some(log) = &self.termination_log {
            lines.push(format!("touch {root}{log}"));
            lines.push(format!(
                "mount --bind {}/termination-log {root}{log}",
                own.display()
            ));
        }
        if is_first {
            lines.push("ip link set lo up".to_owned());
        }
        for bind in &self.mounts {
            let (source, target) = (bind.source.display(), &bind.target);
            let options = if bind.read_only { "-o ro" } else { "" };
            lines.push(format!("mkdir -p {root}{target}"));
            lines.push(format!("mount --bind {options} {source} {root}{target}"));
        }
        if self.read_only {
            lines.push(format!("mount -o remount,ro {root}"));
        }
        lines.push(self.last_line(&root));
        lines.join("\n") + "\n"
    }

    /// Becomes the program. The change of user takes all capabilities away, and nothing gives them back.
    fn last_line(&self, root: &str) -> String {
        let Self {
            user,
            group,
            more_group,
            ..
        } = self;
        let mut line = "exec env -i".to_owned();
        for (name, value) in &self.env {
            // Writing to a String can't fail.
            let _infallible = write!(line, " {}", quoted(&format!("{name}={value}")));
        }
        line +=
            " \"$(command -v setpriv)\" --no-new-privs --inh-caps -all \"$(command -v chroot)\"";
        let _infallible = write!(
            line,
            " --userspec={user}:{group} --groups={more_group} {root}"
        );
        for word in &self.command {
            line += " ";
            line += &quoted(word);
        }
        line
    }
}

impl Root {
    fn script(&self, own: &Path, root: &str) -> Vec<String> {
        match self {
            Self::Host { programs } => vec![
                format!("mount -t tmpfs root {root}"),
                format!(
                    "for host in bin lib lib64 sbin usr; do\n\
                       if [ -L /$host ]; then cp -P /$host {root}/; continue; fi\n\
                       mkdir {root}/$host && mount --bind -o ro /$host {root}/$host\n\
                     done"
                ),
                format!("mkdir {root}{PROGRAMS} {root}/dev"),
                format!("mount --bind -o ro {} {root}{PROGRAMS}", programs.display()),
            ],
            // As an engine does it: what is written, such as places for mounts, is not in the image.
            Self::Image(image) => {
                let layer = own.join("layer").display().to_string();
                let (image, overlay) = (image.display(), "mount -t overlay overlay");
                vec![
                    format!("mount -t tmpfs layer {layer}"),
                    format!("mkdir {layer}/upper {layer}/work"),
                    format!(
                        "{overlay} -o lowerdir={image},upperdir={layer}/upper,workdir={layer}/work {root}"
                    ),
                    format!("mkdir -p {root}/dev {root}/proc"),
                    format!("touch {root}/dev/null && mount --bind /dev/null {root}/dev/null"),
                    format!("mount --bind /proc {root}/proc"),
                ]
            }
        }
    }
}

/// A word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
