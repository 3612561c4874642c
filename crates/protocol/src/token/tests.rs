use super::*;

const NOW_S: u64 = 1_800_000_000;

fn keys() -> Keys {
    let mut keys = Keys::default();
    keys.add("k1", &[7; MIN_SECRET]).unwrap();
    keys.add("k2", &[8; MIN_SECRET]).unwrap();
    keys
}

fn claims(role: Role) -> Claims {
    Claims {
        iss: "k1".into(),
        sub: Some(Identity::new("anna").unwrap()),
        name: Some("Anna".into()),
        room: Some(RoomId::new("hall").unwrap()),
        role,
        exp: NOW_S + 60,
        nbf: None,
        iat: None,
        hidden: false,
        region: None,
    }
}

fn signed(change: impl FnOnce(&mut Claims)) -> String {
    let mut claims = claims(Role::Listener);
    change(&mut claims);
    keys().sign(&claims).unwrap()
}

/// The token with another header, its signature as it was or cut off.
fn with_header(token: &str, header: &str, keep_signature: bool) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    let signature = if keep_signature { parts[2] } else { "" };
    format!("{}.{}.{signature}", URL_SAFE_NO_PAD.encode(header), parts[1])
}

#[test]
fn a_mark_tells_the_same_from_the_other_and_hangs_on_the_secret() {
    let keys = keys();
    let mark = |key, bytes: &str| keys.mark(key, bytes.as_bytes()).unwrap();
    assert_eq!(mark("k1", "here"), mark("k1", "here"));
    assert_ne!(mark("k1", "here"), mark("k1", "there"));
    assert_ne!(mark("k1", "here"), mark("k2", "here"));
    assert_eq!(keys.mark("k3", b"here"), Err(TokenError::Key));
}

#[test]
fn what_was_signed_is_read() {
    let token = signed(|_| {});
    assert_eq!(keys().verify(&token, NOW_S), Ok(claims(Role::Listener)));
}

#[test]
fn only_hs256_is_accepted_whatever_the_header_says() {
    let token = signed(|_| {});
    for alg in ["none", "None", "HS384", "RS256", "ES256", ""] {
        let header = format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#);
        for keep in [false, true] {
            let forged = with_header(&token, &header, keep);
            assert_eq!(keys().verify(&forged, NOW_S), Err(TokenError::Algorithm), "{alg}");
        }
    }
}

#[test]
fn another_secret_another_key_and_a_changed_claim_are_noticed() {
    let mut others = Keys::default();
    others.add("k1", &[9; MIN_SECRET]).unwrap();
    let token = others.sign(&claims(Role::Host)).unwrap();
    assert_eq!(keys().verify(&token, NOW_S), Err(TokenError::Signature));

    let mut strangers = Keys::default();
    strangers.add("k9", &[7; MIN_SECRET]).unwrap();
    let token = strangers.sign(&Claims { iss: "k9".into(), ..claims(Role::Host) }).unwrap();
    assert_eq!(keys().verify(&token, NOW_S), Err(TokenError::Key));

    let token = signed(|_| {});
    let host = signed(|claims| claims.role = Role::Host);
    let (listener, host): (Vec<&str>, Vec<&str>) = (token.split('.').collect(), host.split('.').collect());
    let mixed = [listener[0], host[1], listener[2]].join(".");
    assert_eq!(keys().verify(&mixed, NOW_S), Err(TokenError::Signature));
}

#[test]
fn times_have_ten_seconds_of_leeway() {
    let expired = |by| signed(move |claims| claims.exp = NOW_S - by);
    assert!(keys().verify(&expired(LEEWAY_S), NOW_S).is_ok());
    assert_eq!(keys().verify(&expired(LEEWAY_S + 1), NOW_S), Err(TokenError::Expired));
    let early = |by| signed(move |claims| claims.nbf = Some(NOW_S + by));
    assert!(keys().verify(&early(LEEWAY_S), NOW_S).is_ok());
    assert_eq!(keys().verify(&early(LEEWAY_S + 1), NOW_S), Err(TokenError::NotYet));
    let future = signed(|claims| claims.iat = Some(NOW_S + 60));
    assert_eq!(keys().verify(&future, NOW_S), Err(TokenError::NotYet));
}

#[test]
fn claims_must_fit_the_role() {
    let refused = |token: String| matches!(keys().verify(&token, NOW_S), Err(TokenError::Claim(_)));
    assert!(refused(signed(|claims| claims.room = None)));
    assert!(refused(signed(|claims| (claims.role, claims.sub) = (Role::Speaker, None))));
    assert!(refused(signed(|claims| (claims.role, claims.hidden) = (Role::Host, true))));
    assert!(!refused(signed(|claims| claims.sub = None)));
    assert!(!refused(signed(|claims| (claims.role, claims.room) = (Role::Admin, None))));
}

#[test]
fn nonsense_is_malformed_and_never_panics() {
    let too_long = "a".repeat(MAX_TOKEN + 1);
    for text in ["", ".", "..", "a.b", "e30.e30.e30", "äöü", &too_long] {
        assert!(matches!(keys().verify(text, NOW_S), Err(TokenError::Malformed(_))), "{text}");
    }
}

#[test]
fn short_secrets_and_nameless_keys_are_refused() {
    let mut keys = Keys::default();
    assert_eq!(keys.add("k", &[1; MIN_SECRET - 1]), Err(KeyError::Short("k".into(), MIN_SECRET - 1)));
    assert_eq!(keys.add("", &[1; MIN_SECRET]), Err(KeyError::NoName));
    assert!(keys.is_empty());
}
