//! Every section of the file with its keys (exporter-toolkit `web/tls_config.go`).

use std::collections::BTreeMap;
use std::time::Duration;

use swarmscout_config_decoder::yaml::{Data, Node, Resolved};
use swarmscout_config_decoder::{Cx, FilePath, Out, Value, section};
use swarmscout_model::Secret;
use swarmscout_net::config::TlsVersion;

section! {
    /// The whole file. An empty one is valid: no TLS, no users.
    pub(crate) File: "web.Config", "web_config" {
        /// TLS. Without a certificate the server speaks plain HTTP.
        key tls_server_config: TlsServerKeys = TlsServerKeys::default();
        /// HTTP/2 and headers of answers.
        key http_server_config: HttpServerKeys = HttpServerKeys::default();
        /// The limit of requests.
        key rate_limit: RateLimitKeys = RateLimitKeys::default();
        /// Names of users, each with the bcrypt hash of its password. If there are any, each request needs one of them, unless `authorization` says otherwise.
        key basic_auth_users: BTreeMap<String, Secret> = BTreeMap::new();
        /// Who may do what. Without it every client that gets in may do everything.
        key authorization: Option<AuthorizationSection> = None, ours;
    }
}

section! {
    /// TLS of the server. Files are read again when they change.
    pub(crate) TlsServerKeys: "web.TLSConfig", "tls_server_config" {
        /// Certificate of the server with those of its intermediate authorities, PEM.
        key cert: String = String::new();
        /// Its key, PEM.
        key key: Secret = Secret::default();
        /// Certificates of the authorities that vouch for clients, PEM.
        key client_ca: String = String::new();
        /// A file that holds `cert`.
        key cert_file: FilePath = FilePath::default();
        /// A file that holds `key`.
        key key_file: FilePath = FilePath::default();
        /// A file that holds `client_ca`.
        key client_ca_file: FilePath = FilePath::default();
        /// Which client certificates are wanted: `NoClientCert`, `RequestClientCert`, `RequireAnyClientCert`, `VerifyClientCertIfGiven` or `RequireAndVerifyClientCert`. Only the last two prove who a client is.
        key client_auth_type: String = String::new(), shown("NoClientCert");
        /// A client certificate must have one of these subject alternative names: DNS names, email addresses, IP addresses, URIs.
        key client_allowed_sans: Option<Vec<String>> = None;
        /// The lowest TLS version, `TLS12` or `TLS13`.
        key min_version: Option<TlsVersion> = None, shown("TLS12");
        /// The highest TLS version.
        key max_version: Option<TlsVersion> = None, shown("TLS13");
        /// Cipher suites of TLS 1.2, by Go's names. Those of TLS 1.3 are always on.
        key cipher_suites: Vec<String> = Vec::new();
        /// Whether the order of `cipher_suites` decides, or that of the client.
        key prefer_server_cipher_suites: bool = true, always;
        /// Groups for the key exchange in their order: `X25519MLKEM768`, `X25519`, `CurveP256`, `CurveP384`.
        key curve_preferences: Vec<String> = Vec::new();
    }
}

section! {
    /// HTTP/2 and headers of answers.
    pub(crate) HttpServerKeys: "web.HTTPConfig", "http_server_config" {
        /// Offer HTTP/2. Only with TLS.
        key http2: bool = true, always;
        /// More headers of each answer: `Content-Security-Policy`, `X-Frame-Options`, `X-Content-Type-Options`, `X-XSS-Protection`, `Strict-Transport-Security`. They replace those that the server sends by itself.
        key headers: BTreeMap<String, String> = BTreeMap::new();
    }
}

section! {
    /// The limit of requests, all clients together. What is above it is answered by 429.
    pub(crate) RateLimitKeys: "web.RateLimiterConfig", "rate_limit" {
        /// The most requests at once.
        key burst: i64 = 0;
        /// The time after which one more request is allowed, as `10ms`. `0`: no limit.
        key interval: GoDuration = GoDuration::default();
    }
}

section! {
    /// Who may do what. A list holds `anyone` (no proof), `any` (every user or verified client certificate), `user:NAME`, and `cert:NAME` (common name or subject alternative name of a verified client certificate). Without a list no client has the right.
    pub(crate) AuthorizationSection: "web.Authorization", "authorization" {
        /// Read the lists of targets: `/sd` and below.
        key lists: Option<Vec<String>> = None, ours;
        /// Read `/metrics` and `/metrics/swarm`.
        key metrics: Option<Vec<String>> = None, ours;
        /// Read the tasks of the own node: `/api/v1/nodes/<node>/tasks`.
        key nodes: Option<Vec<String>> = None, ours;
        /// Read pages and API, and all of the above.
        key read: Option<Vec<String>> = None, ours;
        /// Reload, stop, start the doctor, and all of the above.
        key change: Option<Vec<String>> = None, ours;
        /// `/-/healthy` and `/-/ready`.
        key health: Option<Vec<String>> = None, ours shown("[anyone]");
    }
}

/// A duration as Go writes it: `1h30m`, `1.5s`, `100ms`. A number alone counts nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GoDuration(pub(crate) Duration);

impl Value for GoDuration {
    fn name() -> String {
        "duration".into()
    }

    fn zero() -> Self {
        Self::default()
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if let Data::Scalar(scalar) = node.data()
            && let Resolved::Int(nanoseconds) = scalar.resolve()
        {
            let Ok(nanoseconds) = u64::try_from(nanoseconds) else {
                cx.error(node.at, "a duration cannot be negative");
                return None;
            };
            if nanoseconds > 0 {
                cx.warn(
                    node.at,
                    format!("these are {nanoseconds} nanoseconds: write a unit, as 10ms"),
                );
            }
            return Some(Self(Duration::from_nanos(nanoseconds)));
        }
        let text = cx.text(node, "time.Duration")?;
        let duration = parse(text);
        if duration.is_none() {
            cx.error(
                node.at,
                format!("{text:?} is not a duration: write it as 10ms, 1.5s or 1h30m"),
            );
        }
        duration.map(Self)
    }

    fn encode(&self) -> Out {
        Out::String(format!("{:?}", self.0))
    }

    fn is_empty(&self) -> bool {
        self.0.is_zero()
    }
}

/// Reads a duration (Go `time.ParseDuration`) that is not negative.
fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit = match unit {
            "ns" => 1e-9,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * unit;
        rest = after;
    }
    if text.is_empty() || text == "+" {
        return None;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations_as_go_does() {
        for (text, expected) in [
            ("0", Some(Duration::ZERO)),
            ("10ms", Some(Duration::from_millis(10))),
            ("1.5s", Some(Duration::from_millis(1500))),
            ("1h30m", Some(Duration::from_mins(90))),
            ("+5us", Some(Duration::from_micros(5))),
            ("", None),
            ("+", None),
            ("10", None),
            ("s", None),
            ("1d", None),
            ("-1s", None),
            ("1s ", None),
            ("..s", None),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }
}
