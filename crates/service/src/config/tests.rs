use std::net::{IpAddr, SocketAddr};

use super::*;

const PROGRAM: Program = Program {
    name: "dais",
    about: "Town halls.",
    version: "1",
    commands: &[
        Command {
            name: "up",
            about: "Everything.",
            example: "dais up",
            settings: &[
                &[Setting::one("listen", "ADDR", "Where."), Setting::many("media-ip", "IP", "Which.")],
                &[Setting { name: "keys", value: "K:S", kind: Kind::Pairs(':'), help: "Keys." }],
                &[Setting { name: "limit", value: "N=V", kind: Kind::Pairs('='), help: "Limits." }],
            ],
        },
        Command {
            name: "edge",
            about: "One part.",
            example: "dais edge",
            settings: &[&[Setting::one("region", "NAME", "Here.")]],
        },
    ],
};

struct File(std::path::PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("dais-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn option(&self) -> String {
        format!("--config={}", self.0.display())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn read(args: &[&str], environment: &[(&str, &str)]) -> Result<Start, Mistakes> {
    let args: Vec<String> = args.iter().map(|&arg| arg.into()).collect();
    let environment: Vec<_> = environment.iter().map(|&(name, value)| (name.into(), value.into())).collect();
    PROGRAM.read(&args, &environment)
}

fn values(args: &[&str], environment: &[(&str, &str)]) -> Values {
    match read(args, environment) {
        Ok(Start::Run(_, values)) => values,
        other => panic!("{other:?}"),
    }
}

fn mistakes(values: &Values) -> String {
    values.check().unwrap_err().to_string()
}

#[test]
fn the_command_line_wins_then_the_environment_then_the_file() {
    let file = File::new("order", "listen = '127.0.0.1:3'\nmedia-ip = ['10.0.0.3']\nregion = 'home'");
    let port = |args: &[&str], environment: &[(&str, &str)]| {
        let mut all = vec!["up"];
        let option = file.option();
        all.extend(args.iter().copied().chain([option.as_str()]));
        values(&all, environment).one::<SocketAddr>("listen").unwrap().port()
    };
    assert_eq!(port(&["--listen", "127.0.0.1:1"], &[("DAIS_LISTEN", "127.0.0.1:2")]), 1);
    assert_eq!(port(&[], &[("DAIS_LISTEN", "127.0.0.1:2")]), 2);
    assert_eq!(port(&[], &[]), 3);
}

#[test]
fn lists_and_pairs_are_read_from_each_source() {
    let expected = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse::<IpAddr>().unwrap());
    let file = File::new("lists", "media-ip = ['10.0.0.1', '10.0.0.2']\n[keys]\na = 'b'\n[limit]\nrooms = 5");
    let mut from_file = values(&["up", &file.option()], &[]);
    assert_eq!(from_file.many::<String>("keys"), ["a:b"]);
    assert_eq!(from_file.many::<String>("limit"), ["rooms=5"]);
    for mut values in [
        from_file,
        values(&["--media-ip", "10.0.0.1", "--media-ip=10.0.0.2"], &[]),
        values(&[], &[("DAIS_MEDIA_IP", "10.0.0.1, 10.0.0.2")]),
    ] {
        assert_eq!(values.many::<IpAddr>("media-ip"), expected);
    }
    assert_eq!(values(&[], &[("DAIS_KEYS", "a:b,c:d")]).many::<String>("keys"), ["a:b", "c:d"]);
}

#[test]
fn all_mistakes_are_reported_together() {
    let file = File::new("mistakes", "lisen = 1\nmedia-ip = [[1]]\n[keys]\nk = 's'");
    let option = file.option();
    let mut values = values(&["up", "--nope", "x", "--listn=1", &option, "--listen", "here"], &[]);
    assert_eq!(values.one::<SocketAddr>("listen"), None);
    values.wrong("media-ip", "is needed");
    let says = mistakes(&values);
    for part in [
        "--nope: no such option",
        "--listn: no such option (did you mean --listen?)",
        "lisen in ",
        "media-ip in ",
        "--listen: invalid socket address",
        "--media-ip: is needed",
    ] {
        assert!(says.contains(part), "{part} is missing in\n{says}");
    }
    assert_eq!(says.lines().count(), 6, "{says}");
}

#[test]
fn a_value_that_is_missing_or_given_twice_is_a_mistake() {
    assert!(mistakes(&values(&["up", "--listen"], &[])).contains("--listen: needs a value"));
    let mut twice = values(&["up", "--listen", "a", "--listen", "b"], &[]);
    assert_eq!(twice.one::<String>("listen"), None);
    assert!(mistakes(&twice).contains("given 2 times"));
}

#[test]
fn a_file_that_is_absent_or_no_toml_is_a_mistake_with_its_line() {
    assert!(mistakes(&values(&["up", "--config", "/nowhere.toml"], &[])).contains("/nowhere.toml"));
    let file = File::new("syntax", "listen = 'a'\nlisten listen");
    assert!(mistakes(&values(&["up", &file.option()], &[])).contains(": line 2: "));
}

#[test]
fn the_first_command_is_meant_when_none_is_named() {
    assert!(matches!(read(&[], &[]), Ok(Start::Run("up", _))));
    assert!(matches!(read(&["edge"], &[]), Ok(Start::Run("edge", _))));
    assert!(read(&["sideways"], &[]).unwrap_err().to_string().contains("sideways: no such command"));
}

#[test]
fn help_is_printed_with_the_example() {
    let Ok(Start::Print(help)) = read(&["up", "--help"], &[]) else { panic!("no help") };
    assert!(help.contains("--media-ip <IP>") && help.contains("Example: dais up"), "{help}");
}

#[test]
fn a_variable_that_means_nothing_is_only_a_stranger() {
    let values = values(&["up"], &[("DAIS_PORT", "tcp://10.0.0.1"), ("DAIS_REGION", "home"), ("HOME", "/")]);
    assert_eq!(values.strangers(), ["DAIS_PORT"]);
    assert!(values.check().is_ok());
}
