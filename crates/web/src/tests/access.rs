//! Users, rights, rate limit and headers of a web configuration.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use swarmscout_model::Budget;
use swarmscout_model::size::Bytes;
use swarmscout_web_config::Right;
use swarmscout_web_config::testing::{doors, handle};

use super::{Reply, Server, job, set, with};
use crate::{App, Options, router};

/// Every route, with the right that it needs, and the methods that reach its handlers.
const ROUTES: &[(&str, Right, &[&str])] = &[
    ("/", Right::Read, &["GET"]),
    ("/style.css", Right::Read, &["GET"]),
    ("/icon.svg", Right::Read, &["GET"]),
    ("/version", Right::Read, &["GET"]),
    ("/-/healthy", Right::Health, &["GET"]),
    ("/-/ready", Right::Health, &["GET"]),
    ("/-/reload", Right::Change, &["GET", "POST", "PUT"]),
    ("/-/quit", Right::Change, &["GET", "POST", "PUT"]),
    ("/metrics", Right::Metrics, &["GET"]),
    ("/metrics/swarm", Right::Metrics, &["GET"]),
    ("/sd", Right::Lists, &["GET"]),
    ("/sd/", Right::Lists, &["GET"]),
    ("/sd/{*job}", Right::Lists, &["GET"]),
    ("/api/v1/targets", Right::Read, &["GET"]),
    ("/api/v1/targets/relabel_steps", Right::Read, &["GET"]),
    ("/api/v1/scrape_pools", Right::Read, &["GET"]),
    ("/api/v1/scrape_pools/config", Right::Read, &["GET"]),
    ("/api/v1/explain", Right::Read, &["GET"]),
    ("/api/v1/doctor", Right::Read, &["GET"]),
    ("/api/v1/nodes/{node}/tasks", Right::Nodes, &["GET"]),
    ("/api/v1/status", Right::Read, &["GET"]),
    ("/api/v1/sources", Right::Read, &["GET"]),
    ("/api/v1/status/config", Right::Read, &["GET"]),
    ("/api/v1/status/flags", Right::Read, &["GET"]),
    ("/api/v1/status/runtimeinfo", Right::Read, &["GET"]),
    ("/api/v1/status/buildinfo", Right::Read, &["GET"]),
    ("/api/v1/query", Right::Read, &["GET", "POST"]),
    ("/api/v1/query_range", Right::Read, &["GET", "POST"]),
    ("/api/v1/query_exemplars", Right::Read, &["GET", "POST"]),
    ("/api/v1/format_query", Right::Read, &["GET", "POST"]),
    ("/api/v1/parse_query", Right::Read, &["GET", "POST"]),
    ("/api/v1/labels", Right::Read, &["GET", "POST"]),
    ("/api/v1/label/{name}/values", Right::Read, &["GET"]),
    ("/api/v1/series", Right::Read, &["GET", "POST"]),
    ("/api/v1/alertmanagers", Right::Read, &["GET"]),
    ("/api/v1/alerts", Right::Read, &["GET"]),
    ("/api/v1/rules", Right::Read, &["GET"]),
    ("/api/v1/status/tsdb", Right::Read, &["GET"]),
    ("/api/v1/status/tsdb/blocks", Right::Read, &["GET"]),
    ("/api/v1/admin/tsdb/delete_series", Right::Read, &["POST"]),
    ("/api/v1/admin/tsdb/clean_tombstones", Right::Read, &["POST"]),
    ("/api/v1/admin/tsdb/snapshot", Right::Read, &["POST"]),
];

/// What is answered for paths without a route, and for methods that need more than their route.
const OTHERS: &[(&str, Right, &[&str])] = &[
    ("/nothing", Right::Read, &["GET"]),
    ("/api/v1/nothing", Right::Read, &["GET"]),
    ("/-/nothing", Right::Read, &["GET"]),
    ("/sd", Right::Lists, &["POST"]),
    ("/metrics", Right::Metrics, &["DELETE"]),
    ("/api/v1/doctor", Right::Change, &["POST", "PUT"]),
];

/// Of the password `secret`.
const HASH: &str = "$2a$04$S4eJ/7GLDFeFpln6WOAhE.pfhAcx3PY4ATeCVP3cZkWzVWfl7F0tK";

/// A user for each right, with its name.
fn user_for_each_right() -> String {
    let names = ["lists", "metrics", "nodes", "read", "change", "health"];
    let users: String = names.map(|name| format!("  {name}: {HASH}\n")).concat();
    let rights: String = names.map(|name| format!("  {name}: [user:{name}]\n")).concat();
    format!("basic_auth_users:\n{users}authorization:\n{rights}")
}

async fn start(web_config: &str) -> Server {
    // Passwords do not say which node a client is.
    start_with(web_config, Options { open_nodes: true, ..Options::default() }).await
}

async fn start_with(web_config: &str, options: Options) -> Server {
    let sets = vec![set(&Arc::new(job("web")), &[], Vec::new())];
    let budget = Budget::new(Bytes(1 << 30));
    let (_, handle) = handle(doors(web_config));
    Server::with_doors(Instant::now(), sets, options, budget, Some(handle)).await
}

async fn request(server: &Server, method: &str, path: &str, user: &str, password: &str) -> Reply {
    let credentials = STANDARD.encode(format!("{user}:{password}"));
    server.request(method, path, &[&format!("Authorization: Basic {credentials}")]).await
}

async fn get(server: &Server, path: &str, user: &str) -> Reply {
    request(server, "GET", path, user, "secret").await
}

#[tokio::test]
async fn the_table_has_every_route() {
    let server = Server::start(Instant::now(), Vec::new()).await;
    let app = Arc::new(App::new(server.context.clone(), &[]));
    let mut routes = swarmscout_server::testing::rights(&router::routes(&app)).to_vec();
    let mut table: Vec<_> =
        ROUTES.iter().map(|(path, right, _)| ((*path).to_owned(), *right)).collect();
    routes.sort();
    table.sort();
    assert_eq!(routes, table);
}

#[tokio::test]
async fn each_route_needs_its_right() {
    let server = start(&user_for_each_right()).await;
    for (path, right, methods) in ROUTES.iter().chain(OTHERS) {
        let path = path.replace("{*job}", "web").replace("{name}", "job");
        for method in *methods {
            let what = format!("{method} {path}");
            let reply = server.request(method, &path, &[]).await;
            assert_eq!(reply.status, 401, "{what}");
            assert_eq!(reply.header("www-authenticate"), Some("Basic"), "{what}");
            for (user, holds) in [
                ("lists", *right == Right::Lists),
                ("metrics", *right == Right::Metrics),
                ("nodes", *right == Right::Nodes),
                ("read", *right != Right::Change),
                ("change", true),
                ("health", *right == Right::Health),
            ] {
                let reply = request(&server, method, &path, user, "secret").await;
                let refused = reply.text().starts_with("forbidden: ");
                assert_eq!(refused, !holds, "{what} of {user}");
                assert_eq!(refused, reply.status == 403 && !is_disabled(&reply), "{what}");
                if refused && !holds {
                    // It names what is missing, not who has it.
                    let start =
                        format!("forbidden: the user \"{user}\" does not have the right \"");
                    assert!(reply.text().starts_with(&start), "{}", reply.text());
                }
            }
        }
    }
}

/// The answer of `/-/reload` and `/-/quit` without a flag.
fn is_disabled(reply: &Reply) -> bool {
    reply.text() == "Lifecycle API is not enabled. --web.enable-lifecycle enables it.\n"
}

#[tokio::test]
async fn users_without_rights_may_do_everything_as_in_exporter_toolkit() {
    let server = start(&format!("basic_auth_users: {{alice: {HASH}}}")).await;
    for (path, status) in [("/", 200), ("/-/healthy", 200), ("/sd/web", 200), ("/nothing", 404)] {
        assert_eq!(server.get(path).await.status, 401, "{path}");
        assert_eq!(get(&server, path, "alice").await.status, status, "{path}");
        let wrong = request(&server, "GET", path, "alice", "Secret").await;
        assert_eq!(wrong.status, 401, "{path}");
        assert_eq!(wrong.header("www-authenticate"), Some("Basic"), "{path}");
        assert_eq!(get(&server, path, "bob").await.status, 401, "{path}");
    }
    let bearer = server.request("GET", "/", &["Authorization: Bearer c2VjcmV0"]).await;
    assert_eq!(bearer.status, 401);
}

#[tokio::test]
async fn without_users_and_rights_each_client_may_do_everything() {
    let server = start("").await;
    for path in ["/", "/sd/web", "/metrics"] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
        assert_eq!(get(&server, path, "alice").await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn nothing_is_known_without_proof_below_a_prefix_either() {
    let options = with(|options| options.route_prefix = String::from("/scout"));
    let server = start_with(&user_for_each_right(), options).await;
    for path in ["/", "/other", "/scout/", "/scout/nothing"] {
        assert_eq!(server.get(path).await.status, 401, "{path}");
        assert_eq!(get(&server, path, "lists").await.status, 403, "{path}");
    }
    assert_eq!(get(&server, "/", "read").await.status, 302);
    assert_eq!(get(&server, "/other", "read").await.status, 404);
}

#[tokio::test]
async fn what_anyone_may_do_needs_no_password_and_checks_none() {
    let users = format!("basic_auth_users: {{alice: {HASH}}}");
    let server = start(&format!("{users}\nauthorization: {{lists: [anyone]}}")).await;
    for path in ["/sd/web", "/-/healthy"] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
        assert_eq!(request(&server, "GET", path, "alice", "Secret").await.status, 200, "{path}");
    }
    // No client has this right, so a password cannot help.
    let reply = get(&server, "/metrics", "alice").await;
    assert_eq!(reply.status, 403);
    let expected =
        "forbidden: a client without a verified certificate does not have the right \"metrics\"\n";
    assert_eq!(reply.text(), expected);
}

#[tokio::test]
async fn the_page_shows_only_what_its_reader_may_do() {
    let options = Options { enable_lifecycle: true, ..Options::default() };
    let server = start_with(&user_for_each_right(), options).await;
    let page = async |user| get(&server, "/", user).await.text();
    assert!(page("change").await.contains("/-/reload"));
    let page = page("read").await;
    assert!(page.contains("/-/healthy") && !page.contains("/-/reload"), "{page}");
}

#[tokio::test]
async fn a_new_version_counts_from_the_next_request_on() {
    let (sender, handle) = handle(doors(&format!("basic_auth_users: {{alice: {HASH}}}")));
    let budget = Budget::new(Bytes(1 << 30));
    let options = Options::default();
    let server =
        Server::with_doors(Instant::now(), Vec::new(), options, budget, Some(handle)).await;
    assert_eq!(get(&server, "/", "alice").await.status, 200);
    let other = "$2a$04$yC8kEtrN6B5DJWOs1EaEKuGwggwTga/Dpv0/6vQQUpGG3zuxDAn8e";
    sender.send_replace(doors(&format!("basic_auth_users: {{alice: {other}}}")));
    assert_eq!(get(&server, "/", "alice").await.status, 401);
    assert_eq!(request(&server, "GET", "/", "alice", "with:colon").await.status, 200);
}

#[tokio::test]
async fn requests_above_the_rate_limit_get_429() {
    let server = start("rate_limit: {interval: 1h, burst: 2}").await;
    assert_eq!(server.get("/-/healthy").await.status, 200);
    assert_eq!(server.get("/nothing").await.status, 404);
    let reply = server.get("/-/healthy").await;
    assert_eq!(reply.status, 429);
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3600).contains(&wait), "{wait}");
    assert_eq!(reply.text(), "too many requests: the rate limit is reached\n");
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn configured_headers_replace_ours() {
    let server = start(
        "http_server_config:\n  headers:\n    X-Frame-Options: sameorigin\n    \
         Strict-Transport-Security: max-age=1\n    X-XSS-Protection: '0'\n",
    )
    .await;
    for path in ["/", "/nothing"] {
        let reply = server.get(path).await;
        for (name, expected) in [
            ("x-frame-options", "sameorigin"),
            ("strict-transport-security", "max-age=1"),
            ("x-xss-protection", "0"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(reply.header(name), Some(expected), "{path}");
        }
        // The policy would forbid what the other header allows.
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.ends_with("frame-ancestors 'self'"), "{policy}");
    }
    let policy = "http_server_config: {headers: {Content-Security-Policy: default-src *}}";
    let reply = start(policy).await.get("/").await;
    assert_eq!(reply.header("content-security-policy"), Some("default-src *"));
    assert_eq!(reply.header("x-frame-options"), Some("DENY"));
}

#[tokio::test]
async fn refused_requests_are_counted_by_reason() {
    let server = start(&user_for_each_right()).await;
    server.get("/").await;
    server.get("/sd").await;
    request(&server, "GET", "/", "read", "guess").await;
    get(&server, "/", "lists").await;
    let metrics = get(&server, "/metrics", "metrics").await.text();
    for (reason, count) in
        [("no_password", 2), ("wrong_password", 1), ("no_right", 1), ("busy", 0), ("rate_limit", 0)]
    {
        let line = format!("swarmscout_http_requests_refused_total{{reason=\"{reason}\"}} {count}");
        assert!(metrics.contains(&line), "{reason}: {metrics}");
    }
}
