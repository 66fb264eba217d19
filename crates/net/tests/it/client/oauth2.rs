//! OAuth 2: how a token is requested, when, and which error a missing one gives.

use std::collections::BTreeMap;
use std::net::TcpListener as StdListener;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use expect_test::{Expect, expect};
use futures_util::future::join_all;
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::default_provider;
use serde_json::{Value, json};
use swarmscout_model::Secret;
use swarmscout_net::config::{
    Auth, Grant, JwtBearer, OAuth2, PemSource, ProxyConfig, SecretSource, SignatureAlgorithm,
    TlsConfig,
};
use swarmscout_net::{Error, Host, HttpConfig, Request, Response, Url};

use super::server::{Reply, Server, header};
use super::tls::{Authority, acceptor, trusting};
use super::{AMPLE, Folder, client, request};

const SECRET: &str = "hunter2";

fn inline(text: &str) -> SecretSource {
    SecretSource::Inline(Secret::new(text))
}

fn oauth2(token_url: &str) -> OAuth2 {
    OAuth2 {
        client_id: "id".to_owned(),
        grant: Grant::ClientCredentials { secret: inline(SECRET) },
        scopes: Vec::new(),
        token_url: Url::parse(token_url).unwrap(),
        endpoint_params: BTreeMap::new(),
        tls: TlsConfig::default(),
        proxy: ProxyConfig::default(),
    }
}

fn with(oauth2: OAuth2) -> HttpConfig {
    HttpConfig { auth: Some(Auth::OAuth2(Box::new(oauth2))), ..HttpConfig::default() }
}

fn json_answer(answer: &str) -> Reply {
    Reply::with("200 OK", "Content-Type: application/json\r\n", answer)
}

/// Gives tokens with increasing numbers, each for `seconds`.
async fn token_server(seconds: &'static str) -> Server {
    let number = AtomicUsize::new(0);
    Server::start(move |_, _| {
        let number = number.fetch_add(1, Ordering::Relaxed) + 1;
        json_answer(&format!(
            r#"{{"access_token":"token-{number}","token_type":"bearer","expires_in":{seconds}}}"#
        ))
    })
    .await
}

/// Answers each request with the `Authorization` that it had.
async fn echo() -> Server {
    Server::start(|request, _| Reply::ok(header(request, "authorization").unwrap_or_default()))
        .await
}

async fn text(answer: Result<Response, Error>) -> String {
    super::text(answer.unwrap()).await
}

fn body(request: &str) -> &str {
    request.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn a_token_is_asked_for_once() {
    let (tokens, server) = (token_server("3600").await, echo().await);
    let mut config = oauth2(&tokens.url("/token?tenant=a"));
    config.client_id = "id with: ~*ü".to_owned();
    config.scopes = vec!["read".to_owned(), "write".to_owned()];
    config.endpoint_params = BTreeMap::from([("audience".to_owned(), "a&b c".to_owned())]);
    let client = client(&with(config));
    for _ in 0..3 {
        // Credentials in the URL would be sent if there were no token.
        let url = format!("http://u:p@{}/", server.address());
        assert_eq!(text(client.get(request(&url)).await).await, "Bearer token-1");
    }
    let asked = tokens.requests();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with("POST /token?tenant=a HTTP/1.1\r\n"));
    assert_eq!(
        header(&asked[0], "content-type").as_deref(),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(header(&asked[0], "user-agent").as_deref(), Some("Swarmscout/test"));
    let basic = header(&asked[0], "authorization").unwrap();
    let basic = STANDARD.decode(basic.strip_prefix("Basic ").unwrap()).unwrap();
    assert_eq!(str::from_utf8(&basic).unwrap(), "id+with%3A+~%2A%C3%BC:hunter2");
    assert_eq!(body(&asked[0]), "audience=a%26b+c&grant_type=client_credentials&scope=read+write");
}

#[tokio::test]
async fn the_way_that_the_server_wants_the_secret_is_found_and_kept() {
    let tokens = Server::start(|request, _| match header(request, "authorization") {
        Some(_) => Reply::with("401 Unauthorized", "", r#"{"error":"invalid_client"}"#),
        None => Reply::ok("access_token=t&expires_in=1"),
    })
    .await;
    let server = echo().await;
    let client = client(&with(oauth2(&tokens.url("/"))));
    for _ in 0..2 {
        assert_eq!(text(client.get(request(&server.url("/"))).await).await, "Bearer t");
    }
    let asked = tokens.requests();
    let bodies: Vec<_> = asked.iter().map(|request| body(request)).collect();
    let with_secret = "client_id=id&client_secret=hunter2&grant_type=client_credentials";
    assert_eq!(bodies, ["grant_type=client_credentials", with_secret, with_secret]);
}

#[tokio::test]
async fn a_grant_type_can_be_replaced_and_nothing_else() {
    let (tokens, server) = (token_server("3600").await, echo().await);
    let mut config = oauth2(&tokens.url("/"));
    config.scopes = vec!["a".to_owned()];
    let params = [("grant_type", "custom"), ("scope", "b")];
    config.endpoint_params = params.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    client(&with(config)).get(request(&server.url("/"))).await.unwrap();
    assert_eq!(body(&tokens.requests()[0]), "grant_type=custom&scope=a");
}

#[tokio::test]
async fn a_token_that_ends_soon_is_not_used_again() {
    for (seconds, asked) in
        [("9", 3), ("-5", 3), ("3600", 1), ("\"3600\"", 1), ("0", 1), ("null", 1)]
    {
        let (tokens, server) = (token_server(seconds).await, echo().await);
        let client = client(&with(oauth2(&tokens.url("/"))));
        for _ in 0..3 {
            client.get(request(&server.url("/"))).await.unwrap();
        }
        assert_eq!(tokens.requests().len(), asked, "{seconds}");
        assert_eq!(server.last_header("authorization"), Some(format!("Bearer token-{asked}")));
    }
}

#[tokio::test]
async fn all_waiting_requests_share_a_token() {
    let (tokens, server) = (token_server("3600").await, echo().await);
    let client = client(&with(oauth2(&tokens.url("/"))));
    let answers = join_all((0..8).map(|_| client.get(request(&server.url("/"))))).await;
    for answer in answers {
        assert_eq!(text(answer).await, "Bearer token-1");
    }
    assert_eq!(tokens.requests().len(), 1);
}

#[tokio::test]
async fn all_waiting_requests_share_a_failure() {
    let server = echo().await;
    let tokens = Server::start(|_, _| Reply::with("503 Service Unavailable", "", "")).await;
    let client = client(&with(oauth2(&tokens.url("/"))));
    let answers = join_all((0..8).map(|_| client.get(request(&server.url("/"))))).await;
    assert!(answers.iter().all(Result::is_err));
    assert_eq!(tokens.requests().len(), 2, "one for each way to send the secret");
    client.get(request(&server.url("/"))).await.unwrap_err();
    assert_eq!(tokens.requests().len(), 4, "the next one tries again");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_changed_secret_means_a_new_token() {
    let folder = Folder::new();
    let (tokens, server) = (token_server("3600").await, echo().await);
    let mut config = oauth2(&tokens.url("/"));
    config.grant =
        Grant::ClientCredentials { secret: SecretSource::File(folder.file("secret", "one")) };
    let config = with(config);
    assert_eq!(config.files(), [("oauth2 client_secret", folder.path("secret").as_path())]);
    let client = client(&config);
    for (content, token) in [("one\n", 1), ("one", 1), ("two", 2), ("two\n\n", 2), ("one", 3)] {
        folder.file("secret", content);
        let expected = format!("Bearer token-{token}");
        assert_eq!(text(client.get(request(&server.url("/"))).await).await, expected);
    }
    std::fs::remove_file(folder.path("secret")).unwrap();
    let error = client.get(request(&server.url("/"))).await.unwrap_err();
    expect!["cannot use client secret file DIR/secret: no such file"]
        .assert_eq(&folder.hide(&error.to_string()));
}

#[tokio::test]
async fn a_token_that_is_refused_is_not_sent_again() {
    let tokens = token_server("3600").await;
    let server = Server::start(|request, _| match header(request, "authorization").as_deref() {
        Some("Bearer token-1") => Reply::with("401 Unauthorized", "", "revoked"),
        _ => Reply::ok("welcome"),
    })
    .await;
    let client = client(&with(oauth2(&tokens.url("/"))));
    let refused = client.get(request(&server.url("/"))).await.unwrap();
    assert_eq!((refused.status.as_u16(), tokens.requests().len()), (401, 1));
    assert_eq!(text(client.get(request(&server.url("/"))).await).await, "welcome");
    assert_eq!(text(client.get(request(&server.url("/"))).await).await, "welcome");
    assert_eq!(tokens.requests().len(), 2);
}

#[tokio::test]
async fn a_token_stays_with_the_first_host() {
    let (tokens, other) = (token_server("3600").await, echo().await);
    let elsewhere = format!("http://localhost:{}/", other.port());
    let server = Server::start(move |_, _| Reply::redirect("302 Found", &elsewhere)).await;
    let client = client(&with(oauth2(&tokens.url("/"))));
    assert_eq!(text(client.get(request(&server.url("/"))).await).await, "");
    assert_eq!(server.last_header("authorization").as_deref(), Some("Bearer token-1"));

    let host = Host::parse(&format!("tcp://{}", other.address())).unwrap();
    let plain = Request::to(&host, "/").unwrap().timeout(AMPLE);
    assert_eq!(text(client.get(plain).await).await, "");
    assert_eq!(tokens.requests().len(), 1);
}

#[tokio::test]
async fn the_token_server_has_tls_and_a_proxy_of_its_own() {
    let folder = Folder::new();
    let authority = Authority::new();
    let identity = authority.sign_for(&["tokens.invalid"]);
    let tls = acceptor(&identity, Some(&authority), rustls::ALL_VERSIONS, &["h2", "http/1.1"]);
    let tokens = Server::start_tls(tls, |_, _| json_answer(r#"{"access_token":"over-tls"}"#)).await;
    let to = tokens.socket_address();
    let proxy = Server::start(move |_, _| Reply::tunnel(to)).await;
    let server = echo().await;
    let own = authority.sign_for(&["client"]);
    let mut config = oauth2("https://tokens.invalid/token");
    config.tls = trusting(&authority.pem);
    config.tls.cert = Some(PemSource::File(folder.file("cert.pem", &own.cert)));
    config.tls.key = Some(PemSource::File(folder.file("key.pem", &own.key)));
    config.proxy = ProxyConfig::new(&Url::parse(&proxy.url("")).unwrap()).unwrap();
    let config = with(config);
    let files: Vec<_> = config.files().into_iter().map(|(what, _)| what).collect();
    assert_eq!(files, ["certificate", "key"]);
    let client = client(&config);
    assert_eq!(text(client.get(request(&server.url("/"))).await).await, "Bearer over-tls");
    assert!(proxy.requests()[0].starts_with("CONNECT tokens.invalid:443 HTTP/1.1\r\n"));
}

/// The result of a request when the token server answers this.
async fn check_message(reply: fn(&str) -> Reply, expected: Expect) {
    let tokens = Server::start(move |request, _| reply(request)).await;
    let config = with(oauth2(&tokens.url("/token?key=hunter2")));
    let client = client(&config);
    let error = client.get(request("http://server.invalid/").timeout(AMPLE)).await.unwrap_err();
    let shown = format!("{error} {error:?} {config:?} {client:?}").replace("?key=hunter2", "");
    assert!(!shown.contains(SECRET), "{shown}");
    expected.assert_eq(&error.to_string().replace(&tokens.address(), "TOKENS"));
}

#[tokio::test]
async fn refusals_say_what_the_server_said() {
    check_message(
        |_| {
            Reply::with(
                "401 Unauthorized",
                "",
                r#"{"error":"invalid_client","error_description":"Unknown client"}"#,
            )
        },
        expect!["cannot get a token from http://TOKENS/token: 401 Unauthorized: invalid_client: Unknown client"],
    )
    .await;
    check_message(
        |request| match header(request, "authorization") {
            Some(_) => Reply::with("401 Unauthorized", "", ""),
            None => Reply::with(
                "400 Bad Request",
                "",
                "error=invalid_grant&error_description=secret+hunter2+is+wrong",
            ),
        },
        expect!["cannot get a token from http://TOKENS/token: 401 Unauthorized; and with the secret in the body: 400 Bad Request: invalid_grant: secret <secret> is wrong"],
    )
    .await;
    check_message(
        |_| Reply::with("500 Internal Server Error", "", "<html>hunter2</html>"),
        expect!["cannot get a token from http://TOKENS/token: 500 Internal Server Error"],
    )
    .await;
    check_message(|_| Reply::ok("<html>log in: hunter2</html>"), expect!["cannot get a token from http://TOKENS/token: 200 OK, but no access_token in it: is token_url right?"]).await;
    check_message(|_| Reply::redirect("302 Found", "/elsewhere"), expect!["cannot get a token from http://TOKENS/token: 302 Found: token_url leads elsewhere, write where to"]).await;
    check_message(|_| Reply::ok(vec![b' '; (1 << 20) + 1]), expect!["cannot get a token from http://TOKENS/token: answer of TOKENS is larger than 1048576 bytes"]).await;
    check_message(|_| Reply::raw("hello").then_close(), expect!["cannot get a token from http://TOKENS/token: request to TOKENS failed: the answer is not HTTP: invalid HTTP version parsed"]).await;
}

#[tokio::test]
async fn a_password_of_the_token_url_is_sent_and_not_shown() {
    let tokens = Server::start(|request, _| match header(request, "authorization").as_deref() {
        // u:hunter2.
        Some("Basic dTpodW50ZXIy") => Reply::with("403 Forbidden", "", ""),
        _ => Reply::with("401 Unauthorized", "", ""),
    })
    .await;
    let config = with(oauth2(&format!("http://u:hunter2@{}/", tokens.address())));
    let error = client(&config).get(request("http://server.invalid/")).await.unwrap_err();
    expect!["cannot get a token from http://u:xxxxx@TOKENS/: 401 Unauthorized; and with the secret in the body: 403 Forbidden"].assert_eq(&error.to_string().replace(&tokens.address(), "TOKENS"));
    assert!(!format!("{error:?} {config:?}").contains(SECRET));
}

#[tokio::test]
async fn a_token_server_that_does_not_answer_is_named() {
    let server = echo().await;
    let address = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let unreachable = client(&with(oauth2(&format!("http://{address}/"))));
    let error = unreachable.get(request(&server.url("/"))).await.unwrap_err().to_string();
    expect!["cannot get a token from http://TOKENS/: cannot connect to TOKENS: connection refused"]
        .assert_eq(&error.replace(&address, "TOKENS"));

    let tokens = Server::start(|_, _| Reply::raw("").then_hang()).await;
    let client = client(&with(oauth2(&tokens.url("/"))));
    let soon = || request(&server.url("/")).timeout(Duration::from_millis(50));
    let late = expect!["cannot get a token from http://TOKENS/: no complete answer within 50ms"];
    for answer in join_all([client.get(soon()), client.get(soon())]).await {
        let error = answer.unwrap_err().to_string();
        late.assert_eq(&error.replace(&tokens.address(), "TOKENS"));
    }
    assert_eq!(server.connections(), 0);
}

fn jwt(key: SecretSource) -> JwtBearer {
    JwtBearer {
        key,
        key_id: String::new(),
        algorithm: SignatureAlgorithm::default(),
        issuer: String::new(),
        audience: String::new(),
        claims: serde_json::Map::new(),
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The parts of an assertion, once its signature was found good.
fn verified(assertion: &str, key: &KeyPair, scheme: SignatureScheme) -> (Value, Value) {
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let algorithms = default_provider().signature_verification_algorithms;
    let (_, known) = algorithms.mapping.iter().find(|(known, _)| *known == scheme).unwrap();
    let good = known.iter().any(|algorithm| {
        algorithm.verify_signature(key.public_key_raw(), signed.as_bytes(), &signature).is_ok()
    });
    assert!(good, "the signature is wrong");
    let (header, claims) = signed.split_once('.').unwrap();
    let part = |part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    (part(header), part(claims))
}

fn assertion_of(request: &str) -> &str {
    body(request).split('&').find_map(|pair| pair.strip_prefix("assertion=")).unwrap()
}

#[tokio::test]
async fn assertions_are_signed() {
    let folder = Folder::new();
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let pem = key.serialize_pem();
    let server = echo().await;
    for (algorithm, name, scheme) in [
        (SignatureAlgorithm::Rs256, "RS256", SignatureScheme::RSA_PKCS1_SHA256),
        (SignatureAlgorithm::Rs384, "RS384", SignatureScheme::RSA_PKCS1_SHA384),
        (SignatureAlgorithm::Rs512, "RS512", SignatureScheme::RSA_PKCS1_SHA512),
    ] {
        let tokens = token_server("3600").await;
        let url = format!("http://u:hunter2@{}/token", tokens.address());
        let mut config = oauth2(&url);
        let file = SecretSource::File(folder.file("key.pem", &pem));
        config.grant = Grant::JwtBearer(JwtBearer { algorithm, ..jwt(file) });
        let began = now();
        let client = client(&with(config));
        assert_eq!(text(client.get(request(&server.url("/"))).await).await, "Bearer token-1");
        let asked = tokens.requests();
        assert_eq!(asked.len(), 1);
        let (header, mut claims) = verified(assertion_of(&asked[0]), &key, scheme);
        assert_eq!(header, json!({"alg": name, "typ": "JWT"}));
        let issued = claims["iat"].as_u64().unwrap();
        assert!((began..=now()).contains(&issued));
        let id = claims["jti"].take();
        assert_eq!(id.as_str().unwrap().len(), 36);
        let audience = tokens.url("/token");
        let expected = json!({"iss": "id", "sub": "id", "aud": audience, "jti": null, "iat": issued,
            "exp": issued + 600});
        assert_eq!(claims, expected);
        let rest = body(&asked[0]).split('&').filter(|pair| !pair.starts_with("assertion="));
        let rest: Vec<_> = rest.collect();
        assert_eq!(rest, ["grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"]);

        // Another key in the file: another token. Its password stays out of the audience.
        folder.file("key.pem", format!("\n{pem}"));
        assert_eq!(text(client.get(request(&server.url("/"))).await).await, "Bearer token-1");
        let other = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        folder.file("key.pem", other.serialize_pem());
        assert_eq!(text(client.get(request(&server.url("/"))).await).await, "Bearer token-2");
        let asked = tokens.requests();
        let (_, claims) = verified(assertion_of(&asked[1]), &other, scheme);
        assert_ne!(claims["jti"], id);
    }
}

#[tokio::test]
async fn claims_can_be_added_and_replaced() {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let (tokens, server) = (token_server("3600").await, echo().await);
    let mut config = oauth2(&tokens.url("/token"));
    config.scopes = vec!["a".to_owned(), "b".to_owned()];
    config.endpoint_params = BTreeMap::from([("assertion".to_owned(), "mine".to_owned())]);
    let claims = json!({"exp": 7, "jti": "x", "iat": 1.5, "deep": {"list": [1, true, null]}});
    let Value::Object(claims) = claims else { unreachable!() };
    config.grant = Grant::JwtBearer(JwtBearer {
        key_id: "kid".to_owned(),
        issuer: "me".to_owned(),
        audience: "them".to_owned(),
        claims,
        ..jwt(inline(&key.serialize_pem()))
    });
    client(&with(config)).get(request(&server.url("/"))).await.unwrap();
    let asked = tokens.requests();
    let scheme = SignatureScheme::RSA_PKCS1_SHA256;
    let (header, claims) = verified(assertion_of(&asked[0]), &key, scheme);
    assert_eq!(header, json!({"alg": "RS256", "kid": "kid", "typ": "JWT"}));
    let expected = json!({"iss": "me", "sub": "id", "aud": "them", "jti": "x", "iat": 1.5, "exp": 7,
        "scope": "a b", "deep": {"list": [1, true, null]}});
    assert_eq!(claims, expected);
    assert!(body(&asked[0]).ends_with("&scope=a+b"));
}

#[tokio::test]
async fn keys_that_cannot_sign_are_reported() {
    let tokens = token_server("3600").await;
    let elliptic = KeyPair::generate().unwrap().serialize_pem();
    let expected = expect![
        "cannot get a token from http://TOKENS/token: the client certificate key is not an unencrypted RSA key (PEM) of 2048 to 8192 bits"
    ];
    for key in ["", "hunter2", &elliptic] {
        let mut config = oauth2(&tokens.url("/token"));
        config.grant = Grant::JwtBearer(jwt(inline(key)));
        let config = with(config);
        let error = client(&config).get(request("http://server.invalid/")).await.unwrap_err();
        expected.assert_eq(&error.to_string().replace(&tokens.address(), "TOKENS"));
        assert!(!format!("{config:?}").contains(SECRET));
    }
    assert_eq!(tokens.connections(), 0);
}
