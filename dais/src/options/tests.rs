use protocol::NodeId;
use protocol::envelope::{Envelope, Keys, Life, To};
use protocol::node::NodeKind;
use service::config::{Start, Values};

use super::token::Ttl;
use super::*;

fn values(command: &str, args: &[&str]) -> Values {
    let args: Vec<String> = std::iter::once(command).chain(args.iter().copied()).map(Into::into).collect();
    match PROGRAM.read(&args, &[]) {
        Ok(Start::Run(_, values)) => values,
        other => panic!("{other:?}"),
    }
}

fn mistakes(values: &Values) -> String {
    values.check().unwrap_err().to_string()
}

#[test]
fn help_of_each_command_fits_on_a_screen_and_has_an_example() {
    for command in PROGRAM.commands {
        let Ok(Start::Print(help)) = PROGRAM.read(&[command.name.into(), "--help".into()], &[]) else {
            panic!("{} has no help", command.name)
        };
        assert!(help.lines().count() <= 40, "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 120), "{help}");
        assert!(help.contains(&format!("Example: dais {}", command.name)), "{help}");
    }
}

#[test]
fn every_example_can_be_typed() {
    for command in PROGRAM.commands {
        let args: Vec<String> = command.example.split(' ').skip(1).map(Into::into).collect();
        assert!(matches!(PROGRAM.read(&args, &[]), Ok(Start::Run(name, values))
            if name == command.name && values.check().is_ok()));
    }
}

/// A file of `deploy/` with its examples as if they were meant: `# shards = 4`, `# [spill]`.
fn with_examples(text: &str) -> String {
    let is_key = |key: &str| {
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte == b'-')
    };
    let is_example = |rest: &str| match rest.split_once(" = ") {
        Some((key, _)) => is_key(key),
        None => rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(is_key),
    };
    let lines =
        text.lines().map(|line| line.strip_prefix("# ").filter(|rest| is_example(rest)).unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_files_for_a_cluster_say_only_what_their_part_knows() {
    for part in ["origin", "edge", "signaling"] {
        let path = format!("{}/../deploy/{part}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap();
        let command = PROGRAM.commands.iter().find(|command| command.name == part).unwrap();
        let table: toml::Table = with_examples(&text).parse().unwrap();
        assert!(
            table.contains_key("log-format") && table.contains_key("node"),
            "examples of {part} are read"
        );
        for key in table.keys() {
            let knows = command.settings.iter().copied().flatten().any(|setting| setting.name == key);
            assert!(knows, "{part}.toml: dais {part} has no --{key}");
        }

        let mut values = values(part, &["--config", &path]);
        Place::read(&mut values, NodeKind::Edge);
        Process::read(&mut values);
        assert!(values.one::<::cluster::bus::nats::Server>("nats").is_some());
        if part == "signaling" {
            Web::read(&mut values);
            Store::read(&mut values);
        } else {
            Media::of_part(&mut values, false);
            Framing::read(&mut values);
        }
        assert_eq!(values.check(), Ok(()), "{part}.toml");
    }
}

#[test]
fn loopback_invents_a_key_and_anything_else_refuses_to() {
    let mut values = values("up", &[]);
    let access = Access::read(&mut values, Missing::Invent);
    assert!(access.invented && access.keys.first() == Some("invented"));
    assert!(!Access::read(&mut values, Missing::Refuse("is needed")).invented);
    assert!(mistakes(&values).contains("--api-key: is needed"));
}

#[test]
fn a_short_secret_is_refused_with_the_way_to_make_one() {
    let mut values = values("up", &["--api-key", "main", "--api-secret", "short"]);
    Access::read(&mut values, Missing::Invent);
    assert!(mistakes(&values).contains("openssl rand -base64 32"));
}

#[test]
fn the_named_key_signs_and_all_are_checked() {
    let secret = "s".repeat(32);
    let mut values = values("up", &["--api-key", "zulu", "--api-secret", &secret]);
    let access = Access::read(&mut values, Missing::Invent);
    assert_eq!((access.signer.as_str(), access.invented), ("zulu", false));
    values.check().unwrap();
}

#[test]
fn half_of_a_key_is_a_mistake() {
    for (args, says) in [
        (["--api-key", "main"], "needs --api-secret"),
        (["--api-secret", "a secret that is long enough, surely"], "needs --api-key"),
        (["--api-secret-file", "/nowhere"], "/nowhere"),
    ] {
        let mut values = values("up", &args);
        Access::read(&mut values, Missing::Invent);
        assert!(mistakes(&values).contains(says), "{args:?}");
    }
}

#[test]
fn media_addresses_follow_where_it_listens() {
    let told = |args: &[&str], local| Media::read(&mut values("up", args), local).ips;
    assert_eq!(told(&[], true), ["127.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(
        told(&["--media-ip", "203.0.113.7"], true),
        ["203.0.113.7".parse::<std::net::IpAddr>().unwrap()]
    );
    let mut other_family = values("up", &["--media-ip", "2001:db8::1"]);
    Media::read(&mut other_family, true);
    assert!(mistakes(&other_family).contains("--media listens on 0.0.0.0"));
}

/// What a part makes of this, and whether it keeps to this machine.
fn part(args: &[&str]) -> (Values, Cluster, Media) {
    let mut values = values("edge", args);
    let cluster = Cluster::read(&mut values);
    let media = Media::of_part(&mut values, cluster.is_local());
    cluster.check(&mut values, media.local);
    (values, cluster, media)
}

#[test]
fn a_part_needs_a_bus() {
    assert!(mistakes(&part(&[]).0).contains("--nats: is needed"));
    let bad = ["--nats", "redis://10.0.0.1", "--nats-prefix", "a.b"];
    let says = mistakes(&part(&bad).0);
    for what in ["--nats: must be nats://", "--nats-prefix: must be"] {
        assert!(says.contains(what), "{what} is missing in\n{says}");
    }
}

#[test]
fn signaling_needs_a_store_and_a_key_where_that_is_elsewhere() {
    let signaling = |args: &[&str]| {
        let mut values = values("signaling", args);
        let store = Store::read(&mut values);
        (values.check().map_or_else(|mistakes| mistakes.to_string(), |()| String::new()), store)
    };
    assert!(signaling(&[]).0.contains("--redis: is needed"));
    assert!(signaling(&["--redis", "nats://10.0.0.1"]).0.contains("--redis: must be redis://"));
    let (_, near) = signaling(&["--redis", "redis://127.0.0.1/2"]);
    let (_, far) = signaling(&["--redis", "rediss://anna:secret@10.0.0.1", "--redis-prefix", "town"]);
    assert!(near.unwrap().is_local());
    let far = far.unwrap();
    assert!(!far.is_local() && far.prefix == "town" && !format!("{far:?}").contains("secret"), "{far:?}");
}

#[test]
fn parts_on_loopback_need_nothing_but_the_bus() {
    for host in ["127.0.0.1", "localhost:4222", "[::1]", "anna:secret@127.0.0.9"] {
        let (values, _, media) = part(&["--nats", &format!("nats://{host}")]);
        values.check().unwrap();
        assert!(media.local && media.bind.ip().is_loopback(), "{host}");
        assert_eq!(media.link_of_part().to_string(), "127.0.0.1:0", "{host}");
    }
}

#[test]
fn beyond_loopback_a_part_needs_the_key_of_its_cluster() {
    let near = ["--nats", "nats://127.0.0.1"];
    for far in [
        &["--nats", "nats://10.0.0.1"][..],
        &[&near[..], &["--media", "0.0.0.0:7100"]].concat(),
        &[&near[..], &["--media-ip", "203.0.113.7"]].concat(),
        &[&near[..], &["--link", "0.0.0.0:7200"]].concat(),
    ] {
        let says = mistakes(&part(far).0);
        assert!(says.contains("--cluster-key: is needed") && says.contains("openssl"), "{far:?}: {says}");
        let key = "k".repeat(32);
        let (values, _, media) = part(&[far, &["--cluster-key", &key]].concat());
        values.check().unwrap();
        assert!(!media.local && media.link_of_part().port() == 7200, "{far:?}");
    }
    let short = mistakes(&part(&["--nats", "nats://10.0.0.1", "--cluster-key", "short"]).0);
    assert_eq!(short.trim(), "--cluster-key: 5 bytes are too few, 32 are needed: `openssl rand -base64 32`");
}

#[test]
fn while_the_key_of_a_cluster_changes_there_are_two() {
    let [new, old, third] = ["n", "o", "t"].map(|letter| letter.repeat(32));
    let file = std::env::temp_dir().join(format!("dais-cluster-key-{}", std::process::id()));
    let path = file.to_str().unwrap();
    let given = |more: &[&str]| part(&[&["--nats", "nats://10.0.0.1"], more].concat());
    std::fs::write(&file, format!("{new}\n\n{old}\n")).unwrap();
    let envelope = |key: &str| {
        let from = Life { node: NodeId::new("edge-1").unwrap(), boot: 1 };
        let envelope = Envelope { from, number: 1, tick: 1, to: To::Everybody, payload: Default::default() };
        envelope.seal(&Keys::new(key.as_bytes()), "nodes")
    };
    for both in [&["--cluster-key", &new, "--cluster-key", &old][..], &["--cluster-key-file", path]] {
        let (values, cluster, _) = given(both);
        values.check().unwrap();
        let believes = |key: &str| Envelope::open(&cluster.keys(), "nodes", envelope(key)).is_ok();
        assert_eq!([&new, &old, &third].map(|key| believes(key)), [true, true, false], "{both:?}");
        assert!(cluster.authority().is_ok());
    }
    std::fs::write(&file, "\n").unwrap();
    assert!(mistakes(&given(&["--cluster-key-file", path]).0).contains("there is no key in it"));
    let three = ["--cluster-key", &new, "--cluster-key", &old, "--cluster-key", &third];
    assert!(mistakes(&given(&three).0).contains("--cluster-key: two at most"));
    std::fs::remove_file(file).unwrap();
}

#[test]
fn secrets_are_not_shown() {
    let key = "secret ".repeat(5);
    let (_, cluster, _) = part(&["--nats", "nats://anna:secret@10.0.0.1", "--cluster-key", &key]);
    assert!(!format!("{cluster:?}").contains("secret"), "{cluster:?}");
}

#[test]
fn limits_are_named_as_errors_name_them() {
    let mut good = values("up", &["--limit", "rooms=3", "--limit", "room-participants=7"]);
    let limits = Web::read(&mut good).limits;
    assert_eq!((limits.rooms, limits.room_participants), (3, 7));
    good.check().unwrap();
    for bad in ["rooms", "rooms=many", "roms=3"] {
        let mut values = values("up", &["--limit", bad]);
        Web::read(&mut values);
        assert!(mistakes(&values).contains("--limit: "), "{bad}");
    }
}

#[test]
fn a_certificate_needs_its_key_and_both_files() {
    let mut values = values("up", &["--tls-cert", "/nowhere.pem"]);
    Web::read(&mut values);
    let says = mistakes(&values);
    assert!(says.contains("No such file") && says.contains("needs --tls-key"), "{says}");
}

#[test]
fn a_public_url_is_an_origin() {
    for (url, good) in
        [("https://a.example", true), ("http://a:7000/", true), ("a.example", false), ("https://a/b", false)]
    {
        assert_eq!(url.parse::<PublicUrl>().is_ok(), good, "{url}");
    }
}

#[test]
fn load_takes_each_signaling_node_once() {
    let mut good = values("load", &["--url", "http://127.0.0.1:7000", "--url", "http://127.0.0.1:7010/"]);
    Load::read(&mut good);
    good.check().unwrap();
    let urls = ["http://a:7000", "https://b", "http://A:7000/", "c", "http://d/e"];
    let args: Vec<&str> = urls.iter().flat_map(|url| ["--url", url]).collect();
    let mut bad = values("load", &args);
    Load::read(&mut bad);
    let says = mistakes(&bad);
    for part in [
        "https://b: must begin with http://",
        "c: must begin",
        "without a path",
        "http://a:7000 is given twice",
    ] {
        assert!(says.contains(part), "{part} is missing in\n{says}");
    }
    assert_eq!(says.lines().count(), 4, "{says}");

    let many: Vec<String> = (0..65).map(|port| format!("--url=http://a:{}", 7_000 + port)).collect();
    let mut many = values("load", &many.iter().map(String::as_str).collect::<Vec<_>>());
    Load::read(&mut many);
    assert!(mistakes(&many).contains("given 65 times, 64 are the most"));
}

#[test]
fn times_have_units() {
    for (text, seconds) in [("90s", 90), ("30m", 1800), ("6h", 21_600), ("7d", 604_800)] {
        assert_eq!(text.parse(), Ok(Ttl(seconds)), "{text}");
    }
    for bad in ["", "6", "h", "0h", "-1h", "1w", "6 h", "ä"] {
        assert!(bad.parse::<Ttl>().is_err(), "{bad}");
    }
}
