//! From the flags of the web server to what it obeys.

use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use swarmscout_model::relabel::Regex;
use swarmscout_net::{Url, redact_url};
use swarmscout_server::{ExternalUrl, ServerOptions};

use super::WebArgs;
use swarmscout_web as web;

/// What the web server obeys, from its flags.
pub fn options(args: &WebArgs) -> anyhow::Result<web::Options> {
    let external_url = parse_external_url(&args.external_url).with_context(|| {
        format!("cannot use --web.external-url={}", redact_url(&args.external_url))
    })?;
    let prefix = args.route_prefix.as_deref();
    let prefix = prefix.or(external_url.as_ref().map(|url| url.path.as_str())).unwrap_or_default();
    let cors_origin = match args.cors_origin.as_deref() {
        None | Some("") => None,
        Some(pattern) => {
            let regex = Regex::new(pattern)
                .with_context(|| format!("cannot use --web.cors.origin={pattern}"))?;
            Some(Arc::new(regex))
        }
    };
    Ok(web::Options {
        server: ServerOptions {
            route_prefix: trim_path(prefix),
            external_url,
            max_waiting: args.max_waiting,
            ..args.listener.options()?
        },
        enable_lifecycle: args.enable_lifecycle,
        cors_origin,
        page_title: args.page_title.clone(),
        open_nodes: args.open_nodes,
    })
}

/// `scheme://host[:port][/path]`.
fn parse_external_url(url: &str) -> anyhow::Result<Option<ExternalUrl>> {
    if url.is_empty() {
        return Ok(None);
    }
    if url.starts_with(['"', '\'']) || url.ends_with(['"', '\'']) {
        bail!("URL must not begin or end with quotes");
    }
    let fragment = url.split_once('#').map_or("", |(_, fragment)| fragment);
    let uri: http::Uri = url.parse().map_err(|error| anyhow!("{error}"))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        bail!("it needs a scheme and a host: http://host/path");
    };
    if !matches!(scheme, "http" | "https") {
        bail!("its scheme must be http or https");
    }
    if authority.as_str().contains('@') || fragment.contains('@') {
        bail!("it must hold no user name and password: every reader sees it");
    }
    // http takes any text for a port.
    Url::parse(url)?;
    Ok(Some(ExternalUrl {
        scheme: scheme.to_owned(),
        authority: authority.to_string(),
        path: trim_path(uri.path()),
    }))
}

/// Empty, or with a slash at the start and without one at the end.
fn trim_path(path: &str) -> String {
    match path.trim_matches('/') {
        "" => String::new(),
        path => format!("/{path}"),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::cli::parse;

    fn read(words: &str) -> anyhow::Result<web::Options> {
        let args = std::iter::once("swarmscout").chain(words.split_whitespace());
        options(&parse(args.map(Into::into)).expect("clap accepts it").run.web)
    }

    #[test]
    fn external_url_and_prefix_go_together_as_in_prometheus() {
        for (words, url, prefix) in [
            ("", None, ""),
            ("--web.external-url=http://h", Some("http://h"), ""),
            ("--web.external-url=https://h:1/a/b//", Some("https://h:1/a/b"), "/a/b"),
            ("--web.external-url=http://[::1]/a --web.route-prefix=/", Some("http://[::1]/a"), ""),
            ("--web.route-prefix=x/", None, "/x"),
        ] {
            let options = read(words).unwrap_or_else(|error| panic!("{words}: {error:#}"));
            assert_eq!(
                options.server.external_url.map(|url| url.to_string()).as_deref(),
                url,
                "{words}"
            );
            assert_eq!(options.server.route_prefix, prefix, "{words}");
        }
    }

    #[test]
    fn cors_is_off_unless_asked_for() {
        let admits = |words: &str, origin: &str| {
            let options = read(words).unwrap_or_else(|error| panic!("{words}: {error:#}"));
            options.cors_origin.is_some_and(|regex| regex.is_match(origin))
        };
        assert!(!admits("", "https://a"));
        assert!(admits("--web.cors.origin=.*", "https://a"));
        assert!(admits("--web.cors.origin=https?://(a|b)", "https://b"));
        assert!(!admits("--web.cors.origin=https?://(a|b)", "https://b.evil"));
    }

    #[test]
    fn allowed_hosts_are_listed_or_repeated() {
        let words = "--web.allowed-hosts=a,b_c.example --web.allowed-hosts=[::1]";
        let options = read(words).unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(options.server.allowed_hosts, ["a", "b_c.example", "[::1]"]);
    }

    #[track_caller]
    fn check_error(words: &str, expected: &Expect) {
        expected.assert_eq(&format!("{:#}", read(words).expect_err(words)));
    }

    #[test]
    fn says_what_is_wrong() {
        check_error(
            "--web.external-url='http://h'",
            &expect![
                "cannot use --web.external-url='http://h': URL must not begin or end with quotes"
            ],
        );
        check_error(
            "--web.external-url=h:80",
            &expect![
                "cannot use --web.external-url=h:80: it needs a scheme and a host: http://host/path"
            ],
        );
        check_error(
            "--web.external-url=ftp://h",
            &expect!["cannot use --web.external-url=ftp://h: its scheme must be http or https"],
        );
        check_error(
            "--web.external-url=http://u:p@h",
            &expect![
                "cannot use --web.external-url=http://u:xxxxx@h: it must hold no user name and password: every reader sees it"
            ],
        );
        check_error(
            "--web.external-url=http://u:12345#p@h",
            &expect![
                "cannot use --web.external-url=http://u:xxxxx@h: it must hold no user name and password: every reader sees it"
            ],
        );
        check_error(
            "--web.external-url=http://u:hunter2/p@h",
            &expect![
                r#"cannot use --web.external-url=http://u:xxxxx@h: parse "http://u:xxxxx@h": the user and password before @ must be percent-encoded: write %23 for #, %2F for /, %3F for ?"#
            ],
        );
        check_error(
            "--web.allowed-hosts=a,http://b",
            &expect![
                "cannot use --web.allowed-hosts=http://b: give the name of a host without scheme and port"
            ],
        );
        check_error(
            "--web.allowed-hosts=a:9465",
            &expect![
                "cannot use --web.allowed-hosts=a:9465: give the name of a host without scheme and port"
            ],
        );
        check_error(
            "--web.cors.origin=(",
            &expect![
                "cannot use --web.cors.origin=(: error parsing regexp: missing closing ): `^(?s:()$`"
            ],
        );
    }
}
