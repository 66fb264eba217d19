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

    /// The label team of alerts about what has none, such as the Swarm as a whole
    #[arg(long, value_name = "NAME", value_parser = parse_team)]
    pub team: Option<String>,

    /// Print the inhibition rules for Alertmanager instead
    #[arg(long, value_parser = BoolishValueParser::new(), num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_name = "BOOL",
          hide_possible_values = true, conflicts_with_all = ["runbooks", "team"])]
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

/// A name that stands in a template as it is.
fn parse_team(text: &str) -> anyhow::Result<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    ensure!(
        !text.is_empty() && text.bytes().all(is_plain),
        "a team has letters, digits, -, . and _"
    );
    Ok(text.to_owned())
}
