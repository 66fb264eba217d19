//! A real engine behind a proxy that opens a tunnel to it, with a token of OAuth 2 on the way.

use std::path::Path;

use anyhow::{Result, ensure};
use swarmscout_e2e::program::Server;
use swarmscout_e2e::tunnel::{TOKEN, TOKEN_URL, TunnelProxy};
use swarmscout_e2e::{get_any, until};

use crate::{PATIENCE, await_targets};

/// `tls_config` is a flow mapping. The token is for the engine alone: the proxy sees who asks for a
/// tunnel, and nothing of what goes through it.
pub(crate) fn read_through(folder: &Path, address: &str, tls_config: &str) -> Result<()> {
    let proxy = TunnelProxy::start()?;
    let (good, bad) = (proxy.url("pa55word"), proxy.url("wr0ng"));
    let job = |name: &str, more: &str| {
        format!(
            "- job_name: {name}\n  dockerswarm_sd_configs:\n  - host: https://{address}:2375\n    \
             role: nodes\n    refresh_interval: 2s\n    tls_config: {tls_config}\n    {more}\n"
        )
    };
    let through = job(
        "through",
        &format!(
            "proxy_url: {good}\n    proxy_connect_header: {{X-Tenant: [tenant-1]}}\n    \
             oauth2: {{client_id: id, client_secret: s3cret, token_url: '{TOKEN_URL}', proxy_url: '{good}'}}"
        ),
    );
    let refused = job("refused", &format!("proxy_url: {bad}"));
    let config = format!("scrape_configs:\n{through}{refused}");
    let server = Server::swarmscout(folder, "tunnel", &config)?;
    await_targets(&server, "through", 1)?;
    let error = until("an error", PATIENCE, || {
        let source = server.source("refused")?;
        let error = source["lastError"].as_str().unwrap_or_default();
        ensure!(error.contains("407"), "{source}");
        Ok(error.to_owned())
    })?;
    println!("refused: {error}");
    let (status, body) = get_any(&format!("{}/sd/refused", server.url))?;
    ensure!(status == 503 && body.contains("407"), "{status}: {body}");

    let requests = proxy.requests();
    let tunnel = format!("CONNECT {address}:2375 HTTP/1.1\n");
    let has_tenant = |request: &String| request.contains("\nx-tenant: tenant-1\n");
    let tunnels: Vec<_> = requests.iter().filter(|r| r.starts_with(&tunnel)).collect();
    ensure!(tunnels.iter().any(|request| has_tenant(request)), "{requests:?}");
    let tokens: Vec<_> = requests.iter().filter(|r| r.starts_with("POST ")).collect();
    let asked = tokens.iter().any(|request| {
        request.contains("\nauthorization: Basic aWQ6czNjcmV0\n")
            && request.ends_with("grant_type=client_credentials")
    });
    ensure!(asked && tunnels.len() + tokens.len() == requests.len(), "{requests:?}");
    ensure!(!requests.iter().any(|request| request.contains(TOKEN)), "{requests:?}");
    let said = server.process.printed() + &error + &body;
    for secret in ["pa55word", "wr0ng", "s3cret", TOKEN] {
        ensure!(!said.contains(secret), "{secret} shows:\n{said}");
    }
    Ok(())
}
