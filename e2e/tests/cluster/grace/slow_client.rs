//! Somebody with a bad line.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What is asked for: 540 kB, where the kernels keep some 200 on the way.
const REQUEST: &str = "GET /api/packets?limit=1000 HTTP/1.1\r\nHost: mesh\r\n\r\n";
/// How many packets there must be for that.
pub(super) const PACKETS: usize = 1000;
/// How much is taken, and how often. Enough not to be given up, which is when the kernel of the server takes nothing for
/// half a minute, and that wants a third of its buffer free; and not so much that it is all over before the tests are.
const SIP: usize = 4096;
const PERIOD: Duration = Duration::from_secs(1);

/// A client that takes a large answer slowly, until it is told to hurry.
pub(super) struct SlowClient {
    hurry: CancellationToken,
    task: JoinHandle<Option<usize>>,
}

impl SlowClient {
    /// Asks `page` (host and port), and has the beginning of the answer.
    pub(super) async fn start(page: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16_384).unwrap();
        let mut stream = socket.connect(page.parse().unwrap()).await.unwrap();
        stream.write_all(REQUEST.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let length = loop {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "it was cut");
            if let Some((head, body)) = split(&answer) {
                break length(&head) - body;
            }
        };
        let hurry = CancellationToken::new();
        let task = tokio::spawn(take(stream, length, hurry.clone()));
        Self { hurry, task }
    }

    /// Takes the rest at once; gives whether all of it comes within this time. Where the pod is gone, nobody is left to
    /// say that nothing more comes.
    pub(super) async fn finish(self, within: Duration) -> bool {
        self.hurry.cancel();
        let taken = tokio::time::timeout(within, self.task).await;
        taken.is_ok_and(|left| left.unwrap() == Some(0))
    }
}

/// The head, and how much of the body there is.
fn split(answer: &[u8]) -> Option<(String, usize)> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    Some((head, answer.len() - end - 4))
}

fn length(head: &str) -> usize {
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    line.unwrap_or_else(|| panic!("no length: {head}"))
        .parse()
        .unwrap()
}

/// Takes the body; gives what was left when the server ended the connection, `None` if it broke it.
async fn take(mut stream: TcpStream, mut left: usize, hurry: CancellationToken) -> Option<usize> {
    let mut part = [0; SIP];
    while left > 0 {
        match stream.read(&mut part).await.ok()? {
            0 => break,
            bytes => left -= bytes,
        }
        // As soon as it is told to hurry, it does.
        hurry.run_until_cancelled(tokio::time::sleep(PERIOD)).await;
    }
    Some(left)
}
