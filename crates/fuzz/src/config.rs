//! The configuration file.

use std::path::Path;

use swarmscout_config::{Errors, Loaded, Options, parse};

/// Any file. One that is read is the same again when it was written back and read; one that is not
/// says why.
pub fn file(text: &[u8]) {
    let loaded = match read(text) {
        Ok(loaded) => loaded,
        Err(errors) => {
            assert!(errors.iter().all(|error| !error.to_string().is_empty()));
            return;
        }
    };
    let written = loaded.config.to_yaml();
    let again = read(written.as_bytes())
        .unwrap_or_else(|errors| panic!("cannot be read when written back: {errors}\n{written}"));
    assert_eq!(again.config.to_yaml(), written);
    // A secret is written as a word that stands for it, so it is another secret when it is read.
    if !written.contains("<secret>") && !written.contains("xxxxx") {
        assert!(again.config == loaded.config, "another when written back:\n{written}");
    }
    for job in loaded.config.job_configs() {
        assert!(loaded.config.job_yaml(job.name()).is_some());
    }
}

fn read(text: &[u8]) -> Result<Loaded, Errors> {
    let env = |name: &str| (name == "HOST").then(|| "swarm-1".to_owned());
    let options = Options { agent: text.starts_with(b"# agent\n"), env };
    parse(text, Path::new("/etc/prometheus.yml"), &options)
}
