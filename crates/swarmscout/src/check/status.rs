//! `check healthy`, `check ready`: for a health check where there is no curl.

use std::time::Duration;

use anyhow::{Context as _, bail};
use swarmscout_net::{Client, ClientOptions, HttpConfig, Request};

use crate::app::BUILD;
use crate::cli::CheckStatusArgs;
use crate::output::{print_error, printable};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Asks for `path` below the URL. Whether the answer was 200.
pub(super) async fn check(args: &CheckStatusArgs, path: &str) -> bool {
    match ask(&args.url, path).await {
        Ok(answer) => {
            print_error(&format!("  SUCCESS:  {}\n", printable(answer.trim_end())));
            true
        }
        Err(error) => {
            print_error(&format!("  FAILED: {}\n", printable(&format!("{error:#}"))));
            false
        }
    }
}

async fn ask(url: &str, path: &str) -> anyhow::Result<String> {
    let base = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let url = format!("{}{path}", base.trim_end_matches('/'));
    let options = ClientOptions::new(format!("Swarmscout/{}", BUILD.version), TIMEOUT);
    let client = Client::new(&HttpConfig::default(), options)?;
    let request = Request::new(&url)?.timeout(TIMEOUT).max_body(64 << 10);
    let response = client.get(request).await?;
    let status = response.status.as_u16();
    if status != 200 {
        bail!("check failed: URL={base}, status={status}");
    }
    let body = response.body.bytes().await.context("cannot read the answer")?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}
