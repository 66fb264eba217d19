//! What `deploy/release` made, run as its users run it; the foreign ones under qemu, which finds no
//! dynamic linker for them: what is not static does not start.

use std::env::consts::ARCH;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use swarmscout_e2e::process::run;
use swarmscout_e2e::program::Server;
use swarmscout_e2e::scratch::Scratch;
use swarmscout_e2e::{get_json, until};

/// The name of a release, and what runs it where the machine does not by itself.
const RELEASES: [(&str, &str, &str); 3] = [
    ("amd64", "x86_64", "qemu-x86_64-static"),
    ("arm64", "aarch64", "qemu-aarch64-static"),
    ("armv7", "arm", "qemu-arm-static"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The name and contents of the archive of a release.
fn archive(name: &str) -> Result<(String, Vec<String>)> {
    let dist = root().join("dist");
    let end = format!("-linux-{name}.tar.gz");
    let mut found = Vec::new();
    for entry in dist.read_dir().context("no dist/: run deploy/release first")? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        found.extend(file.ends_with(&end).then_some(file));
    }
    ensure!(found.len() == 1, "one archive for {name} wanted in dist/: {found:?}");
    let file = found.remove(0);
    let listed = run(Command::new("tar").arg("-tzf").arg(dist.join(&file)))?;
    Ok((file, listed.lines().map(str::to_owned).collect()))
}

#[test]
fn the_archives_hold_the_promised_files_and_their_checksums() -> Result<()> {
    for (name, ..) in RELEASES {
        let (file, contents) = archive(name)?;
        let folder = file.strip_suffix(".tar.gz").context("an archive")?;
        let wanted = [
            "",
            "LICENSE",
            "README.md",
            "THIRD-PARTY-LICENSES.txt",
            "sbom.cdx.json",
            "swarmscout",
            "swarmscout-node.service",
            "swarmscout.service",
        ]
        .map(|file| format!("{folder}/{file}"));
        ensure!(contents == wanted, "{file}: {contents:#?}");
    }
    let dist = root().join("dist");
    let checked = run(Command::new("sha256sum").args(["-c", "sha256sums.txt"]).current_dir(dist))?;
    // An archive and an SBOM each.
    ensure!(checked.lines().count() == 2 * RELEASES.len(), "{checked}");
    Ok(())
}

#[test]
fn each_release_shows_its_version_checks_a_file_and_discovers() -> Result<()> {
    for (name, arch, emulator) in RELEASES {
        let scratch = Scratch::new()?;
        let (file, _) = archive(name)?;
        run(Command::new("tar")
            .arg("-xzf")
            .arg(root().join("dist").join(&file))
            .arg("-C")
            .arg(&*scratch))?;
        let folder = file.strip_suffix(".tar.gz").context("an archive")?;
        let program = scratch.join(folder).join("swarmscout");
        let command = || {
            if arch == ARCH {
                return Command::new(&program);
            }
            let mut command = Command::new(emulator);
            command.arg(&program);
            command
        };

        let version = folder.split('-').nth(1).context("a version")?;
        let reported = run(command().arg("--version"))?;
        ensure!(reported == format!("swarmscout {version}"), "{name}: {reported}");

        let config = root().join("deploy/prometheus-jobs.yml");
        let reported = run(command().args(["check", "config"]).arg(&config))?;
        ensure!(reported.contains("SUCCESS"), "{name}: {reported}");

        // Nothing happens to its Swarm while it is read.
        let mut demo = command();
        demo.args(["demo", "--pace=1h"]);
        let server = Server::start(demo, &scratch, name)?;
        let targets = until("the tasks of the demo", Duration::from_secs(30), || {
            let targets = server.sd("swarm-tasks")?;
            ensure!(targets.len() == 6, "{targets:?}");
            Ok(targets)
        })
        .with_context(|| server.process.printed())?;
        ensure!(targets.iter().all(|(_, labels)| labels["service"].is_string()), "{targets:?}");
        let built = get_json(&format!("{}/api/v1/status/buildinfo", server.url))?;
        let revision = built["data"]["revision"].as_str().context("a revision")?;
        ensure!(revision.len() >= 40, "{name} does not know what it was built from: {revision}");
    }
    Ok(())
}
