//! The processes of containers, as the node sees them.

use super::Scene;

impl Scene {
    /// The id of the first process of a container.
    pub(crate) async fn process(&self, pod: &str, container: &str) -> u32 {
        let status = |list| format!(r#"{{.status.{list}[?(@.name=="{container}")].containerID}}"#);
        let path = ["initContainerStatuses", "containerStatuses"]
            .map(status)
            .concat();
        process_of(self, &self.value(pod, &path).await)
    }
}

/// The process of a container by its id, such as `containerd://0123…`.
pub(crate) fn process_of(scene: &Scene, container_id: &str) -> u32 {
    let id = container_id.trim_start_matches("containerd://");
    let tasks = scene.cluster.ctr(&["tasks", "ls"]).unwrap();
    let task = tasks.lines().find(|line| line.starts_with(id));
    let task = task.unwrap_or_else(|| panic!("{id} does not run:\n{tasks}"));
    task.split_whitespace().nth(1).unwrap().parse().unwrap()
}
