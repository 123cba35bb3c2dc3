//! Follows the database: opens it, finds what was committed, and opens it again when another file stands there.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use meshcore_lifecycle::Readiness;
use meshcore_store::{Class, Error as StoreError, Reader};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::database::{Database, DatabaseFile, FileId, Pool};
use crate::live::{Hub, Packet};
use crate::metrics::Metrics;

/// How often the database is asked whether something was committed.
const POLL: Duration = Duration::from_millis(20);
/// How often it is looked whether the file at the path is still the same.
const LOOK: Duration = Duration::from_secs(1);
/// How often a database is tried that can't be opened.
const OPEN_AGAIN: Duration = Duration::from_millis(250);
/// Rows of one query. On a disk so slow that they take too long, fewer at a time.
const PAGE: u32 = 500;
/// How many observations (by their ids) the live feed begins with. After a restart those who were connected
/// come back with their tokens, all at once; what they missed is then encoded already.
const BEGIN_WITH: i64 = 1000;
/// The component in readiness.
const COMPONENT: &str = "database";

/// Follows the database for the whole life of the program.
pub(crate) struct Tail {
    /// The file that is followed.
    pub(crate) file: DatabaseFile,
    /// Gets connections to it.
    pub(crate) database: Database,
    /// Gets what was committed.
    pub(crate) hub: Hub,
    /// Says why there is no database.
    pub(crate) readiness: Readiness,
    /// Counts.
    pub(crate) metrics: Arc<Metrics>,
}

/// The file that is followed.
struct Opened {
    /// The one connection whose `data_version` numbers are compared.
    reader: Reader,
    db_uuid: String,
    id: FileId,
    /// The last observation that was published.
    position: i64,
    /// How many rows are asked for next.
    page: u32,
}

/// Why a file is followed no longer.
enum Left {
    /// Another file stands at the path.
    Replaced,
    /// There is no file at the path, or it can't be read, with a sentence.
    Unreadable(String),
}

impl Tail {
    /// Follows until `stop`, whatever happens to the file.
    pub(crate) async fn run(self, stop: CancellationToken) {
        tokio::select! {
            // Opening and following end between two queries; each of those is short.
            biased;
            () = stop.cancelled() => {}
            () = self.follow_for_ever() => {}
        }
    }

    async fn follow_for_ever(&self) {
        loop {
            let mut opened = self.open().await;
            match self.follow(&mut opened).await {
                Left::Replaced => {
                    tracing::info!(db = %self.file.path().display(), "Another file stands at the database's path; it is opened");
                }
                Left::Unreadable(why) => {
                    tracing::warn!(why, "The database is gone; waiting for it");
                    // First, so that nobody is answered by what is said not to be there.
                    self.database.clear();
                    self.readiness.set_not_ready(COMPONENT, why);
                    sleep(OPEN_AGAIN).await;
                }
            }
        }
    }

    /// Tries until the database is there and its tables are made; says in readiness why it is not.
    async fn open(&self) -> Opened {
        let mut said = String::new();
        loop {
            match self.try_open().await {
                Ok(opened) => return opened,
                Err(why) => {
                    if why != said {
                        tracing::info!(why, "Waiting for the database");
                        self.database.clear();
                        self.readiness.set_starting(why.clone());
                        self.readiness.set_not_ready(COMPONENT, why.clone());
                        said = why;
                    }
                    sleep(OPEN_AGAIN).await;
                }
            }
        }
    }

    async fn try_open(&self) -> Result<Opened, String> {
        let (reader, id) = self.file.open().await?;
        let (first, same) = self.file.open().await?;
        let path = self.file.path();
        if same != id || first.db_uuid() != reader.db_uuid() {
            return Err(format!("{} is being replaced", path.display()));
        }
        let mut opened = Opened {
            db_uuid: reader.db_uuid().to_owned(),
            reader,
            id,
            position: 0,
            page: PAGE,
        };
        let begun = self.begin(&mut opened).await;
        begun.map_err(|error| self.file.sentence(&error))?;
        tracing::info!(
            db = %path.display(),
            db_uuid = opened.db_uuid,
            observation = opened.position,
            "The database is open"
        );
        self.metrics.database_opens.inc();
        self.database.set(Pool::new(path.to_owned(), first));
        self.readiness.set_ready(COMPONENT);
        self.readiness.started();
        Ok(opened)
    }

    /// Goes on where the live feed is, or begins it with this database if it is another one, or an earlier
    /// copy of the same.
    async fn begin(&self, opened: &mut Opened) -> Result<(), StoreError> {
        let last = opened.reader.last_observation_id().await?;
        if let Some(end) = self.hub.end()
            && *end.position.db_uuid == *opened.db_uuid
            && end.position.id <= last
        {
            opened.position = end.position.id;
            return Ok(());
        }
        let base = last.saturating_sub(BEGIN_WITH).max(0);
        let mut packets = Vec::new();
        opened.position = base;
        while opened.position < last {
            let page = opened.page(&self.database).await?;
            if page.is_empty() {
                break;
            }
            packets.extend(page);
        }
        self.hub.begin(&opened.db_uuid, base, packets, last);
        Ok(())
    }

    /// Follows one file for as long as it stands at the path and can be read.
    async fn follow(&self, opened: &mut Opened) -> Left {
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked = Instant::now();
        let mut version = None;
        loop {
            poll.tick().await;
            if let Err(error) = self.publish_new(opened, &mut version).await
                && error.class() != Class::Busy
            {
                return Left::Unreadable(self.file.sentence(&error));
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                if let Some(left) = self.look(opened.id).await {
                    return left;
                }
            }
        }
    }

    /// Publishes what was committed since `version`.
    async fn publish_new(
        &self,
        opened: &mut Opened,
        version: &mut Option<i64>,
    ) -> Result<(), StoreError> {
        let now = {
            let _query = self.database.query();
            opened.reader.data_version().await?
        };
        if *version == Some(now) {
            return Ok(());
        }
        loop {
            let packets = opened.page(&self.database).await?;
            if packets.is_empty() {
                break;
            }
            self.count(&packets);
            self.hub.publish(packets);
        }
        // Only now: a page that failed is read again.
        *version = Some(now);
        Ok(())
    }

    fn count(&self, packets: &[Packet]) {
        let now = unix_milliseconds();
        self.metrics.rows_tailed.inc_by(packets.len() as u64);
        for arrived in packets.iter().filter_map(|packet| packet.arrived_at_ms) {
            let lag = u64::try_from(now.saturating_sub(arrived)).unwrap_or_default();
            let lag = Duration::from_millis(lag);
            self.metrics.tail_lag_seconds.observe(lag.as_secs_f64());
        }
    }

    /// Why the file is to be left, if it is.
    async fn look(&self, id: FileId) -> Option<Left> {
        match self.file.id().await {
            Ok(Some(now)) if now == id => None,
            Ok(Some(_)) => Some(Left::Replaced),
            Ok(None) => {
                let path = self.file.path().display();
                Some(Left::Unreadable(format!("{path} is not there any more")))
            }
            // The path can't be looked at, but what is open can be read.
            Err(error) => {
                tracing::debug!(%error, "The database's path can't be looked at");
                None
            }
        }
    }
}

impl Opened {
    /// The next observations, encoded; none at the end.
    async fn page(&mut self, database: &Database) -> Result<Vec<Packet>, StoreError> {
        let rows = loop {
            let _query = database.query();
            let asked = self.reader.observations_after(self.position, self.page);
            match asked.await {
                Err(error) if error.took_too_long() && self.page > 1 => self.page /= 2,
                rows => break rows?,
            }
        };
        self.page = (2 * self.page).min(PAGE);
        let packets = rows.iter().map(|row| Packet::new(&self.db_uuid, row));
        let packets: Vec<Packet> = packets.collect();
        if let Some(last) = packets.last() {
            self.position = last.id;
        }
        Ok(packets)
    }
}

fn unix_milliseconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
