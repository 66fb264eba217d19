//! The configuration file, through the interface that the program uses.

use std::path::Path;

use swarmscout::config::{Options, parse};

#[test]
fn reads_the_file_of_2016() {
    let text = include_bytes!("config/seed.good.yml");
    let loaded = parse(text, Path::new("prometheus.yml"), &Options::default()).unwrap();
    assert_eq!(loaded.config.job_configs().len(), 1);
}
