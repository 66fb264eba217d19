//! The program with `--web.config.file`.

use std::net::SocketAddr;

use expect_test::expect;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::harness::{Folder, Program, get, transcript, wait_for};

/// A user with the password `secret`.
const USERS: &str = "basic_auth_users:
  alice: $2a$04$S4eJ/7GLDFeFpln6WOAhE.pfhAcx3PY4ATeCVP3cZkWzVWfl7F0tK
";

/// A program with an address behind TLS and a user, and a plain one.
struct Doors {
    folder: Folder,
    program: Program,
    /// `--url=https://127.0.0.1:1234`
    url: String,
    plain: SocketAddr,
    web_yml: String,
}

impl Doors {
    fn open() -> Self {
        let folder = Folder::new();
        let made = folder.run(&["tls", "init", "--hosts=swarm.example"]);
        assert!(made.status.success(), "{made:?}");
        let read = |name: &str| {
            std::fs::read_to_string(folder.path().join(name)).expect("tls init writes it")
        };
        let by_certificate = read("tls/web.yml");
        let web_yml = by_certificate.replace("cert:swarmscout-client", "user:alice") + USERS;
        folder.write("tls/web.yml", &web_yml);
        let user = "basic_auth: {username: alice, password: secret}\n";
        folder.write("tls/user.yml", &(read("tls/http.yml") + user));
        let targets = "scrape_configs:\n- job_name: a\n  static_configs: [{targets: ['h:1']}]\n";
        folder.write("prometheus.yml", targets);
        let flags = ["--web.config.file=tls/web.yml", "--web.listen-address=127.0.0.1:0,config="];
        let mut program = folder.start(&flags);
        let url = format!("--url=https://{}", program.address());
        let plain = program.address();
        Self { folder, program, url, plain, web_yml }
    }

    /// Whether a command succeeds, with this file of `--http.config.file`, and what it says.
    fn asks(&self, command: &[&str], file: &str) -> (bool, String) {
        let file = format!("--http.config.file=tls/{file}");
        let output = self.folder.run(&[command, &[&self.url, &file]].concat());
        (output.status.success(), transcript(&self.folder, &output))
    }

    /// Whether it answers behind its doors, and its own health check.
    fn is_open(&self) -> bool {
        let (through, said) = self.asks(&["check", "healthy"], "user.yml");
        assert!(through, "{said}");
        let own = self.folder.run(&["check", "healthy", &self.url]);
        assert!(own.status.success(), "{}", transcript(&self.folder, &own));
        true
    }
}

#[test]
fn commands_come_in_with_a_certificate_and_a_password() {
    let mut doors = Doors::open();
    assert!(doors.is_open());
    let (success, said) = doors.asks(&["status"], "user.yml");
    assert!(success && said.contains("OK  1 target"), "{said}");
    let (success, said) = doors.asks(&["status"], "http.yml");
    assert!(
        !success && said.contains("401 Unauthorized: give the credentials (basic_auth)"),
        "{said}"
    );
    doors.folder.write("tls/none.yml", "tls_config: {ca_file: ca.pem}\n");
    let (success, said) = doors.asks(&["check", "healthy"], "none.yml");
    assert!(!success && said.contains("client certificate"), "{said}");

    // The certificates that are made while it runs are those that it uses.
    let expiry = |doors: &Doors| {
        let metrics = get(doors.plain, "/metrics").body;
        let name = "swarmscout_web_certificate_expiry_timestamp_seconds";
        metrics.lines().find(|line| line.starts_with(name)).map(str::to_owned)
    };
    let before = expiry(&doors);
    let renewed = doors.folder.run(&["tls", "renew", "--days=100"]);
    assert!(renewed.status.success(), "{renewed:?}");
    doors.program.line("Loaded the web configuration");
    assert!(before.is_some() && expiry(&doors) != before, "{before:?}");
    assert!(doors.is_open());
}

#[test]
fn a_file_that_becomes_bad_leaves_the_one_before_in_use() {
    let mut doors = Doors::open();
    doors.folder.write("tls/web.yml", &doors.web_yml.replace("client_auth_type", "client_auth"));
    doors.program.signal("HUP");
    let line = doors.program.line("Cannot use the web configuration");
    let error = "tls/web.yml:7:3: tls_server_config: field client_auth not found in type \
        web.TLSConfig";
    assert!(line.contains("level=ERROR") && line.contains(error), "{line}");
    let metric = "swarmscout_web_config_last_reload_successful{config=\"tls/web.yml\"}";
    wait_for(doors.plain, "/metrics", &format!("{metric} 0.0\n"));
    wait_for(doors.plain, "/api/v1/status/runtimeinfo", error);
    wait_for(doors.plain, "/", error);
    assert!(doors.is_open());
    let output = doors.folder.run(&["check", "web-config", "tls/web.yml"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");

    doors.folder.write("tls/web.yml", &doors.web_yml);
    doors.program.signal("HUP");
    doors.program.line("Loaded the web configuration");
    wait_for(doors.plain, "/metrics", &format!("{metric} 1.0\n"));
    assert!(!get(doors.plain, "/api/v1/status/runtimeinfo").body.contains("web.yml:7"));
    assert!(doors.is_open());
}

#[test]
fn a_bad_file_is_named_at_the_start_and_by_the_check() {
    let folder = Folder::new();
    folder.write("prometheus.yml", "scrape_configs: []\n");
    folder.write("good.yml", USERS);
    folder.write("bad.yml", "tls_server_config:\n  cert_file: none.pem\n  keyfile: k.pem\n");
    let output = folder.run(&["check", "web-config", "good.yml", "bad.yml"]);
    expect![[r#"
        exit code 1
        --- stdout
        --- stderr
        good.yml SUCCESS
        bad.yml FAILED: bad.yml:2:3: tls_server_config: missing one of key or key_file
        bad.yml FAILED: bad.yml:3:3: tls_server_config: field keyfile not found in type web.TLSConfig: did you mean "key_file"?
    "#]]
    .assert_eq(&transcript(&folder, &output));
    let output = folder.run(&["check", "web-config", "good.yml"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(folder.run(&["check", "web-config"]).status.code(), Some(2));

    let flags = ["--web.listen-address=127.0.0.1:0", "--web.config.file=bad.yml"];
    let output = folder.run(&flags);
    let said = transcript(&folder, &output);
    assert!(!output.status.success(), "{said}");
    for error in
        ["bad.yml:2:3: tls_server_config: missing", "bad.yml:3:3: tls_server_config: field"]
    {
        assert!(said.contains(error), "{said}");
    }
}

/// An authority and a certificate of it that has expired, as `NAME.pem` and `NAME-key.pem`. The PEM of
/// the authority.
fn expired_client(folder: &Folder) -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "Other authority");
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, key).expect("a certificate");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "late-client");
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, &authority).expect("a certificate");
    folder.write("tls/expired.pem", &certificate.pem());
    folder.write("tls/expired-key.pem", &key.serialize_pem());
    authority.pem()
}

#[test]
fn clients_with_bad_certificates_are_named_in_the_log() {
    let mut doors = Doors::open();
    let folder = &doors.folder;
    let foreign = folder.run(&["tls", "init", "--hosts=x", "--directory=tls/foreign"]);
    assert!(foreign.status.success(), "{foreign:?}");
    let own = std::fs::read_to_string(folder.path().join("tls/ca.pem")).expect("it is there");
    folder.write("tls/cas.pem", &(own + &expired_client(folder)));
    let client = |cert: &str| {
        format!(
            "tls_config: {{ca_file: ca.pem, cert_file: {cert}.pem, key_file: {cert}-key.pem}}\n"
        )
    };
    folder.write("tls/foreign.yml", &client("foreign/client"));
    folder.write("tls/expired.yml", &client("expired"));
    for version in ["TLS12", "TLS13"] {
        let versions = format!("cas.pem\n  min_version: {version}\n  max_version: {version}");
        doors.folder.write("tls/web.yml", &doors.web_yml.replace("ca.pem", &versions));
        doors.program.signal("HUP");
        doors.program.line("Loaded the web configuration");
        assert!(doors.is_open(), "{version}");
        for (file, kind, certificate) in [
            ("expired.yml", "expired_certificate", r#"\"late-client\" by authority \"Other"#),
            ("foreign.yml", "unknown_authority", r#"\"swarmscout-client\" by authority"#),
        ] {
            let (success, said) = doors.asks(&["check", "ready"], file);
            assert!(!success, "{version}: {said}");
            let count = format!("tls_handshake_failures_total{{reason=\"{kind}\"}}");
            let number = if version == "TLS12" { 1 } else { 2 };
            wait_for(doors.plain, "/metrics", &format!("{count} {number}\n"));
            // The second one of its kind within a minute is not logged.
            if version == "TLS12" {
                let line = doors.program.line("TLS handshake failed");
                let client = "client=127.0.0.1:";
                for part in ["level=WARN", client, &format!("kind={kind}"), certificate] {
                    assert!(line.contains(part), "no {part}: {line}");
                }
            }
        }
    }
}
