//! What an announcement and a descriptor must be.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::{
    plugin::fake::{announcement, descriptor},
    transport::dial::{Dialler, Files, Name},
};

fn good() -> pb::RegisterRequest {
    announcement("127.0.0.1:4000".parse().unwrap(), vec![descriptor("look")])
}

fn direct(endpoint: &str) -> Option<Transport> {
    Some(Transport::Direct(pb::DirectTransport {
        endpoint: endpoint.to_owned(),
        ..Default::default()
    }))
}

/// The check with the catalogue that is built in.
async fn check(
    request: pb::RegisterRequest,
    caller: &Caller,
    config: &Config,
) -> Result<Admitted, Error> {
    let plugin = request.catalog.as_ref().map_or("", |catalog| &catalog.plugin);
    may_enter(plugin, caller, config)?;
    super::check(request, caller, config, (&Catalogue::embedded().unwrap(), &Arc::default())).await
}

fn dialled(admitted: &Admitted) -> String {
    let Reach::Direct { address, .. } = &admitted.reach else { panic!("not dialled") };
    address.to_string()
}

async fn refused(request: pb::RegisterRequest) -> Error {
    check(request, &Caller::default(), &Config::default()).await.unwrap_err()
}

#[tokio::test]
async fn everything_wrong_with_an_announcement_is_told_at_once() {
    let mut request = good();
    request.instance_id = "one".to_owned();
    request.transport = None;
    request.max_concurrent_calls = -1;
    request.weight = -1;
    let catalog = request.catalog.as_mut().unwrap();
    catalog.plugin = "agentd".to_owned();
    catalog.version = "one".to_owned();
    catalog.tools.clear();
    catalog.min_protocol = 3;
    catalog.max_protocol = 2;
    let Error::Invalid { violations } = refused(request).await else { panic!("not refused") };
    let fields: Vec<&str> = violations.iter().map(|one| one.field.as_str()).collect();
    let expected = [
        "instance_id",
        "max_concurrent_calls",
        "weight",
        "catalog.plugin",
        "catalog.version",
        "catalog.tools",
        "catalog.min_protocol",
        "transport",
    ];
    assert_eq!(fields, expected);
}

#[tokio::test]
async fn an_empty_message_is_refused_and_nothing_panics() {
    assert!(matches!(refused(pb::RegisterRequest::default()).await, Error::Invalid { .. }));
}

#[tokio::test]
async fn a_catalog_may_be_only_so_large() {
    let mut many = good();
    many.catalog.as_mut().unwrap().tools = vec![descriptor("look"); 201];
    let mut large = good();
    large.catalog.as_mut().unwrap().tools[0].description = "x".repeat(MAX_CATALOG);
    for request in [many, large] {
        assert!(matches!(refused(request).await, Error::Invalid { .. }));
    }
}

#[tokio::test]
async fn sides_that_share_no_protocol_are_told_what_to_upgrade() {
    for (low, high, remedy) in [(2, 3, "upgrade agentd"), (0, 0, "")] {
        let mut request = good();
        let catalog = request.catalog.as_mut().unwrap();
        (catalog.min_protocol, catalog.max_protocol) = (low, high);
        let answer = check(request, &Caller::default(), &Config::default()).await;
        match answer {
            Err(error @ Error::Protocol { .. }) => {
                let said = error.to_string();
                assert!(
                    said.contains("revisions 2-3, agentd 1-1") && said.contains(remedy),
                    "{said}"
                );
            }
            other => assert!(other.is_ok() && low == 0, "{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_endpoint_is_an_address_of_this_machine() {
    let caller =
        Caller { peer: Some("[::1]:999".parse().unwrap()), bearer: None, ..Default::default() };
    for (endpoint, wanted) in [
        ("127.0.0.1:4000", Some("127.0.0.1:4000")),
        (":4000", Some("[::1]:4000")),
        ("[::1]:4000", Some("[::1]:4000")),
        ("localhost:4000", Some("127.0.0.1:4000")),
        ("10.0.0.1:4000", None),
        ("169.254.169.254:80", None),
        ("0.0.0.0:4000", None),
        ("", None),
        ("127.0.0.1", None),
        ("127.0.0.1:0", None),
        ("127.0.0.1:70000", None),
        ("unix:/run/x", None),
    ] {
        let request = pb::RegisterRequest { transport: direct(endpoint), ..good() };
        let found = check(request, &caller, &Config::default()).await;
        let found = found.ok().map(|admitted| dialled(&admitted));
        let either = found.as_deref() == Some("[::1]:4000") && endpoint.starts_with("localhost");
        assert!(found.as_deref() == wanted || either, "{endpoint:?} gave {found:?}");
    }
}

#[tokio::test]
async fn a_plugin_elsewhere_is_dialled_where_it_calls_from_and_nowhere_else() {
    let networks = vec!["10.0.0.0/8".parse().unwrap(), "169.254.0.0/16".parse().unwrap()];
    let config = Config { networks, ..Config::default() };
    for (peer, endpoint, wanted) in [
        ("10.0.0.9:999", "10.0.0.9:4000", Some("10.0.0.9:4000")),
        ("10.0.0.9:999", ":4000", Some("10.0.0.9:4000")),
        ("[::ffff:10.0.0.9]:999", ":4000", Some("10.0.0.9:4000")),
        ("10.0.0.9:999", "10.0.0.8:4000", None),
        ("10.0.0.9:999", "127.0.0.1:4000", None),
        ("10.0.0.9:999", "localhost:4000", None),
        ("10.0.0.9:999", "169.254.169.254:80", None),
        ("169.254.1.1:999", ":4000", None),
        ("11.0.0.9:999", ":4000", None),
        ("127.0.0.1:999", "10.0.0.9:4000", None),
    ] {
        let caller =
            Caller { peer: Some(peer.parse().unwrap()), bearer: None, ..Default::default() };
        let request = pb::RegisterRequest { transport: direct(endpoint), ..good() };
        let found = check(request, &caller, &config).await;
        let found = found.ok().map(|admitted| dialled(&admitted));
        assert_eq!(found.as_deref(), wanted, "{endpoint} of {peer}");
    }
}

#[test]
fn a_name_that_stands_for_any_other_address_too_is_not_dialled() {
    let metadata = "169.254.169.254:80";
    for (found, elsewhere, wanted) in [
        (&["[::1]:80", "127.0.0.1:80"][..], None, Some("127.0.0.1:80")),
        (&["127.0.0.1:80", metadata], None, None),
        (&[metadata, "127.0.0.1:80"], None, None),
        (&["10.0.0.9:80"], Some("10.0.0.9"), Some("10.0.0.9:80")),
        (&["10.0.0.9:80", "10.0.0.8:80"], Some("10.0.0.9"), None),
        (&["10.0.0.9:80", "127.0.0.1:80"], Some("10.0.0.9"), None),
        (&[], None, None),
    ] {
        let all: Vec<SocketAddr> = found.iter().map(|address| address.parse().unwrap()).collect();
        let dialled = allowed("a.test", &all, elsewhere.map(|peer| peer.parse().unwrap()));
        let dialled = dialled.ok().map(|address| address.to_string());
        assert_eq!(dialled.as_deref(), wanted, "{found:?} for a caller at {elsewhere:?}");
    }
}

#[tokio::test]
async fn strangers_and_the_relay_are_refused_each_with_its_reason() {
    let caller =
        Caller { peer: Some("10.0.0.9:999".parse().unwrap()), bearer: None, ..Default::default() };
    let error = check(good(), &caller, &Config::default()).await.unwrap_err();
    assert_eq!(error, Error::NotLocal);
    let mapped = Caller {
        peer: Some("[::ffff:127.0.0.1]:999".parse().unwrap()),
        bearer: None,
        ..Default::default()
    };
    assert!(check(good(), &mapped, &Config::default()).await.is_ok());
    let relay = Some(Transport::Relay(pb::RelayTransport { slots: 4 }));
    let request = pb::RegisterRequest { transport: relay, ..good() };
    let admitted = check(request, &Caller::default(), &Config::default()).await.unwrap();
    assert!(matches!(admitted.reach, Reach::Relay));
    assert_eq!(admitted.max_calls, 4, "a slot carries one call");
    let many = Some(Transport::Relay(pb::RelayTransport { slots: 65 }));
    let Error::Invalid { violations } =
        refused(pb::RegisterRequest { transport: many, ..good() }).await
    else {
        panic!("admitted");
    };
    assert_eq!(violations[0].field, "relay.slots");
}

#[tokio::test]
async fn a_reserved_namespace_wants_the_token_of_this_run() {
    let mut config = Config { reserved: vec!["probe".to_owned()], ..Config::default() };
    assert!(check(good(), &Caller::default(), &config).await.is_ok(), "nothing is supervised");
    config.supervised_token = Some("t0ken".to_owned());
    for (bearer, may) in [(None, false), (Some("other"), false), (Some("t0ken"), true)] {
        let caller = Caller { peer: None, bearer: bearer.map(str::to_owned), ..Default::default() };
        assert_eq!(check(good(), &caller, &config).await.is_ok(), may, "{bearer:?}");
    }
}

fn verdicts(tools: Vec<pb::ToolDescriptor>) -> Vec<Checked> {
    let catalog = pb::PluginCatalog { plugin: "probe".to_owned(), tools, ..Default::default() };
    descriptor::check_all(&catalog, &Catalogue::embedded().unwrap(), &Known::default())
}

#[test]
fn one_bad_tool_never_sinks_the_others() {
    let bad = |change: fn(&mut pb::ToolDescriptor)| {
        let mut tool = descriptor("bad");
        change(&mut tool);
        tool
    };
    let template = |text: &str| pb::Applicability {
        arguments_template_json: text.to_owned(),
        ..Default::default()
    };
    let cases: Vec<(pb::ToolDescriptor, &str)> = vec![
        (bad(|tool| tool.name = "x".repeat(33)), "BAD_NAME"),
        (bad(|tool| tool.name = "a__b".to_owned()), "BAD_NAME"),
        (bad(|tool| tool.name = "Look".to_owned()), "BAD_NAME"),
        (bad(|tool| tool.version = "1".to_owned()), "BAD_VERSION"),
        (bad(|tool| tool.description = " ".to_owned()), "REQUIRED"),
        (bad(|tool| tool.input_schema_json = "{".to_owned()), "NOT_JSON"),
        (bad(|tool| tool.input_schema_json = "[]".to_owned()), "ROOT_NOT_OBJECT"),
        (bad(|tool| tool.input_schema_json = r#"{"type":"string"}"#.to_owned()), "ROOT_NOT_OBJECT"),
        (bad(|tool| tool.input_schema_json = " ".repeat(70_000)), "TOO_LARGE"),
        (bad(|tool| tool.output_schema_json = "nothing".to_owned()), "NOT_JSON"),
        (
            pb::ToolDescriptor { applies: vec![template("{\"a\":{name}")], ..descriptor("bad") },
            "NOT_AN_OBJECT",
        ),
        (
            pb::ToolDescriptor { applies: vec![template("[\"{name}\"]")], ..descriptor("bad") },
            "NOT_AN_OBJECT",
        ),
        (
            pb::ToolDescriptor {
                applies: vec![template("{\"a\":\"{pod}\"}")],
                ..descriptor("bad")
            },
            "UNKNOWN_PLACEHOLDER",
        ),
    ];
    for (tool, reason) in cases {
        let checked = verdicts(vec![descriptor("good"), tool.clone(), descriptor("fine")]);
        let accepted: Vec<bool> = checked.iter().map(|one| one.rejection.is_none()).collect();
        assert_eq!(accepted, [true, false, true], "{tool:?}");
        let rejection = checked[1].rejection.as_ref().unwrap();
        let reasons: Vec<&str> = rejection.violations.iter().map(|v| v.reason.as_str()).collect();
        assert!(reasons.contains(&reason), "{reasons:?} lack {reason}");
    }
    let twice = verdicts(vec![descriptor("look"), descriptor("look")]);
    assert!(twice[0].rejection.is_none() && twice[1].rejection.is_some());
}

#[test]
fn templates_with_nested_objects_and_known_placeholders_are_accepted() {
    for text in ["", "{}", r#"{"a":{"b":{}},"n":"{namespace}/{name}","t":"{start_time}"}"#] {
        let applies =
            pb::Applicability { arguments_template_json: text.to_owned(), ..Default::default() };
        let tool = pb::ToolDescriptor { applies: vec![applies], ..descriptor("look") };
        assert!(verdicts(vec![tool])[0].rejection.is_none(), "{text}");
    }
}

#[test]
fn what_is_told_of_one_tool_is_bounded_however_much_is_wrong_with_it() {
    let many: String = (0..10_000).map(|n| format!("{{x{n}}} {{x{n}}} ")).collect();
    let text = format!(r#"{{"a":"{many}"}}"#);
    let bad = pb::Applicability { arguments_template_json: text, ..Default::default() };
    let unasked = pb::Applicability {
        arguments_template_json: r#"{"nobody":"asks"}"#.to_owned(),
        ..Default::default()
    };
    let tool = |applies| pb::ToolDescriptor { applies, ..descriptor("look") };
    let checked = verdicts(vec![tool(vec![bad; 3]), tool(vec![unasked; 1000])]);
    let rejection = checked[0].rejection.as_ref().unwrap();
    assert_eq!(rejection.violations.len(), 20);
    assert!(rejection.message.len() <= 2048 && rejection.violations[0].description.len() < 512);
    assert!(checked[1].warnings.len() <= 20, "{}", checked[1].warnings.len());
}

#[test]
fn advice_comes_as_warnings_and_an_empty_version_is_the_first() {
    let tool = pb::ToolDescriptor {
        version: String::new(),
        side_effect: 0,
        input_schema_json: r#"{"type":"object","properties":{"a":{},"b":{"description":"b"}}}"#
            .to_owned(),
        applies: vec![pb::Applicability {
            emits: vec!["log.timeout".to_owned(), "odd.signal".to_owned()],
            ..Default::default()
        }],
        ..descriptor("look")
    };
    let tool = pb::ToolDescriptor {
        title: "look\u{202e}".to_owned(),
        applies: vec![
            tool.applies[0].clone(),
            pb::Applicability {
                arguments_template_json: r#"{"c":"{service}"}"#.to_owned(),
                ..Default::default()
            },
        ],
        ..tool
    };
    let checked = verdicts(vec![tool]).remove(0);
    assert_eq!((checked.id.version.as_str(), checked.rejection), ("1.0.0", None));
    let said = checked.warnings.join("\n");
    for word in [
        "side_effect is unset",
        "without a description: a",
        "odd.signal",
        "U+202E",
        "applies[1].arguments_template_json: arguments.c is not",
    ] {
        assert!(said.contains(word), "{said} lacks {word}");
    }
    assert!(!said.contains("log.timeout"), "{said}");
    let silent = verdicts(vec![descriptor("look")]).remove(0);
    assert!(
        silent.warnings.iter().any(|said| said.contains("no applies")),
        "{:?}",
        silent.warnings
    );
}

/// A caller on another machine, in a network that plugins may call from.
fn elsewhere() -> (Caller, Config) {
    let config = Config { networks: vec!["10.0.0.0/8".parse().unwrap()], ..Config::default() };
    (
        Caller { peer: Some("10.0.0.9:999".parse().unwrap()), bearer: None, ..Default::default() },
        config,
    )
}

fn reasons(refused: Result<Admitted, Error>) -> Vec<String> {
    let Err(Error::Invalid { violations }) = refused else { panic!("{refused:?}") };
    violations.into_iter().map(|one| one.reason).collect()
}

#[tokio::test]
async fn tls_without_an_authority_and_plain_text_from_elsewhere_are_told_with_what_to_do() {
    let (caller, mut config) = elsewhere();
    let request = |endpoint| pb::RegisterRequest { transport: direct(endpoint), ..good() };
    let local = check(request("https://127.0.0.1:4000"), &Caller::default(), &config).await;
    let Err(Error::Invalid { violations }) = local else { panic!("{local:?}") };
    assert_eq!(violations[0].reason, "TLS_UNTRUSTED");
    assert!(violations[0].description.contains("plugins.ca_file"), "{violations:?}");
    assert!(check(request(":4000"), &caller, &config).await.is_ok());
    config.secured.demanded = true;
    let plain = check(request(":4000"), &caller, &config).await;
    assert_eq!(reasons(plain), ["TLS_REQUIRED"]);
    assert!(check(request(":4000"), &Caller::default(), &config).await.is_ok());
    let strange = check(request("ftp://127.0.0.1:4000"), &Caller::default(), &config).await;
    assert_eq!(reasons(strange), ["BAD_ENDPOINT"]);
}

#[tokio::test]
async fn a_certificate_is_for_the_host_of_the_endpoint_or_for_the_name_that_is_set() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca");
    let own = rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap();
    std::fs::write(&ca, own.cert.pem()).unwrap();
    let (caller, mut config) = elsewhere();
    config.secured.dialler = Some(Dialler::load(Files { ca, identity: None }).unwrap());
    config.secured.demanded = true;
    for (server_name, endpoint, expected) in [
        (None, "https://:4000", "10.0.0.9"),
        (None, "https://10.0.0.9:4000", "10.0.0.9"),
        (Some("plugin-{plugin}.agentd.svc"), "https://10.0.0.9:4000", "plugin-probe.agentd.svc"),
        (Some("plugins.test"), "https://:4000", "plugins.test"),
    ] {
        config.secured.server_name = server_name.map(str::to_owned);
        let request = pb::RegisterRequest { transport: direct(endpoint), ..good() };
        let admitted = check(request, &caller, &config).await.unwrap();
        assert_eq!(dialled(&admitted), "10.0.0.9:4000");
        let Reach::Direct { way, .. } = admitted.reach else { panic!("not dialled") };
        assert_eq!(way.unwrap().name, Name::read(expected).unwrap());
    }
    config.secured.server_name = None;
    let request = pb::RegisterRequest { transport: direct("https://a b:4000"), ..good() };
    assert_eq!(reasons(check(request, &caller, &config).await), ["BAD_ENDPOINT"]);
}
