//! The arguments of `tls`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::tls::CertificateHost;

/// Which certificates to make.
#[derive(Clone, Debug, Subcommand)]
pub enum TlsCommand {
    /// Make an authority, and certificates of a server, a client and all nodes
    Init(TlsInitArgs),
    /// Make new certificates of server, client and nodes of the same authority, with the same names, but
    /// none of those that `tls client` made
    Renew(TlsRenewArgs),
    /// Make a client certificate of the same authority with another name, for other rights
    Client(TlsClientArgs),
}

/// Of `tls init`.
#[derive(Clone, Debug, Args)]
pub struct TlsInitArgs {
    /// Names and IP addresses by which clients reach the server: a comma-separated list, or repeated.
    /// *.example.com stands for all names with one more part
    #[arg(long, value_name = "HOST", value_delimiter = ',', required = true)]
    pub hosts: Vec<CertificateHost>,

    /// Folder for the files
    #[arg(long, value_name = "DIR", default_value = "tls")]
    pub directory: PathBuf,

    /// How long the certificates last, at most 825 days
    #[arg(long, value_name = "DAYS", default_value = "730",
          value_parser = clap::value_parser!(u16).range(1..=825))]
    pub days: u16,

    /// Replace what is there, the authority included
    #[arg(long)]
    pub force: bool,
}

/// Of `tls renew`.
#[derive(Clone, Debug, Args)]
pub struct TlsRenewArgs {
    /// Folder with the files of `tls init`
    #[arg(long, value_name = "DIR", default_value = "tls")]
    pub directory: PathBuf,

    /// How long the certificates last, at most 825 days
    #[arg(long, value_name = "DAYS", default_value = "730",
          value_parser = clap::value_parser!(u16).range(1..=825))]
    pub days: u16,
}

/// Of `tls client`.
#[derive(Clone, Debug, Args)]
pub struct TlsClientArgs {
    /// The name in the certificate and of its files, as in cert:NAME of a web configuration file
    #[arg(value_name = "NAME")]
    pub name: CertificateHost,

    /// Folder with the files of `tls init`
    #[arg(long, value_name = "DIR", default_value = "tls")]
    pub directory: PathBuf,

    /// Replace the certificate of this name, with its key and its http_config
    #[arg(long)]
    pub force: bool,

    /// How long the certificate lasts, at most 825 days
    #[arg(long, value_name = "DAYS", default_value = "730",
          value_parser = clap::value_parser!(u16).range(1..=825))]
    pub days: u16,
}
