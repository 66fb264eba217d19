//! Files of `deploy/` that the program carries, so that a binary is enough.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};

use crate::cli::EmbeddedArgs;
use crate::output::{print, print_error};

/// The dashboards for Grafana, as `deploy/dashboards/dashboards.py` makes them.
pub const DASHBOARDS: Embedded = Embedded {
    kind: "dashboard",
    files: &[
        EmbeddedFile {
            name: "cluster",
            file: "cluster.json",
            about: "is everything at desired, what is not and why, can the Swarm lose a node",
            text: include_str!("../../../deploy/dashboards/cluster.json"),
            reads: &[],
        },
        EmbeddedFile {
            name: "service",
            file: "service.json",
            about: "one service: tasks, restarts, deploys, memory and CPU against their limits",
            text: include_str!("../../../deploy/dashboards/service.json"),
            reads: &[],
        },
        EmbeddedFile {
            name: "node",
            file: "node.json",
            about: "one node: its tasks, what they reserve and use, and its disks",
            text: include_str!("../../../deploy/dashboards/node.json"),
            reads: &[],
        },
        EmbeddedFile {
            name: "swarmscout",
            file: "swarmscout.json",
            about: "discovery: sources, refreshes, targets, how changes arrive",
            text: include_str!("../../../deploy/dashboards/swarmscout.json"),
            reads: &[],
        },
    ],
};

/// A file of `deploy/`: its path there, and its text.
macro_rules! read {
    ($path:literal) => {
        ($path, include_str!(concat!("../../../deploy/", $path)))
    };
}

/// The stacks for `docker stack deploy` and Compose, and what each of them reads or is deployed with.
pub const STACKS: Embedded = Embedded {
    kind: "stack",
    files: &[
        EmbeddedFile {
            name: "beside",
            file: "beside.yml",
            about: "Swarmscout, beside a Prometheus or VictoriaMetrics that is there",
            text: include_str!("../../../deploy/beside.yml"),
            reads: &[read!("stack/swarmscout.yml")],
        },
        EmbeddedFile {
            name: "complete",
            file: "complete.yml",
            about: "Prometheus, Alertmanager, Grafana, exporters and Swarmscout",
            text: include_str!("../../../deploy/complete.yml"),
            reads: &[
                read!("stack/swarmscout.yml"),
                read!("stack/prometheus.yml"),
                read!("stack/alertmanager.sh"),
                read!("stack/blackbox.yml"),
                read!("stack/grafana.sh"),
                read!("stack/grafana-dashboards.yml"),
                read!("stack/grafana-datasources.yml"),
                read!("rules/swarmscout.yml"),
                read!("rules/alertmanager-inhibit.yml"),
                read!("dashboards/cluster.json"),
                read!("dashboards/service.json"),
                read!("dashboards/node.json"),
                read!("dashboards/swarmscout.json"),
                read!("alert-url.yml"),
                read!("grafana-password.yml"),
            ],
        },
        EmbeddedFile {
            name: "compose",
            file: "compose.yml",
            about: "the same for Docker hosts without swarm mode, with Compose",
            text: include_str!("../../../deploy/compose.yml"),
            reads: &[
                read!("compose/swarmscout.yml"),
                read!("compose/rules.yml"),
                read!("stack/prometheus.yml"),
                read!("stack/alertmanager.sh"),
                read!("stack/blackbox.yml"),
                read!("stack/grafana.sh"),
                read!("stack/grafana-dashboards.yml"),
                read!("stack/grafana-datasources.yml"),
                read!("rules/alertmanager-inhibit.yml"),
                read!("dashboards/swarmscout.json"),
            ],
        },
    ],
};

/// Files of one kind.
#[derive(Clone, Copy, Debug)]
pub struct Embedded {
    /// What one of them is.
    kind: &'static str,
    files: &'static [EmbeddedFile],
}

/// One of these files.
#[derive(Clone, Copy, Debug)]
struct EmbeddedFile {
    /// What the command line calls it.
    name: &'static str,
    /// Its path in a folder.
    file: &'static str,
    /// What it is for, in one line.
    about: &'static str,
    text: &'static str,
    /// What it reads, by paths beside it.
    reads: &'static [(&'static str, &'static str)],
}

/// Lists the files, prints one, or writes them, as the arguments ask.
pub fn run(embedded: &Embedded, args: &EmbeddedArgs) -> ExitCode {
    let chosen = match embedded.chosen(args.name.as_deref()) {
        Ok(chosen) => chosen,
        Err(error) => {
            print_error(&format!("{error:#}\n"));
            return ExitCode::from(2);
        }
    };
    match (&args.output, &args.name) {
        (Some(folder), _) => {
            for file in chosen {
                match file.write(folder) {
                    Ok(written) => print(&written),
                    Err(error) => {
                        print_error(&format!("{error:#}\n"));
                        return ExitCode::FAILURE;
                    }
                }
            }
        }
        (None, Some(_)) => chosen.iter().for_each(|file| print(file.text)),
        (None, None) => print(&embedded.list()),
    }
    ExitCode::SUCCESS
}

impl Embedded {
    /// The one of this name, or all.
    fn chosen(&self, name: Option<&str>) -> anyhow::Result<&'static [EmbeddedFile]> {
        let Some(name) = name else { return Ok(self.files) };
        let found = self.files.iter().position(|file| file.name == name);
        let found = found.ok_or_else(|| {
            let names: Vec<_> = self.files.iter().map(|file| file.name).collect();
            anyhow!("there is no {} {name:?}; there are {}", self.kind, names.join(", "))
        })?;
        Ok(&self.files[found..=found])
    }

    /// A line for each: its name, and what it is for.
    fn list(&self) -> String {
        let width = self.files.iter().map(|file| file.name.len()).max().unwrap_or_default();
        self.files.iter().fold(String::new(), |mut list, file| {
            writeln!(list, "{:width$}  {}", file.name, file.about).expect("a string takes all");
            list
        })
    }
}

impl EmbeddedFile {
    /// Writes it into a folder, which is made if there is none, with what it reads. Returns a line for
    /// each path.
    fn write(&self, folder: &Path) -> anyhow::Result<String> {
        let mut written = String::new();
        for (file, text) in self.reads.iter().copied().chain([(self.file, self.text)]) {
            let path = folder.join(file);
            let cannot = || format!("cannot write {}", path.display());
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).with_context(cannot)?;
            }
            fs::write(&path, text).with_context(cannot)?;
            writeln!(written, "{}", path.display()).expect("a string takes all");
        }
        Ok(written)
    }
}
