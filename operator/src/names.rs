//! Names, labels and annotations: whatever the operator writes into objects and finds them by, in one place.

/// Who wrote a field: the manager of every server-side apply.
pub const FIELD_MANAGER: &str = "meshcore-operator";

/// The label of every child, and the selector of every watch: its value is [`FIELD_MANAGER`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The label with the name of the resource. Part of the StatefulSet's selector, which can't change.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// The label with the name of the application: its value is [`APPLICATION`]. Part of the selector.
pub const NAME: &str = "app.kubernetes.io/name";
/// The label that says what part of the application an object is.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// The label with the version of the programs; on the StatefulSet itself only, never in its template by itself.
pub const VERSION: &str = "app.kubernetes.io/version";
/// The value of [`NAME`].
pub const APPLICATION: &str = "meshcore";

/// The annotation of every child with the hash of the form that was applied.
pub const APPLIED_HASH: &str = "meshcore.dev/applied-hash";
/// The annotation of the resource, and of a retained claim, with the UID of the claim that holds a database. It is
/// beside the status, which a backup of the resource does not restore.
pub const INITIALIZED_CLAIM: &str = "meshcore.dev/initialized-claim";
/// The annotation by which a person accepts that a claim and its data are gone: its value is the claim's UID.
pub const ACCEPT_LOST_CLAIM: &str = "meshcore.dev/accept-lost-claim";
/// The annotation that pauses like `spec.paused`, where GitOps owns the spec: its value is `true`.
pub const PAUSED: &str = "meshcore.dev/paused";
/// The annotation of the StatefulSet with the hash of the pod template that was applied.
pub const TEMPLATE_HASH: &str = "meshcore.dev/template-hash";
/// The annotation of the StatefulSet with a hash of each field that shaped the pod template, as JSON. It tells which
/// field made a rollout, also to an operator that was not there before.
pub const TEMPLATE_INPUTS: &str = "meshcore.dev/template-inputs";
/// The annotation of the StatefulSet with the fields that made the last rollout.
pub const ROLLOUT_REASON: &str = "meshcore.dev/rollout-reason";
/// The annotation of the pod template by which `kubectl rollout restart` works; never ours.
pub const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// The container and the image of the ingestor.
pub const INGESTOR: &str = "ingestor";
/// The container and the image of the server.
pub const SERVER: &str = "server";

/// The port of the server in the pod.
pub const SERVER_PORT: i32 = 8080;
/// The port of the ingestor in the pod: health, metrics, the last shutdown's report.
pub const INGESTOR_PORT: i32 = 8081;

/// The claim of a resource: `<name>-data`.
pub fn claim(name: &str) -> String {
    format!("{name}-data")
}

/// The headless Service that the StatefulSet's pod gets its host name from: `<name>-pods`.
pub fn headless_service(name: &str) -> String {
    format!("{name}-pods")
}

/// The selector of all that the operator has made, for its watches.
pub fn managed_selector() -> String {
    format!("{MANAGED_BY}={FIELD_MANAGER}")
}
