//! The arguments of `rules`.

use anyhow::{Context as _, ensure};
use clap::Args;
use clap::builder::BoolishValueParser;

/// Of `rules`.
#[derive(Clone, Debug, Args)]
pub struct RulesArgs {
    /// URL of the folder in which your team reads docs/alerts, for the runbook_url of each alert
    #[arg(long, value_name = "URL", value_parser = parse_folder)]
    pub runbooks: Option<String>,

    /// Print the inhibition rules for Alertmanager instead
    #[arg(long, value_parser = BoolishValueParser::new(), num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_name = "BOOL",
          hide_possible_values = true, conflicts_with = "runbooks")]
    pub inhibit: bool,
}

/// A folder: each alert adds the name of its page. The rules hold it as it is, so it is not a template
/// either.
fn parse_folder(text: &str) -> anyhow::Result<String> {
    let url: http::Uri = text.parse().context("not a URL")?;
    let is_web = matches!(url.scheme_str(), Some("http" | "https"));
    ensure!(is_web, "not a URL that begins with http:// or https://");
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/@!$&()*+,;=%".contains(&byte));
    ensure!(is_plain, "a URL has no query, anchor, quote or brace here: write them as %XX");
    Ok(text.to_owned())
}
