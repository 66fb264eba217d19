//! The URLs of targets on this machine, as others reach them.

use swarmscout_server::{Listener, ServerOptions, scheme_of};
use swarmscout_web_config::DoorsHandle;

/// Makes the URLs of targets on this machine reachable from others, as far as that can be guessed.
#[derive(Debug)]
pub(crate) struct GlobalUrl {
    /// `--web.external-url`, if it is set: scheme, and `host` or `host:port`.
    external: Option<(String, String)>,
    hostname: String,
    /// The ports on which we listen, each with what decides whether it speaks TLS.
    ports: Vec<(u16, Option<DoorsHandle>)>,
}

impl GlobalUrl {
    pub(crate) fn new(options: &ServerOptions, hostname: &str, listeners: &[Listener]) -> Self {
        let external = options.external_url.as_ref();
        let port = |listener: &Listener| Some((listener.address()?.port(), listener.doors()));
        Self {
            external: external.map(|url| (url.scheme.clone(), url.authority.clone())),
            hostname: hostname.to_owned(),
            ports: listeners.iter().filter_map(port).collect(),
        }
    }

    /// The URL of the same target for others; `None` where it is the same.
    pub(super) fn of(&self, url: &str) -> Option<String> {
        let (scheme, rest) = url.split_once("://")?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (host, port) = split_port(authority);
        if !matches!(host, "127.0.0.1" | "localhost" | "[::1]") {
            return None;
        }
        let number = port.and_then(|port| port.parse::<u16>().ok());
        let own = self.ports.iter().find(|(own, _)| Some(*own) == number);
        let external = self.external.as_ref();
        let host = external.map_or(&*self.hostname, |(_, authority)| split_port(authority).0);
        Some(match (port, own, external) {
            (_, Some(_), Some((scheme, authority))) => format!("{scheme}://{authority}{path}"),
            (_, Some((port, doors)), None) => {
                format!("{}://{host}:{port}{path}", scheme_of(doors.as_ref()))
            }
            (Some(port), None, _) => format!("{scheme}://{host}:{port}{path}"),
            (None, None, _) => format!("{scheme}://{host}{path}"),
        })
    }
}

/// Host, in brackets where it has them, and port.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    let after = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    match authority[after..].rfind(':') {
        Some(colon) => (&authority[..after + colon], Some(&authority[after + colon + 1..])),
        None => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use swarmscout_web_config::testing;

    use super::*;

    #[test]
    fn targets_of_this_machine_are_shown_as_others_reach_them() {
        let global = GlobalUrl {
            external: Some((String::from("https"), String::from("swarm.example:8443"))),
            hostname: String::from("host"),
            ports: vec![(9465, None)],
        };
        for (url, expected) in [
            ("http://127.0.0.1:9465/metrics", "https://swarm.example:8443/metrics"),
            ("http://localhost:9100/metrics?a=b", "http://swarm.example:9100/metrics?a=b"),
            ("http://[::1]:9100/metrics", "http://swarm.example:9100/metrics"),
            ("https://localhost/metrics", "https://swarm.example/metrics"),
        ] {
            assert_eq!(global.of(url).as_deref(), Some(expected), "{url}");
        }
        for url in ["http://10.0.0.1:9465/", "http://localhosts:1/", "http://[::2]:9465/"] {
            assert_eq!(global.of(url), None, "{url}");
        }
    }

    #[test]
    fn each_own_port_has_its_scheme() {
        let pair = rcgen::generate_simple_self_signed([String::from("host")]).unwrap();
        let (cert, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
        let text = format!("tls_server_config: {{cert: {cert:?}, key: {key:?}}}\n");
        let (sender, tls) = testing::handle(testing::doors(&text));
        let global = GlobalUrl {
            external: None,
            hostname: String::from("host"),
            ports: vec![(9465, None), (9466, Some(tls))],
        };
        for (url, expected) in [
            ("http://127.0.0.1:9465/metrics", "http://host:9465/metrics"),
            ("http://127.0.0.1:9466/metrics", "https://host:9466/metrics"),
            ("https://127.0.0.1:9100/metrics", "https://host:9100/metrics"),
        ] {
            assert_eq!(global.of(url).as_deref(), Some(expected), "{url}");
        }
        // Its file has changed.
        sender.send_replace(testing::doors(""));
        let url = global.of("http://127.0.0.1:9466/metrics");
        assert_eq!(url.as_deref(), Some("http://host:9466/metrics"));
    }
}
