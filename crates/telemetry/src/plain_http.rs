//! One GET without TLS, to a program of ours.

use axum::http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// More than any answer that is asked for: the longest is the state of all sources of an ingestor.
pub const MAX_BYTES: usize = 256 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// Nobody listens there.
    #[error("no connection")]
    Connect(#[from] std::io::Error),
    /// Whoever listens speaks something else, or went away.
    #[error("no answer")]
    Http(#[from] hyper::Error),
    /// The host and port can't be those of a request.
    #[error("{0} is no host and port")]
    Host(String),
    /// The answer is longer than any that is asked for, or breaks off.
    #[error("the answer has no end")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// `GET path` from `host`, such as `10.0.0.7:8081`: the status and the body.
///
/// # Errors
/// When there is no whole answer. It has no time-out of its own.
pub async fn get(host: &str, path: &str) -> Result<(StatusCode, Bytes), HttpError> {
    let stream = TcpStream::connect(host).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(header::HOST, host)
        .body(Empty::<Bytes>::new())
        .map_err(|_| HttpError::Host(host.to_owned()))?;
    let answer = async {
        let response = sender.send_request(request).await?;
        Ok((response.status(), read(response.into_body()).await?))
    };
    tokio::pin!(answer);
    // The connection has to be driven for the answer to come; no task is left behind when either ends.
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => {
            ended?;
            answer.await
        }
    }
}

async fn read(body: Incoming) -> Result<Bytes, HttpError> {
    let body = Limited::new(body, MAX_BYTES).collect().await;
    Ok(body.map_err(HttpError::Body)?.to_bytes())
}
