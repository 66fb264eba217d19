//! Writes the seeds of a target into a folder, for libFuzzer to begin with:
//! `cargo run -p swarmscout-fuzz --example seeds -- TARGET FOLDER`.

use std::error::Error;
use std::fs;
use std::path::Path;

use swarmscout_fuzz::TARGETS;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, name, folder] = &arguments[..] else { return Err("usage: seeds TARGET FOLDER".into()) };
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.ok_or_else(|| format!("there is no target {name}"))?;
    fs::create_dir_all(folder)?;
    for (i, seed) in (target.seeds)().iter().enumerate() {
        fs::write(Path::new(folder).join(format!("seed-{i}")), seed)?;
    }
    Ok(())
}
