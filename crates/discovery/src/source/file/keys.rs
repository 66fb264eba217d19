//! The keys of file SD.

use std::path::PathBuf;

use swarmscout_config_decoder::{Cx, FilePath, is_glob, refresh_interval, section};
use swarmscout_model::PromDuration;
use swarmscout_model::quote::Quoted;

use super::FileConfig;
use crate::SdConfig;
use crate::source::SourceKeys;

section! {
    /// Targets in files, read when they change and every `refresh_interval`.
    pub FileSdKeys: "file.SDConfig", "file_sd_config" {
        /// Paths that end in `.json`, `.yml` or `.yaml`; the last part may hold one `*`. Required.
        key files: Vec<FilePath> = Vec::new();
        /// How often they are read without a notification of a change.
        key refresh_interval: PromDuration = PromDuration::from_secs(300);
    }
}

impl SourceKeys for FileSdKeys {
    fn check(&mut self, _: bool, cx: &mut Cx<'_>) -> SdConfig {
        if self.files.is_empty() && !self.at.failed("files") {
            let text = "file service discovery config must contain at least one path name";
            cx.error(self.at.key("files"), text);
        }
        let endings = [".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"];
        for (i, path) in self.files.iter().map(|path| &path.0).enumerate() {
            if !is_glob(path) || !endings.iter().any(|ending| path.ends_with(ending)) {
                let text = format!("path name {} is not valid for file discovery", Quoted(path));
                cx.within("files", |cx| cx.item(i, |cx| cx.error_here(text)));
            }
        }
        refresh_interval(self.refresh_interval, &self.at, cx);
        SdConfig::File(FileConfig {
            files: self.files.iter().map(|path| PathBuf::from(&path.0)).collect(),
            refresh_interval: self.refresh_interval,
        })
    }
}
