//! From one side to the other.

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};

/// Connects whoever comes with a new connection to the other side, for ever.
///
/// # Errors
/// When nobody can come any more.
pub(crate) async fn forward<From, To>(
    mut accept: impl AsyncFnMut() -> Result<From>,
    connect: impl AsyncFn() -> Result<To>,
) -> Result<()>
where
    From: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    To: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    loop {
        let mut from = accept().await?;
        // Who can't be connected is closed.
        if let Ok(mut to) = connect().await {
            tokio::spawn(async move { copy_bidirectional(&mut from, &mut to).await.is_ok() });
        }
    }
}
