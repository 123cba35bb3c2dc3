//! What holds of the objects of every resource.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers below are part of the tests"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::objects;
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use meshcore_operator::build::{self, Facts, HttpRouteApi, LiveClaim, build};
use meshcore_operator::{Bundle, Settings};
use meshcore_resource::{MeshCoreDeployment, ShutdownBudget, parse};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// The longest name of a resource, and the longest of most of what is made from it.
const MAX_RESOURCE_NAME: usize = 40;
const MAX_NAME: usize = 63;

fn name() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[a-z]([-a-z0-9]{0,38}[a-z0-9])?").unwrap()
}

/// Names of Secrets: longer, and with dots.
fn secret_name() -> impl Strategy<Value = String> {
    let pattern = "[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?){0,3}";
    proptest::string::string_regex(pattern).unwrap()
}

fn budget() -> impl Strategy<Value = Value> {
    let seconds = || 0..=800_u32;
    (seconds(), seconds(), seconds(), seconds(), 5..=400_u32).prop_map(
        |(pre_stop, server, ingestor, checkpoint, margin)| {
            json!({
                "preStopSeconds": pre_stop,
                "serverDrainSeconds": server,
                "ingestorDrainSeconds": ingestor,
                "checkpointSeconds": checkpoint,
                "marginSeconds": margin,
            })
        },
    )
}

fn source() -> impl Strategy<Value = Value> {
    let broker = select(vec![
        "mqtt://a",
        "mqtts://b:8884",
        "ws://c/mqtt",
        "wss://d",
        "mqtts://[2001:db8::1]",
    ]);
    let credentials = option::of(secret_name());
    let authority = option::of(secret_name());
    (broker, credentials, authority).prop_map(|(broker, credentials, authority)| {
        let mut source = json!({ "broker": broker });
        if let Some(name) = credentials {
            source["credentialsSecretRef"] = json!({ "name": name });
        }
        let is_tls = broker.starts_with("mqtts") || broker.starts_with("wss");
        if let Some(name) = authority.filter(|_| is_tls) {
            source["tls"] = json!({"caSecretRef": { "name": name }});
        }
        source
    })
}

fn sources() -> impl Strategy<Value = Value> {
    btree_map("[a-z]{1,8}", source(), 1..=8).prop_map(|sources| {
        let named = sources.into_iter().map(|(name, mut source)| {
            source["name"] = name.into();
            source
        });
        named.collect()
    })
}

fn storage() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({"size": "10Gi"})),
        Just(json!({"size": "500Mi", "reclaimPolicy": "Delete", "accessMode": "ReadWriteOncePod"})),
        secret_name().prop_map(|claim| json!({ "existingClaim": claim })),
    ]
}

fn pod() -> impl Strategy<Value = Value> {
    let labels = btree_map(
        select(vec!["team", "name", "example.org/component"]),
        "[a-z]{1,63}",
        0..=3,
    );
    let account = prop_oneof![Just(String::new()), name()];
    let paths = btree_set(
        select(vec!["/a", "/b/c", "/database", "/var/tmp", "/etc/ssl"]),
        0..=5,
    );
    (labels, account, paths).prop_map(|(labels, account, paths)| {
        let mounts: Vec<Value> = paths
            .iter()
            .map(|path| json!({"name": "more", "mountPath": path}))
            .collect();
        json!({
            "labels": labels,
            "serviceAccountName": account,
            "volumes": [{"name": "more", "emptyDir": {}}],
            "volumeMounts": mounts,
        })
    })
}

/// Whatever stands in front of the server, and what is made only when it is asked for.
fn around() -> impl Strategy<Value = Value> {
    let front = select(vec![
        json!({}),
        json!({"ingress": {"host": "mesh.example.org", "tlsSecretName": "tls"}}),
        json!({"httpRoute": {"parentRefs": [{"name": "gateway"}]}}),
    ]);
    (front, any::<[bool; 3]>()).prop_map(|(mut around, [policy, budget, stopped])| {
        around["networkPolicy"] = json!({ "enabled": policy });
        around["podDisruptionBudget"] = json!({ "enabled": budget });
        around["stopped"] = stopped.into();
        around
    })
}

fn env() -> impl Strategy<Value = Value> {
    let values = vec(("[A-Z][A-Z0-9_]{3,12}", "[ -~]{0,20}"), 0..=4);
    values.prop_map(|values| {
        let unique: BTreeMap<_, _> = values.into_iter().collect();
        let variable = |(name, value)| json!({"name": format!("X_{name}"), "value": value});
        unique.into_iter().map(variable).collect()
    })
}

/// Resources that the rules accept.
fn resources() -> impl Strategy<Value = MeshCoreDeployment> {
    let image = select(vec![
        json!({}),
        json!({"tag": "v9"}),
        json!({"registry": "r:5000/x", "tag": "y"}),
    ]);
    let parts = (
        name(),
        sources(),
        storage(),
        budget(),
        pod(),
        around(),
        env(),
        image,
    );
    parts.prop_map(
        |(name, sources, storage, shutdown, pod, around, env, image)| {
            let mut spec = json!({
                "mqttSources": sources,
                "storage": storage,
                "shutdown": shutdown,
                "pod": pod,
                "ingestor": {"env": env},
                "server": {"env": env},
                "image": image,
            });
            spec.as_object_mut()
                .unwrap()
                .extend(around.as_object().unwrap().clone());
            let whole = json!({
                "apiVersion": "meshcore.dev/v1alpha1",
                "kind": "MeshCoreDeployment",
                "metadata": {"name": name, "namespace": "mesh", "uid": "1-2-3"},
                "spec": spec,
            });
            let resource = parse(&whole.to_string()).unwrap().resource;
            assert_eq!(resource.validate(), []);
            resource
        },
    )
}

fn settings(tag: &str) -> Settings {
    Settings {
        image_registry: "registry".to_owned(),
        image_tag: tag.to_owned(),
    }
}

fn facts(requested: &str) -> Facts {
    let quantity =
        |text: &str| k8s_openapi::apimachinery::pkg::api::resource::Quantity(text.to_owned());
    Facts {
        claim: Some(LiveClaim {
            requested: Some(quantity(requested)),
            capacity: Some(quantity("1Gi")),
        }),
        http_route: Some(HttpRouteApi {
            version: "v1".to_owned(),
            has_timeouts: true,
        }),
    }
}

fn template(bundle: &Bundle) -> &PodTemplateSpec {
    &bundle.stateful_set.spec.as_ref().unwrap().template
}

fn pod_of(bundle: &Bundle) -> &PodSpec {
    template(bundle).spec.as_ref().unwrap()
}

fn containers(pod: &PodSpec) -> impl Iterator<Item = &Container> {
    pod.init_containers.iter().flatten().chain(&pod.containers)
}

/// What the program in a container would make of its environment.
fn budget_of(container: &Container) -> ShutdownBudget {
    let env = container.env.as_ref().unwrap();
    let value = |name: &str| env.iter().find(|env| env.name == name)?.value.clone();
    ShutdownBudget::from_lookup(|name| value(name).map(Into::into)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// One budget: what the pod is given is what its programs divide.
    #[test]
    fn the_grace_period_is_what_the_programs_are_told_to_spend(resource in resources()) {
        let bundle = build(&resource, &settings("1"), &Facts::default());
        let pod = pod_of(&bundle);
        let grace = pod.termination_grace_period_seconds.unwrap();
        for container in containers(pod) {
            let budget = budget_of(container);
            prop_assert_eq!(budget, resource.spec.shutdown);
            prop_assert_eq!(i64::try_from(budget.termination_grace_period_seconds()).unwrap(), grace);
        }
        let hooks: Vec<_> = containers(pod).map(|container| &container.lifecycle).collect();
        let sleep = hooks[1].as_ref().map_or(0, |hook| {
            hook.pre_stop.as_ref().unwrap().sleep.as_ref().unwrap().seconds
        });
        prop_assert!(hooks[0].is_none(), "a sidecar's hook runs at once");
        prop_assert_eq!(sleep, i64::from(resource.spec.shutdown.pre_stop_seconds));
    }

    #[test]
    fn there_is_never_a_second_writer(resource in resources()) {
        let bundle = build(&resource, &settings("1"), &Facts::default());
        let replicas = bundle.stateful_set.spec.unwrap().replicas.unwrap();
        prop_assert_eq!(replicas, i32::from(!resource.spec.stopped));
    }

    #[test]
    fn every_child_is_ours_by_its_labels_and_its_owner(resource in resources()) {
        let bundle = build(&resource, &settings("1"), &facts("1Gi"));
        for object in objects(&bundle) {
            let metadata = &object["metadata"];
            prop_assert_eq!(&metadata["namespace"], "mesh");
            prop_assert_eq!(&metadata["labels"]["app.kubernetes.io/managed-by"], "meshcore-operator");
            prop_assert_eq!(&metadata["labels"]["app.kubernetes.io/instance"], resource.name());
            let stays = object["kind"] == "PersistentVolumeClaim"
                && resource.spec.storage.reclaim_policy.unwrap_or_default() == meshcore_resource::ReclaimPolicy::Retain;
            let owners = metadata["ownerReferences"].as_array().map_or(0, Vec::len);
            prop_assert_eq!(owners, usize::from(!stays), "{}", object);
            if !stays {
                prop_assert_eq!(&metadata["ownerReferences"][0]["uid"], "1-2-3");
                prop_assert_eq!(&metadata["ownerReferences"][0]["controller"], true);
            }
        }
        // Its labels decide whether the pod is found.
        let labels = template(&bundle).metadata.clone().unwrap().labels.unwrap();
        for (key, value) in build::selector(resource.name()) {
            prop_assert_eq!(labels.get(&key), Some(&value));
        }
    }

    #[test]
    fn names_are_short_enough_and_none_stands_twice(resource in resources()) {
        prop_assert!(resource.name().len() <= MAX_RESOURCE_NAME);
        let bundle = build(&resource, &settings("1"), &facts("1Gi"));
        let objects = objects(&bundle);
        let mut seen = BTreeSet::new();
        for object in &objects {
            let name = object["metadata"]["name"].as_str().unwrap();
            prop_assert!(name.len() <= MAX_NAME, "{}", name);
            prop_assert!(seen.insert((object["kind"].to_string(), name.to_owned())), "{}", name);
        }
        let pod = pod_of(&bundle);
        let volumes: Vec<&str> = pod.volumes.iter().flatten().map(|volume| volume.name.as_str()).collect();
        let unique: BTreeSet<&str> = volumes.iter().copied().collect();
        prop_assert_eq!(unique.len(), volumes.len(), "{:?}", volumes);
        for volume in &volumes {
            prop_assert!(volume.len() <= MAX_NAME && !volume.contains('.'), "{}", volume);
        }
        for container in containers(pod) {
            let mounts = container.volume_mounts.as_ref().unwrap();
            let paths: BTreeSet<_> = mounts.iter().map(|mount| &mount.mount_path).collect();
            prop_assert_eq!(paths.len(), mounts.len());
            for mount in mounts {
                prop_assert!(unique.contains(mount.name.as_str()), "{}", mount.name);
                prop_assert!(mount.sub_path.is_none());
            }
            let env = container.env.as_ref().unwrap();
            let names: BTreeSet<_> = env.iter().map(|env| &env.name).collect();
            prop_assert_eq!(names.len(), env.len());
        }
    }

    #[test]
    fn an_equal_resource_becomes_equal_objects(resource in resources()) {
        let built = || build(&resource, &settings("1"), &facts("1Gi"));
        prop_assert_eq!(objects(&built()), objects(&built()));
        prop_assert_eq!(built(), built());
    }

    /// Whatever happens around a pod is no reason to restart it.
    #[test]
    fn a_pod_template_depends_on_the_resource_alone(resource in resources()) {
        let before = build(&resource, &settings("1"), &Facts::default());
        for facts in [facts("1Gi"), facts("99Gi")] {
            let after = build(&resource, &settings("1"), &facts);
            prop_assert_eq!(template(&after), template(&before));
        }
        let mut stopped = resource.clone();
        stopped.spec.stopped = !stopped.spec.stopped;
        stopped.spec.paused = true;
        stopped.spec.rollout.hold = true;
        let after = build(&stopped, &settings("1"), &Facts::default());
        prop_assert_eq!(template(&after), template(&before));
    }

    #[test]
    fn an_upgrade_of_the_operator_changes_no_template_but_an_image_that_was_left_to_it(resource in resources()) {
        let before = build(&resource, &settings("1"), &Facts::default());
        let mut after = build(&resource, &settings("2"), &Facts::default());
        if resource.spec.image.tag.is_empty() {
            prop_assert_ne!(template(&after), template(&before));
            let pod = after.stateful_set.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
            for container in pod.init_containers.iter_mut().flatten().chain(&mut pod.containers) {
                let image = container.image.as_mut().unwrap();
                *image = image.replace(":2", ":1");
            }
        }
        prop_assert_eq!(template(&after), template(&before));
    }

    /// Secrets reach the ingestor as files, and nothing else. `build` never sees a value of one.
    #[test]
    fn secrets_are_optional_files_of_the_ingestor(resource in resources()) {
        let bundle = build(&resource, &settings("1"), &facts("1Gi"));
        let pod = pod_of(&bundle);
        for container in containers(pod) {
            for env in container.env.iter().flatten() {
                prop_assert!(env.value_from.is_none(), "{}", env.name);
            }
            prop_assert!(container.env_from.is_none());
        }
        let mounted: BTreeMap<_, _> = pod.volumes.iter().flatten()
            .filter_map(|volume| Some((volume.name.as_str(), volume.secret.as_ref()?)))
            .collect();
        let ingestor = pod.init_containers.as_ref().unwrap()[0].volume_mounts.as_ref().unwrap();
        for file in resource.spec.secret_files() {
            let secret = mounted.values().find(|secret| secret.secret_name.as_ref() == Some(&file.secret)).unwrap();
            prop_assert_eq!(secret.optional, Some(true));
            prop_assert!(secret.items.iter().flatten().any(|item| item.key == file.key && item.path == file.key));
            let folder = format!("/etc/meshcore/secrets/{}", file.secret);
            prop_assert!(ingestor.iter().any(|mount| mount.mount_path == folder && mount.read_only == Some(true)));
        }
        let server = pod.containers[0].volume_mounts.as_ref().unwrap();
        prop_assert!(server.iter().all(|mount| !mounted.contains_key(mount.name.as_str())));
        prop_assert!(objects(&bundle).iter().all(|object| object["kind"] != "Secret"));
    }
}
