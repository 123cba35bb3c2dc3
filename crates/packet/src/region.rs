//! Region scope: which region a flood is limited to, by transport code 0 (section 9).

use std::fmt;

use hmac::Mac;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::channel::with_hash_sign;
use crate::envelope::{HmacSha256, hmac_key};
use crate::error::KeyError;
use crate::frame::Frame;
use crate::payload_type::PayloadType;

/// The key of a region. It shows in no `Debug` output, since private regions have secret ones.
#[derive(Clone)]
pub struct RegionKey {
    name: String,
    mac: HmacSha256,
}

impl RegionKey {
    /// A region known by its name: the key is the first 16 bytes of SHA-256 over the name with a
    /// leading `#`, which is put in front if it is missing. Case matters. [`RegionKey::name`]
    /// gives the name as it was written.
    ///
    /// # Errors
    ///
    /// When the name is empty, or starts with `$`: such a region has a key of its own, for which
    /// there is [`RegionKey::from_key`].
    pub fn from_name(name: &str) -> Result<Self, KeyError> {
        if name.is_empty() {
            return Err(KeyError::EmptyName);
        }
        if name.starts_with('$') {
            return Err(KeyError::PrivateRegion);
        }
        let digest = Sha256::digest(with_hash_sign(name).as_bytes());
        Ok(Self::from_key(name, crate::bytes::prefix(digest.into())))
    }

    /// A region with a key that was configured.
    pub fn from_key(name: &str, key: [u8; 16]) -> Self {
        let key = Zeroizing::new(key);
        Self {
            name: name.to_owned(),
            mac: hmac_key(key.as_slice()),
        }
    }

    /// The name as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Transport code 0 of a payload in this region, 1 to 0xFFFE.
    pub fn code(&self, payload_type: PayloadType, payload: &[u8]) -> u16 {
        let mut mac = self.mac.clone();
        mac.update(&[payload_type.code()]);
        mac.update(payload);
        let digest = mac.finalize().into_bytes().into();
        // 0 means "no region" and 0xFFFF is kept free.
        u16::from_le_bytes(crate::bytes::prefix(digest)).clamp(0x0001, 0xfffe)
    }
}

impl fmt::Debug for RegionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegionKey")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The regions that an observer knows, in the order in which they are tried.
#[derive(Clone, Debug, Default)]
pub struct RegionKeys(Vec<RegionKey>);

impl RegionKeys {
    /// No regions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a region behind those already there.
    pub fn push(&mut self, key: RegionKey) {
        self.0.push(key);
    }

    /// The regions in the order in which they are tried.
    pub fn iter(&self) -> std::slice::Iter<'_, RegionKey> {
        self.0.iter()
    }

    /// Number of regions.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no regions.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of the first region whose code is that of the frame. `None` on routes without
    /// transport codes, for code 0, and for regions that are not known. With two bytes of code,
    /// one region in 65,534 fits by accident.
    pub fn scope(&self, frame: &Frame<'_>) -> Option<&str> {
        let [code, _] = frame.transport_codes.filter(|[code, _]| *code != 0)?;
        let region = self
            .0
            .iter()
            .find(|region| frame.scope_code(region) == code)?;
        Some(region.name())
    }
}

impl FromIterator<RegionKey> for RegionKeys {
    fn from_iter<I: IntoIterator<Item = RegionKey>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a RegionKeys {
    type Item = &'a RegionKey;
    type IntoIter = std::slice::Iter<'a, RegionKey>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example_of_section_9() {
        let key = 0xe815_67c8_24fa_51c4_6542_c62b_813d_a68e_u128.to_be_bytes();
        for region in [
            RegionKey::from_name("#europe").unwrap(),
            RegionKey::from_name("europe").unwrap(),
            RegionKey::from_key("by key", key),
        ] {
            let code = region.code(PayloadType::GroupText, &[0x11, 0x22, 0x33, 0x44]);
            assert_eq!(code, 0xe3ce);
        }
    }

    #[test]
    fn scope_names_the_first_region_that_fits() {
        let bytes = [0x14, 0xce, 0xe3, 0, 0, 0, 0x11, 0x22, 0x33, 0x44];
        let regions: RegionKeys = ["#alps", "europe"]
            .iter()
            .map(|name| RegionKey::from_name(name).unwrap())
            .collect();
        assert_eq!(
            regions.scope(&Frame::decode(&bytes).unwrap()),
            Some("europe")
        );
        let unscoped = [0x14, 0, 0, 0, 0, 0, 0x11, 0x22, 0x33, 0x44];
        assert_eq!(regions.scope(&Frame::decode(&unscoped).unwrap()), None);
        let without_codes = [0x15, 0, 0x11, 0x22, 0x33, 0x44];
        assert_eq!(regions.scope(&Frame::decode(&without_codes).unwrap()), None);
    }

    #[test]
    fn private_and_empty_names_have_no_key() {
        assert_eq!(
            RegionKey::from_name("$mine").unwrap_err(),
            KeyError::PrivateRegion
        );
        assert_eq!(RegionKey::from_name("").unwrap_err(), KeyError::EmptyName);
    }
}
