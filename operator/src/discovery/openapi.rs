//! Requests to `/openapi/v3`.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::Client;
use kube::client::Body;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// More than any document of one group and version has.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// What can't be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenApiError {
    /// The request did not get an answer.
    #[error("GET {path}")]
    Request {
        /// The path.
        path: String,
        /// Why.
        source: kube::Error,
    },
    /// The answer is no 200.
    #[error("GET {path} was answered with {status}")]
    Status {
        /// The path.
        path: String,
        /// The answer.
        status: StatusCode,
    },
    /// The answer breaks off, or is too large.
    #[error("the answer to GET {path} has no end")]
    Body {
        /// The path.
        path: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is something else.
    #[error("the answer to GET {path} is not what it should be")]
    Json {
        /// The path.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// Where the document of each group and version is: `apis/apps/v1` at `/openapi/v3/apis/apps/v1?hash=…`.
pub(super) type Documents = BTreeMap<String, String>;

#[derive(Deserialize)]
struct IndexBody {
    paths: BTreeMap<String, IndexEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexEntry {
    #[serde(rename = "serverRelativeURL")]
    server_relative_url: String,
}

/// A document, of which only one schema is looked at: some have megabytes.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    components: Option<Components<'a>>,
}

#[derive(Deserialize)]
struct Components<'a> {
    #[serde(borrow)]
    schemas: HashMap<&'a str, &'a RawValue>,
}

/// The API server's descriptions of what it serves.
#[derive(Clone)]
pub(super) struct OpenApi {
    client: Client,
}

impl std::fmt::Debug for OpenApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenApi").finish_non_exhaustive()
    }
}

impl OpenApi {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// The index.
    pub(super) async fn index(&self) -> Result<Documents, OpenApiError> {
        let path = "/openapi/v3";
        let body = self.get(path).await?;
        let index: IndexBody =
            serde_json::from_slice(&body).map_err(|source| json(path, source))?;
        let paths = index.paths.into_iter();
        Ok(paths
            .map(|(group, entry)| (group, entry.server_relative_url))
            .collect())
    }

    /// A schema of the document at `url`; `None` if it has none of that name.
    pub(super) async fn schema(
        &self,
        url: &str,
        name: &str,
    ) -> Result<Option<Value>, OpenApiError> {
        let body = self.get(url).await?;
        let document: Document<'_> =
            serde_json::from_slice(&body).map_err(|source| json(url, source))?;
        let schemas = document.components.map(|components| components.schemas);
        let schema = schemas.and_then(|schemas| schemas.get(name).copied());
        schema
            .map(|schema| serde_json::from_str(schema.get()).map_err(|source| json(url, source)))
            .transpose()
    }

    async fn get(&self, path: &str) -> Result<Bytes, OpenApiError> {
        let failed = |source| OpenApiError::Request {
            path: path.to_owned(),
            source,
        };
        let request = Request::get(path)
            .header(header::ACCEPT, "application/json")
            .body(Body::empty())
            .map_err(|error| failed(kube::Error::HttpError(error)))?;
        let response = self.client.send(request).await.map_err(failed)?;
        let status = response.status();
        if status != StatusCode::OK {
            let path = path.to_owned();
            return Err(OpenApiError::Status { path, status });
        }
        let body = Limited::new(response.into_body(), MAX_BYTES)
            .collect()
            .await;
        let body = body.map_err(|source| OpenApiError::Body {
            path: path.to_owned(),
            source,
        })?;
        Ok(body.to_bytes())
    }
}

fn json(path: &str, source: serde_json::Error) -> OpenApiError {
    OpenApiError::Json {
        path: path.to_owned(),
        source,
    }
}
