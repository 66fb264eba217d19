//! The flags of everything that listens: the program, and its node part.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use clap::builder::{BoolishValueParser, RangedU64ValueParser};
use swarmscout_model::PromDuration;
use swarmscout_server::{ServerOptions, is_host};

use crate::listen::{Listen, ListenAddress};

/// Where and how to listen. The addresses have another default in each command, so they are apart.
#[derive(Clone, Debug, Args)]
pub struct ListenerArgs {
    /// File with TLS, users, rights and headers of the web server [default: none]
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub web_config_file: Option<PathBuf>,

    /// Listen on the sockets that systemd passes instead of on addresses
    #[arg(long = "web.systemd-socket", value_parser = BoolishValueParser::new(),
          num_args = 0..=1, require_equals = true, default_value = "false",
          default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    pub systemd_socket: bool,

    /// Further host names at which clients reach Swarmscout: a comma-separated list, or repeated
    #[arg(long = "web.allowed-hosts", value_name = "HOST", value_delimiter = ',')]
    pub allowed_hosts: Vec<String>,

    /// Limit of concurrent connections, over all addresses, at most 1000000
    #[arg(long = "web.max-connections", value_name = "N", default_value = "512",
          value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    pub max_connections: usize,

    /// Time limit for the header of a request and for idle connections: this, or 30s if that is shorter
    #[arg(long = "web.read-timeout", value_name = "DURATION", default_value = "5m")]
    pub read_timeout: PromDuration,
}

impl ListenerArgs {
    /// Where to listen: at these addresses, unless systemd passes sockets.
    pub(crate) fn listen(&self, addresses: &[ListenAddress]) -> Listen {
        if self.systemd_socket { Listen::Systemd } else { Listen::Addresses(addresses.to_vec()) }
    }

    /// The web configuration file. As in Prometheus, an empty name means no file.
    pub(crate) fn web_config(&self) -> Option<&Path> {
        self.web_config_file.as_deref().filter(|path| !path.as_os_str().is_empty())
    }

    /// What the server obeys of these flags.
    pub(crate) fn options(&self) -> anyhow::Result<ServerOptions> {
        if let Some(host) = self.allowed_hosts.iter().find(|host| !is_host(host)) {
            bail!(
                "cannot use --web.allowed-hosts={host}: give the name of a host without scheme and port"
            );
        }
        Ok(ServerOptions {
            allowed_hosts: self.allowed_hosts.clone(),
            read_timeout: self.read_timeout.into(),
            max_connections: self.max_connections,
            ..ServerOptions::default()
        })
    }
}
