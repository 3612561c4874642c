//! Tokens: the claims of a JWT, and how they are signed and checked.
//!
//! `HS256` with the API secret of the key that `iss` names; no other algorithm is accepted, whatever
//! the token's header says. Times are compared with the `now` that is passed in.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::id::{Identity, Region, RoomId};

/// How far the clocks of whoever signs and whoever checks may differ, in seconds.
pub const LEEWAY_S: u64 = 10;

/// Shortest secret, in bytes: as long as the hash (RFC 7518 §3.2).
pub const MIN_SECRET: usize = 32;

/// Longest token, in bytes.
pub const MAX_TOKEN: usize = 4 * 1024;

/// What a person may be in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Speaks, and decides who else does.
    Host,
    /// Speaks.
    Speaker,
    /// Listens, and may raise a hand.
    Listener,
    /// Uses the HTTP API; cannot join.
    Admin,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The key that signed it.
    pub iss: String,
    /// Who; a listener's token without it is a guest pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<Identity>,
    /// Shown to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The one room it opens; absent only for admins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomId>,
    /// Role at first entry.
    pub role: Role,
    /// Not after, in s of Unix time.
    pub exp: u64,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// When it was signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<u64>,
    /// A listener counted by nobody, shown to nobody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// Where they are: edges of this region are nearest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
}

/// Why a token is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a JWT of three parts with JSON in them, or too long.
    #[error("the token is not a JWT: {0}")]
    Malformed(String),
    /// The header names another algorithm, or none.
    #[error("the token must be signed with HS256")]
    Algorithm,
    /// `iss` names no key of ours.
    #[error("the token's `iss` is not a known API key")]
    Key,
    /// Signed with another secret, or changed afterwards.
    #[error("the token's signature does not fit its key")]
    Signature,
    /// `exp` has passed.
    #[error("the token has expired: ask for a new one")]
    Expired,
    /// `nbf` or `iat` lies in the future.
    #[error("the token is not valid yet: compare the clocks")]
    NotYet,
    /// A claim is missing or does not fit the role.
    #[error("{0}")]
    Claim(&'static str),
}

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Too short.
    #[error(
        "the secret of API key {0:?} has {1} bytes; it needs at least {MIN_SECRET} (try `openssl rand -base64 32`)"
    )]
    Short(String, usize),
    /// No name.
    #[error("an API key needs a name")]
    NoName,
}

/// API keys by name, each with its secret.
#[derive(Clone, Default)]
pub struct Keys(BTreeMap<String, Box<[u8]>>);

impl std::fmt::Debug for Keys {
    /// Prints names only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Keys {
    /// Adds a key; the secret must have at least [`MIN_SECRET`] bytes.
    pub fn add(&mut self, key: &str, secret: &[u8]) -> Result<(), KeyError> {
        if key.is_empty() {
            return Err(KeyError::NoName);
        }
        if secret.len() < MIN_SECRET {
            return Err(KeyError::Short(key.into(), secret.len()));
        }
        self.0.insert(key.into(), secret.into());
        Ok(())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Name of the first key: what signs where nobody chose.
    pub fn first(&self) -> Option<&str> {
        self.0.keys().next().map(String::as_str)
    }

    /// Signs `claims` with the key that `iss` names.
    pub fn sign(&self, claims: &Claims) -> Result<String, TokenError> {
        let secret = self.0.get(&claims.iss).ok_or(TokenError::Key)?;
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret))
            .map_err(|error| TokenError::Malformed(error.to_string()))
    }

    /// A number that is the same for the same bytes, and says nothing about them to whoever does not have the
    /// secret of this key.
    pub fn mark(&self, key: &str, bytes: &[u8]) -> Result<u64, TokenError> {
        let secret = self.0.get(key).ok_or(TokenError::Key)?;
        // What is signed of a token has no colon, so no mark says anything about a signature.
        let bytes = [b"mark:", bytes].concat();
        let signed = jsonwebtoken::crypto::sign(&bytes, &EncodingKey::from_secret(secret), Algorithm::HS256);
        let signed = signed.map_err(|error| TokenError::Malformed(error.to_string()))?;
        let hash = URL_SAFE_NO_PAD.decode(signed).expect("a signature is base64");
        Ok(u64::from_be_bytes(*hash.first_chunk().expect("a hash of 32 bytes")))
    }

    /// Checks everything that can be checked without knowing what the token is shown for.
    pub fn verify(&self, token: &str, now_s: u64) -> Result<Claims, TokenError> {
        use jsonwebtoken::errors::ErrorKind;

        if token.len() > MAX_TOKEN {
            return Err(TokenError::Malformed(format!("longer than {MAX_TOKEN} bytes")));
        }
        let malformed = |error: jsonwebtoken::errors::Error| TokenError::Malformed(error.to_string());
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false; // it would read the clock; `check_times` does it
        validation.validate_aud = false;
        validation.required_spec_claims.clear();

        check_algorithm(token)?;
        let unchecked = jsonwebtoken::dangerous::insecure_decode::<Claims>(token).map_err(malformed)?.claims;
        let secret = self.0.get(&unchecked.iss).ok_or(TokenError::Key)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &DecodingKey::from_secret(secret), &validation)
            .map_err(|error| match error.kind() {
                ErrorKind::InvalidSignature => TokenError::Signature,
                _ => malformed(error),
            })?
            .claims;
        claims.check_times(now_s)?;
        claims.check_role()?;
        Ok(claims)
    }
}

/// Reads the header by itself: `alg: none` is no algorithm to the library, and its error would not
/// say what is wrong.
fn check_algorithm(token: &str) -> Result<(), TokenError> {
    #[derive(Deserialize)]
    struct JwtHeader {
        alg: String,
    }
    let part = token.split('.').next().unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed("no header".into()))?;
    let header: JwtHeader =
        serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed("no `alg` in its header".into()))?;
    if header.alg == "HS256" { Ok(()) } else { Err(TokenError::Algorithm) }
}

impl Claims {
    fn check_times(&self, now_s: u64) -> Result<(), TokenError> {
        if self.exp.saturating_add(LEEWAY_S) < now_s {
            return Err(TokenError::Expired);
        }
        if [self.nbf, self.iat].into_iter().flatten().any(|start| start > now_s + LEEWAY_S) {
            return Err(TokenError::NotYet);
        }
        Ok(())
    }

    fn check_role(&self) -> Result<(), TokenError> {
        let says = match self.role {
            Role::Admin => return Ok(()),
            _ if self.room.is_none() => "the token names no `room`",
            Role::Listener => return Ok(()),
            _ if self.sub.is_none() => "only a listener's token may leave out `sub`",
            _ if self.hidden => "only a listener can be `hidden`",
            _ => return Ok(()),
        };
        Err(TokenError::Claim(says))
    }
}

#[cfg(test)]
mod tests;
