//! The name of a source in the storage.

use std::fmt;

use rustls::SupportedCipherSuite;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use swarmscout_net::config::{Auth, HeaderSource, SecretSource};
use swarmscout_net::{HttpConfig, redact_url};

use crate::config::{EngineConfig, SdConfig};

/// A digest of the settings that decide *what* a source finds: the servers it queries, as which
/// user, and how it makes targets of the answer. Secrets are not part of it, nor is the way to the
/// answer (intervals, TLS, proxies, events). A source keeps its key if only those change, and two
/// sources that differ only in those have the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub(super) [u8; 16]);

impl Key {
    /// The key of a source. `None` if its targets are in the configuration file itself.
    pub(super) fn of(config: &SdConfig) -> Option<Self> {
        config.source().identity().map(|identity| identity.digest())
    }

    /// The key that a file of this name belongs to.
    pub(super) fn of_file(name: &str) -> Option<Self> {
        let digits = name.strip_suffix(SUFFIX)?.as_bytes();
        let digit = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let (pairs, []) = digits.as_chunks::<2>() else { return None };
        let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
        let bytes: Vec<_> = bytes.collect::<Option<_>>()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// The name of its file.
    pub(super) fn file(self) -> String {
        format!("{self}{SUFFIX}")
    }
}

const SUFFIX: &str = ".groups";

/// 32 hexadecimal digits.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What identifies a source: texts, each with its length, so two different lists never have the
/// same text.
#[derive(Debug)]
pub struct Identity(String);

impl Identity {
    /// That of a source of this kind.
    pub fn new(kind: &str) -> Self {
        let mut identity = Self(String::new());
        identity.add(kind);
        identity
    }

    /// Adds a text without secrets.
    pub fn add(&mut self, part: &str) {
        self.0.push_str(&part.len().to_string());
        self.0.push(':');
        self.0.push_str(part);
    }

    /// Adds where an Engine is, and what is asked of it.
    pub fn engine(&mut self, config: &EngineConfig) {
        let EngineConfig { hosts, port, filters, refresh_interval: _, http } = config;
        self.add(&port.to_string());
        for filter in filters {
            self.add("filter");
            self.add(&filter.name);
            filter.values.iter().for_each(|value| self.add(value));
        }
        self.add("hosts");
        for host in hosts {
            self.add(&redact_url(host));
        }
        self.caller(http);
    }

    /// Adds who asks: a server may answer each with other targets.
    pub fn caller(&mut self, http: &HttpConfig) {
        match &http.auth {
            None => {}
            Some(Auth::Basic { username, password: _ }) => {
                self.add("basic");
                match username {
                    SecretSource::Inline(name) => self.add(name.expose()),
                    SecretSource::File(path) => self.add(&path.to_string_lossy()),
                }
            }
            Some(Auth::Header { scheme, credentials: _ }) => {
                self.add("authorization");
                self.add(scheme);
            }
            Some(Auth::OAuth2(oauth2)) => {
                self.add("oauth2");
                self.add(&oauth2.client_id);
                self.add(&oauth2.token_url.to_string());
                oauth2.scopes.iter().for_each(|scope| self.add(scope));
            }
        }
        for header in &http.headers {
            self.add("header");
            self.add(header.name.as_str());
            match &header.value {
                HeaderSource::Value(value) => self.add(&String::from_utf8_lossy(value.as_bytes())),
                HeaderSource::Secret(_) => {}
                HeaderSource::File(path) => self.add(&path.to_string_lossy()),
            }
        }
    }

    /// The first half of the SHA-256: a file name must not reveal a URL.
    fn digest(&self) -> Key {
        let SupportedCipherSuite::Tls13(suite) = TLS13_AES_128_GCM_SHA256 else {
            unreachable!("the suite is one of TLS 1.3")
        };
        let digest = suite.common.hash_provider.hash(self.0.as_bytes());
        let (half, _) = digest.as_ref().split_first_chunk().expect("SHA-256 has 32 bytes");
        Key(*half)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use swarmscout_model::Secret;
    use swarmscout_net::config::Header;

    use super::*;
    use crate::config::{HttpSdConfig, StaticConfig};

    fn http(url: &str, auth: Option<Auth>, headers: Vec<Header>) -> Key {
        let http = HttpConfig { auth, headers, ..HttpConfig::default() };
        let refresh_interval = swarmscout_model::PromDuration::from_secs(60);
        let config = HttpSdConfig { urls: vec![url.to_owned()], refresh_interval, http };
        Key::of(&SdConfig::Http(config)).unwrap()
    }

    fn basic(user: &str, password: &str) -> Auth {
        let secret = |text: &str| SecretSource::Inline(Secret::new(text));
        Auth::Basic { username: secret(user), password: secret(password) }
    }

    fn header(value: HeaderSource) -> Vec<Header> {
        vec![Header { name: http::HeaderName::from_static("x-tenant"), value }]
    }

    #[test]
    fn secrets_do_not_count_and_who_asks_does() {
        let plain = |url| http(url, None, Vec::new());
        assert_eq!(plain("http://u:one@h/a"), plain("http://u:two@h/a"));
        assert_ne!(plain("http://u:one@h/a"), plain("http://v:one@h/a"));
        assert_ne!(plain("http://h/a"), plain("http://h/b"));
        let with = |auth| http("http://h/", auth, Vec::new());
        assert_eq!(with(Some(basic("u", "one"))), with(Some(basic("u", "two"))));
        assert_ne!(with(Some(basic("u", "one"))), with(Some(basic("v", "one"))));
        assert_ne!(with(Some(basic("u", "one"))), with(None));
        let tenant = |value| http("http://h/", None, header(value));
        let text = http::HeaderValue::from_static;
        assert_ne!(tenant(HeaderSource::Value(text("a"))), tenant(HeaderSource::Value(text("b"))));
        assert_eq!(
            tenant(HeaderSource::Secret(text("a"))),
            tenant(HeaderSource::Secret(text("b")))
        );
    }

    /// A key that changes with a version of the program would forget what is stored.
    #[test]
    fn keys_stay_what_they_are() {
        let check = |key: Key, expected: Expect| expected.assert_eq(&key.file());
        check(
            http("http://h/", None, Vec::new()),
            expect!["8a2aad7e7ead93c5571e4cc100443936.groups"],
        );
        check(
            http("http://h/", Some(basic("u", "p")), Vec::new()),
            expect!["d81f7a18209edf28b54ff8170f15aebc.groups"],
        );
    }

    #[test]
    fn what_is_in_the_configuration_is_not_stored() {
        assert_eq!(Key::of(&SdConfig::Static(StaticConfig::default())), None);
    }

    #[test]
    fn a_file_is_named_after_its_key() {
        let key = http("http://h/", None, Vec::new());
        assert_eq!(Key::of_file(&key.file()), Some(key));
        for name in ["", ".groups", "x.groups", "0.groups", "lock", &key.to_string()] {
            assert_eq!(Key::of_file(name), None, "{name}");
        }
        assert_eq!(Key::of_file(&key.file().to_uppercase()), None);
        assert_eq!(Key::of_file(&format!("00{}", key.file())), None);
    }
}
