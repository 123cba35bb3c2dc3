//! Who may be in the cluster at the same time.

use meshcore_testkit::kubernetes::Cluster;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::SOON;

/// Whether others may be there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Company {
    /// The test stays in its namespace.
    Others,
    /// The test disturbs the node or the operator, or would be disturbed in what it measures, so it is alone.
    Nobody,
}

/// The right to be in the cluster, until it is dropped.
pub(super) enum Turn {
    Shared {
        _guard: RwLockReadGuard<'static, ()>,
    },
    Alone {
        _guard: RwLockWriteGuard<'static, ()>,
    },
}

static CLUSTER: RwLock<()> = RwLock::const_new(());

impl Company {
    /// Waits for it.
    pub(super) async fn turn(self, cluster: &Cluster) -> Turn {
        if matches!(self, Self::Others) {
            let guard = CLUSTER.read().await;
            return Turn::Shared { _guard: guard };
        }
        let guard = CLUSTER.write().await;
        wait_until_empty(cluster).await;
        Turn::Alone { _guard: guard }
    }
}

/// What earlier tests left takes a while to go.
async fn wait_until_empty(cluster: &Cluster) {
    let admin = cluster.admin();
    let until = tokio::time::Instant::now() + SOON;
    loop {
        let names = admin.kubectl(&["get", "namespaces", "-o=name"]).await;
        let names = names.unwrap();
        let mut left = names.lines().filter(|name| name.contains("/test-"));
        let Some(one) = left.next() else { return };
        assert!(tokio::time::Instant::now() < until, "{one} does not go");
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
}
