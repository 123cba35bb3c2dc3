//! Keys that the ingestor does not use: a typing error, a key of the server, or a dead one.

use meshcore_config::{field_names, nearest};

use super::error::Findings;
use super::raw::{
    RawConfig, RawDb, RawEnabled, RawForeignAdverts, RawGeoFilter, RawLegacyMqtt, RawMetrics,
    RawRetention, RawSource, RawStore, RawTls, RawToken,
};

/// Keys that the server reads from the same file.
const SERVER_KEYS: [&str; 42] = [
    "port",
    "apiKey",
    "hiddenNamePrefixes",
    "listLimits",
    "cacheTTL",
    "compression",
    "corsAllowedOrigins",
    "areas",
    "regions",
    "mapDefaults",
    "healthThresholds",
    "batteryThresholds",
    "liveMap",
    "branding",
    "theme",
    "themeDark",
    "nodeColors",
    "typeColors",
    "home",
    "markerStroke",
    "map",
    "roles",
    "snrThresholds",
    "distThresholds",
    "maxHopDist",
    "limits",
    "perfSlowMs",
    "wsReconnectMs",
    "cacheInvalidateMs",
    "externalUrls",
    "timestamps",
    "customizer",
    "debugAffinity",
    "packetStore",
    "observersCache",
    "analytics",
    "knownChannelsUrl",
    "knownChannelsRefreshMs",
    "tiles",
    "mapDarkTileProvider",
    "neighborGraph",
    "db.load",
];

/// Keys of CoreScope's example file that do nothing here; most do nothing there either.
const DEAD_KEYS: [&str; 4] = ["https", "defaultRegion", "resolvedPath", "runtime"];

/// Turns unknown keys into warnings: one for each that may be a mistake, one for all of the
/// server's, one for all dead ones.
pub(super) fn report(unknown: &[String], findings: &mut Findings) {
    let is_note = |path: &&String| {
        let key = path.rsplit('.').next().unwrap_or_default();
        !key.starts_with(['_', '$', '/', '#'])
    };
    let (mut server, mut dead) = (Vec::new(), Vec::new());
    for path in unknown.iter().filter(is_note) {
        if SERVER_KEYS.contains(&path.as_str()) {
            server.push(path.as_str());
        } else if DEAD_KEYS.contains(&path.as_str()) {
            dead.push(path.as_str());
        } else {
            findings.warn(path, advice(path));
        }
    }
    if !server.is_empty() {
        findings.warn(
            server.join(", "),
            "belongs to the server and is not used by the ingestor",
        );
    }
    if !dead.is_empty() {
        findings.warn(dead.join(", "), "is known from CoreScope, but not used");
    }
}

fn advice(path: &str) -> String {
    let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
    match nearest(key, keys_of(parent).iter().copied()) {
        Some(known) => format!("unknown key, ignored; did you mean {known}?"),
        None => "unknown key, ignored".to_owned(),
    }
}

/// The keys that may stand under `parent`.
fn keys_of(parent: &str) -> &'static [&'static str] {
    match parent {
        "" => field_names::<RawConfig>(),
        "mqtt" => field_names::<RawLegacyMqtt>(),
        "retention" => field_names::<RawRetention>(),
        "metrics" => field_names::<RawMetrics>(),
        "clientRxCoverage" => field_names::<RawEnabled>(),
        "geo_filter" => field_names::<RawGeoFilter>(),
        "foreignAdverts" => field_names::<RawForeignAdverts>(),
        "db" => field_names::<RawDb>(),
        "store" => field_names::<RawStore>(),
        source if source.ends_with("].tls") => field_names::<RawTls>(),
        source if source.ends_with("].token") => field_names::<RawToken>(),
        source if source.starts_with("mqttSources[") => field_names::<RawSource>(),
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::{advice, report};
    use crate::config::error::Findings;

    #[test]
    fn near_misses_are_named() {
        let cases = [
            ("mqttSources[1].brokr", Some("broker")),
            (
                "mqttSources[0].rejectUnauthorised",
                Some("rejectUnauthorized"),
            ),
            ("mqttSources[0].tls.cafile", Some("caFile")),
            ("mqttSources[0].token.privateKey", None),
            ("mqtt_sources", Some("mqttSources")),
            ("dbpath", Some("dbPath")),
            ("retention.packetdays", Some("packetDays")),
            ("store.comitLingerMs", Some("commitLingerMs")),
            ("colour", None),
            ("somewhere.else.deep", None),
        ];
        for (path, meant) in cases {
            let expected = match meant {
                Some(meant) => format!("unknown key, ignored; did you mean {meant}?"),
                None => "unknown key, ignored".to_owned(),
            };
            assert_eq!(advice(path), expected, "{path}");
        }
    }

    #[test]
    fn keys_of_the_server_and_dead_ones_are_told_in_one_line_each() {
        let unknown = [
            "port",
            "theme",
            "https",
            "db.load",
            "_comment",
            "$schema",
            "mqttSources[0]._note",
        ];
        let mut findings = Findings::default();
        report(&unknown.map(str::to_owned), &mut findings);
        let lines: Vec<_> = findings.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "port, theme, db.load: belongs to the server and is not used by the ingestor",
                "https: is known from CoreScope, but not used",
            ]
        );
    }
}
