//! The arguments of commands that print files which are part of the program.

use std::path::PathBuf;

use clap::Args;

/// Of `dashboards` and `stack`.
#[derive(Clone, Debug, Args)]
pub struct EmbeddedArgs {
    /// The one to print [default: list the names]
    #[arg(value_name = "NAME")]
    pub name: Option<String>,

    /// Write into this folder instead, with what it reads: NAME, or all
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}
