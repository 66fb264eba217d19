//! Files that hang: each is named before its request is late, and never read twice at one time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use swarmscout_model::Secret;
use swarmscout_net::config::{
    Auth, Grant, Header, OAuth2, PemSource, ProxyConfig, SecretSource, TlsConfig,
};
use swarmscout_net::{HttpConfig, Url, lane};
use tokio::task::JoinSet;

use super::server::{Reply, Server};
use super::{AMPLE, Folder, client, request};

/// A file whose first read hangs until this is dropped.
struct Hung {
    path: PathBuf,
    _answer: mpsc::Sender<()>,
    _reads: JoinSet<Result<(), lane::Stuck>>,
}

impl Hung {
    async fn new(path: PathBuf) -> Self {
        let (answer, answers) = mpsc::channel::<()>();
        let (started, starts) = tokio::sync::oneshot::channel();
        let mut reads = JoinSet::new();
        let place = path.clone();
        reads.spawn(async move {
            let hang = move || {
                started.send(()).unwrap();
                let _ = answers.recv();
            };
            lane::read(&place, AMPLE, hang).await
        });
        starts.await.unwrap();
        Self { path, _answer: answer, _reads: reads }
    }
}

type Make<'a> = Box<dyn Fn(&Path) -> HttpConfig + 'a>;

#[tokio::test]
async fn a_file_that_hangs_is_named() {
    let folder = Folder::new();
    let server = Server::start(|_, _| Reply::ok("")).await;
    let tokens = Server::start(|_, _| Reply::ok("")).await;
    let http = server.url("/");
    let https = http.replace("http://", "https://");
    let with = |auth| HttpConfig { auth: Some(auth), ..HttpConfig::default() };
    let oauth2 = |url: &str, secret, tls| {
        with(Auth::OAuth2(Box::new(OAuth2 {
            client_id: String::from("id"),
            grant: Grant::ClientCredentials { secret },
            scopes: Vec::new(),
            token_url: Url::parse(url).unwrap(),
            endpoint_params: BTreeMap::new(),
            tls,
            proxy: ProxyConfig::default(),
        })))
    };
    let secret = |path: &Path| SecretSource::File(path.to_owned());
    let ca = |path: &Path| TlsConfig {
        ca: Some(PemSource::File(path.to_owned())),
        ..TlsConfig::default()
    };
    let table: [(&str, &str, Make<'_>); 5] = [
        (
            "credentials",
            &http,
            Box::new(|path| {
                with(Auth::Header { scheme: "Bearer".to_owned(), credentials: secret(path) })
            }),
        ),
        (
            "header",
            &http,
            Box::new(|path| HttpConfig {
                headers: vec![Header::file("X-A", path).unwrap()],
                ..HttpConfig::default()
            }),
        ),
        ("CA", &https, Box::new(|path| HttpConfig { tls: ca(path), ..HttpConfig::default() })),
        (
            "client secret",
            &http,
            Box::new(|path| oauth2(&tokens.url("/"), secret(path), TlsConfig::default())),
        ),
        (
            "CA",
            &http,
            Box::new(|path| {
                let url = tokens.url("/").replace("http://", "https://");
                oauth2(&url, SecretSource::Inline(Secret::new("x")), ca(path))
            }),
        ),
    ];
    for (what, url, config) in table {
        let hung = Hung::new(folder.path("hung")).await;
        let request = request(url).timeout(Duration::from_millis(400));
        let error = client(&config(&hung.path)).get(request).await.unwrap_err().to_string();
        let expected = format!("cannot use {what} file {}: not read within ", hung.path.display());
        assert!(error.contains(&expected), "{error}");
        assert!(error.ends_with("ms: its file system hangs, or is slow"), "{error}");
    }
    assert_eq!((server.connections(), tokens.connections()), (0, 0));
}
