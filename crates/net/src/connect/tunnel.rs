//! A way through an HTTP proxy: CONNECT (RFC 9110, section 9.3.6).
//!
//! hyper speaks it. The tunnel of hyper-util would do the same in fewer lines, but it does not
//! report what the proxy answered.

use std::pin::pin;

use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION, USER_AGENT};
use http::{Method, Request};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::Way;
use super::stream::Socket;
use crate::exchange::{Peer, explain};
use crate::proxy::Proxy;

const PROXY: Peer = Peer { name: "proxy", max_header: 16 << 10 };

/// Asks a proxy for a way to `server`, which is `host:port`. The error is the cause in plain words.
pub(super) async fn open(
    socket: Socket,
    proxy: &Proxy,
    server: &str,
    way: &Way,
) -> Result<Socket, String> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(PROXY.max_header)
        .handshake(TokioIo::new(socket))
        .await
        .map_err(|error| explain(&error, &PROXY))?;
    let request = request(proxy, server, way)?;
    let mut connection = pin!(connection.without_shutdown());
    let mut answer = pin!(sender.send_request(request));
    // The connection ends where the tunnel starts; it does not where the proxy refuses.
    let (answer, ended) = tokio::select! {
        biased;
        answer = &mut answer => (answer, None),
        ended = &mut connection => (answer.await, Some(ended)),
    };
    let status = answer.map_err(|error| explain(&error, &PROXY))?.status();
    if !status.is_success() {
        return Err(proxy.refusal(status));
    }
    let ended = match ended {
        Some(ended) => ended,
        None => connection.await,
    };
    let parts = ended.map_err(|error| explain(&error, &PROXY))?;
    if !parts.read_buf.is_empty() {
        return Err("the proxy sent more than its answer".to_owned());
    }
    Ok(parts.io.into_inner())
}

fn request(proxy: &Proxy, server: &str, way: &Way) -> Result<Request<Empty<Bytes>>, String> {
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(server)
        .header(HOST, server)
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    let headers = request.headers_mut();
    for (name, value) in way.proxy.connect_headers() {
        headers.append(name, value.clone());
    }
    if !headers.contains_key(USER_AGENT) {
        headers.insert(USER_AGENT, way.user_agent.clone());
    }
    if let Some(value) = proxy.authorization() {
        headers.insert(PROXY_AUTHORIZATION, value);
    }
    Ok(request)
}
