//! What a plan says becomes of each request, and only that.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use http::Request;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::client::Body;
use kube::{Client, ResourceExt};
use meshcore_testkit::kubernetes::{
    Access, ControlPlane, Fate, FaultProxy, Moment, Namespace, Plan, RequestInfo, SeededFaults,
    wait_for,
};

use crate::common::{allow, create, map, refusal};

/// Somebody with a right to ConfigMaps, straight and through a proxy.
struct Scene {
    plane: &'static ControlPlane,
    namespace: Namespace,
    access: Access,
    proxy: FaultProxy,
    straight: Api<ConfigMap>,
    spoiled: Api<ConfigMap>,
}

impl Scene {
    async fn new(plan: impl Plan) -> Option<Self> {
        let plane = ControlPlane::shared()?;
        let namespace = plane.namespace().await.unwrap();
        let name = namespace.name();
        let access = plane.service_account(name, "spoiled").await.unwrap();
        allow(plane, name, access.user(), "configmaps").await;
        let proxy = FaultProxy::start(&access, plan).await.unwrap();
        let mut config = proxy.access(&access).unwrap().config().await.unwrap();
        config.default_retry = false;
        let spoiled = Client::try_from(config).unwrap();
        Some(Self {
            straight: Api::namespaced(plane.client().await.unwrap(), name),
            spoiled: Api::namespaced(spoiled, name),
            plane,
            access,
            proxy,
            namespace,
        })
    }

    async fn exists(&self, name: &str) -> bool {
        self.straight.get_opt(name).await.unwrap().is_some()
    }

    async fn create(&self, name: &str) -> kube::Result<ConfigMap> {
        let map = serde_json::from_value(map(name)).unwrap();
        self.spoiled.create(&PostParams::default(), &map).await
    }
}

fn always(fate: Fate) -> impl Plan {
    move |_: &RequestInfo| fate
}

#[tokio::test]
async fn requests_pass_as_who_made_them() {
    let Some(scene) = Scene::new(always(Fate::Pass)).await else {
        return;
    };
    let mark = scene.plane.audit().mark().await.unwrap();
    scene.create("one").await.unwrap();
    scene.spoiled.get("one").await.unwrap();
    let requests = scene.plane.audit().since(mark).await.unwrap();
    let requests = requests.by_user(scene.access.user());
    assert_eq!(requests.counts()["create configmaps"], 1, "{requests}");
    assert_eq!(requests.counts()["get configmaps"], 1, "{requests}");

    let seen = scene.proxy.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].request.number, 2);
    assert_eq!(seen[1].request.resource, "configmaps");
    assert_eq!(seen[1].request.namespace, scene.namespace.name());
    assert_eq!(seen[1].request.name, "one");
    assert_eq!(scene.proxy.counts()["create"], 1);
    assert_eq!(scene.proxy.faults(), 0);
}

#[tokio::test]
async fn kubectl_and_errors_of_the_server_pass_too() {
    let Some(scene) = Scene::new(always(Fate::Pass)).await else {
        return;
    };
    scene.create("one").await.unwrap();
    assert_eq!(refusal(scene.create("one").await), 409);
    let access = scene.proxy.access(&scene.access).unwrap();
    let get = ["get", "configmaps", "-n", scene.namespace.name(), "-o=name"];
    assert!(
        access
            .kubectl(&get)
            .await
            .unwrap()
            .contains("configmap/one")
    );
}

#[tokio::test]
async fn refusals_are_those_of_an_api_server_and_nothing_is_done() {
    let fate = Fate::Status {
        code: 429,
        retry_after: Some(3),
    };
    let Some(scene) = Scene::new(always(fate)).await else {
        return;
    };
    let error = scene.create("one").await.unwrap_err();
    let kube::Error::Api(status) = error else {
        panic!("{error}");
    };
    assert_eq!(status.code, 429);
    assert_eq!(status.reason, "TooManyRequests");
    assert!(!scene.exists("one").await);
    for code in [409, 500, 503, 504] {
        scene.proxy.set_plan(always(Fate::status(code)));
        assert_eq!(refusal(scene.create("one").await), code);
    }
    assert!(!scene.exists("one").await);
    assert_eq!(scene.proxy.faults(), 5);
    scene.proxy.calm();
    scene.create("one").await.unwrap();
}

#[tokio::test]
async fn connections_close_before_or_after_the_deed() {
    let Some(scene) = Scene::new(always(Fate::DropBefore)).await else {
        return;
    };
    scene.create("before").await.unwrap_err();
    assert!(!scene.exists("before").await);
    scene.proxy.set_plan(always(Fate::DropAfter));
    scene.create("after").await.unwrap_err();
    assert!(scene.exists("after").await);
}

#[tokio::test]
async fn answers_are_late_or_never_come() {
    let delay = Duration::from_millis(300);
    let Some(scene) = Scene::new(always(Fate::Delay(delay))).await else {
        return;
    };
    let began = Instant::now();
    scene.create("late").await.unwrap();
    assert!(began.elapsed() >= delay);
    scene.proxy.set_plan(always(Fate::Hang));
    let answer = tokio::time::timeout(Duration::from_secs(2), scene.create("hang")).await;
    assert!(answer.is_err(), "it was answered: {answer:?}");
    assert!(!scene.exists("hang").await);
    scene.proxy.set_plan(always(Fate::HangAfter));
    // Whoever goes away before it is done may have it not done.
    tokio::select! {
        answer = scene.create("after") => panic!("it was answered: {answer:?}"),
        done = wait_for("it is done", async || scene.exists("after").await.then_some(())) => {
            done.unwrap();
        }
    }
}

#[tokio::test]
async fn events_of_a_watch_come_at_once_and_are_cut_off() {
    let Some(scene) = Scene::new(always(Fate::Pass)).await else {
        return;
    };
    let version = scene.spoiled.list(&ListParams::default()).await.unwrap();
    let version = version.metadata.resource_version.unwrap();
    let parameters = WatchParams::default();
    let passed = scene.spoiled.watch(&parameters, &version).await.unwrap();
    let mut passed = std::pin::pin!(passed);
    for name in ["one", "two", "three"] {
        create(&scene.straight, &map(name)).await;
        let event = tokio::time::timeout(Duration::from_secs(10), passed.next()).await;
        let Some(Ok(WatchEvent::Added(map))) = event.expect("an event comes when it happens")
        else {
            panic!("not the new object");
        };
        assert_eq!(map.name_any(), name);
    }

    scene.proxy.set_plan(always(Fate::CutWatchAfter(2)));
    let events = scene.spoiled.watch(&parameters, &version).await.unwrap();
    let events: Vec<_> = events.try_collect().await.unwrap();
    assert_eq!(events.len(), 2, "{events:?}");
    // kube takes a broken connection for the end of the watch, so look below it.
    let uri = scene.spoiled.resource_url();
    let request = Request::get(format!("{uri}?watch=true&resourceVersion={version}"));
    let request = request.body(Body::from(Vec::new())).unwrap();
    let answer = scene.spoiled.clone().into_client().send(request).await;
    answer
        .unwrap()
        .into_body()
        .collect_bytes()
        .await
        .unwrap_err();

    scene.proxy.set_plan(always(Fate::ExpireWatchAfter(1)));
    let events = scene.spoiled.watch(&parameters, &version).await.unwrap();
    let events: Vec<_> = events.try_collect().await.unwrap();
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(matches!(&events[1], WatchEvent::Error(status) if status.code == 410));
}

/// Tells what happens, as a test would kill an operator.
struct Witness(Mutex<Sender<(u64, Moment)>>);

impl Plan for Witness {
    fn fate(&self, _: &RequestInfo) -> Fate {
        Fate::Pass
    }

    fn observe(&self, request: &RequestInfo, moment: Moment) {
        self.0
            .lock()
            .unwrap()
            .send((request.number, moment))
            .unwrap();
    }
}

#[tokio::test]
async fn plan_is_told_before_and_after_the_deed() {
    let (sender, receiver) = channel();
    let Some(scene) = Scene::new(Witness(Mutex::new(sender))).await else {
        return;
    };
    scene.create("one").await.unwrap();
    let told: Vec<_> = receiver.try_iter().collect();
    assert_eq!(told, [(1, Moment::Arrived), (1, Moment::Executed)]);
}

#[tokio::test]
async fn who_tries_again_gets_through_seeded_faults() {
    let plan = SeededFaults::with_seed(11, 60).until(80);
    let Some(scene) = Scene::new(plan).await else {
        return;
    };
    let apply = PatchParams::apply("tests");
    for number in 0..20 {
        let name = format!("map-{number}");
        wait_for("it is applied", async || {
            let patch = Patch::Apply(map(&name));
            scene.spoiled.patch(&name, &apply, &patch).await.ok()
        })
        .await
        .unwrap();
        assert!(scene.exists(&name).await);
    }
    assert!(scene.proxy.faults() > 10, "{}", scene.proxy.faults());
}

#[tokio::test]
async fn certificates_cannot_go_through() {
    let Some(scene) = Scene::new(always(Fate::Pass)).await else {
        return;
    };
    let user = scene.plane.user("somebody-else", None).unwrap();
    scene.proxy.access(&user).unwrap_err();
    assert_eq!(scene.proxy.count(), 0);
}
