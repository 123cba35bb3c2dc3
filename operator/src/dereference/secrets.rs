//! Whether the Secrets that a resource names are there, with the keys that it names. Their values are never kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use meshcore_resource::MeshCoreDeployment;
use tokio::time::Instant;

use crate::api::{ApiError, Objects, Trouble};
use crate::controller::{Memory, SecretsSeen};
use crate::problem::Problem;
use crate::status::Reason;

/// How long a complete set of Secrets is believed in: almost as long as the shortest usual time between resyncs, so
/// that each of those looks again.
const COMPLETE: Duration = Duration::from_mins(4);
/// How long an incomplete one is: somebody may be about to make what is missing.
const INCOMPLETE: Duration = Duration::from_secs(20);

/// What is missing. Asked of the API server when the resource has changed or the last answer is old.
pub(super) async fn check(
    objects: &Objects<'_>,
    resource: &MeshCoreDeployment,
    memory: &mut Memory,
) -> Result<Vec<Problem>, ApiError> {
    let generation = resource.metadata.generation;
    if let Some(seen) = memory
        .secrets
        .as_ref()
        .filter(|seen| is_fresh(seen, generation))
    {
        return Ok(seen.problems.clone());
    }
    let mut problems = Vec::new();
    for (secret, wanted) in wanted(resource) {
        problems.extend(missing(objects, &secret, &wanted).await?);
    }
    memory.secrets = Some(SecretsSeen {
        generation,
        at: Instant::now(),
        problems: problems.clone(),
    });
    Ok(problems)
}

fn is_fresh(seen: &SecretsSeen, generation: Option<i64>) -> bool {
    let lasts = if seen.problems.is_empty() {
        COMPLETE
    } else {
        INCOMPLETE
    };
    seen.generation == generation && seen.at.elapsed() < lasts
}

/// What a Secret is wanted for: its keys, and the fields that name it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    keys: BTreeSet<String>,
    fields: BTreeSet<String>,
}

fn wanted(resource: &MeshCoreDeployment) -> BTreeMap<String, Wanted> {
    let mut secrets = BTreeMap::<String, Wanted>::new();
    for file in resource.spec.secret_files() {
        let wanted = secrets.entry(file.secret).or_default();
        wanted.keys.insert(file.key);
        wanted.fields.insert(file.field);
    }
    secrets
}

async fn missing(
    objects: &Objects<'_>,
    secret: &str,
    wanted: &Wanted,
) -> Result<Option<Problem>, ApiError> {
    match objects.secret_keys(secret).await {
        Ok(keys) => Ok(wanted.problem(objects.namespace(), secret, keys.as_ref())),
        Err(error) => match error.trouble() {
            Trouble::Lasting(problem) => Ok(Some(problem)),
            Trouble::Passing => Err(error),
        },
    }
}

impl Wanted {
    fn problem(
        &self,
        namespace: &str,
        secret: &str,
        keys: Option<&BTreeSet<String>>,
    ) -> Option<Problem> {
        let joined =
            |texts: &BTreeSet<String>| texts.iter().cloned().collect::<Vec<_>>().join(", ");
        let fields = joined(&self.fields);
        let message = match keys {
            None => format!(
                "Secret {namespace}/{secret} of {fields} does not exist; create it with {}. The pod takes it up \
                 without a restart",
                joined(&self.keys)
            ),
            Some(keys) if self.keys.is_subset(keys) => return None,
            Some(keys) => {
                let lacking = self.keys.difference(keys).cloned().collect();
                format!(
                    "Secret {namespace}/{secret} of {fields} lacks {}; add it. The pod takes it up without a restart",
                    joined(&lacking)
                )
            }
        };
        Some(Problem::new(Reason::SecretMissing, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> BTreeSet<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    fn credentials() -> Wanted {
        Wanted {
            keys: set(&["password", "username"]),
            fields: set(&["spec.mqttSources[0].credentialsSecretRef"]),
        }
    }

    #[test]
    fn a_missing_secret_is_named_with_its_field_and_its_keys() {
        let problem = credentials().problem("ns", "broker", None).unwrap();
        for part in [
            "ns/broker",
            "spec.mqttSources[0].credentialsSecretRef",
            "password, username",
        ] {
            assert!(problem.message.contains(part), "{problem}");
        }
    }

    #[test]
    fn only_the_keys_that_lack_are_named() {
        let problem = credentials().problem("ns", "broker", Some(&set(&["username", "other"])));
        let message = problem.unwrap().message;
        assert!(message.contains("lacks password;"), "{message}");
        let complete = set(&["password", "username", "other"]);
        assert_eq!(credentials().problem("ns", "broker", Some(&complete)), None);
    }
}
