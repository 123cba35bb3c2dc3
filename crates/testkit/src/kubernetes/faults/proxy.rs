//! The proxy itself: TLS to the program, with the API server's own certificate, and TLS to the API server.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::Result;
use bytes::Bytes;
use futures::future::pending;
use http::{HeaderValue, Request, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use kube::{Client, Config};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::plan::{Fate, Moment, Plan};
use super::request::RequestInfo;
use super::status::status;
use super::watch::{End, Failure, cut};
use crate::kubernetes::access::Access;

/// A request that came, and what was to become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The request.
    pub request: RequestInfo,
    /// What was planned for it.
    pub fate: Fate,
}

/// A proxy that stands between programs and the API server; it ends with this value.
///
/// It has a thread of its own, so it works also while the runtime of a test is blocked.
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    plan: Mutex<Arc<dyn Plan>>,
    seen: Mutex<Vec<Seen>>,
    count: AtomicU64,
    upstream: Config,
    tls: TlsAcceptor,
}

type Answer = Response<UnsyncBoxBody<Bytes, Failure>>;

impl FaultProxy {
    /// Starts a proxy before the API server that `access` leads to. Who asks is known by the token that comes with
    /// each request: the proxy adds none.
    pub async fn start(access: &Access, plan: impl Plan) -> Result<Self> {
        let mut upstream = access.config().await?;
        upstream.auth_info = kube::config::AuthInfo::default();
        // What the API server says is passed on as it is.
        upstream.default_retry = false;
        let shared = Arc::new(Shared {
            plan: Mutex::new(Arc::new(plan)),
            seen: Mutex::default(),
            count: AtomicU64::new(0),
            upstream,
            tls: acceptor(&access.folder)?,
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let work = run(listener, Arc::clone(&shared), stop.clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::spawn(move || runtime.block_on(work));
        Ok(Self {
            address,
            shared,
            stop,
            thread: Some(thread),
        })
    }

    /// The same somebody's way through this proxy.
    ///
    /// # Errors
    /// When it proves itself by a certificate, which a proxy can't pass on.
    pub fn access(&self, access: &Access) -> Result<Access> {
        access.through(&format!("https://{}", self.address))
    }

    /// Decides otherwise from the next request on.
    pub fn set_plan(&self, plan: impl Plan) {
        *lock(&self.shared.plan) = Arc::new(plan);
    }

    /// Spoils nothing more. What hangs already goes on hanging.
    pub fn calm(&self) {
        self.set_plan(|_: &RequestInfo| Fate::Pass);
    }

    /// How many requests have come.
    pub fn count(&self) -> u64 {
        self.shared.count.load(Ordering::SeqCst)
    }

    /// All requests that have come, in the order in which they came.
    pub fn seen(&self) -> Vec<Seen> {
        let mut seen = lock(&self.shared.seen).clone();
        seen.sort_by_key(|seen| seen.request.number);
        seen
    }

    /// How many requests of each verb have come.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for seen in lock(&self.shared.seen).iter() {
            *counts.entry(seen.request.verb).or_default() += 1;
        }
        counts
    }

    /// How many requests have been spoiled.
    pub fn faults(&self) -> usize {
        let seen = lock(&self.shared.seen);
        seen.iter().filter(|seen| seen.fate != Fate::Pass).count()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // It panicked, which its own message has told.
            drop(thread.join());
        }
    }
}

async fn run(listener: std::net::TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let listener = TcpListener::from_std(listener).expect("a runtime is there");
    let client = Client::try_from(shared.upstream.clone()).expect("the admin's client works too");
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        if let Ok((stream, _)) = accepted {
            tokio::spawn(serve(stream, client.clone(), Arc::clone(&shared)));
        }
    }
}

async fn serve(stream: TcpStream, client: Client, shared: Arc<Shared>) {
    // Events of a watch go out one by one.
    drop(stream.set_nodelay(true));
    let Ok(stream) = shared.tls.accept(stream).await else {
        return;
    };
    let service = service_fn(|request| shared.answer(client.clone(), request));
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // A connection that breaks is what the proxy is for.
    drop(connection.await);
}

/// Ends TLS as the API server would. A kubeconfig with plain HTTP would do for kube, but client-go sends no tokens
/// there.
fn acceptor(folder: &Path) -> Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(folder.join("server.crt"))?;
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key"))?;
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain.collect::<Result<_, _>>()?, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl Shared {
    /// An error closes the connection.
    async fn answer(&self, client: Client, request: Request<Incoming>) -> Result<Answer, Failure> {
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let info = RequestInfo::read(number, &request);
        let plan = Arc::clone(&lock(&self.plan));
        let fate = plan.fate(&info);
        lock(&self.seen).push(Seen {
            request: info.clone(),
            fate,
        });
        plan.observe(&info, Moment::Arrived);
        match fate {
            Fate::Status { code, retry_after } => return refusal(code, retry_after),
            Fate::DropBefore => return Err("a fault of the tests: not passed on".into()),
            Fate::Hang => pending().await,
            Fate::Delay(time) => tokio::time::sleep(time).await,
            _ => {}
        }
        let answer = pass_on(client, request).await?;
        plan.observe(&info, Moment::Executed);
        match fate {
            Fate::DropAfter => Err("a fault of the tests: not answered".into()),
            Fate::HangAfter => pending().await,
            Fate::CutWatchAfter(count) => Ok(watch_of(answer, count, End::Broken)),
            Fate::ExpireWatchAfter(count) => Ok(watch_of(answer, count, End::Expired)),
            Fate::EndWatchAfter(count) => Ok(watch_of(answer, count, End::Orderly)),
            _ => Ok(answer.map(|body| body.map_err(Failure::from).boxed_unsync())),
        }
    }
}

async fn pass_on(client: Client, request: Request<Incoming>) -> Result<Response<Body>, Failure> {
    let (mut head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    // They are about the connection to the program.
    for name in [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING] {
        head.headers.remove(name);
    }
    let request = Request::from_parts(head, Body::from(body));
    let mut answer = client.send(request).await?;
    answer.headers_mut().remove(header::CONNECTION);
    Ok(answer)
}

fn watch_of(answer: Response<Body>, count: usize, end: End) -> Answer {
    answer.map(|body| cut(body, count, end).boxed_unsync())
}

fn refusal(code: u16, retry_after: Option<u32>) -> Result<Answer, Failure> {
    let body = Full::from(status(code).to_string()).map_err(|never| match never {});
    let mut answer = Response::builder()
        .status(code)
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.boxed_unsync())?;
    if let Some(seconds) = retry_after {
        let seconds = HeaderValue::from(seconds);
        answer.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    Ok(answer)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
