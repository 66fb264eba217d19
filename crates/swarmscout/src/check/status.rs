//! `check healthy`, `check ready`: for a health check where there is no curl.

use anyhow::Context as _;

use crate::ask::{Server, loopback_port};
use crate::cli::{CheckStatusArgs, DEFAULT_NODE_PORT, EndpointArgs};
use crate::listen::health;
use crate::output::{print_error, printable};

/// What to do if no program answers.
const ADVICE: &str = "if Swarmscout runs elsewhere, give its --url";

/// Asks for `path` below the URL. Whether the answer was 200.
pub(super) async fn check(args: &CheckStatusArgs, path: &str) -> bool {
    match ask(args, path).await {
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

/// The program's socket for own health checks comes first, but not for a caller who shows how to get
/// through the doors of the web server.
async fn ask(args: &CheckStatusArgs, path: &str) -> anyhow::Result<String> {
    if args.endpoint.http_config_file.is_none()
        && let Some(port) = loopback_port(&args.endpoint.url)
        && let Some(answer) = health::ask(port, path).await
    {
        return answer.with_context(|| failed(port));
    }
    // The image has one check, also for a container that runs the node part.
    let EndpointArgs { url, http_config_file } = &args.endpoint;
    if http_config_file.is_none()
        && url == EndpointArgs::DEFAULT_URL
        && let Some(answer) = health::ask(DEFAULT_NODE_PORT, path).await
    {
        return answer.with_context(|| failed(DEFAULT_NODE_PORT));
    }
    Server::new(&args.endpoint, ADVICE)?.text(path).await
}

fn failed(port: u16) -> String {
    format!("check failed: own health check of port {port}")
}
