use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use rustls_pki_types::pem::PemObject as _;

use expect_test::expect;
use swarmscout_web_config::{ClientCertificate, Identity, Right, Rights};

use super::*;

/// A folder with the files of `tls init`, removed with its test.
struct Site(PathBuf);

impl Site {
    fn new(name: &str) -> Self {
        let name = format!("swarmscout-tls-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn init(&self, force: bool, today: Date) -> anyhow::Result<String> {
        let hosts = ["manager-1", "*.example.com", "10.0.0.1", "fd00::1"];
        let hosts = hosts.map(|host| host.parse().unwrap()).to_vec();
        init(&TlsInitArgs { hosts, directory: self.0.clone(), days: 730, force }, today)
    }

    fn renew(&self, today: Date) -> anyhow::Result<String> {
        renew(&TlsRenewArgs { directory: self.0.clone(), days: 730 }, today)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn certificate(&self, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.read(name).as_bytes()).unwrap()
    }

    fn key(&self, name: &str) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.read(name).as_bytes()).unwrap()
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate(CA)).unwrap();
        Arc::new(roots)
    }

    /// A handshake with the server under this name, both sides with their certificates.
    fn handshake(&self, host: &'static str) -> Result<(), rustls::Error> {
        self.handshake_of(host, CLIENT_CERT, CLIENT_KEY)
    }

    fn handshake_of(
        &self,
        host: &'static str,
        certificate: &str,
        key: &str,
    ) -> Result<(), rustls::Error> {
        self.handshake_between((host, SERVER, SERVER_KEY), certificate, key)
    }

    /// A handshake with the server of this certificate and key under this name.
    fn handshake_between(
        &self,
        (host, server, server_key): (&'static str, &str, &str),
        certificate: &str,
        key: &str,
    ) -> Result<(), rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(self.roots(), provider.clone());
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(vec![self.certificate(server)], self.key(server_key))?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.roots())
            .with_client_auth_cert(vec![self.certificate(certificate)], self.key(key))?;
        let name = ServerName::try_from(host).unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name)?;
        let mut server = ServerConnection::new(Arc::new(server))?;
        while client.is_handshaking() || server.is_handshaking() {
            let mut sent = Vec::new();
            client.write_tls(&mut sent).unwrap();
            server.read_tls(&mut sent.as_slice()).unwrap();
            server.process_new_packets()?;
            let mut sent = Vec::new();
            server.write_tls(&mut sent).unwrap();
            client.read_tls(&mut sent.as_slice()).unwrap();
            client.process_new_packets()?;
        }
        Ok(())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Certificates are checked against the clock of the machine.
fn today() -> Date {
    jiff::Timestamp::now().to_zoned(TimeZone::UTC).date()
}

#[test]
fn server_and_client_trust_each_other_under_every_name() {
    let site = Site::new("handshake");
    let text = site.init(false, today()).unwrap();
    for host in
        ["manager-1", "a.example.com", "10.0.0.1", "fd00::1", "localhost", "127.0.0.1", "::1"]
    {
        site.handshake(host).unwrap_or_else(|error| panic!("{host}: {error}"));
    }
    for host in ["manager-2", "a.b.example.com", "10.0.0.2", NODE] {
        assert!(site.handshake(host).is_err(), "{host}");
    }
    for line in
        ["docker secret create swarmscout-server-key-", "target: ca.pem", "http_sd_configs:"]
    {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

/// An attacker who has its key can be a node part, and not a gateway.
#[test]
fn the_certificate_of_nodes_is_that_of_a_node_alone() {
    let site = Site::new("nodes");
    let text = site.init(false, today()).unwrap();
    let as_node =
        |host| site.handshake_between((host, NODE_CERT, NODE_KEY), CLIENT_CERT, CLIENT_KEY);
    as_node(NODE).unwrap();
    for host in ["manager-1", "a.example.com", "10.0.0.1", "localhost", "127.0.0.1"] {
        assert!(as_node(host).is_err(), "{host}");
    }
    // A node part asks gateways, and others of its kind could.
    site.handshake_of("manager-1", NODE_CERT, NODE_KEY).unwrap();
    site.handshake_between((NODE, NODE_CERT, NODE_KEY), NODE_CERT, NODE_KEY).unwrap();
    for line in
        ["docker secret create swarmscout-node-", "docker secret create swarmscout-node-key-"]
    {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let http = site.read(NODE_HTTP);
    assert!(http.contains("cert_file: node.pem\n  key_file: node-key.pem"), "{http}");
}

/// Each right of a certificate by each of our web configuration files.
#[test]
fn the_certificate_of_nodes_opens_nothing_but_the_tasks_of_nodes() {
    let site = Site::new("rights");
    site.init(false, today()).unwrap();
    let load = |name| swarmscout_web_config::load(&site.0.join(name)).unwrap().doors.rights;
    let parse = |text: &str| {
        let (config, _) = swarmscout_web_config::parse(text.as_bytes(), Path::new("x")).unwrap();
        Rights::new(config.authorization, !config.users.is_empty())
    };
    let files = [
        ("web.yml", load(WEB)),
        ("node-web.yml", load(NODE_WEB)),
        ("deploy/node-web", parse(include_str!("../../../../deploy/node/node-web.yml"))),
        ("deploy/manager-web", parse(include_str!("../../../../deploy/node/manager-web.yml"))),
        ("deploy/gateway-web", parse(include_str!("../../../../deploy/gateway/gateway-web.yml"))),
    ];
    let all =
        [Right::Lists, Right::Metrics, Right::Nodes, Right::Read, Right::Change, Right::Health];
    let mut table = String::new();
    for (file, rights) in &files {
        for name in [NODE, CLIENT, "another"] {
            let alternative_names = vec![name.to_owned()];
            let certificate = ClientCertificate {
                verified: true,
                common_name: Some(name.to_owned()),
                alternative_names,
            };
            let who = Identity { user: None, certificate: Some(&certificate) };
            let held = all.into_iter().filter(|right| rights.allow(*right, &who));
            let held: Vec<_> = held.map(Right::name).collect();
            writeln!(table, "{file} {name}: {}", held.join(" ")).unwrap();
        }
    }
    expect![[r#"
        web.yml swarmscout-node: nodes health
        web.yml swarmscout-client: lists metrics nodes read change health
        web.yml another: health
        node-web.yml swarmscout-node: health
        node-web.yml swarmscout-client: lists metrics health
        node-web.yml another: health
        deploy/node-web swarmscout-node: health
        deploy/node-web swarmscout-client: metrics health
        deploy/node-web another: health
        deploy/manager-web swarmscout-node: nodes health
        deploy/manager-web swarmscout-client: health
        deploy/manager-web another: health
        deploy/gateway-web swarmscout-node: nodes health
        deploy/gateway-web swarmscout-client: lists metrics health
        deploy/gateway-web another: health
    "#]]
    .assert_eq(&table);
}

#[test]
fn keys_are_for_their_user_alone() {
    let site = Site::new("modes");
    site.init(false, today()).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&site.0), 0o700);
    for name in [CA_KEY, SERVER_KEY, CLIENT_KEY, NODE_KEY] {
        assert_eq!(mode(&site.0.join(name)), 0o600, "{name}");
    }
}

#[test]
fn only_force_replaces_what_is_there() {
    let site = Site::new("force");
    std::fs::create_dir(&site.0).unwrap();
    std::fs::write(site.0.join(CLIENT_KEY), "a key").unwrap();
    let error = format!("{:#}", site.init(false, today()).unwrap_err());
    assert!(error.contains("client-key.pem: the file exists"), "{error}");
    assert_eq!(site.read(CLIENT_KEY), "a key");
    assert!(!site.0.join(CA).exists());
    site.init(true, today()).unwrap();
    let first = site.read(CA);
    site.init(true, today()).unwrap();
    assert_ne!(site.read(CA), first);
    site.handshake("localhost").unwrap();
}

#[test]
fn renewed_certificates_are_of_the_same_authority() {
    let site = Site::new("renew");
    let early = today().checked_sub(700.days()).unwrap();
    site.init(false, early).unwrap();
    let (authority, server, key) = (site.read(CA), site.read(SERVER), site.read(SERVER_KEY));
    let text = site.renew(today()).unwrap();
    assert_eq!(site.read(CA), authority);
    assert_ne!(site.read(SERVER), server);
    assert_ne!(site.read(SERVER_KEY), key);
    site.handshake("manager-1").unwrap();
    assert!(text.contains("docker secret create swarmscout-server-"), "{text}");
    assert!(!text.contains("docker secret create swarmscout-ca-"), "{text}");

    // They do not outlive it.
    let late = early.checked_add(10.years()).unwrap().checked_sub(30.days()).unwrap();
    let text = site.renew(late).unwrap();
    let end = swarmscout_net::certificates_end(site.read(SERVER).as_bytes());
    assert_eq!(end, swarmscout_net::certificates_end(authority.as_bytes()));
    assert!(text.contains("The authority ends on that day, too"), "{text}");
    let error = site.renew(late.checked_add(30.days()).unwrap()).unwrap_err();
    assert!(format!("{error:#}").contains("the authority has ended on"), "{error:#}");

    std::fs::copy(site.0.join(CLIENT_KEY), site.0.join(CA_KEY)).unwrap();
    let error = format!("{:#}", site.renew(today()).unwrap_err());
    assert!(error.contains("the key does not belong to the certificate"), "{error}");
}

#[test]
fn a_folder_of_before_gets_a_certificate_of_nodes() {
    let site = Site::new("before");
    site.init(false, today()).unwrap();
    let text = site.renew(today()).unwrap();
    assert!(!text.contains("authorization"), "{text}");
    for name in [NODE_CERT, NODE_KEY, NODE_WEB, NODE_HTTP] {
        std::fs::remove_file(site.0.join(name)).unwrap();
    }
    let text = site.renew(today()).unwrap();
    assert!(text.contains("      nodes: [cert:swarmscout-node]\n"), "{text}");
    assert!(text.contains("docker secret create swarmscout-node-key-"), "{text}");
    site.handshake_of("manager-1", NODE_CERT, NODE_KEY).unwrap();
    swarmscout_web_config::load(&site.0.join(NODE_WEB)).unwrap();
    // What was edited stays.
    std::fs::write(site.0.join(NODE_WEB), "{}").unwrap();
    let before = site.read(NODE_CERT);
    site.renew(today()).unwrap();
    assert_ne!(site.read(NODE_CERT), before);
    assert_eq!(site.read(NODE_WEB), "{}");
}

#[test]
fn a_client_of_another_name_has_files_of_its_own() {
    let site = Site::new("client");
    let make_by = |name: &str, force| {
        let (name, directory) = (name.parse().unwrap(), site.0.clone());
        client(&TlsClientArgs { name, directory, force, days: 730 }, today())
    };
    let make = |name| make_by(name, false);
    let error = format!("{:#}", make("admin").unwrap_err());
    assert!(error.contains("`swarmscout tls init` makes it"), "{error}");
    site.init(false, today()).unwrap();
    let before = site.read(CLIENT_CERT);
    let text = make("admin").unwrap();
    site.handshake_of("manager-1", "admin.pem", "admin-key.pem").unwrap();
    assert_eq!(site.read(CLIENT_CERT), before);
    assert!(
        site.read("admin.yml").contains("key_file: admin-key.pem"),
        "{}",
        site.read("admin.yml")
    );
    for line in ["read: [cert:admin]", "docker secret create swarmscout-admin-key-"] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let first = site.read("admin.pem");
    let error = format!("{:#}", make("admin").unwrap_err());
    assert!(error.contains("admin.pem: the file exists") && error.contains("--force"), "{error}");
    assert_eq!(site.read("admin.pem"), first);
    make_by("admin", true).unwrap();
    assert_ne!(site.read("admin.pem"), first);
    site.handshake_of("manager-1", "admin.pem", "admin-key.pem").unwrap();
    for name in [
        "ca",
        "server",
        "client",
        "ca-key",
        "server-key",
        "client-key",
        "web",
        "http",
        "node",
        "node-key",
        "node-web",
        "node-http",
        "10.0.0.1",
        "*.a.b",
    ] {
        assert!(make(name).is_err(), "{name}");
    }
}

#[test]
fn writes_all_files_or_none() {
    let site = Site::new("all");
    // As a full disk does, but in the middle.
    std::fs::create_dir_all(site.0.join(".hosts.new/x")).unwrap();
    let error = format!("{:#}", site.init(false, today()).unwrap_err());
    assert!(error.contains("cannot write") && error.contains("hosts"), "{error}");
    let names = || {
        let names = std::fs::read_dir(&site.0).unwrap().map(|entry| entry.unwrap().file_name());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(), [".hosts.new"]);
    std::fs::remove_dir_all(site.0.join(".hosts.new")).unwrap();
    site.init(false, today()).unwrap();
    let server = site.read(SERVER_KEY);
    std::fs::create_dir_all(site.0.join(".client-key.pem.new/x")).unwrap();
    assert!(site.renew(today()).is_err());
    assert_eq!(site.read(SERVER_KEY), server);
    site.handshake("localhost").unwrap();
}

#[test]
fn what_is_not_a_file_is_not_waited_for() {
    let site = Site::new("pipe");
    site.init(false, today()).unwrap();
    std::fs::remove_file(site.0.join(HOSTS)).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, site.0.join(HOSTS), 0o600.into()).unwrap();
    let error = format!("{:#}", site.renew(today()).unwrap_err());
    assert!(error.ends_with("hosts: not a regular file"), "{error}");
}

#[test]
fn paths_are_quoted_for_a_shell() {
    for (path, quoted) in [
        ("tls/ca.pem", "tls/ca.pem"),
        ("-x/ca.pem", "./-x/ca.pem"),
        ("my tls/ca.pem", "'my tls/ca.pem'"),
        ("it's/$HOME", r"'it'\''s/$HOME'"),
        ("~/ca.pem", "'~/ca.pem'"),
    ] {
        assert_eq!(for_shell(Path::new(path)), quoted);
    }
}
