//! The web configuration files of the listeners: one that several of them have is opened once.

use std::path::{Path, PathBuf};

use swarmscout_server::Listener;
use swarmscout_web_config::{self as web_config, DoorsHandle};
use tokio::task::JoinSet;

use crate::listen::ListenerConfig;

/// The web configurations of all listeners.
#[derive(Debug, Default)]
pub(crate) struct AllDoors {
    /// In the order of the flags, each once.
    pub(crate) handles: Vec<DoorsHandle>,
    /// What follows their files.
    pub(crate) keepers: JoinSet<()>,
}

impl AllDoors {
    /// Gives each listener what protects it; `shared` is the file of `--web.config.file`. The error has
    /// one line for each thing that is wrong.
    pub(crate) async fn open(
        &mut self,
        shared: Option<&Path>,
        listeners: Vec<(Listener, ListenerConfig)>,
    ) -> Result<Vec<Listener>, String> {
        let mut protected = Vec::new();
        for (listener, config) in listeners {
            let file = match config {
                ListenerConfig::Shared => shared.map(Path::to_owned),
                ListenerConfig::None => None,
                ListenerConfig::File(path) => Some(path),
            };
            let doors = match file {
                Some(file) => Some(self.doors(file).await?),
                None => None,
            };
            protected.push(listener.with_doors(doors));
        }
        Ok(protected)
    }

    async fn doors(&mut self, file: PathBuf) -> Result<DoorsHandle, String> {
        if let Some(open) = self.handles.iter().find(|handle| handle.file() == file) {
            return Ok(open.clone());
        }
        let opened = web_config::open(&file).await;
        let (handle, keeper) = opened.map_err(|errors| errors.to_string())?;
        self.handles.push(handle.clone());
        self.keepers.spawn(keeper.run());
        Ok(handle)
    }
}

/// Loads all of these files again. The error has one line for each thing that is wrong.
pub(crate) async fn reload(handles: &[DoorsHandle]) -> Result<(), String> {
    let mut errors = Vec::new();
    for handle in handles {
        if let Err(error) = handle.reload().await {
            errors.push(error.to_string());
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors.join("\n")) }
}
