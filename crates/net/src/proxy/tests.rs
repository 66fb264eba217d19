use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::Host;

/// Recorded by `tests/go-httpproxy`.
const ANSWERS: &str = include_str!("../../tests/go-httpproxy/answers.jsonl");

#[test]
fn the_same_hosts_are_excepted_as_by_go() {
    let mut lines = ANSWERS.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let urls = lines.next().unwrap();
    let urls: Vec<&str> = urls.as_array().unwrap().iter().map(|u| u.as_str().unwrap()).collect();
    let hosts: Vec<Host> = urls.iter().map(|url| Host::parse(url).unwrap()).collect();
    let mut lists = 0;
    for line in lines {
        let list = line["no_proxy"].as_str().unwrap();
        let expected: Vec<_> =
            line["direct"].as_array().unwrap().iter().map(url_of(&urls)).collect();
        let rules = NoProxy::parse(list).unwrap();
        let direct = hosts
            .iter()
            .zip(&urls)
            .filter(|(host, _)| rules.has(host.hostname(), host.port().unwrap()));
        let direct: Vec<_> = direct.map(|(_, url)| *url).collect();
        assert_eq!(direct, expected, "{list:?}");
        lists += 1;
    }
    assert!(lists > 400, "{lists}");
}

fn url_of<'a>(urls: &'a [&'a str]) -> impl Fn(&Value) -> &'a str {
    |index| urls[usize::try_from(index.as_u64().unwrap()).unwrap()]
}

proptest! {
    #[test]
    fn any_list_can_be_read(list in "[a-z0-9.:/*,\\[\\] %-]{0,40}|.{0,20}", host in "[a-z0-9.:]{0,12}") {
        if let Ok(rules) = NoProxy::parse(&list) {
            let once = rules.has(&host, 80);
            prop_assert_eq!(NoProxy::parse(&format!("{list},")).unwrap().has(&host, 80), once);
            let all = format!("{list},*");
            prop_assert!(NoProxy::parse(&all).unwrap().has(&host, 80));
            prop_assert!(rules.has("localhost", 80) && rules.has("127.1.2.3", 1) && rules.has("::1", 1));
        } else {
            prop_assert!(!list.is_ascii());
        }
    }
}

/// Which proxies an environment names, for plain and for TLS.
fn proxies_of(variables: &[(&str, &str)]) -> String {
    let get = |name: &str| {
        let found = variables.iter().find(|(other, _)| *other == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    match ProxyConfig::from_environment(get) {
        Ok(config) => {
            let proxy = |https, host| {
                config.of(https, host, 80).map_or("none".to_owned(), ToString::to_string)
            };
            format!("{}, {}", proxy(false, "a.example"), proxy(true, "a.example"))
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_environment_is_read_as_by_go() {
    let check = |variables: &[(&str, &str)], expected: Expect| {
        expected.assert_eq(&proxies_of(variables));
    };
    check(&[], expect!["none, none"]);
    check(&[("HTTP_PROXY", "http://p:1")], expect!["http://p:1, none"]);
    check(&[("HTTPS_PROXY", "https://p")], expect!["none, https://p:443"]);
    check(
        &[
            ("HTTP_PROXY", "http://a"),
            ("http_proxy", "socks5://b"),
            ("https_proxy", "socks5h://c:1"),
        ],
        expect!["socks5://b:1080, socks5h://c:1"],
    );
    check(&[("http_proxy", ""), ("HTTP_PROXY", "http://a")], expect!["http://a:80, none"]);
    check(&[("ALL_PROXY", "http://a")], expect!["none, none"]);
    // Without a scheme.
    check(&[("HTTP_PROXY", "p")], expect!["http://p:80, none"]);
    check(&[("HTTP_PROXY", "p:3128")], expect!["http://p:3128, none"]);
    check(&[("HTTP_PROXY", "10.0.0.1:3128")], expect!["http://10.0.0.1:3128, none"]);
    check(&[("HTTP_PROXY", "u:p@[::1]:3128")], expect!["http://[::1]:3128, none"]);
    check(
        &[("HTTP_PROXY", "p"), ("HTTPS_PROXY", "q"), ("no_proxy", "b.example, a.example")],
        expect!["none, none"],
    );
}

#[test]
fn what_cannot_be_used_in_the_environment_is_refused() {
    let check = |variables: &[(&str, &str)], expected: Expect| {
        expected.assert_eq(&proxies_of(variables));
    };
    check(
        &[("HTTPS_PROXY", "ftp://u:hunter2@p")],
        expect![[
            r#"cannot use environment variable HTTPS_PROXY: parse "ftp://u:xxxxx@p": the URL of a proxy starts with http://, https://, socks5:// or socks5h://"#
        ]],
    );
    check(
        &[("http_proxy", "http://u:hunter2@p:port")],
        expect![[
            r#"cannot use environment variable http_proxy: parse "http://u:xxxxx@p:port": invalid port ":port" after host"#
        ]],
    );
    check(
        &[("HTTP_PROXY", "http://p:70000")],
        expect![[
            r#"cannot use environment variable HTTP_PROXY: parse "http://p:70000": port is not between 0 and 65535"#
        ]],
    );
    check(
        &[("HTTP_PROXY", "p"), ("REQUEST_METHOD", "GET")],
        expect![
            "cannot use environment variable HTTP_PROXY: REQUEST_METHOD is set, as under CGI, where anybody can set it"
        ],
    );
    check(&[("HTTPS_PROXY", "p"), ("REQUEST_METHOD", "GET")], expect!["none, http://p:80"]);
    check(
        &[("NO_PROXY", "bücher.example")],
        expect![[
            r#"cannot use environment variable NO_PROXY: parse "bücher.example": host name is not ASCII: write it in its xn-- form"#
        ]],
    );
}

#[test]
fn this_machine_is_excepted_only_where_anything_is() {
    let url = Url::parse("http://proxy:3128").unwrap();
    let direct = |no_proxy: &str, host| {
        let mut config = ProxyConfig::new(&url).unwrap();
        config.except(no_proxy).unwrap();
        config.of(false, host, 80).is_none()
    };
    for host in ["localhost", "127.0.0.1", "::1"] {
        assert!(!direct("", host) && direct("x", host), "{host}");
    }
    assert!(!direct("", "x") && direct("x", "x"));
}

#[test]
fn secrets_of_proxies_show_nowhere() {
    let url = Url::parse("http://u:hunter2@proxy").unwrap();
    let mut config = ProxyConfig::new(&url).unwrap();
    config.except("x").unwrap();
    config.connect_header("X-Token", &Secret::new("hunter2")).unwrap();
    let refused = config.connect_header("X-Token", &Secret::new("hunter2\n")).unwrap_err();
    expect![[
        r#"cannot send header "X-Token": its value holds a line break or another control character"#
    ]]
    .assert_eq(&refused.to_string());
    let refused = config.connect_header("X Token", &Secret::new("")).unwrap_err();
    expect![[r#"cannot send header "X Token": it is not a name that a header can have"#]]
        .assert_eq(&refused.to_string());
    expect![[r#"ProxyConfig { http: Some("http://proxy:80"), https: Some("http://proxy:80"), except: Some(NoProxy([Domain { suffix: ".x", itself: true, port: None }])), connect_headers: {"x-token": Sensitive} }"#]]
        .assert_eq(&format!("{config:?}"));
    assert_eq!(config.of(false, "y", 80).unwrap().authorization().unwrap(), "Basic dTpodW50ZXIy");
}
