//! The control plane: its start, its end, and what a test may do to it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ListParams, PostParams};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::Condition as _;

use super::access::{Access, Credential};
use super::audit::{self, AuditLog};
use super::authority::Authority;
use super::component::{Component, Layout};
use super::janitor::Janitor;
use super::namespace::Namespace;
use super::node::{self, NodeLayout};
use super::programs::{Programs, Version};
use crate::port::quiet_port;
use crate::process::Program;

/// A machine that compiles at the same time may take long.
const START_LIMIT: Duration = Duration::from_mins(2);

/// A running etcd, API server and controller manager. They end with this value, or with the process.
pub struct ControlPlane {
    // Dropped before the janitor, who then finds nothing to kill.
    running: Mutex<BTreeMap<Component, Program>>,
    layout: Layout,
    authority: Authority,
    admin: Access,
    audit: AuditLog,
    /// What was installed. Held while the controller manager is started again, so that two tests don't both do it.
    crds: tokio::sync::Mutex<Vec<String>>,
    janitor: Janitor,
}

impl ControlPlane {
    /// The control plane that all tests of a binary share, of the version that `MESHCORE_KUBERNETES` names; `None`
    /// where there is no Go to build it with. Tests that stop or pause parts of it take one of their own.
    ///
    /// # Panics
    /// When it does not start, or when Go is missing and `CI` is `true`.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<ControlPlane>> = OnceLock::new();
        SHARED
            .get_or_init(|| Self::start(Version::chosen()).expect("the control plane starts"))
            .as_ref()
    }

    /// A control plane of one's own; `None` where there is no Go to build it with.
    ///
    /// # Errors
    /// When it does not start.
    ///
    /// # Panics
    /// When Go is missing and `CI` is `true`.
    pub fn start(version: Version) -> Result<Option<Self>> {
        let Some(programs) = Programs::of(version)? else {
            return Ok(None);
        };
        let plane = Self::prepare(new_folder()?, programs, None)?;
        apart(|| plane.start_all(&Component::PLANE))?;
        Ok(Some(plane))
    }

    /// Everything but processes.
    pub(super) fn prepare(
        folder: PathBuf,
        programs: Programs,
        node: Option<NodeLayout>,
    ) -> Result<Self> {
        let janitor = Janitor::of(&folder)?;
        let layout = Layout {
            folder,
            port: quiet_port()?,
            programs,
            node,
        };
        let folder = &layout.folder;
        std::fs::write(folder.join("audit-policy.yaml"), audit::POLICY)?;
        let authority = Authority::new(folder)?;
        let admin = well_known_users(&layout)?;
        if let Some(node) = &layout.node {
            node.write_files(folder, &authority)?;
        }
        Ok(Self {
            running: Mutex::default(),
            crds: tokio::sync::Mutex::default(),
            audit: AuditLog::new(folder.join("audit.log"), admin.clone()),
            layout,
            authority,
            admin,
            janitor,
        })
    }

    /// Starts these, one after the other.
    pub(super) async fn start_all(&self, components: &[Component]) -> Result<()> {
        for component in components {
            self.run(*component).await?;
        }
        Ok(())
    }

    /// Access with all rights.
    pub fn admin(&self) -> &Access {
        &self.admin
    }

    /// A client with all rights, for the runtime of the caller.
    pub async fn client(&self) -> Result<kube::Client> {
        self.admin.client().await
    }

    /// Access for a user, proved by a certificate. It has only the rights that a test gives to the name or the group.
    pub fn user(&self, name: &str, group: Option<&str>) -> Result<Access> {
        let (certificate, key) = self.authority.user(name, group)?;
        self.access(name, Credential::Certificate { certificate, key })
    }

    /// Access for a ServiceAccount, which is created if it does not exist, proved by a token that is good for a day.
    pub async fn service_account(&self, namespace: &str, name: &str) -> Result<Access> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        if accounts.get_opt(name).await?.is_none() {
            let mut account = ServiceAccount::default();
            account.metadata.name = Some(name.to_owned());
            accounts.create(&PostParams::default(), &account).await?;
        }
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(24 * 60 * 60),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let answer = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await?;
        let token = answer.status.context("a token")?.token;
        let user = format!("system:serviceaccount:{namespace}:{name}");
        self.access(&user, Credential::Token(token))
    }

    /// A namespace with a new name, and all that the controllers put into one.
    pub async fn namespace(&self) -> Result<Namespace> {
        self.namespace_with_labels(&[]).await
    }

    /// [`Self::namespace`] with labels, such as `pod-security.kubernetes.io/enforce`.
    pub async fn namespace_with_labels(&self, labels: &[(&str, &str)]) -> Result<Namespace> {
        Namespace::create(self.admin.clone(), labels).await
    }

    /// Who asked for what.
    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// Where the API server is.
    pub fn url(&self) -> String {
        self.layout.url()
    }

    /// The certificate of the authority that signs for the API server.
    pub fn authority(&self) -> PathBuf {
        self.authority.certificate()
    }

    /// The folder with everything, which goes with this value.
    pub fn folder(&self) -> &Path {
        &self.layout.folder
    }

    pub(super) fn node_layout(&self) -> Result<&NodeLayout> {
        self.layout.node.as_ref().context("there is no node")
    }

    /// Applies CRDs and waits until they are served. Where that changed something, the controller manager is started
    /// again: the garbage collector would look for new kinds only after half a minute. Tests that share a control
    /// plane may all ask for the same ones.
    pub async fn install_crds(&self, yaml: &str) -> Result<()> {
        let mut installed = self.crds.lock().await;
        if installed.iter().any(|before| before == yaml) {
            return Ok(());
        }
        let before = self.crd_generations().await?;
        self.admin.apply_yaml(yaml).await?;
        self.wait_for_crds().await?;
        if self.crd_generations().await? != before {
            self.restart(Component::ControllerManager).await?;
        }
        installed.push(yaml.to_owned());
        Ok(())
    }

    /// Waits until all CRDs are served. `kubectl wait` gives up on one that has no conditions yet.
    pub async fn wait_for_crds(&self) -> Result<()> {
        let crds: Api<CustomResourceDefinition> = Api::all(self.client().await?);
        let served = async {
            loop {
                let all = crds.list(&ListParams::default()).await?;
                if all
                    .iter()
                    .all(|crd| is_crd_established().matches_object(Some(crd)))
                {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(START_LIMIT, served)
            .await
            .with_context(|| format!("the CRDs are not served after {START_LIMIT:?}"))?
    }

    async fn crd_generations(&self) -> Result<String> {
        let fields = "{range .items[*]}{.metadata.uid} {.metadata.generation},{end}";
        let path = format!("-o=jsonpath={fields}");
        self.admin.kubectl(&["get", "crds", &path]).await
    }

    /// The process id of a component.
    ///
    /// # Errors
    /// When it doesn't run.
    pub fn id(&self, component: Component) -> Result<u32> {
        self.with(component, |program| Ok(program.id()))
    }

    /// What a component has printed.
    pub fn log(&self, component: Component) -> String {
        std::fs::read_to_string(self.log_file(component)).unwrap_or_default()
    }

    /// Freezes a component: connections stay open, and nothing is answered.
    pub fn pause(&self, component: Component) -> Result<()> {
        self.with(component, |program| program.freeze())
    }

    /// Lets a component go on after [`Self::pause`].
    pub fn resume(&self, component: Component) -> Result<()> {
        self.with(component, |program| program.thaw())
    }

    /// Kills a component; connections break and new ones are refused.
    pub fn stop(&self, component: Component) -> Result<()> {
        if let Some(mut program) = self.running().remove(&component) {
            program.kill()?;
        }
        Ok(())
    }

    /// Starts a component and waits until it is ready, on the same port with the same data.
    pub async fn run(&self, component: Component) -> Result<()> {
        if component == Component::ControllerManager {
            self.forget_service_account().await?;
        }
        self.spawn(component)?;
        let ready = async {
            while !self.is_ready(component).await {
                self.check_alive(component)?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        };
        tokio::time::timeout(START_LIMIT, ready)
            .await
            .unwrap_or_else(|_| bail!("it is not ready after {START_LIMIT:?}"))
            .with_context(|| format!("start {component:?}:\n{}", tail(&self.log(component))))
    }

    /// [`Self::stop`] and [`Self::run`].
    pub async fn restart(&self, component: Component) -> Result<()> {
        self.stop(component)?;
        self.run(component).await
    }

    fn access(&self, user: &str, credential: Credential) -> Result<Access> {
        let layout = &self.layout;
        let kubectl = layout.programs.kubectl();
        Access::new(&layout.folder, kubectl, layout.url(), user, credential)
    }

    fn spawn(&self, component: Component) -> Result<()> {
        let mut running = self.running();
        ensure!(
            !running.contains_key(&component),
            "{component:?} runs already"
        );
        let command = self.layout.command(component);
        let mut command = command.with_context(|| format!("there is no node for {component:?}"))?;
        // Ctrl-C ends the tests; the janitor ends this.
        command.process_group(0);
        let none: [(&str, &str); 0] = [];
        let program = Program::start_command(&mut command, &none, &self.log_file(component))?;
        self.janitor.note(program.id())?;
        running.insert(component, program);
        Ok(())
    }

    async fn is_ready(&self, component: Component) -> bool {
        match component {
            Component::Etcd => {
                std::os::unix::net::UnixStream::connect(self.layout.etcd_socket()).is_ok()
            }
            Component::ApiServer => self.answers_ready().await.is_ok(),
            Component::ControllerManager => self.has_service_account().await.unwrap_or(false),
            _ => match &self.layout.node {
                Some(node) => node.is_ready(component),
                None => false,
            },
        }
    }

    async fn answers_ready(&self) -> Result<()> {
        let client = self.client().await?;
        let request = http::Request::get("/readyz").body(Vec::new())?;
        client.request_text(request).await?;
        Ok(())
    }

    /// Whether the controllers work: the one that makes each ServiceAccount is among the last ones to start, and
    /// there was none before.
    async fn has_service_account(&self) -> Result<bool> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, "default");
        Ok(accounts.get_opt("default").await?.is_some())
    }

    async fn forget_service_account(&self) -> Result<()> {
        let arguments = ["delete", "serviceaccount", "default", "-n=default"];
        let flags = ["--ignore-not-found", "--wait=true"];
        self.admin
            .kubectl(&[arguments.as_slice(), &flags].concat())
            .await?;
        Ok(())
    }

    fn check_alive(&self, component: Component) -> Result<()> {
        self.with(component, |program| {
            let ended = program.ended()?;
            ensure!(ended.is_none(), "it ended");
            Ok(())
        })
    }

    fn with<T>(
        &self,
        component: Component,
        action: impl FnOnce(&mut Program) -> Result<T>,
    ) -> Result<T> {
        let mut running = self.running();
        let program = running.get_mut(&component);
        action(program.with_context(|| format!("{component:?} doesn't run"))?)
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<Component, Program>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_file(&self, component: Component) -> PathBuf {
        self.layout.folder.join(format!("{}.log", component.name()))
    }
}

/// A folder in memory, if there is room for one: etcd and the audit log are written to at each request.
fn new_folder() -> Result<PathBuf> {
    const ROOM: u64 = 1 << 30;
    let memory = Path::new("/dev/shm");
    let has_room = rustix::fs::statvfs(memory)
        .is_ok_and(|system| system.f_bavail.saturating_mul(system.f_frsize) > ROOM);
    let mut builder = tempfile::Builder::new();
    builder.prefix("meshcore-kubernetes-");
    let folder = if has_room {
        builder.tempdir_in(memory)
    } else {
        builder.tempdir()
    };
    // The janitor removes it, since nothing else does when this process is killed.
    Ok(folder?.keep())
}

/// The administrator, and the programs that speak to the API server, each with a kubeconfig of its own. Their tokens
/// are in a file that the API server reads at start.
fn well_known_users(layout: &Layout) -> Result<Access> {
    let folder = &layout.folder;
    let mut users = vec![
        ("admin", "system:masters", "admin.kubeconfig"),
        (
            "system:kube-controller-manager",
            "",
            "controller-manager.kubeconfig",
        ),
    ];
    if layout.node.is_some() {
        users.extend(node::USERS);
    }
    let mut lines = String::new();
    let mut admin = None;
    for (user, group, file) in users {
        let token = format!("{:016x}{:016x}", crate::random(), crate::random());
        writeln!(lines, "{token},{user},{user},{group}")?;
        let kubectl = layout.programs.kubectl();
        let access = Access::new(
            folder,
            kubectl,
            layout.url(),
            user,
            Credential::Token(token),
        )?;
        std::fs::copy(access.kubeconfig(), folder.join(file))?;
        admin.get_or_insert(access);
    }
    std::fs::write(folder.join("tokens.csv"), lines)?;
    admin.context("the first user")
}

/// Awaits where a runtime may be running already.
pub(super) fn apart<F: Future<Output = Result<()>>>(work: impl FnOnce() -> F + Send) -> Result<()> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(work())
        });
        thread.join().map_err(|_| anyhow!("the start panicked"))?
    })
}

/// The last lines of a log.
fn tail(log: &str) -> &str {
    let lines = log.rmatch_indices('\n').nth(30);
    lines.map_or(log, |(at, _)| &log[at + 1..])
}
