//! Who asked the API server for what, by its own audit log.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::access::Access;

/// Each request is logged once, with its answer; a watch when it begins and when it ends.
pub(super) const POLICY: &str = "apiVersion: audit.k8s.io/v1\n\
    kind: Policy\n\
    omitStages: [RequestReceived]\n\
    rules: [{level: Metadata}]\n";

/// The audit log of a control plane.
#[derive(Debug)]
pub struct AuditLog {
    file: PathBuf,
    access: Access,
}

/// A place in the log.
#[derive(Debug, Clone, Copy)]
pub struct AuditMark(u64);

impl AuditMark {
    /// Before all requests.
    pub const START: Self = Self(0);
}

impl AuditLog {
    pub(super) fn new(file: PathBuf, access: Access) -> Self {
        Self { file, access }
    }

    /// The place after all requests that have been answered.
    pub async fn mark(&self) -> Result<AuditMark> {
        let written = self.settled(AuditMark(0)).await?;
        Ok(AuditMark(u64::try_from(written.len())?))
    }

    /// What was asked since `mark`, as far as it has been answered.
    pub async fn since(&self, mark: AuditMark) -> Result<Requests> {
        let text = self.settled(mark).await?;
        let mut entries = Vec::new();
        for line in text.lines().filter(|line| !line.contains(PROBE)) {
            let event: Event = serde_json::from_str(line).with_context(|| line.to_owned())?;
            entries.extend(event.into_entry());
        }
        Ok(Requests(entries))
    }

    /// The log from `mark` on, up to a request that is made for this.
    async fn settled(&self, mark: AuditMark) -> Result<String> {
        let probe = format!("{PROBE}{:016x}", crate::random());
        let client = self.access.client().await?;
        let request = http::Request::get(format!("/version?{probe}")).body(Vec::new())?;
        client.request_text(request).await?;
        tokio::time::timeout(Duration::from_mins(1), async {
            loop {
                let text = self.read(mark)?;
                // Only whole lines: the last one may be still being written.
                if let Some(at) = text.find(&probe)
                    && let Some(end) = text[at..].find('\n')
                {
                    return Ok(text[..=at + end].to_owned());
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .context("the audit log does not have a request that was answered")?
    }

    fn read(&self, mark: AuditMark) -> Result<String> {
        let mut file = File::open(&self.file)?;
        file.seek(SeekFrom::Start(mark.0))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Marks the log's own requests.
const PROBE: &str = "meshcore-audit-probe-";

/// A request and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Who asked; where somebody was impersonated, whom.
    pub user: String,
    /// What the program calls itself.
    pub user_agent: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// The API group, empty for the core.
    pub group: String,
    /// The resource in the plural, empty for requests that are about none.
    pub resource: String,
    /// Such as `status`; empty for the object itself.
    pub subresource: String,
    /// The namespace; empty where there is none.
    pub namespace: String,
    /// The object's name; empty for lists and for names that the server gives.
    pub name: String,
    /// The path and the query.
    pub uri: String,
    /// The HTTP status.
    pub code: u16,
    /// Whether nobody had given the right to do it. There are other reasons for a 403, such as a quota.
    pub is_forbidden: bool,
}

impl AuditEntry {
    /// Whether it asked for a change, granted or not.
    pub fn is_write(&self) -> bool {
        matches!(
            self.verb.as_str(),
            "create" | "update" | "patch" | "delete" | "deletecollection"
        ) && !self.is_review()
    }

    /// Questions about rights are created, and change nothing.
    fn is_review(&self) -> bool {
        matches!(
            self.group.as_str(),
            "authorization.k8s.io" | "authentication.k8s.io"
        )
    }
}

impl fmt::Display for AuditEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            user,
            user_agent,
            verb,
            uri,
            code,
            ..
        } = self;
        write!(f, "{verb} {uri} = {code} by {user} ({user_agent})")
    }
}

/// Requests in the order of their answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests(Vec<AuditEntry>);

impl Requests {
    /// Those of a user.
    #[must_use]
    pub fn by_user(self, user: &str) -> Self {
        self.only(|entry| entry.user == user)
    }

    /// Those of programs whose name for themselves begins so.
    #[must_use]
    pub fn by_agent(self, agent: &str) -> Self {
        self.only(|entry| entry.user_agent.starts_with(agent))
    }

    /// Those that asked for a change.
    #[must_use]
    pub fn writes(self) -> Self {
        self.only(AuditEntry::is_write)
    }

    /// Those that `question` says yes to.
    #[must_use]
    pub fn only(mut self, question: impl FnMut(&AuditEntry) -> bool) -> Self {
        self.0.retain(question);
        self
    }

    /// How many there are of each verb and resource, such as `patch configmaps` or `patch statefulsets/status`.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for entry in &self.0 {
            let mut key = format!("{} {}", entry.verb, entry.resource);
            if !entry.subresource.is_empty() {
                key.push('/');
                key.push_str(&entry.subresource);
            }
            *counts.entry(key).or_default() += 1;
        }
        counts
    }
}

impl std::ops::Deref for Requests {
    type Target = [AuditEntry];

    fn deref(&self) -> &[AuditEntry] {
        &self.0
    }
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|entry| writeln!(f, "{entry}"))
    }
}

/// A line of the log.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    stage: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    verb: String,
    user: User,
    impersonated_user: Option<User>,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: ObjectRef,
    response_status: Option<ResponseStatus>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

impl Event {
    /// A watch counts when it begins, all else when it has been answered.
    fn into_entry(self) -> Option<AuditEntry> {
        let counted = match self.verb.as_str() {
            // One that was refused never began.
            "watch" if self.code() < 300 => "ResponseStarted",
            _ => "ResponseComplete",
        };
        (self.stage == counted || self.stage == "Panic").then(|| AuditEntry {
            code: self.code(),
            is_forbidden: self.is_forbidden(),
            user: self.impersonated_user.unwrap_or(self.user).username,
            user_agent: self.user_agent,
            verb: self.verb,
            group: self.object_ref.api_group,
            resource: self.object_ref.resource,
            subresource: self.object_ref.subresource,
            namespace: self.object_ref.namespace,
            name: self.object_ref.name,
            uri: self.request_uri,
        })
    }

    fn is_forbidden(&self) -> bool {
        let decision = self.annotations.get("authorization.k8s.io/decision");
        decision.is_some_and(|decision| decision == "forbid")
    }

    fn code(&self) -> u16 {
        self.response_status
            .as_ref()
            .map_or(0, |status| status.code)
    }
}
