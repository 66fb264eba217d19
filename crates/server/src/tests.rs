//! A server with routes of its own, over real sockets.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use swarmscout_web_config::{Right, testing};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;

/// Of the password `secret`.
const HASH: &str = "$2a$04$S4eJ/7GLDFeFpln6WOAhE.pfhAcx3PY4ATeCVP3cZkWzVWfl7F0tK";

struct Running {
    server: Arc<HttpServer>,
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

/// A server whose `/metrics` and `/node` need different rights.
async fn start(web_config: &str) -> Running {
    let (_, doors) = testing::handle(testing::doors(web_config));
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listeners = vec![Listener::tcp(socket).unwrap().with_doors(Some(doors))];
    let address = listeners[0].address().unwrap();
    let server = HttpServer::new(ServerOptions::default(), "", &listeners);
    let node = async |State(name): State<&'static str>, Extension(peer): Extension<Peer>| {
        format!("{name} at {}", peer.address.unwrap().ip())
    };
    let routes = Routes::new(&server)
        .route(Right::Metrics, "/metrics", get(async || "metrics"))
        .route(Right::Read, "/node", get(node))
        .fallback(Right::Read, async || (StatusCode::NOT_FOUND, "nothing"));
    let site = Site::new(routes, "node-1");
    let mut tasks = JoinSet::new();
    let running = Arc::clone(&server);
    tasks.spawn(async move {
        let own_check = async |_| text(StatusCode::OK, "");
        running.run(listeners, site, own_check, std::future::pending()).await;
    });
    Running { server, address, _tasks: tasks }
}

impl Running {
    /// The answer: its status, the header `Retry-After`, its text.
    async fn get(&self, path: &str, user: &str, password: &str) -> (u16, Option<String>, String) {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async { drop(connection.await) });
        let credentials = STANDARD.encode(format!("{user}:{password}"));
        let request = http::Request::get(path)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Basic {credentials}"));
        let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await;
        let response = response.unwrap();
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let retry_after = retry_after.map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, retry_after, String::from_utf8(body.to_vec()).unwrap())
    }
}

#[tokio::test]
async fn each_route_has_its_right_and_the_state_of_its_user() {
    let users = format!("basic_auth_users: {{scraper: {HASH}, admin: {HASH}}}\n");
    let rights = "authorization: {metrics: [user:scraper], read: [user:admin]}\n";
    let running = start(&format!("{users}{rights}")).await;
    for (path, user, status, body) in [
        ("/metrics", "scraper", 200, "metrics"),
        ("/node", "admin", 200, "node-1 at 127.0.0.1"),
        ("/nothing", "admin", 404, "nothing"),
    ] {
        let answer = running.get(path, user, "secret").await;
        assert_eq!((answer.0, &*answer.2), (status, body), "{path}");
    }
    for path in ["/node", "/nothing"] {
        assert_eq!(running.get(path, "scraper", "secret").await.0, 403, "{path}");
        assert_eq!(running.get(path, "admin", "guess").await.0, 401, "{path}");
    }
}

#[tokio::test]
async fn a_client_whose_passwords_wait_already_gets_429() {
    let running = start(&format!("basic_auth_users: {{alice: {HASH}}}")).await;
    let client = Some(IpAddr::from([127, 0, 0, 1]));
    let places = testing::fill(&running.server.access.passwords, client);
    let (status, retry_after, body) = running.get("/metrics", "alice", "secret").await;
    assert_eq!((status, retry_after.as_deref()), (429, Some("1")));
    assert_eq!(body, "too many requests: other passwords are being checked\n");
    drop(places);
    assert_eq!(running.get("/metrics", "alice", "secret").await.0, 200);
    // From now on it is known, and waits for nothing.
    let _places = testing::fill(&running.server.access.passwords, client);
    assert_eq!(running.get("/metrics", "alice", "secret").await.0, 200);
    let counts: Vec<_> = running.server.access.refused().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counts, [("busy", 1)]);
}
