//! Encrypt-then-MAC, as seven payload types use it (section 5 of the protocol document).
//!
//! AES-128 in ECB mode over zero-padded blocks under the first 16 bytes of a 32-byte secret, and
//! the first two bytes of HMAC-SHA256 over the ciphertext under all 32. The MAC is so short that a
//! wrong key passes once in 65,536, and the length of the plaintext is not transmitted.

use aes::Aes128;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::limits::CIPHER_BLOCK_LEN;

/// HMAC-SHA256, the only MAC of the protocol.
pub(crate) type HmacSha256 = Hmac<Sha256>;

/// A secret with its key schedules computed, for opening many payloads under the same key.
#[derive(Clone)]
pub struct Key {
    cipher: Aes128,
    mac: HmacSha256,
}

impl Key {
    /// Prepares a pairwise or channel secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        let cipher_key = Zeroizing::new(crate::bytes::prefix::<16>(*secret));
        Self {
            cipher: Aes128::new(&Array::from(*cipher_key)),
            mac: hmac_key(secret),
        }
    }

    /// The two MAC bytes of a ciphertext, in wire order.
    pub fn mac(&self, ciphertext: &[u8]) -> [u8; 2] {
        let mut mac = self.mac.clone();
        mac.update(ciphertext);
        crate::bytes::prefix(mac.finalize().into_bytes().into())
    }

    /// Encrypts: MAC and ciphertext. The ciphertext is the plaintext padded with zeros to whole
    /// blocks of 16 bytes; nothing is added when it is whole blocks already.
    pub fn seal(&self, plaintext: &[u8]) -> ([u8; 2], Vec<u8>) {
        let len = plaintext.len().next_multiple_of(CIPHER_BLOCK_LEN);
        let mut ciphertext = Vec::with_capacity(len);
        ciphertext.extend(plaintext);
        ciphertext.resize(len, 0);
        for block in ciphertext.chunks_exact_mut(CIPHER_BLOCK_LEN) {
            if let Ok(block) = block.try_into() {
                self.cipher.encrypt_block(block);
            }
        }
        (self.mac(&ciphertext), ciphertext)
    }

    /// Decrypts when the MAC fits and the ciphertext is whole blocks; the result includes the zero
    /// padding. An empty ciphertext gives an empty plaintext.
    pub fn open(&self, mac: [u8; 2], ciphertext: &[u8]) -> Option<Vec<u8>> {
        if !ciphertext.len().is_multiple_of(CIPHER_BLOCK_LEN) || self.mac(ciphertext) != mac {
            return None;
        }
        let mut plaintext = ciphertext.to_vec();
        for block in plaintext.chunks_exact_mut(CIPHER_BLOCK_LEN) {
            if let Ok(block) = block.try_into() {
                self.cipher.decrypt_block(block);
            }
        }
        Some(plaintext)
    }
}

/// Encrypts under a secret that is used once. See [`Key::seal`].
pub fn seal(secret: &[u8; 32], plaintext: &[u8]) -> ([u8; 2], Vec<u8>) {
    Key::new(secret).seal(plaintext)
}

/// Decrypts under a secret that is used once. See [`Key::open`].
pub fn open(secret: &[u8; 32], mac: [u8; 2], ciphertext: &[u8]) -> Option<Vec<u8>> {
    Key::new(secret).open(mac, ciphertext)
}

/// An HMAC with a key of at most one SHA-256 block, which is what HMAC pads shorter keys to.
pub(crate) fn hmac_key(key: &[u8]) -> HmacSha256 {
    let mut block = Zeroizing::new([0; 64]);
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    HmacSha256::new(&Array::from(*block))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> [u8; 32] {
        let mut secret = [0; 32];
        hex::decode_to_slice(
            "f6f92efb32945aff683324a1c984c5001f46aaea513f3453138d740b3a604b7d",
            &mut secret,
        )
        .unwrap();
        secret
    }

    #[test]
    fn worked_example_of_section_5() {
        let (mac, ciphertext) = seal(&secret(), &hex::decode("00f15365006869").unwrap());
        assert_eq!(hex::encode(mac), "cca8");
        assert_eq!(hex::encode(&ciphertext), "e16f81a9f987acd3a79b290dab43a741");
        let plaintext = open(&secret(), mac, &ciphertext).unwrap();
        assert_eq!(hex::encode(plaintext), "00f15365006869000000000000000000");
    }

    #[test]
    fn whole_blocks_get_no_padding() {
        let (mac, ciphertext) = seal(&secret(), &[7; 32]);
        assert_eq!(ciphertext.len(), 32);
        assert_eq!(open(&secret(), mac, &ciphertext), Some(vec![7; 32]));
    }

    #[test]
    fn partial_blocks_do_not_open_even_with_the_right_mac() {
        let key = Key::new(&secret());
        let ciphertext = [1; 17];
        assert_eq!(key.open(key.mac(&ciphertext), &ciphertext), None);
    }

    #[test]
    fn a_wrong_mac_or_key_does_not_open() {
        let (mac, ciphertext) = seal(&secret(), b"text");
        assert_eq!(open(&secret(), [mac[0], !mac[1]], &ciphertext), None);
        assert_eq!(open(&[1; 32], mac, &ciphertext), None);
    }
}
