//! The same of a real API server, and what else it makes of the definition.

use anyhow::{Context, Result, bail};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::Client;
use meshcore_testkit::kubernetes::ControlPlane;
use serde_json::{Value, json};

use crate::cel::{is_of_cel, schema, sentences};
use crate::offline::violation;
use crate::table::{Rule, base, rules};

/// What an API server says against an object: where, and what.
type Refusal = Vec<(String, String)>;

/// A namespace of an API server that serves the resource.
struct Server {
    client: Client,
    resources: String,
}

impl Server {
    async fn of(plane: &ControlPlane, namespace: &str) -> Result<Self> {
        plane.install_crds(&meshcore_resource::crd_yaml()).await?;
        let path = "/apis/meshcore.dev/v1alpha1/namespaces";
        Ok(Self {
            client: plane.client().await?,
            resources: format!("{path}/{namespace}/meshcoredeployments"),
        })
    }

    async fn request(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<Result<Value, Status>> {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.resources))
            .header("content-type", "application/json")
            .body(body.to_string().into_bytes())?;
        match self.client.request::<Value>(request).await {
            Ok(value) => Ok(Ok(value)),
            Err(kube::Error::Api(status)) => {
                let status = serde_json::to_value(*status)?;
                Ok(Err(serde_json::from_value(status)?))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn must(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let answer = self.request(method, path, body).await?;
        answer.map_err(|status| anyhow::anyhow!("{method} {path} {body}: {status:?}"))
    }

    /// Whether the object could be created, as `kubectl` asks: unknown fields are errors.
    async fn create(&self, object: &Value) -> Result<Refusal> {
        let query = "?dryRun=All&fieldValidation=Strict";
        refusal(self.request("POST", query, object).await?)
    }

    /// Whether the object could replace the one that there is.
    async fn replace(&self, old: &Value, new: &Value) -> Result<Refusal> {
        let mut new = new.clone();
        let version = &old["metadata"]["resourceVersion"];
        new["metadata"]["resourceVersion"] = version.clone();
        let path = "/bay-area?dryRun=All&fieldValidation=Strict";
        refusal(self.request("PUT", path, &new).await?)
    }

    /// What it says of both objects of a rule.
    async fn answers(&self, rule: &Rule) -> Result<(Refusal, Refusal)> {
        let Some(old) = rule.old() else {
            return Ok((
                self.create(&rule.good()).await?,
                self.create(&rule.bad()).await?,
            ));
        };
        let mut is = self.must("POST", "", &old).await?;
        if let Some(status) = old.get("status") {
            is["status"] = status.clone();
            is = self.must("PUT", "/bay-area/status", &is).await?;
        }
        let good = self.replace(&is, &rule.good()).await?;
        let bad = self.replace(&is, &rule.bad()).await?;
        self.must("DELETE", "/bay-area", &json!({})).await?;
        Ok((good, bad))
    }
}

fn refusal(answer: Result<Value, Status>) -> Result<Refusal> {
    let Err(status) = answer else {
        return Ok(Vec::new());
    };
    let message = status.message.unwrap_or_default();
    let causes = status.details.and_then(|details| details.causes);
    let causes = causes.into_iter().flatten().map(|cause| {
        let field = cause.field.unwrap_or_default();
        (field, cause.message.unwrap_or_default())
    });
    let mut refusal: Refusal = causes.collect();
    // Unknown fields have no causes, only a sentence.
    for part in message.split("unknown field \"").skip(1) {
        let field = part.split('"').next().context("a closing quote")?;
        refusal.push((field.to_owned(), "unknown field".to_owned()));
    }
    if refusal.is_empty() {
        bail!("refused without a cause: {message}");
    }
    Ok(refusal)
}

/// Whether the refusal names the field, and says the sentence if it is that of a rule in CEL. Rules in CEL are not
/// asked when the shape or a length is wrong, which the refusal says then.
fn is_same(refusal: &Refusal, path: &str, sentence: Option<&str>) -> bool {
    let is_cut = |message: &String| message.contains("some validation rules were not checked");
    let sentence = sentence.filter(|_| !refusal.iter().any(|(_, message)| is_cut(message)));
    refusal.iter().any(|(field, message)| {
        let says = sentence.is_none_or(|sentence| message.contains(sentence));
        is_same_field(field, path) && says
    })
}

/// The key of a map stands in brackets where CEL refuses the value, and behind a dot where the schema does.
fn is_same_field(field: &str, path: &str) -> bool {
    let with_dot = path
        .strip_suffix(']')
        .and_then(|path| path.rsplit_once('['));
    let with_dot = with_dot.map(|(map, key)| format!("{map}.{key}"));
    field == path || with_dot.is_some_and(|path| field == path)
}

#[tokio::test]
async fn the_api_server_gives_the_same_answers() -> Result<()> {
    let Some(plane) = ControlPlane::shared() else {
        return Ok(());
    };
    let namespace = plane.namespace().await?;
    let server = Server::of(plane, namespace.name()).await?;
    let sentences = sentences(&schema());
    let mut wrong = Vec::new();
    for (line, rule) in rules().filter(|(_, rule)| rule.only.is_none()) {
        let (good, bad) = server.answers(&rule).await.context(line)?;
        let violation = violation(&rule).context(line)?;
        let sentence = is_of_cel(&sentences, &violation.message).then_some(&*violation.message);
        if !good.is_empty() || !is_same(&bad, &rule.path, sentence) {
            wrong.push(format!(
                "{line}\n  good: {good:?}\n  bad: {bad:?}\n  in Rust: {violation}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn a_password_in_an_address_is_not_repeated() -> Result<()> {
    let Some(plane) = ControlPlane::shared() else {
        return Ok(());
    };
    let namespace = plane.namespace().await?;
    let server = Server::of(plane, namespace.name()).await?;
    for broker in ["mqtt://me:hunter2@broker", "hunter2", "wss://b/hunter2 x"] {
        let mut object = base();
        object["spec"]["mqttSources"][0]["broker"] = broker.into();
        let refusal = server.create(&object).await?;
        assert!(
            !refusal.is_empty() && !format!("{refusal:?}").contains("hunter2"),
            "{refusal:?}"
        );
    }
    Ok(())
}
