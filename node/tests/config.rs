//! Which layer wins, and what is refused.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::ffi::OsString;

use proptest::prelude::*;
use spool_node::config::{Config, Dht, Effective, Error, Key, Layers, Origin, Raw, template};
use spool_node::model::Durability;

fn file(text: &str) -> Result<Effective, Error> {
    Layers::default().file_bytes(text.as_bytes())?.resolve()
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// The message of a refusal with its causes, as the command line shows it.
fn refusal(text: &str) -> String {
    format!("{:#}", anyhow::Error::new(file(text).unwrap_err()))
}

#[test]
fn flags_go_before_environment_before_file_before_defaults() {
    let layers = Layers::default()
        .file_bytes(b"cache-mib = 100\ndurability = 'relaxed'\nmax-connections = 10\nmdns = false")
        .unwrap()
        .environment(variables(&[
            ("SPOOL_CACHE_MIB", "200"),
            ("SPOOL_DURABILITY", "sync"),
            ("HOME", "/"),
            ("SPOOL_REPO", "/x"),
        ]))
        .unwrap()
        .flags([(Key::CacheMib, Raw::Text("300".into()))]);
    let effective = layers.resolve().unwrap();
    let config = &effective.config;
    assert_eq!((config.cache_mib, effective.origin(Key::CacheMib)), (300, Origin::Flag));
    assert_eq!((config.durability, effective.origin(Key::Durability)), (Durability::Sync, Origin::Environment));
    assert_eq!((config.max_connections, effective.origin(Key::MaxConnections)), (10, Origin::File));
    assert_eq!((config.mdns, effective.origin(Key::Mdns)), (false, Origin::File));
    assert_eq!((config.dht, effective.origin(Key::Dht)), (Dht::Auto, Origin::Default));
}

#[test]
fn names_of_threadsd_go_after_ours_in_the_environment() {
    let layers = Layers::default().file_bytes(b"web = 'off'\nmax-connections = 10").unwrap();
    let theirs = [
        ("THRDS_APIADDR", "/ip4/127.0.0.1/tcp/7006"),
        ("THRDS_APIPROXYADDR", "/ip6/::1/tcp/7007"),
        ("THRDS_HOSTADDR", "/ip4/127.0.0.1/tcp/1"),
        ("THRDS_CONNHIGHWATER", "20"),
        ("SPOOL_MAX_CONNECTIONS", "30"),
        ("THRDS_BADGERLOWMEM", "true"),
    ];
    let effective = layers.environment(variables(&theirs)).unwrap().resolve().unwrap();
    let config = &effective.config;
    assert_eq!((config.api.to_string().as_str(), effective.origin(Key::Api)), ("127.0.0.1:7006", Origin::Threadsd));
    assert_eq!(config.web.map(|web| web.to_string()).as_deref(), Some("[::1]:7007"));
    assert_eq!(config.listen, ["/ip4/127.0.0.1/tcp/1".parse().unwrap()]);
    assert_eq!((config.max_connections, effective.origin(Key::MaxConnections)), (30, Origin::Environment));

    for wrong in ["/ip4/127.0.0.1/udp/7006", "/dns4/localhost/tcp/7006", "/ip4/127.0.0.1/tcp/7006/ws", "/ip4/127.0.0.1"]
    {
        let refused = Layers::default().environment(variables(&[("THRDS_APIADDR", wrong)])).unwrap().resolve();
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("THRDS_APIADDR"), "{wrong}: {refused}");
    }
}

#[test]
fn lists_are_written_as_lists_or_with_commas() {
    let from_file = file("listen = ['/ip4/127.0.0.1/tcp/1', '/ip6/::1/tcp/2']").unwrap().config.listen;
    let from_environment = Layers::default()
        .environment(variables(&[("SPOOL_LISTEN", "/ip4/127.0.0.1/tcp/1, /ip6/::1/tcp/2")]))
        .unwrap()
        .resolve()
        .unwrap();
    assert_eq!(from_file, from_environment.config.listen);
    assert_eq!(from_file.len(), 2);
    assert_eq!(file("listen = []").unwrap().config.listen, []);
}

#[test]
fn unknown_keys_are_refused_by_name() {
    assert_eq!(refusal("lisen = []"), "unknown setting `lisen` in the configuration; did you mean `listen`?");
    assert!(refusal("[network]\nlisten = []").starts_with("unknown setting `network`"));
}

#[test]
fn values_are_refused_with_what_would_be_right() {
    for (text, message) in [
        ("mdns = 'true '", "`mdns` in config.toml is not valid: expected true or false"),
        ("mdns = 1", "`mdns` in config.toml is not valid: expected true or false"),
        ("cache-mib = 7", "`cache-mib` in config.toml is not valid: expected a whole number from 8 to 65536"),
        ("cache-mib = -1", "expected a whole number from 8 to 65536"),
        ("max-connections = 4294967297", "expected a whole number from 1 to 100000"),
        ("dht = 'maybe'", "expected one of \"auto\", \"client\", \"server\", \"off\""),
        ("api = 'localhost:6006'", "expected an address and a port like 127.0.0.1:6006"),
        ("web = 'no'", "expected an address and a port like 127.0.0.1:6007, or off"),
        ("listen = ['localhost:4006']", "`localhost:4006` is not an address like /ip4/192.0.2.7/tcp/4006"),
        ("listen = [4006]", "a list holds texts in quotes, not an integer"),
        ("listen = {}", "no setting takes a table"),
        ("bootstrap = ['/ip4/192.0.2.7/tcp/4006']", "lacks the peer id at its end"),
        ("log = 'no such level ['", "expected a level or a filter"),
        ("name = \"a\\u001bb\"", "it has control characters"),
        ("listen = [", "the configuration is not valid TOML: "),
        ("mdns = true\nmdns = false", "duplicate key"),
    ] {
        let refusal = refusal(text);
        assert!(refusal.contains(message), "{text}: {refusal}");
    }
    let long = format!("name = '{}'", "n".repeat(65));
    assert!(refusal(&long).contains("at most 64 are allowed"));
    let many = format!("listen = [{}]", "'/ip4/127.0.0.1/tcp/1',".repeat(65));
    assert!(refusal(&many).contains("65 addresses, at most 64 are allowed"));
    assert!(refusal(&format!("listen = ['/dns4/{}/tcp/1']", "x".repeat(600))).contains("at most 512 are allowed"));
}

#[test]
fn a_mistake_on_a_hidden_layer_is_refused_too() {
    let layers =
        Layers::default().file_bytes(b"cache-mib = 1").unwrap().flags([(Key::CacheMib, Raw::Text("64".into()))]);
    assert!(matches!(layers.resolve(), Err(Error::Value { key: Key::CacheMib, origin: Origin::File, .. })));
}

#[test]
fn a_value_says_which_layer_it_is_wrong_on() {
    let environment = Layers::default().environment(variables(&[("SPOOL_MAX_CONNECTIONS", "many")])).unwrap();
    assert!(environment.resolve().unwrap_err().to_string().starts_with("SPOOL_MAX_CONNECTIONS is not valid"));
    let flags = Layers::default().flags([(Key::MaxConnections, Raw::Text("0".into()))]);
    assert!(flags.resolve().unwrap_err().to_string().starts_with("--max-connections is not valid"));
}

#[test]
fn the_api_stays_on_loopback_unless_that_is_said_aloud() {
    for address in ["0.0.0.0:6006", "[::]:6006", "192.0.2.7:6006"] {
        let text = format!("api = '{address}'");
        assert!(matches!(file(&text), Err(Error::ApiNotLoopback(_))), "{address}");
        assert!(file(&format!("{text}\napi-token = 'long-enough-to-be-one'")).is_ok(), "{address}");
    }
    assert!(file("api = '[::1]:0'").is_ok());
    assert!(matches!(file("web = '0.0.0.0:6007'"), Err(Error::WebNotLoopback(_))));
    assert!(file("web = '0.0.0.0:6007'\napi-token = 'long-enough-to-be-one'").is_ok());
}

#[test]
fn the_web_can_be_switched_off() {
    assert!(file("").unwrap().config.web.is_some_and(|address| address.ip().is_loopback()));
    assert_eq!(file("web = 'off'").unwrap().config.web, None);
    assert_eq!(file("web = '[::1]:0'").unwrap().config.web, Some("[::1]:0".parse().unwrap()));
}

#[test]
fn metrics_are_on_loopback_unless_another_address_is_given() {
    let http = |text: &str| file(text).unwrap().config.http;
    assert_eq!(http(""), Some("127.0.0.1:6008".parse().unwrap()));
    assert_eq!(http("http = 'off'"), None);
    // They hold no secret, so that takes no token.
    assert_eq!(http("http = '0.0.0.0:9100'"), Some("0.0.0.0:9100".parse().unwrap()));
    assert!(refusal("http = 'on'").contains("expected an address and a port"));
}

#[test]
fn an_oversize_file_is_refused_before_it_is_parsed() {
    let text = format!("name = 'x'\n#{}", " ".repeat(64 * 1024));
    assert!(matches!(file(&text), Err(Error::TooLarge { limit: 65_536 })));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, &text).unwrap();
    assert!(matches!(Layers::default().file(&path), Err(Error::TooLarge { .. })));
    assert!(Layers::default().file(&dir.path().join("none")).is_ok());
}

#[test]
fn the_template_holds_all_settings_at_their_defaults() {
    assert_eq!(file(&template(None)).unwrap().config, Config::default());
    assert_eq!(file(&template(Some("it's \"me\""))).unwrap().config.name.as_deref(), Some("it's \"me\""));
    let settings = template(None)
        .lines()
        .filter_map(|line| line.strip_prefix("# ")?.split_once(" = ").map(|_| line))
        .map(|line| line.trim_start_matches("# ").to_owned() + "\n")
        .collect::<String>();
    let effective = file(&settings).unwrap();
    assert_eq!(effective.config, Config::default());
    assert!(Key::ALL.into_iter().all(|key| effective.origin(key) == Origin::File), "{settings}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        if let Ok(layers) = Layers::default().file_bytes(&bytes) {
            let _ = layers.resolve();
        }
    }

    #[test]
    fn no_toml_of_known_keys_makes_it_panic(
        entries in proptest::collection::btree_map(
            proptest::sample::select(Key::ALL.to_vec()),
            prop_oneof![
                any::<i64>().prop_map(|number| number.to_string()),
                any::<bool>().prop_map(|flag| flag.to_string()),
                "[ -&(-~]{0,40}".prop_map(|text| format!("'{text}'")),
                proptest::collection::vec("(/(ip4|ip6|tcp|p2p|thread|ipel|dns4)(/[a-z0-9.:]{0,20})?){0,4}", 0..4)
                    .prop_map(|list| format!("{list:?}")),
                Just("{ a = [[[[]]]] }".to_owned()),
                Just("1979-05-27".to_owned()),
                Just("nan".to_owned()),
            ],
            // Few, or nearly none of them would be accepted.
            0..6,
        )
    ) {
        let text: String = entries.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        if let Ok(effective) = file(&text) {
            // What was accepted can be written down and is accepted again, with the same meaning; but for the secrets,
            // which are not shown.
            let config = &effective.config;
            let secrets = [(Key::ApiToken, &config.api_token), (Key::FollowCode, &config.follow_code)];
            let written = Key::ALL.into_iter().map(|key| match secrets.iter().find(|(secret, _)| *secret == key) {
                Some((_, token)) => (key, Raw::Text(token.as_ref().map(|token| token.reveal().into()).unwrap_or_default())),
                None => (key, config.get(key)),
            });
            prop_assert_eq!(&Layers::default().flags(written).resolve().unwrap().config, config);
        }
    }
}
