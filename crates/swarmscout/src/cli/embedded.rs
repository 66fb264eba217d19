//! The arguments of commands that print files which are part of the program.

use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;

/// Of `dashboards` and `stack`.
#[derive(Clone, Debug, Args)]
pub struct EmbeddedArgs {
    /// The one to print [default: list the names]
    #[arg(value_name = "NAME")]
    pub name: Option<String>,

    /// Write into this folder instead, with what it reads: NAME, or all
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,

    /// With --output: overwrite files there that were edited, or that are not Swarmscout's, too
    #[arg(long, value_parser = BoolishValueParser::new(), num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", value_name = "BOOL",
          hide_possible_values = true, requires = "output")]
    pub force: bool,
}
