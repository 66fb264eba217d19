//! The open sockets of a web server, with what protects them and the threads that answer.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use swarmscout_server::{Listener, Threads};

use super::{Listen, Opened, SocketFile};
use crate::app::StartError;
use crate::doors::AllDoors;

/// What a web server needs to run.
#[derive(Debug)]
pub(crate) struct Listening {
    /// Answer requests.
    pub(crate) threads: Threads,
    /// Each with what protects it. The last ones are for own health checks.
    pub(crate) listeners: Vec<Listener>,
    /// What protects them.
    pub(crate) doors: AllDoors,
    /// Removed with this.
    pub(crate) files: Vec<SocketFile>,
}

impl Listening {
    /// Listens. `web_config` is the file of `--web.config.file`, `threads` how many answer.
    pub(crate) async fn start(
        listen: Listen,
        web_config: Option<&Path>,
        threads: usize,
    ) -> Result<Self, StartError> {
        let threads =
            Threads::start(threads).context("cannot start the threads of the web server")?;
        // There, so that nothing else holds up who connects.
        let opening = threads.handle().spawn(async move {
            let opened = listen.open().await?;
            let health = opened.health();
            anyhow::Ok((opened, health))
        });
        let (opened, health) = opening.await.context("cannot listen")??;
        let Opened { listeners, files } = opened;
        let mut doors = AllDoors::default();
        let protected = doors.open(web_config, listeners).await;
        let mut listeners = protected.map_err(StartError::Config)?;
        listeners.extend(health);
        Ok(Self { threads, listeners, doors, files })
    }

    /// The TCP addresses, in the order of the flags.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.public().filter_map(Listener::address).collect()
    }

    /// Where it listens, in words.
    pub(crate) fn names(&self) -> Vec<String> {
        self.public().map(ToString::to_string).collect()
    }

    /// The listeners for others.
    pub(crate) fn public(&self) -> impl Iterator<Item = &Listener> {
        self.listeners.iter().filter(|listener| !listener.is_health())
    }
}
