//! Files of `deploy/` that the program carries, so that a binary is enough.

mod folder;

use std::fmt::{self, Write as _};
use std::process::ExitCode;

use anyhow::anyhow;

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
        EmbeddedFile {
            name: "classic",
            file: "classic.json",
            about: "classic Swarms: masters, the primary, nodes and what they have left",
            text: include_str!("../../../deploy/dashboards/classic.json"),
            reads: &[],
        },
    ],
};

/// A file of `deploy/`: its path there, and its text.
type PathAndText = (&'static str, &'static str);

macro_rules! read {
    ($path:literal) => {
        ($path, include_str!(concat!("../../../deploy/", $path)))
    };
}

/// What Prometheus, Alertmanager, Grafana and the blackbox exporter read, in whichever stack they run.
const OF_PROGRAMS: &[PathAndText] = &[
    read!("stack/prometheus.yml"),
    read!("stack/alertmanager.sh"),
    read!("stack/blackbox.yml"),
    read!("stack/grafana.sh"),
    read!("stack/grafana-dashboards.yml"),
    read!("stack/grafana-datasources.yml"),
    read!("rules/alertmanager-inhibit.yml"),
    read!("dashboards/swarmscout.json"),
];

/// What `reach.yml` reads.
const OF_REACH: &[PathAndText] = &[
    read!("stack/swarmscout-reach.yml"),
    read!("stack/prometheus-reach.yml"),
    read!("node/manager.yml"),
    read!("node/manager-web.yml"),
    read!("node/node-web.yml"),
];

/// The stacks for `docker stack deploy` and Compose, and what each of them reads or is deployed with.
pub const STACKS: Embedded = Embedded {
    kind: "stack",
    files: &[
        EmbeddedFile {
            name: "beside",
            file: "beside.yml",
            about: "Swarmscout, beside a Prometheus or VictoriaMetrics that is there",
            text: include_str!("../../../deploy/beside.yml"),
            reads: &[&[read!("stack/swarmscout.yml")]],
        },
        EmbeddedFile {
            name: "gateway",
            file: "gateway.yml",
            about: "Docker's socket on the managers alone, and readers with TLS beside Prometheus",
            text: include_str!("../../../deploy/gateway.yml"),
            reads: &[&[
                read!("gateway/gateway.yml"),
                read!("gateway/gateway-web.yml"),
                read!("gateway/reader.yml"),
                read!("gateway/reader-web.yml"),
            ]],
        },
        EmbeddedFile {
            name: "node",
            file: "node.yml",
            about: "the part on each node, beside the gateway, in place of cAdvisor and node exporter",
            text: include_str!("../../../deploy/node.yml"),
            reads: &[&[read!("node/manager.yml"), read!("node/node-web.yml")]],
        },
        EmbeddedFile {
            name: "complete",
            file: "complete.yml",
            about: "Prometheus, Alertmanager, Grafana and Swarmscout, with its part on each node",
            text: include_str!("../../../deploy/complete.yml"),
            reads: &[
                OF_PROGRAMS,
                OF_REACH,
                &[
                    read!("stack/swarmscout.yml"),
                    read!("rules/swarmscout.yml"),
                    read!("dashboards/cluster.json"),
                    read!("dashboards/service.json"),
                    read!("dashboards/node.json"),
                    read!("alert-url.yml"),
                    read!("grafana-password.yml"),
                    read!("reach.yml"),
                ],
            ],
        },
        EmbeddedFile {
            name: "reach",
            file: "reach.yml",
            about: "in addition to complete: its parts on the nodes fetch for Prometheus, without a shared network",
            text: include_str!("../../../deploy/reach.yml"),
            reads: &[OF_REACH],
        },
        EmbeddedFile {
            name: "compose",
            file: "compose.yml",
            about: "the same for Docker hosts without swarm mode, with Compose",
            text: include_str!("../../../deploy/compose.yml"),
            reads: &[OF_PROGRAMS, &[read!("compose/swarmscout.yml"), read!("compose/rules.yml")]],
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
    reads: &'static [&'static [PathAndText]],
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
    let is_printed = match (&args.output, &args.name) {
        (Some(folder), _) => {
            let mut files: Vec<_> = chosen.iter().flat_map(EmbeddedFile::all).collect();
            files.sort_unstable();
            files.dedup();
            match folder::write(folder, &files, args.force) {
                Ok(paths) => print(&lines(paths.iter().map(|path| path.display()))),
                Err(error) => {
                    print_error(&format!("{error:#}\n"));
                    false
                }
            }
        }
        (None, Some(_)) => chosen.iter().all(|file| print(file.text)),
        (None, None) => print(&embedded.list()),
    };
    if is_printed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn lines(all: impl Iterator<Item = impl fmt::Display>) -> String {
    all.fold(String::new(), |mut lines, line| {
        writeln!(lines, "{line}").expect("a string takes all");
        lines
    })
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
        lines(self.files.iter().map(|file| format!("{:width$}  {}", file.name, file.about)))
    }
}

impl EmbeddedFile {
    /// What it reads, and the file itself.
    fn all(&self) -> impl Iterator<Item = PathAndText> {
        self.reads.iter().copied().flatten().copied().chain([(self.file, self.text)])
    }
}
