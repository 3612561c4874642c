//! What `dais token` is asked for.

use std::str::FromStr;

use protocol::token::Role;
use protocol::{Identity, Region, RoomId};
use service::config::Values;

/// The claims that somebody wishes for.
#[derive(Debug)]
pub(crate) struct Wish {
    /// The room; absent only for admins.
    pub(crate) room: Option<RoomId>,
    /// The role.
    pub(crate) role: Role,
    /// Who.
    pub(crate) identity: Option<Identity>,
    /// Shown to others.
    pub(crate) name: Option<String>,
    /// Where they are.
    pub(crate) region: Option<Region>,
    /// Validity in s.
    pub(crate) ttl_s: u64,
}

impl Wish {
    pub(crate) fn read(values: &mut Values) -> Self {
        let role = values.or("role", RoleName(Role::Listener)).0;
        if role != Role::Admin && !values.has("room") {
            values.wrong("room", "is needed: a token opens one room");
        }
        if matches!(role, Role::Host | Role::Speaker) && !values.has("identity") {
            values.wrong("identity", "is needed: only a listener can be a guest");
        }
        Self {
            room: values.one("room"),
            role,
            identity: values.one("identity"),
            name: values.one("name"),
            region: values.one("region"),
            ttl_s: values.or("ttl", Ttl(6 * 3600)).0,
        }
    }
}

struct RoleName(Role);

impl FromStr for RoleName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "host" => Ok(Self(Role::Host)),
            "speaker" => Ok(Self(Role::Speaker)),
            "listener" => Ok(Self(Role::Listener)),
            "admin" => Ok(Self(Role::Admin)),
            _ => Err("must be host, speaker, listener or admin"),
        }
    }
}

/// A time in s, written with its unit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ttl(pub(super) u64);

impl FromStr for Ttl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SAYS: &str = "must be a time such as 90s, 30m, 6h or 7d";
        let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(SAYS)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(SAYS),
        };
        let number: u32 = number.parse().map_err(|_| SAYS)?;
        if number == 0 { Err(SAYS) } else { Ok(Self(u64::from(number) * seconds)) }
    }
}
