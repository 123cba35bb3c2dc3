//! A TCP connection that ends politely. Closing a socket with unread bytes in it resets the connection, and
//! what was written last (acknowledgements, DISCONNECT) may never leave. So when the MQTT client lets go of
//! the socket, it is shut down for writing and read to its end first.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rumqttc_v5::NetworkOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

/// How long the other side may take to close.
const PATIENCE: Duration = Duration::from_secs(2);

/// A connected socket; `farewells` tracks its polite end.
pub(super) struct Socket {
    stream: Option<TcpStream>,
    farewells: TaskTracker,
}

/// Connects to `address` (host and port).
pub(super) async fn connect(
    address: String,
    network: NetworkOptions,
    farewells: TaskTracker,
) -> io::Result<Socket> {
    let stream = rumqttc_v5::default_socket_connect(address, network).await?;
    Ok(Socket {
        stream: Some(stream),
        farewells,
    })
}

impl Socket {
    /// The stream, which is there until the socket is dropped.
    fn stream(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.stream.as_mut().expect("taken only when dropped"))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Without a runtime the process is past caring.
        if let (Some(stream), Ok(runtime)) =
            (self.stream.take(), tokio::runtime::Handle::try_current())
        {
            self.farewells.spawn_on(
                tokio::time::timeout(PATIENCE, say_farewell(stream)),
                &runtime,
            );
        }
    }
}

/// Sends what is left and waits for the other side to close. A connection that is broken has ended already.
async fn say_farewell(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut unread = vec![0; 16 * 1024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}
