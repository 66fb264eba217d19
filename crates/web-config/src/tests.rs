//! What is accepted and refused in a file, and in the files that it names.

use std::fs;
use std::path::{Path, PathBuf};

use expect_test::{Expect, expect};

use super::*;
use crate::tls::tests::Authority;

/// What is wrong with a text, or doubtful in it.
fn findings(text: &str) -> String {
    let lines: Vec<_> = match parse(text.as_bytes(), Path::new("web.yml")) {
        Ok((_, warnings)) => warnings.iter().map(|one| format!("warning: {one}\n")).collect(),
        Err(errors) => errors.iter().map(|error| format!("{error}\n")).collect(),
    };
    lines.concat()
}

fn check(text: &str, expected: &Expect) {
    expected.assert_eq(&findings(text));
}

#[test]
fn an_empty_file_opens_all_doors() {
    for text in ["", "\n", "# nothing\n", "---\n", "null\n", "{}\n"] {
        let (config, warnings) = parse(text.as_bytes(), Path::new("web.yml")).unwrap();
        assert!(config.tls.is_none() && config.users.is_empty() && config.http2, "{text:?}");
        assert_eq!(warnings, []);
    }
}

/// exporter-toolkit `docs/web-config.yml`, and what its documentation adds.
#[test]
fn reads_every_key() {
    let text = "
tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: tls/ca.crt
  client_allowed_sans: [prometheus.example, 10.0.0.1]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [CurveP256, X25519]
http_server_config:
  http2: false
  headers:
    Strict-Transport-Security: max-age=31536000
    X-Frame-Options: deny
    X-XSS-Protection: ''
rate_limit: {interval: 10ms, burst: 20}
basic_auth_users:
  alice: $2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze
authorization:
  lists: [user:alice, cert:prometheus.example]
  health: [anyone]
  change: []
";
    let (config, warnings) = parse(text.as_bytes(), Path::new("/etc/web/web.yml")).unwrap();
    assert_eq!(warnings, []);
    expect![[r#"
        WebConfig {
            tls: Some(
                TlsSettings {
                    at: 3:3,
                    cert: File(
                        "/etc/web/server.crt",
                    ),
                    key: File(
                        "/etc/web/server.key",
                    ),
                    client_ca: Some(
                        File(
                            "/etc/web/tls/ca.crt",
                        ),
                    ),
                    client_auth: RequireAndVerifyClientCert,
                    allowed_names: Some(
                        [
                            "prometheus.example",
                            "10.0.0.1",
                        ],
                    ),
                    versions: [
                        TLSv1_3,
                        TLSv1_2,
                    ],
                    suites: [
                        TLS13_AES_256_GCM_SHA384,
                        TLS13_AES_128_GCM_SHA256,
                        TLS13_CHACHA20_POLY1305_SHA256,
                        TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                    ],
                    groups: [
                        secp256r1,
                        X25519,
                    ],
                    own_order: false,
                },
            ),
            http2: false,
            headers: [
                (
                    "strict-transport-security",
                    "max-age=31536000",
                ),
                (
                    "x-frame-options",
                    "deny",
                ),
            ],
            users: {
                "alice": PasswordHash {
                    cost: 10,
                    ..
                },
            },
            rate_limit: Some(
                RateLimit {
                    interval: 10ms,
                    burst: 20,
                },
            ),
            authorization: Some(
                Authorization(
                    {
                        Lists: [
                            User(
                                "alice",
                            ),
                            Certificate(
                                "prometheus.example",
                            ),
                        ],
                        Change: [],
                        Health: [
                            Anyone,
                        ],
                    },
                ),
            ),
        }
    "#]]
    .assert_debug_eq(&config);
}

#[test]
fn says_all_that_is_wrong_at_once() {
    check(
        "
tls_server_config:
  cert_files: server.crt
  client_auth_type: RequireAndVerify
  client_ca_file: ca.crt
  min_version: TLS10
  cipher_suites:
    - TLS_RSA_WITH_AES_256_CBC_SHA
    - TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA
    - TLS_ECDHE_RSA_WITH_RC4_128_SHA
    - ECDHE-RSA-AES128-GCM-SHA256
  curve_preferences: [CurveP521, P-256]
http_server_config:
  http2: 'yes'
  headers:
    Server: none
    X-Frame-Options: DENY
rate_limit: {interval: 1 s, burst: -1}
basic_auth_users:
  alice: secret
  'a:b': $2y$99$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze
authorization:
  lists: [user:bob, cert:x, all]
  writes: [any]
",
        &expect![[r#"
            web.yml:3:3: tls_server_config: field cert_files not found in type web.TLSConfig: did you mean "cert_file"?
            web.yml:3:3: tls_server_config: missing one of cert or cert_file
            web.yml:3:3: tls_server_config: missing one of key or key_file
            web.yml:4:3: tls_server_config.client_auth_type: invalid ClientAuth: "RequireAndVerify": write NoClientCert, RequestClientCert, RequireAnyClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert
            web.yml:6:3: tls_server_config.min_version: TLS10 is not supported, it is broken: write TLS12 or TLS13
            web.yml:8:7: tls_server_config.cipher_suites[0]: cipher "TLS_RSA_WITH_AES_256_CBC_SHA" is not supported, its key exchange has no forward secrecy: write TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
            web.yml:9:7: tls_server_config.cipher_suites[1]: cipher "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA" is not supported, its CBC mode is open to attacks: write TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            web.yml:10:7: tls_server_config.cipher_suites[2]: cipher "TLS_ECDHE_RSA_WITH_RC4_128_SHA" is not supported, it is weak or unknown: write TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
            web.yml:11:7: tls_server_config.cipher_suites[3]: unknown cipher: "ECDHE-RSA-AES128-GCM-SHA256": did you mean TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256?
            web.yml:12:23: tls_server_config.curve_preferences[0]: curve CurveP521 is not supported: write CurveP384
            web.yml:12:34: tls_server_config.curve_preferences[1]: unknown curve: "P-256": known are X25519MLKEM768, X25519, CurveP256, CurveP384
            web.yml:14:10: http_server_config.http2: cannot unmarshal !!str in quotes into bool: true or false, without quotes, is due
            web.yml:16:5: http_server_config.headers.Server: HTTP header "Server" can not be configured: only Content-Security-Policy, Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, X-XSS-Protection
            web.yml:17:5: http_server_config.headers.X-Frame-Options: invalid value for X-Frame-Options: expected deny or sameorigin, but got "DENY"
            web.yml:18:24: rate_limit.interval: "1 s" is not a duration: write it as 10ms, 1.5s or 1h30m
            web.yml:20:3: basic_auth_users.alice: not a bcrypt hash: make one by htpasswd -nBC 10 "" | tr -d ':\n'
            web.yml:21:3: basic_auth_users.a:b: a user name cannot be empty or contain a colon
            web.yml:21:3: basic_auth_users.a:b: bcrypt cost 99 is not 04 to 18
            web.yml:23:11: authorization.lists[0]: there is no user "bob" in basic_auth_users
            web.yml:23:21: authorization.lists[1]: client certificates are not verified: set tls_server_config.client_auth_type to VerifyClientCertIfGiven or RequireAndVerifyClientCert
            web.yml:23:29: authorization.lists[2]: "all" is not anyone, any, user:NAME or cert:NAME
            web.yml:24:3: authorization: field writes not found in type web.Authorization: known keys are lists, metrics, nodes, read, change, health
        "#]],
    );
}

#[test]
fn nothing_may_only_seem_to_protect() {
    let tls = "tls_server_config: {cert_file: c, key_file: k, ";
    let mut found: Vec<String> = Vec::new();
    for more in [
        "client_ca_file: a",
        "client_allowed_sans: [x]",
        "client_auth_type: RequireAnyClientCert, client_allowed_sans: [x]",
        "client_auth_type: RequireAndVerifyClientCert",
        "min_version: TLS13, max_version: TLS12",
        "max_version: TLS12, cipher_suites: [TLS_AES_128_GCM_SHA256]",
        "cert: x",
    ] {
        found.push(findings(&format!("{tls}{more}}}")));
    }
    for text in [
        "tls_server_config: {client_auth_type: RequireAnyClientCert}",
        "tls_server_config: {client_allowed_sans: [x]}",
        "tls_server_config: {min_version: TLS13}",
        "rate_limit: {interval: 1s}",
        "rate_limit: {interval: 10, burst: 1}",
        "authorization: {read: [any]}",
    ] {
        found.push(findings(text));
    }
    expect![[r#"
        web.yml:1:48: tls_server_config.client_ca_file: client CA's have been configured without a Client Auth Policy: write client_auth_type: RequireAndVerifyClientCert
        web.yml:1:48: tls_server_config.client_allowed_sans: no client certificate is asked for: write client_auth_type: RequireAndVerifyClientCert
        warning: web.yml:1:88: tls_server_config.client_allowed_sans: everybody can make a certificate with these names, since no authority has to vouch for it: write client_auth_type: RequireAndVerifyClientCert
        web.yml:1:48: tls_server_config.client_auth_type: RequireAndVerifyClientCert needs client_ca_file: the certificates of the authorities that vouch for clients
        web.yml:1:68: tls_server_config.max_version: max_version must be greater than or equal to min_version
        web.yml:1:68: tls_server_config.cipher_suites: none of these suites is one of TLS 1.2, which max_version asks for: write TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        warning: web.yml:1:48: tls_server_config.cert: cert has no effect: cert_file is used
        web.yml:1:20: tls_server_config: missing one of cert or cert_file
        web.yml:1:20: tls_server_config: missing one of key or key_file
        web.yml:1:20: tls_server_config: missing one of cert or cert_file
        web.yml:1:20: tls_server_config: missing one of key or key_file
        web.yml:1:21: tls_server_config.client_allowed_sans: no client certificate is asked for: write client_auth_type: RequireAndVerifyClientCert
        web.yml:1:21: tls_server_config: TLS would be off without a certificate: write cert_file and key_file, or remove tls_server_config
        web.yml:1:13: rate_limit: burst must be 1 to 4294967295: with less, no request is answered
        warning: web.yml:1:24: rate_limit.interval: these are 10 nanoseconds: write a unit, as 10ms
        web.yml:1:24: authorization.read[0]: there are neither basic_auth_users nor verified client certificates: write anyone if no proof is needed
    "#]].assert_eq(&found.concat());
}

const HASH: &str = "$2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze";

#[test]
fn no_door_opens_by_a_slip() {
    let mut found: Vec<String> = Vec::new();
    for text in [
        "tls_server_config:",
        "basic_auth_users:",
        "rate_limit: ~",
        "authorization:",
        "<<: {authorization: }",
        "tls_server_config: {cert_file: , key_file: }",
        "tls_server_config: {cert_file: '', key_file: ''}",
        "tls_server_config: {cert: c, key: k, client_auth_type: }",
        "rate_limit: {interval: , burst: 1}",
        "rate_limit: {burst: 1}",
        "authorization: {health: }",
        "authorization: {lists: [~]}",
        "basic_auth_users: {a: }",
        "basic_auth_users: {a: HASH, a: HASH}",
        "basic_auth_users: {a: HASH}\nauthorization: {lists: [user:a], lists: [anyone]}",
        "basic_auth_users: {a: HASH}\nbasic_auth_users: {}",
        "authorization:\n  lists: []\n  <<: {lists: [anyone]}",
        "authorization:\n  <<: {lists: [anyone]}\n  lists: []",
        "authorization: {lists: []}\n<<: [{rate_limit: {}}, {<<: {authorization: {lists: [anyone]}}}]",
        "{}\n---\nbasic_auth_users: {a: HASH}",
        "---\n---\nbasic_auth_users: {a: HASH}",
        "{}\nbasic_auth_users: {a: HASH}",
        "basic_auth_users: {a: HASH}\n---\n# nothing\n",
        "tls_server_config: {}\nbasic_auth_users: {}\nrate_limit: {}\nauthorization: {}",
        "http_server_config:\n",
    ] {
        let text = text.replace("HASH", HASH);
        found.push(format!("{}\n{}", text.replace(HASH, "HASH"), findings(&text)));
    }
    expect![[r#"
        tls_server_config:
        web.yml:1:1: tls_server_config: no value, so that TLS would be off: write cert_file and key_file, or remove the key
        basic_auth_users:
        web.yml:1:1: basic_auth_users: no value, so that no password would be asked for: write NAME: HASH, or remove the key
        rate_limit: ~
        web.yml:1:1: rate_limit: no value, so that nothing would be limited: write interval and burst, or remove the key
        authorization:
        web.yml:1:1: authorization: no value, so that every client could do everything: write who has each right, as in lists: [user:NAME], or remove the key
        <<: {authorization: }
        web.yml:1:6: authorization: no value, so that every client could do everything: write who has each right, as in lists: [user:NAME], or remove the key
        tls_server_config: {cert_file: , key_file: }
        web.yml:1:21: tls_server_config.cert_file: no value: write one, or remove the key
        web.yml:1:21: tls_server_config: TLS would be off without a certificate: write cert_file and key_file, or remove tls_server_config
        web.yml:1:34: tls_server_config.key_file: no value: write one, or remove the key
        tls_server_config: {cert_file: '', key_file: ''}
        web.yml:1:21: tls_server_config: TLS would be off without a certificate: write cert_file and key_file, or remove tls_server_config
        tls_server_config: {cert: c, key: k, client_auth_type: }
        web.yml:1:38: tls_server_config.client_auth_type: no value: write one, or remove the key
        rate_limit: {interval: , burst: 1}
        web.yml:1:14: rate_limit.interval: no value: write one, or remove the key
        rate_limit: {burst: 1}
        web.yml:1:14: rate_limit: interval is missing, so that nothing would be limited: write the time after which one more request is allowed, as 10ms
        authorization: {health: }
        web.yml:1:17: authorization.health: no value: write who has the right, or [] for no client
        authorization: {lists: [~]}
        web.yml:1:25: authorization.lists[0]: "" is not anyone, any, user:NAME or cert:NAME
        basic_auth_users: {a: }
        web.yml:1:20: basic_auth_users.a: not a bcrypt hash: make one by htpasswd -nBC 10 "" | tr -d ':\n'
        basic_auth_users: {a: HASH, a: HASH}
        web.yml:1:85: basic_auth_users.a: key "a" already set in map: keep one of them
        basic_auth_users: {a: HASH}
        authorization: {lists: [user:a], lists: [anyone]}
        web.yml:2:34: authorization: field lists already set in type web.Authorization: first at 2:17, keep one
        basic_auth_users: {a: HASH}
        basic_auth_users: {}
        web.yml:2:1: field basic_auth_users already set in type web.Config: first at 1:1, keep one
        authorization:
          lists: []
          <<: {lists: [anyone]}
        web.yml:3:3: authorization: << replaces lists, which stands before it: write << first
        authorization:
          <<: {lists: [anyone]}
          lists: []
        authorization: {lists: []}
        <<: [{rate_limit: {}}, {<<: {authorization: {lists: [anyone]}}}]
        web.yml:2:1: << replaces authorization, which stands before it: write << first
        {}
        ---
        basic_auth_users: {a: HASH}
        web.yml:3:1: this stands behind the first document and would be ignored: write one document
        ---
        ---
        basic_auth_users: {a: HASH}
        web.yml:3:1: this stands behind the first document and would be ignored: write one document
        {}
        basic_auth_users: {a: HASH}
        web.yml:2:1: this stands behind the first document and would be ignored: write one document
        basic_auth_users: {a: HASH}
        ---
        # nothing

        tls_server_config: {}
        basic_auth_users: {}
        rate_limit: {}
        authorization: {}
        warning: web.yml:1:1: tls_server_config: empty: TLS is off
        warning: web.yml:2:1: basic_auth_users: empty: no password is asked for
        warning: web.yml:3:1: rate_limit: empty: nothing is limited
        warning: web.yml:4:1: authorization: empty: no client has any right but health
        http_server_config:

    "#]].assert_eq(&found.concat());
}

/// A folder of its own.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let folder = format!("swarmscout-web-config-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(folder);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// What a load says, without the path of this folder.
    fn load(&self, name: &str) -> String {
        let found = match load(&self.0.join(name)) {
            Ok(loaded) if loaded.warnings.is_empty() => String::from("good"),
            Ok(loaded) => loaded.warnings.join("\n"),
            Err(errors) => errors.to_string(),
        };
        found.replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const ENCRYPTED: &str =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";

#[test]
fn says_what_is_wrong_with_each_file_that_it_names() {
    let scratch = Scratch::new("files");
    let authority = Authority::new("The authority");
    let (server, other) = (authority.server(), authority.server());
    let expired = authority.certificate("old.example", |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    scratch.write("c.pem", &server.cert);
    scratch.write("k.pem", &server.key);
    scratch.write("other.pem", &other.key);
    scratch.write("chain.pem", &(authority.pem() + &server.cert));
    scratch.write("encrypted.pem", ENCRYPTED);
    scratch.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    scratch.write("text.pem", "nothing\n");
    scratch.write("empty.pem", "");
    scratch.write("old-c.pem", &expired.cert);
    scratch.write("old-k.pem", &expired.key);
    fs::create_dir(scratch.0.join("folder")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, scratch.0.join("fifo"), 0o600.into()).unwrap();
    let mut found: Vec<String> = Vec::new();
    for keys in [
        "cert_file: c.pem, key_file: k.pem",
        "cert_file: c.pem, key_file: other.pem",
        "cert_file: chain.pem, key_file: k.pem",
        "cert_file: c.pem, key_file: encrypted.pem",
        "cert_file: text.pem, key_file: empty.pem",
        "cert_file: broken.pem, key_file: c.pem",
        "cert_file: folder, key_file: fifo",
        "cert_file: none.pem, key_file: none.pem",
        "cert_file: c.pem, key_file: k.pem, client_auth_type: RequireAndVerifyClientCert, client_ca_file: k.pem",
        "cert_file: old-c.pem, key_file: old-k.pem",
        "cert: x, key: y",
    ] {
        scratch.write("web.yml", &format!("tls_server_config: {{{keys}}}\n"));
        let expired = |text: String| text.split(" ago").next().unwrap_or_default().to_owned();
        let text = scratch.load("web.yml");
        let text = if text.contains(" ago") { expired(text) } else { text };
        found.push(format!("{keys}\n  {}\n", text.replace('\n', "\n  ")));
    }
    for path in ["folder", "fifo", "none.yml", "empty.pem"] {
        found.push(format!("{path}\n  {}\n", scratch.load(path)));
    }
    // The number of days grows.
    let found = [found.concat().replace(char::is_numeric, "N")];
    expect![[r#"
        cert_file: c.pem, key_file: k.pem
          good
        cert_file: c.pem, key_file: other.pem
          web.yml:N:NN: tls_server_config.key_file: cannot use other.pem: the key does not belong to the certificate
        cert_file: chain.pem, key_file: k.pem
          web.yml:N:NN: tls_server_config.key_file: cannot use k.pem: the key belongs to certificate N of the chain, not to the first: the server's certificate must come first
        cert_file: c.pem, key_file: encrypted.pem
          web.yml:N:NN: tls_server_config.key_file: cannot use encrypted.pem: the key is encrypted, and nothing can ask for its password: decrypt it by (umask NNN; openssl pkey -in encrypted.pem -out encrypted.pem.plain)
        cert_file: text.pem, key_file: empty.pem
          web.yml:N:NN: tls_server_config.cert_file: cannot use text.pem: no certificate (PEM) in it
          web.yml:N:NN: tls_server_config.key_file: cannot use empty.pem: no private key (PEM) in it
        cert_file: broken.pem, key_file: c.pem
          web.yml:N:NN: tls_server_config.cert_file: cannot use broken.pem: certificate N in it is broken
          web.yml:N:NN: tls_server_config.key_file: cannot use c.pem: no private key (PEM) in it
        cert_file: folder, key_file: fifo
          web.yml:N:NN: tls_server_config.cert_file: cannot read folder: not a regular file
          web.yml:N:NN: tls_server_config.key_file: cannot read fifo: not a regular file
        cert_file: none.pem, key_file: none.pem
          web.yml:N:NN: tls_server_config.cert_file: cannot read none.pem: no such file
          web.yml:N:NN: tls_server_config.key_file: cannot read none.pem: no such file
        cert_file: c.pem, key_file: k.pem, client_auth_type: RequireAndVerifyClientCert, client_ca_file: k.pem
          web.yml:N:NNN: tls_server_config.client_ca_file: cannot use k.pem: no certificate (PEM) in it
        cert_file: old-c.pem, key_file: old-k.pem
          web.yml:N:NN: tls_server_config.cert_file: the certificate "old.example" in old-c.pem expired NNNN days
        cert: x, key: y
          web.yml:N:NN: tls_server_config.cert: no certificate (PEM) in it
          web.yml:N:NN: tls_server_config.key: no private key (PEM) in it
        folder
          folder: cannot read the web configuration file: not a regular file
        fifo
          fifo: cannot read the web configuration file: not a regular file
        none.yml
          none.yml: cannot read the web configuration file: no such file
        empty.pem
          good
    "#]].assert_eq(&found.concat());
}

/// `UPDATE_EXPECT=1` writes it.
#[test]
fn the_documentation_has_every_key() {
    const MARK: &str = "with UPDATE_EXPECT=1 -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/web-config.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, reference) = text.split_once(MARK).unwrap();
    let expected = format!("\n{}", crate::reference());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(path, format!("{before}{MARK}{expected}")).unwrap();
    } else {
        assert_eq!(reference, expected);
    }
}
