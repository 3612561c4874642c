//! `dais token`: a token on stdout, for links, scripts and other people's servers.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::token::{Claims, Role};
use protocol::{Identity, RoomId};
use service::config::Values;

use crate::failure::Failure;
use crate::options::{Access, Missing, Wish};
use crate::say;

/// Prints the token that the options describe.
pub(crate) fn run(mut values: Values) -> Result<(), Failure> {
    let wish = Wish::read(&mut values);
    let access = Access::read(&mut values, Missing::Refuse("is needed to sign"));
    values.check()?;
    say(sign(&access, wish)?);
    Ok(())
}

/// A token for `wish`, signed now.
pub(crate) fn sign(access: &Access, wish: Wish) -> anyhow::Result<String> {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = Claims {
        iss: access.signer.clone(),
        sub: wish.identity,
        name: wish.name,
        room: wish.room,
        role: wish.role,
        exp: now_s + wish.ttl_s,
        nbf: None,
        iat: Some(now_s),
        hidden: false,
        region: wish.region,
    };
    Ok(access.keys.sign(&claims)?)
}

/// What the two links of `dais up` open: one host, and a guest pass for everybody else.
pub(crate) fn of_links(access: &Access, room: &RoomId, ttl_s: u64) -> anyhow::Result<(String, String)> {
    let wish =
        |role, identity| Wish { room: Some(room.clone()), role, identity, name: None, region: None, ttl_s };
    let host = sign(access, wish(Role::Host, Some(Identity::new("host")?)))?;
    Ok((host, sign(access, wish(Role::Listener, None))?))
}
