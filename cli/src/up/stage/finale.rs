//! The end of everything, in its order.

use std::time::Instant;

use jiff::Timestamp;
use meshcore_lifecycle::exit_code;

use super::{Ending, Stage};
use crate::stop::Stop;
use crate::up::demo::Demo;
use crate::up::output::Who;
use crate::up::report;
use crate::up::supervisor::Supervised;

impl Stage {
    /// Stops everything in its order, says how it went, and gives the exit code.
    pub(in crate::up) async fn clear(mut self, ending: &Ending, stop: &Stop) -> u8 {
        let began = Timestamp::now();
        let clock = Instant::now();
        let hurry = self.hurry(stop);
        let mut code = match ending {
            Ending::Asked => 0,
            Ending::Refused { refused, .. } => refused.code,
            Ending::BrokerGone => exit_code::FAILED,
        };
        self.output.hurry();
        self.output.say(Who::Up, "Stopping").await;
        let mut lines = Vec::new();
        if let Some(demo) = self.demo.take() {
            lines.push((Who::Demo, demo.stop().await));
        }
        for (program, name) in [
            (self.server.take(), "server"),
            (self.ingestor.take(), "ingestor"),
        ] {
            let Some(program) = program else { continue };
            let who = program.who;
            let end = program.stop().await;
            code = code.max(end.code());
            let report = report::read(&self.places.db, name, began);
            lines.push((who, report::line(end, report.as_ref())));
        }
        if self.broker.take().is_some() {
            lines.push((Who::Broker, "stopped; what it held is gone".to_owned()));
        }
        let took = report::seconds(clock.elapsed());
        self.output
            .say(Who::Up, &format!("Stopped in {took}, in this order:"))
            .await;
        for (who, line) in lines {
            let line = format!("  {:<8}  {line}", who.name());
            self.output.say(Who::Up, &line).await;
        }
        if hurry.is_finished() {
            return hurry.await.unwrap_or(code);
        }
        code
    }

    /// A second signal ends everything at once; gives its exit code.
    fn hurry(&self, stop: &Stop) -> tokio::task::JoinHandle<u8> {
        let programs = self.server.iter().chain(&self.ingestor);
        let orders: Vec<_> = programs.map(Supervised::at_once).collect();
        let demo = self.demo.as_ref().map(Demo::abort_handle);
        let (output, mut stop) = (self.output.clone(), stop.clone());
        tokio::spawn(async move {
            let code = stop.asked_again().await;
            output.try_say(Who::Up, "A second signal: everything ends at once");
            if let Some(demo) = demo {
                demo.abort();
            }
            for at_once in orders {
                at_once();
            }
            code
        })
    }
}
