//! `check healthy`, `check ready`: for a health check where there is no curl.

use crate::ask::Server;
use crate::cli::CheckStatusArgs;
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

async fn ask(args: &CheckStatusArgs, path: &str) -> anyhow::Result<String> {
    Server::new(&args.endpoint, ADVICE)?.text(path).await
}
