//! What is stored once for each packet: decoded, verified and, where we have the key, decrypted. Asked for
//! new packets only.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;

use meshcore_packet::{
    Advert, Analysis, ChannelKey, ChannelKeys, Frame, NodeType, Payload, RegionKey, RegionKeys,
    corescope,
};
use meshcore_store::{Describe, Description, NodeAdvert, Reception};

use crate::config::{Channels, Config, ForeignAdverts, GeoFilter, SecretError};
use crate::geography;

/// An advert's clock may run this far ahead of ours before it is cut to that: a node with a clock in the far
/// future must not shut out its own later adverts for ever.
const MAX_AHEAD_SECONDS: i64 = 86_400;

/// Keys and lists that decide what a packet tells us.
#[derive(Debug, Default)]
pub struct Describer {
    /// Channel keys, in the order to try them.
    channels: ChannelKeys,
    /// Regions whose scope can be named.
    regions: RegionKeys,
    /// Nodes that never become a row: public keys, lower case.
    blocked_nodes: BTreeSet<String>,
    /// Nodes outside it are marked as foreign, or never become a row.
    area: Option<GeoFilter>,
    drop_foreign: bool,
    /// Believe adverts with a wrong signature.
    trust_all: bool,
}

impl Describer {
    /// As the configuration says. The keys file is read here.
    ///
    /// # Errors
    /// When the keys file is there and can't be read, or a key can't be used.
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        let mut regions = RegionKeys::new();
        for name in &config.regions {
            regions.push(RegionKey::from_name(name)?);
        }
        Ok(Self {
            channels: channel_keys(&config.channels)?,
            regions,
            blocked_nodes: config.node_blacklist.clone(),
            area: config.geo_filter.clone(),
            drop_foreign: config.foreign_adverts == ForeignAdverts::Drop,
            trust_all: !config.validate_signatures,
        })
    }
}

/// All channel keys; for one name the more explicit place wins, and is tried first.
fn channel_keys(channels: &Channels) -> anyhow::Result<ChannelKeys> {
    let mut keys = Vec::new();
    for (name, key) in &channels.keys {
        keys.push(ChannelKey::from_bytes(name, key.expose())?);
    }
    keys.extend(
        channels
            .hashtags
            .iter()
            .map(|name| ChannelKey::hashtag(name)),
    );
    for (name, key) in &keys_of_file(channels)? {
        keys.push(ChannelKey::from_bytes(name, key.expose())?);
    }
    keys.push(ChannelKey::public());
    let mut seen = BTreeSet::new();
    let mut ring = ChannelKeys::new();
    for key in keys {
        if seen.insert(key.name().to_owned()) {
            ring.push(key);
        }
    }
    Ok(ring)
}

/// The keys of the file. One that is missing costs the texts of its channels and nothing else: in a cluster it is
/// an optional mount, and somebody may have forgotten the Secret.
fn keys_of_file(
    channels: &Channels,
) -> Result<BTreeMap<String, crate::config::ChannelKey>, SecretError> {
    match channels.read_keys_file() {
        Err(SecretError::Read { path, source }) if source.kind() == ErrorKind::NotFound => {
            tracing::error!(
                path = %path.display(),
                "The channel keys file is missing; its channels are not decrypted. It is looked for at the next start"
            );
            Ok(BTreeMap::new())
        }
        read => read,
    }
}

impl Describe for Describer {
    fn describe(&self, reception: &Reception) -> Description {
        let Ok(frame) = Frame::decode(&reception.raw) else {
            // Only frames that decode become receptions.
            return Description::default();
        };
        // Verified and decrypted once, for everything below.
        let analysis = Analysis::new(&frame, &self.channels);
        let mut description = Description {
            payload_version: frame.version(),
            scope_name: self.scope(&frame),
            decoded_json: corescope::decoded_json_string(&frame, &analysis),
            channel_hash: corescope::channel_hash(&analysis),
            ..Description::default()
        };
        if let Ok(Payload::Advert(advert)) = &analysis.payload {
            let valid = analysis.signature_valid == Some(true);
            let public_key = advert.public_key.to_string();
            description.bad_signature = !valid;
            // A shared contact was not heard from the node itself.
            let heard_itself = !frame.is_shared_contact();
            let believed = valid || self.trust_all;
            if believed && heard_itself && !self.blocked_nodes.contains(&public_key) {
                description.node = self.node(advert, reception.heard_at);
            }
            description.from_pubkey = Some(public_key);
        }
        description
    }
}

impl Describer {
    /// `None` for an unscoped packet, `""` for a region we have no name for.
    fn scope(&self, frame: &Frame<'_>) -> Option<String> {
        let [code, _] = frame.transport_codes?;
        (code != 0).then(|| self.regions.scope(frame).unwrap_or_default().to_owned())
    }

    /// The node that an advert tells about; `None` without valid app data, or if it is not wanted.
    fn node(&self, advert: &Advert<'_>, heard_at: i64) -> Option<NodeAdvert> {
        let app_data = advert.app_data();
        if !app_data.valid {
            return None;
        }
        let position = app_data
            .location
            .filter(|l| l.in_range && !l.is_unset())
            .map(|l| l.degrees());
        // Without a position nobody can say where it is from.
        let is_foreign = match (&self.area, position) {
            (Some(area), Some(position)) => !geography::contains(area, position),
            _ => false,
        };
        if is_foreign && self.drop_foreign {
            return None;
        }
        Some(NodeAdvert {
            public_key: advert.public_key.to_string(),
            name: app_data.name.clone(),
            role: role(app_data.node_type?),
            position,
            is_foreign,
            timestamp: i64::from(advert.timestamp).min(heard_at + MAX_AHEAD_SECONDS),
        })
    }
}

/// The word that v3 has for a node type.
fn role(node_type: NodeType) -> String {
    match node_type.code() {
        0 => "none".to_owned(),
        1 => "companion".to_owned(),
        2 => "repeater".to_owned(),
        3 => "room".to_owned(),
        4 => "sensor".to_owned(),
        other => format!("type-{other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_keys_file_costs_its_channels_only_and_a_bad_one_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.yaml");
        let channels = Channels {
            keys_file: Some(file.clone()),
            ..Channels::default()
        };
        assert!(channel_keys(&channels).is_ok());
        std::fs::write(&file, "Club: '0102'").unwrap();
        let refused = channel_keys(&channels).unwrap_err().to_string();
        assert!(refused.contains("holds a key"), "{refused}");
    }
}
