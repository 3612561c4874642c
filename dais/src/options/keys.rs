//! API keys: who may sign tokens.

use protocol::token::Keys;
use service::config::Values;

/// The keys, and the one that signs what we make ourselves.
#[derive(Debug)]
pub(crate) struct Access {
    /// All of them.
    pub(crate) keys: Keys,
    /// Name of the one that signs.
    pub(crate) signer: String,
    /// Nobody gave a key, this one lives as long as the process.
    pub(crate) invented: bool,
}

/// What to do when no key is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Invent one: only this machine can knock.
    Invent,
    /// Refuse, for this reason.
    Refuse(&'static str),
}

impl Access {
    pub(crate) fn read(values: &mut Values, missing: Missing) -> Self {
        let mut keys = Keys::default();
        for pair in values.many::<String>("keys") {
            match pair.split_once(':') {
                Some((key, secret)) => add(&mut keys, values, "keys", key, secret),
                None => values.wrong("keys", "each must be written name:secret"),
            }
        }
        let key = values.one::<String>("api-key");
        let secret = read_secret(values, "api-secret", "api-secret-file");
        match (&key, &secret) {
            (Some(key), Secret::Text(secret)) => add(&mut keys, values, "api-key", key, secret),
            (Some(_), Secret::Absent) => values.wrong("api-key", "needs --api-secret or --api-secret-file"),
            (None, Secret::Text(_)) => values.wrong("api-secret", "needs --api-key, the name of the key"),
            (_, Secret::Unreadable) | (None, Secret::Absent) => {}
        }
        let given = key.is_some() || !matches!(secret, Secret::Absent) || values.has("keys");
        if !given && let Missing::Refuse(why) = missing {
            values.wrong("api-key", format_args!("{why} (make a secret with `openssl rand -base64 32`)"));
        }
        let invented = !given && missing == Missing::Invent;
        if invented {
            invent(&mut keys);
        }
        let signer = key.or_else(|| keys.first().map(Into::into)).unwrap_or_default();
        Self { keys, signer, invented }
    }
}

/// A text that nobody else must see.
pub(super) enum Secret {
    Absent,
    /// Its file cannot be read: a mistake that is written down already.
    Unreadable,
    Text(String),
}

/// Reads a secret, given as `text` or in the file that `in_file` names.
pub(super) fn read_secret(values: &mut Values, text: &'static str, in_file: &'static str) -> Secret {
    let secret = values.one::<String>(text);
    let Some(file) = values.one::<String>(in_file) else {
        return secret.map_or(Secret::Absent, Secret::Text);
    };
    if secret.is_some() {
        values.wrong(in_file, "give the secret or its file, not both");
    }
    match std::fs::read_to_string(&file) {
        Ok(text) => Secret::Text(text.trim_end().into()),
        Err(error) => {
            values.wrong(in_file, format_args!("{file}: {error}"));
            Secret::Unreadable
        }
    }
}

fn add(keys: &mut Keys, values: &mut Values, name: &str, key: &str, secret: &str) {
    if let Err(error) = keys.add(key, secret.as_bytes()) {
        values.wrong(name, error);
    }
}

fn invent(keys: &mut Keys) {
    let secret: [u8; 32] = rand::random();
    keys.add("invented", &secret).expect("32 bytes are enough");
}
