//! Everything beside packets: nodes, edges, samples, dead letters, phones.

use sqlx::AssertSqlSafe;

use super::packets::{Chunk, count};
use super::{Import, STEPS, Tallies};
use crate::error::{Result, SqliteContext};
use crate::fence::Totals;
use crate::job::Job;
use crate::transaction;

/// Columns of a node that the more recently heard of two rows decides.
const NODE: [&str; 10] = [
    "name",
    "role",
    "lat",
    "lon",
    "battery_mv",
    "temperature_c",
    "foreign_advert",
    "default_scope",
    "multibyte_evidence",
    "advert_timestamp",
];
const METRICS: [&str; 7] = [
    "noise_floor",
    "tx_air_secs",
    "rx_air_secs",
    "recv_errors",
    "battery_mv",
    "packets_sent",
    "packets_recv",
];
const DROPPED: [&str; 8] = [
    "hash",
    "raw_hex",
    "reason",
    "observer_id",
    "observer_name",
    "node_pubkey",
    "node_name",
    "dropped_at",
];
const RECEPTION: [&str; 11] = [
    "rx_pubkey",
    "heard_key",
    "heard_keylen",
    "rssi",
    "snr",
    "lat",
    "lon",
    "pos_acc_m",
    "rx_at",
    "ingested_at",
    "src",
];

impl Import {
    /// The next chunk of samples; their observers are called as in the target.
    pub(super) async fn metrics(&mut self, job: &mut Job<Tallies>) -> Result<()> {
        let chunk = if self.source.has_table("observer_metrics") {
            self.next("observer_metrics", job.position, i64::MAX)
                .await?
        } else {
            None
        };
        let Some(Chunk { last, rows, .. }) = chunk else {
            return self.step_done(job, STEPS[4]).await;
        };
        let insert = format!(
            "INSERT INTO main.observer_metrics(observer_id, timestamp, {}) SELECT coalesce((SELECT b.id \
             FROM temp.observer_names n JOIN main.observers b ON b.rowid = n.idx WHERE n.id = s.observer_id), \
             s.observer_id), s.timestamp, {} FROM source.observer_metrics s WHERE ? = 0 AND s.rowid > ? \
             AND s.rowid <= ? ON CONFLICT DO NOTHING",
            METRICS.join(", "),
            self.source.columns("observer_metrics", &METRICS)
        );
        transaction::begin(&mut self.store.db).await?;
        let done = match self.shifted(insert, 0, job.position, last).await {
            Ok(added) => {
                job.position = last;
                job.tallies.table("observer_metrics").count(rows, added, 0);
                Ok(Totals::default())
            }
            Err(error) => Err(error),
        };
        self.commit(done, job).await
    }

    /// All that is small, in one transaction: the end of the import.
    pub(super) async fn rest(&mut self, job: &mut Job<Tallies>) -> Result<()> {
        transaction::begin(&mut self.store.db).await?;
        let done = self.rest_in_transaction(job).await;
        job.finished = done.is_ok();
        self.commit(done, job).await
    }

    async fn rest_in_transaction(&mut self, job: &mut Job<Tallies>) -> Result<Totals> {
        self.nodes(job).await?;
        let edges = "INSERT INTO main.neighbor_edges(node_a, node_b, count, last_seen) \
             SELECT s.node_a, s.node_b, s.count, s.last_seen FROM source.neighbor_edges s \
             WHERE NOT EXISTS (SELECT 1 FROM main.neighbor_edges e WHERE e.node_a = s.node_a AND e.node_b = s.node_b)";
        let merge = "UPDATE main.neighbor_edges SET count = max(neighbor_edges.count, s.count), \
             last_seen = max(coalesce(neighbor_edges.last_seen, ''), coalesce(s.last_seen, '')) \
             FROM source.neighbor_edges s \
             WHERE neighbor_edges.node_a = s.node_a AND neighbor_edges.node_b = s.node_b \
             AND (s.count > neighbor_edges.count OR s.last_seen > neighbor_edges.last_seen)";
        self.small(job, "neighbor_edges", edges.to_owned()).await?;
        if self.source.has_table("neighbor_edges") {
            self.execute(merge.to_owned()).await?;
        }
        let reception = RECEPTION.join(", ");
        let receptions = format!(
            "INSERT INTO main.client_receptions({reception}) SELECT {} FROM source.client_receptions s \
             WHERE true ON CONFLICT DO NOTHING",
            self.source.columns("client_receptions", &RECEPTION)
        );
        self.small(job, "client_receptions", receptions).await?;
        let phones = "INSERT INTO main.client_observers(pubkey, name, last_seen) \
             SELECT s.pubkey, s.name, s.last_seen FROM source.client_observers s WHERE true \
             ON CONFLICT DO NOTHING";
        self.small(job, "client_observers", phones.to_owned())
            .await?;
        // They have no key of their own: equal ones are the same one.
        let letters = format!(
            "INSERT INTO main.dropped_packets({columns}) SELECT {theirs} FROM source.dropped_packets s \
             EXCEPT SELECT {columns} FROM main.dropped_packets",
            columns = DROPPED.join(", "),
            theirs = self.source.columns("dropped_packets", &DROPPED)
        );
        let dropped = self.small(job, "dropped_packets", letters).await?;
        Ok(Totals {
            dropped: count(dropped),
            ..Totals::default()
        })
    }

    /// Runs the statement that adds the rows of a small table, and counts.
    async fn small(&mut self, job: &mut Job<Tallies>, table: &str, insert: String) -> Result<u64> {
        if !self.source.has_table(table) {
            return Ok(0);
        }
        let rows = self.rows_of(table).await?;
        let added = self.execute(insert).await?;
        job.tallies.table(table).count(rows, added, 0);
        Ok(added)
    }

    /// Nodes of both tables. A node that the source has heard more recently comes back from the inactive ones.
    async fn nodes(&mut self, job: &mut Job<Tallies>) -> Result<()> {
        if self.source.has("nodes", "public_key") {
            let rows = self.rows_of("nodes").await?;
            let last_seen = self.source.column("nodes", "last_seen");
            let heard = format!(
                "public_key IN (SELECT lower(s.public_key) FROM source.nodes s \
                 JOIN main.inactive_nodes i ON i.public_key = lower(s.public_key) \
                 WHERE {last_seen} > coalesce(i.last_seen, ''))"
            );
            self.execute(format!(
                "INSERT INTO main.nodes SELECT * FROM main.inactive_nodes WHERE {heard} ON CONFLICT DO NOTHING"
            ))
            .await?;
            self.execute(format!(
                "DELETE FROM main.inactive_nodes WHERE public_key IN (SELECT public_key FROM main.nodes) AND {heard}"
            ))
            .await?;
            self.merge_nodes().await?;
            let added = self.add_nodes("nodes").await?;
            job.tallies.table("nodes").count(rows, added, 0);
        }
        if self.source.has("inactive_nodes", "public_key") {
            let rows = self.rows_of("inactive_nodes").await?;
            let added = self.add_nodes("inactive_nodes").await?;
            job.tallies.table("inactive_nodes").count(rows, added, 0);
        }
        Ok(())
    }

    async fn merge_nodes(&mut self) -> Result<u64> {
        let source = |column: &str| self.source.column("nodes", column);
        let (last_seen, first_seen, adverts) = (
            source("last_seen"),
            source("first_seen"),
            source("advert_count"),
        );
        let newer: Vec<String> = NODE
            .iter()
            .map(|column| {
                let theirs = source(column);
                format!(
                    "{column} = iif(coalesce({last_seen}, '') > coalesce(nodes.last_seen, ''), \
                     coalesce({theirs}, nodes.{column}), coalesce(nodes.{column}, {theirs}))"
                )
            })
            .collect();
        let sql = format!(
            "UPDATE main.nodes SET {}, \
             first_seen = min(coalesce(nodes.first_seen, {first_seen}), coalesce({first_seen}, nodes.first_seen)), \
             last_seen = max(coalesce(nodes.last_seen, ''), coalesce({last_seen}, '')), \
             advert_count = max(coalesce(nodes.advert_count, 0), coalesce({adverts}, 0)) \
             FROM source.nodes s WHERE nodes.public_key = lower(s.public_key)",
            newer.join(", ")
        );
        self.execute(sql).await
    }

    /// Adds the nodes of one of the source's tables that are in neither of the target's.
    async fn add_nodes(&mut self, table: &str) -> Result<u64> {
        let copied: Vec<&str> = NODE
            .iter()
            .chain(&["last_seen", "first_seen", "advert_count"])
            .copied()
            .collect();
        let multibyte = self.source.column(table, "multibyte_sup");
        let sql = format!(
            "INSERT INTO main.{table}(public_key, multibyte_sup, {}) SELECT lower(s.public_key), \
             coalesce({multibyte}, 0), {} FROM source.{table} s WHERE s.public_key IS NOT NULL \
             AND lower(s.public_key) NOT IN (SELECT public_key FROM main.nodes WHERE public_key IS NOT NULL UNION ALL SELECT public_key FROM main.inactive_nodes WHERE public_key IS NOT NULL) \
             ON CONFLICT DO NOTHING",
            copied.join(", "),
            self.source.columns(table, &copied)
        );
        self.execute(sql).await
    }

    async fn rows_of(&mut self, table: &str) -> Result<i64> {
        sqlx::query_scalar(AssertSqlSafe(format!(
            "SELECT count(*) FROM source.{table}"
        )))
        .fetch_one(&mut self.store.db)
        .await
        .during("count the source's rows")
    }

    async fn execute(&mut self, sql: String) -> Result<u64> {
        // Put together from our own words and the names of columns that we know.
        let result = sqlx::query(AssertSqlSafe(sql))
            .execute(&mut self.store.db)
            .await
            .during("import rows")?;
        Ok(result.rows_affected())
    }
}
