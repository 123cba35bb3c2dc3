//! Everything that runs, in the order in which it starts and stops.

mod finale;
mod ready;
mod setting;

use std::io;
use std::time::{Duration, Instant};

use meshcore_config::BrokerUrl;
use meshcore_resource::MeshCoreDeployment;
use meshcore_resource::programs::Places;
use meshcore_simulator::Simulation;
use tokio::time::sleep;

use super::broker::EmbeddedBroker;
use super::demo::Demo;
use super::health;
use super::output::{Output, Who};
use super::plan::{BrokerWish, Plan, embedded_source};
use super::program::Program;
use super::report;
use super::sources::Sources;
use super::supervisor::{Refused, Supervised};
use ready::until_ready;
use setting::{Addresses, Binaries, Lifelines, write_config};

/// How often a program that starts is asked whether it is ready.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// How often the sources are looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Why it is over.
pub(super) enum Ending {
    /// Somebody asked.
    Asked,
    /// A program can't work with this configuration or database.
    Refused {
        program: &'static str,
        refused: Refused,
    },
    /// The embedded broker has ended by itself.
    BrokerGone,
}

/// What is to run and what runs.
pub(super) struct Stage {
    output: Output,
    resource: MeshCoreDeployment,
    places: Places,
    addresses: Addresses,
    binaries: Binaries,
    lifelines: Lifelines,
    broker: Option<EmbeddedBroker>,
    /// The source that listens to the embedded broker.
    embedded: Option<String>,
    simulation: Option<Simulation>,
    ingestor: Option<Supervised>,
    server: Option<Supervised>,
    demo: Option<Demo>,
    began: Instant,
}

impl Stage {
    /// Looks whether everything is there, starts the embedded broker, and writes the ingestor's configuration.
    pub(super) async fn set(plan: Plan, output: Output) -> anyhow::Result<Self> {
        let Plan {
            mut resource,
            data,
            secrets,
            server,
            ingestor,
            broker,
            demo,
            notes,
        } = plan;
        let binaries = Binaries::find()?;
        let addresses = Addresses::reserve(server, ingestor)?;
        for note in notes {
            output.say(Who::Up, &note).await;
        }
        let mut embedded = None;
        let broker = match broker {
            None => None,
            Some(BrokerWish { port, source }) => {
                let broker = EmbeddedBroker::start(port).await?;
                let sources = &mut resource.spec.mqtt_sources;
                sources.push(embedded_source(&source, broker.url()));
                embedded = Some(source);
                Some(broker)
            }
        };
        let places = Places {
            db: data.join("meshcore.db"),
            config: data.join("ingestor.json"),
            secrets,
            ingestor_address: addresses.ingestor.to_string(),
            server_address: addresses.server.to_string(),
        };
        write_config(&places, &resource)?;
        Ok(Self {
            output,
            resource,
            places,
            addresses,
            binaries,
            lifelines: Lifelines::new()?,
            broker,
            embedded,
            simulation: demo,
            ingestor: None,
            server: None,
            demo: None,
            began: Instant::now(),
        })
    }

    /// Starts everything and looks after it; ends only when something is wrong.
    ///
    /// # Cancel safety
    /// What was started is kept, and [`Self::clear`] stops it.
    pub(super) async fn play(&mut self) -> Ending {
        self.announce_broker().await;
        self.addresses.reserved.clear();
        let ingestor = match self.ingestor_program() {
            Ok(program) => program,
            Err(error) => return unusable("ingestor", &error),
        };
        let ingestor = Supervised::start(ingestor, self.output.clone());
        let ingestor = self.ingestor.insert(ingestor);
        if let Err(ending) = until_ready(ingestor, self.addresses.ingestor, &self.output).await {
            return ending;
        }
        let server = match self.server_program() {
            Ok(program) => program,
            Err(error) => return unusable("server", &error),
        };
        let server = Supervised::start(server, self.output.clone());
        let server = self.server.insert(server);
        if let Err(ending) = until_ready(server, self.addresses.server, &self.output).await {
            return ending;
        }
        self.announce().await;
        self.look_after().await
    }

    async fn announce_broker(&self) {
        if let Some(broker) = &self.broker {
            let line = format!(
                "An embedded broker (MQTT 3.1.1) listens on {}; feeders of this machine can publish there. \
                 Nothing in it survives its exit",
                broker.url()
            );
            self.output.say(Who::Broker, &line).await;
        }
    }

    async fn announce(&self) {
        let server = health::reachable(self.addresses.server);
        let ingestor = health::reachable(self.addresses.ingestor);
        let name = self.resource.name();
        let text = format!(
            "{name} runs, after {}\n  \
               counters   http://{server}/api/stats\n  \
               live feed  ws://{server}/ws\n  \
               health     http://{ingestor}/health/ready\n  \
               sources    http://{ingestor}/sources\n  \
               metrics    http://{ingestor}/metrics\n  \
               data       {}\n\
             Ctrl-C stops everything",
            report::seconds(self.began.elapsed()),
            self.places.db.display(),
        );
        self.output.say(Who::Up, &text).await;
    }

    /// Says what becomes of the sources, and starts the demo as soon as somebody listens to it.
    async fn look_after(&mut self) -> Ending {
        let mut sources = Sources::default();
        let mut lives = 0;
        let mut wait = Duration::ZERO;
        loop {
            tokio::select! {
                () = sleep(wait) => {}
                reason = broker_ended(&mut self.broker) => {
                    let line = format!("The embedded broker has ended: {reason}");
                    self.output.say(Who::Up, &line).await;
                    return Ending::BrokerGone;
                }
                reason = demo_ended(&mut self.demo) => {
                    self.demo = None;
                    let line = format!("The simulated mesh has ended: {reason}");
                    self.output.say(Who::Up, &line).await;
                }
            }
            wait = if self.simulation.is_some() {
                ASK_AGAIN
            } else {
                LOOK_AGAIN
            };
            let lives_now = self.ingestor.as_ref().map_or(0, Supervised::lives);
            if std::mem::replace(&mut lives, lives_now) != lives_now {
                sources.restart();
            }
            let Some(states) = health::sources(self.addresses.ingestor).await else {
                continue;
            };
            for line in sources.observe(&states, Instant::now()) {
                self.output.say(Who::Up, &line).await;
            }
            if self
                .embedded
                .as_ref()
                .is_some_and(|source| sources.is_connected(source))
            {
                self.start_demo();
            }
        }
    }

    fn start_demo(&mut self) {
        if let (Some(simulation), Some(broker)) = (self.simulation.take(), &self.broker)
            && let Ok(url) = BrokerUrl::parse(&broker.url())
        {
            self.demo = Some(Demo::start(simulation, url, self.output.clone()));
        }
    }

    fn ingestor_program(&self) -> io::Result<Program> {
        let shutdown = &self.resource.spec.shutdown;
        Ok(Program {
            who: Who::Ingestor,
            binary: self.binaries.ingestor.clone(),
            env: self.resource.ingestor_env(&self.places),
            lifeline: self.lifelines.ingestor.0.try_clone()?,
            holds: None,
            patience: shutdown.ingestor_deadline() + self.margin(),
        })
    }

    fn server_program(&self) -> io::Result<Program> {
        let shutdown = &self.resource.spec.shutdown;
        Ok(Program {
            who: Who::Server,
            binary: self.binaries.server.clone(),
            env: self.resource.server_env(&self.places),
            lifeline: self.lifelines.server.0.try_clone()?,
            // So the ingestor outlives the server even when nobody is left to tell them to stop.
            holds: Some(self.lifelines.ingestor.1.try_clone()?),
            patience: shutdown.server_deadline() + self.margin(),
        })
    }

    fn margin(&self) -> Duration {
        Duration::from_secs(self.resource.spec.shutdown.margin_seconds.into())
    }
}

async fn broker_ended(broker: &mut Option<EmbeddedBroker>) -> String {
    match broker {
        Some(broker) => broker.ended().await,
        None => std::future::pending().await,
    }
}

async fn demo_ended(demo: &mut Option<Demo>) -> String {
    match demo {
        Some(demo) => demo.ended().await,
        None => std::future::pending().await,
    }
}

fn unusable(program: &'static str, error: &io::Error) -> Ending {
    Ending::Refused {
        program,
        refused: Refused {
            code: meshcore_lifecycle::exit_code::FAILED,
            sentence: error.to_string(),
        },
    }
}
