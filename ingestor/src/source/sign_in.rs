//! What a source signs in with. Secrets from files are read anew for each connection; tokens are made anew.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use meshcore_packet::Identity;
use serde_json::json;

use crate::config::{Credentials, PrivateKey, Source, TokenSignIn};

/// How long a token is good, seconds. It is checked when the connection is made.
const TOKEN_SECONDS: i64 = 3_600;

/// User name and password of a source.
///
/// # Errors
/// When a file can't be read; the text names it and holds no secret.
pub(crate) fn credentials(source: &Source) -> Result<Option<(String, Bytes)>, String> {
    match &source.credentials {
        Credentials::Anonymous => Ok(None),
        Credentials::Password { username, password } => {
            let username = username.read().map_err(|e| super::chain(&e))?;
            let password = match password {
                Some(password) => {
                    let secret = password.read().map_err(|e| super::chain(&e))?;
                    Bytes::copy_from_slice(secret.expose().as_bytes())
                }
                None => Bytes::new(),
            };
            Ok(Some((username.expose().to_owned(), password)))
        }
        Credentials::Token(token) => {
            let identity = match token.read_key().map_err(|e| super::chain(&e))? {
                PrivateKey::Expanded(key) => Identity::from_expanded(*key),
                PrivateKey::Seed(seed) => Identity::from_seed(*seed),
            };
            // Personal data goes only to a broker whose certificate was checked.
            let is_verified = source.broker.scheme.is_tls() && !source.tls.insecure_skip_verify;
            let now = jiff::Timestamp::now().as_second();
            Ok(Some((
                username(&identity),
                sign(token, &identity, now, is_verified).into(),
            )))
        }
    }
}

fn username(identity: &Identity) -> String {
    format!(
        "v1_{}",
        identity.public_key().to_string().to_ascii_uppercase()
    )
}

/// A token as the public brokers want it: header and claims in Base64, the signature in upper-case hex.
fn sign(token: &TokenSignIn, identity: &Identity, now: i64, is_verified: bool) -> String {
    let header = json!({"alg": "Ed25519", "typ": "JWT"});
    let mut claims = json!({
        "publicKey": identity.public_key().to_string().to_ascii_uppercase(),
        "iat": now,
        "exp": now + TOKEN_SECONDS,
        "aud": token.audience,
        "client": concat!("meshcore-ingestor/", env!("CARGO_PKG_VERSION")),
    });
    if is_verified && let Some(claims) = claims.as_object_mut() {
        let personal = [("owner", &token.owner), ("email", &token.email)];
        for (name, value) in personal
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_ref()?)))
        {
            claims.insert(name.to_owned(), value.clone().into());
        }
    }
    let signed = format!(
        "{}.{}",
        BASE64.encode(header.to_string()),
        BASE64.encode(claims.to_string())
    );
    let signature = identity.sign(signed.as_bytes());
    format!("{signed}.{}", hex::encode_upper(signature))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretSource;

    #[test]
    fn a_token_is_signed_and_keeps_personal_data_from_unverified_brokers() {
        let identity = Identity::from_seed([7; 32]);
        let token = TokenSignIn {
            private_key: SecretSource::File("unused".into()),
            audience: "mqtt.example".to_owned(),
            owner: Some("ab".repeat(32)),
            email: Some("me@example.org".to_owned()),
        };
        for is_verified in [true, false] {
            let text = sign(&token, &identity, 1_000, is_verified);
            let (signed, signature) = text.rsplit_once('.').unwrap();
            let bytes: [u8; 64] = hex::decode(signature).unwrap().try_into().unwrap();
            assert!(identity.public_key().verify(signed.as_bytes(), &bytes));
            let claims = BASE64.decode(signed.split_once('.').unwrap().1).unwrap();
            let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
            assert_eq!(claims["exp"], 4_600);
            assert_eq!(claims["aud"], "mqtt.example");
            assert_eq!(claims.get("email").is_some(), is_verified);
        }
        assert!(username(&identity).starts_with("v1_") && username(&identity).len() == 67);
    }
}
