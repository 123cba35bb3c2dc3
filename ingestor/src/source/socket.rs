//! A TCP connection that writes in large pieces and ends politely.
//!
//! **Gathering.** The MQTT client flushes after each acknowledgement. That would be a system call and a packet of
//! four bytes for each message, and wake the broker for each. So what is written is gathered here and leaves when
//! the client reads next, which it does when it has nothing more to write, or when there is enough of it.
//!
//! **Farewell.** Closing a socket with unread bytes in it resets the connection, and what was written last
//! (acknowledgements, DISCONNECT) may never leave. So when the MQTT client lets go of the socket, what was
//! gathered is sent, and the socket is shut down for writing and read to its end first.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use rumqttc_v5::NetworkOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

/// How long the other side may take to close.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many bytes are gathered at most: two thousand acknowledgements.
const GATHER: usize = 8 * 1024;

/// A connected socket; `farewells` tracks its polite end.
pub(super) struct Socket {
    stream: Option<TcpStream>,
    gathered: BytesMut,
    farewells: TaskTracker,
}

/// Connects to `address` (host and port).
pub(super) async fn connect(
    address: String,
    network: NetworkOptions,
    farewells: TaskTracker,
) -> io::Result<Socket> {
    let stream = rumqttc_v5::default_socket_connect(address, network).await?;
    Ok(Socket::new(stream, farewells))
}

impl Socket {
    fn new(stream: TcpStream, farewells: TaskTracker) -> Self {
        Self {
            stream: Some(stream),
            gathered: BytesMut::with_capacity(GATHER),
            farewells,
        }
    }

    /// The stream, which is there until the socket is dropped.
    fn stream(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.stream.as_mut().expect("taken only when dropped"))
    }

    /// Sends what was gathered.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathered = std::mem::take(&mut self.gathered);
        let sent = loop {
            if gathered.is_empty() {
                break Poll::Ready(Ok(()));
            }
            match self.stream().poll_write(context, &gathered) {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => gathered.advance(count),
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        self.gathered = gathered;
        sent
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Without a runtime the process is past caring.
        if let (Some(stream), Ok(runtime)) =
            (self.stream.take(), tokio::runtime::Handle::try_current())
        {
            let last_words = std::mem::take(&mut self.gathered);
            self.farewells.spawn_on(
                tokio::time::timeout(PATIENCE, say_farewell(stream, last_words)),
                &runtime,
            );
        }
    }
}

/// Sends what is left and waits for the other side to close. A connection that is broken has ended already.
async fn say_farewell(mut stream: TcpStream, last_words: BytesMut) -> io::Result<()> {
    stream.write_all(&last_words).await?;
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
        // A broker that takes nothing in does not keep us from reading.
        if let Poll::Ready(sent) = self.poll_send(context) {
            sent?;
        }
        self.stream().poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.gathered.len() >= GATHER {
            ready!(self.poll_send(context))?;
        }
        let count = bytes.len().min(GATHER - self.gathered.len());
        self.gathered.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    /// Does nothing: what was gathered leaves with the next read.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        self.stream().poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (
            Socket::new(near.unwrap(), TaskTracker::new()),
            far.unwrap().0,
        )
    }

    /// Writes as the MQTT client does.
    async fn write_acks(socket: &mut Socket, count: usize) {
        for _ in 0..count {
            socket.write_all(&[0x40, 2, 0, 7]).await.unwrap();
            socket.flush().await.unwrap();
        }
    }

    #[tokio::test]
    async fn acknowledgements_leave_together_when_the_client_reads_next() {
        let (mut socket, mut far) = pair().await;
        write_acks(&mut socket, 100).await;
        let mut buffer = [0; 1_000];
        let early = far.try_read(&mut buffer).unwrap_err();
        assert_eq!(early.kind(), io::ErrorKind::WouldBlock);

        let reading = tokio::spawn(async move { socket.read(&mut [0; 8]).await });
        far.readable().await.unwrap();
        assert_eq!(far.try_read(&mut buffer).unwrap(), 400);
        far.write_all(b"pong").await.unwrap();
        assert_eq!(reading.await.unwrap().unwrap(), 4);
    }

    #[tokio::test]
    async fn much_that_is_written_does_not_wait_for_a_read() {
        let (mut socket, mut far) = pair().await;
        write_acks(&mut socket, GATHER / 4 + 1).await;
        let mut buffer = vec![0; GATHER];
        far.read_exact(&mut buffer).await.unwrap();
        assert_eq!(socket.gathered.len(), 4);
    }

    #[tokio::test]
    async fn nothing_is_lost_and_memory_is_bounded_when_the_other_side_takes_nothing_in() {
        let (mut socket, mut far) = pair().await;
        let sent: Vec<u8> = (0..16 * 1024 * 1024_u32)
            .map(|n| n.to_le_bytes()[1])
            .collect();
        let expected = sent.clone();
        let writing = tokio::spawn(async move {
            socket.write_all(&sent).await.unwrap();
            assert!(socket.gathered.capacity() <= 2 * GATHER);
            socket
        });
        let mut received = vec![0; expected.len() - GATHER];
        far.read_exact(&mut received).await.unwrap();
        drop(writing.await.unwrap());
        far.read_to_end(&mut received).await.unwrap();
        assert!(received == expected);
    }

    #[tokio::test]
    async fn what_was_gathered_leaves_when_the_client_lets_go() {
        let (mut socket, mut far) = pair().await;
        let farewells = socket.farewells.clone();
        write_acks(&mut socket, 3).await;
        // Unread bytes, which would turn the close into a reset.
        far.write_all(b"unread").await.unwrap();
        drop(socket);
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.unwrap();
        assert_eq!(received.len(), 12);
        drop(far);
        farewells.close();
        farewells.wait().await;
    }
}
