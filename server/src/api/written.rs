//! Answers that take a while to write.

use axum::response::Response;
use tokio::task::spawn_blocking;

use crate::database::ReaderGuard;

/// Writes the answer that `write` makes of what `reader` has read, beside the runtime.
///
/// A worker of the runtime asks for news of its sockets only once in many tasks. Where each task writes a list of a
/// thousand packets, that is seconds on a small machine, and `/health` would wait for them. The reader comes back when
/// the answer is written, so no more are written at a time than there are readers.
pub(super) async fn written(
    reader: ReaderGuard,
    write: impl FnOnce() -> Response + Send + 'static,
) -> Response {
    let writing = spawn_blocking(move || {
        let answer = write();
        drop(reader);
        answer
    });
    match writing.await {
        Ok(answer) => answer,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    use meshcore_store::{Reader, Store, StoreOptions};

    use super::*;
    use crate::database::{Database, Pool};

    /// In a runtime of one thread.
    #[tokio::test]
    async fn others_go_on_while_an_answer_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let options = StoreOptions {
            ballast_bytes: 0,
            ..StoreOptions::new(&path, "a test")
        };
        let (_store, _) = Store::open(options).await.unwrap();
        let database = Database::default();
        database.set(Pool::new(path.clone(), Reader::open(&path).await.unwrap()));

        let (go_on, told) = mpsc::channel();
        let writing = written(database.reader().await.unwrap(), move || {
            let told = told.recv_timeout(Duration::from_secs(20));
            told.map_or(StatusCode::INTERNAL_SERVER_ERROR, |()| StatusCode::OK)
                .into_response()
        });
        let other = async { go_on.send(()).unwrap() };
        let (answer, ()) = tokio::join!(writing, other);
        assert_eq!(answer.status(), StatusCode::OK);
        database.close().await;
    }
}
