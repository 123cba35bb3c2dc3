//! Running the real `meshcore`, and listening to what it publishes.

use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use meshcore_testkit::{Mosquitto, MosquittoOptions};
use rumqttc_v4::{AsyncClient, Event, MqttOptions, Packet, Publish, QoS};
use tokio::time::timeout;

/// How long anything may take here before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The command with its arguments, not yet started.
pub(crate) fn meshcore(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshcore"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs the command to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    meshcore(args).output().expect("the binary runs")
}

/// What it wrote to standard output.
pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("UTF-8")
}

/// What it wrote to standard error.
pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("UTF-8")
}

/// Presses Ctrl-C.
pub(crate) fn interrupt(child: &Child) {
    let id = child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &id]).status();
    assert!(killed.expect("kill runs").success());
}

/// A broker of this test's own. When mosquitto is missing, the panic says how to install it.
pub(crate) fn mosquitto() -> Mosquitto {
    Mosquitto::start(&MosquittoOptions::default()).expect("a broker")
}

/// A subscriber that hears everything from the moment on at which it was made.
pub(crate) struct Listener {
    _client: AsyncClient,
    event_loop: rumqttc_v4::EventLoop,
}

impl Listener {
    pub(crate) async fn new(broker: &Mosquitto) -> Self {
        let mut options = MqttOptions::new("listener", ("127.0.0.1", broker.port()));
        options.set_max_packet_size(1024 * 1024, 1024 * 1024);
        let (client, mut event_loop) = AsyncClient::builder(options).capacity(10).build();
        client
            .subscribe("#", QoS::AtLeastOnce)
            .await
            .expect("subscribes");
        loop {
            let event = timeout(PATIENCE, event_loop.poll()).await.expect("in time");
            if let Event::Incoming(Packet::SubAck(_)) = event.expect("connected") {
                break;
            }
        }
        Self {
            _client: client,
            event_loop,
        }
    }

    /// The next `count` messages.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Publish> {
        let mut messages = Vec::with_capacity(count);
        while messages.len() < count {
            let event = timeout(PATIENCE, self.event_loop.poll())
                .await
                .expect("in time");
            if let Event::Incoming(Packet::Publish(publish)) = event.expect("connected") {
                messages.push(publish);
            }
        }
        messages
    }
}
