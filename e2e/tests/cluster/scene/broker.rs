//! A mosquitto in a pod, which keeps queues and sessions on a volume.

use std::time::Duration;

use tokio::net::TcpStream;

use super::{SOON, Scene};

/// The broker of a scene.
pub(crate) struct Broker {
    /// Its address in the cluster.
    pub(crate) address: String,
}

const OBJECTS: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: broker}
data:
  mosquitto.conf: |
    listener 1883
    allow_anonymous true
    persistence true
    persistence_location /data/
    # What is queued for a subscriber that is away is what these tests are about.
    max_queued_messages 0
    max_inflight_messages 1000
    # Tests may leave files *.conf there.
    include_dir /data
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: broker}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 300Mi}}}
---
apiVersion: v1
kind: Service
metadata: {name: broker}
spec: {selector: {app: broker}, ports: [{port: 1883}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: broker}
spec:
  strategy: {type: Recreate}
  selector: {matchLabels: {app: broker}}
  template:
    metadata: {labels: {app: broker}}
    spec:
      automountServiceAccountToken: false
      securityContext:
        {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, fsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: broker
          image: localhost/meshcore-test/mosquitto:1
          args: [-c, /config/mosquitto.conf]
          readinessProbe: {tcpSocket: {port: 1883}, periodSeconds: 1}
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
          volumeMounts: [{name: data, mountPath: /data}, {name: config, mountPath: /config}]
      volumes:
        - {name: data, persistentVolumeClaim: {claimName: broker}}
        - {name: config, configMap: {name: broker}}
";

/// The name by which resources know it.
pub(crate) const URL: &str = "mqtt://broker:1883";

impl Broker {
    /// Starts it.
    pub(crate) async fn start(scene: &Scene) -> Self {
        scene.apply(OBJECTS).await.unwrap();
        scene.wait("deployment/broker", "condition=Available").await;
        let address = scene.value("service/broker", "{.spec.clusterIP}").await;
        let broker = Self { address };
        broker.wait().await;
        broker
    }

    /// Waits until its Service leads to it.
    pub(crate) async fn wait(&self) {
        let until = tokio::time::Instant::now() + SOON;
        let address = format!("{}:1883", self.address);
        // One that began when the Service led to a pod that is gone would be tried there for two minutes.
        let limit = Duration::from_secs(1);
        let connect = || tokio::time::timeout(limit, TcpStream::connect(&address));
        while !matches!(connect().await, Ok(Ok(_))) {
            assert!(tokio::time::Instant::now() < until, "{address} is dead");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
