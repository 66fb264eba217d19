//! `swarmscout tls`: an authority with the certificates of a server, of a client and of all nodes, for
//! those who have no public key infrastructure.
//!
//! The folder has all of it: `init` writes it, and `renew` makes new certificates with the key and the
//! names that it finds there. `client` adds a client certificate of another name. Web configuration
//! files and an `http_config` for each client stand beside them, with paths that hold in this folder and
//! in `/run/secrets` alike.
//!
//! Every node has the key of its certificate. So it names no host but its own, and no file here gives it
//! another right than that to the tasks of its node.
//!
//! Each command writes all of its files, or none.

mod authority;
mod files;
mod hosts;

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use swarmscout_net::lane;

use self::authority::{Authority, Issued, Purpose, Validity};
use self::files::{Folder, NewFile};
pub use self::hosts::CertificateHost;
use crate::cli::{TlsClientArgs, TlsCommand, TlsInitArgs, TlsRenewArgs};
use crate::output::{print, print_error};

/// How long an authority lasts.
const AUTHORITY_YEARS: i32 = 10;

/// The name of the client in its certificate.
const CLIENT: &str = "swarmscout-client";

/// The name of every node part in its certificate: as a server, and as a client of gateways.
const NODE: &str = "swarmscout-node";

/// Names that each server has, beside those that are asked for.
const OWN_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

const CA: &str = "ca.pem";
const CA_KEY: &str = "ca-key.pem";
const SERVER: &str = "server.pem";
const SERVER_KEY: &str = "server-key.pem";
const CLIENT_CERT: &str = "client.pem";
const CLIENT_KEY: &str = "client-key.pem";
const NODE_CERT: &str = "node.pem";
const NODE_KEY: &str = "node-key.pem";
const HOSTS: &str = "hosts";
const WEB: &str = "web.yml";
const HTTP: &str = "http.yml";
const NODE_WEB: &str = "node-web.yml";
const NODE_HTTP: &str = "node-http.yml";

/// All files of `init`.
const FILES: [&str; 13] = [
    CA,
    CA_KEY,
    SERVER,
    SERVER_KEY,
    CLIENT_CERT,
    CLIENT_KEY,
    NODE_CERT,
    NODE_KEY,
    HOSTS,
    WEB,
    HTTP,
    NODE_WEB,
    NODE_HTTP,
];

const WEB_TEXT: &str = "\
# For --web.config.file. The paths hold in this folder, and in /run/secrets.
tls_server_config:
  cert_file: server.pem
  key_file: server-key.pem
  client_ca_file: ca.pem
  # Only clients with a certificate of this authority. VerifyClientCertIfGiven admits others, too.
  client_auth_type: RequireAndVerifyClientCert
authorization:
  change: [cert:swarmscout-client]  # everything
  nodes: [cert:swarmscout-node]  # each node part may ask for the tasks of its own node
";

const NODE_WEB_TEXT: &str = "\
# For --web.config.file of `swarmscout node`. The paths hold in this folder, and in /run/secrets.
tls_server_config:
  cert_file: node.pem
  key_file: node-key.pem
  client_ca_file: ca.pem
  client_auth_type: RequireAndVerifyClientCert
authorization:
  metrics: [cert:swarmscout-client]  # and reach; not the certificate that all nodes have
  lists: [cert:swarmscout-client]  # /sd, without --manager
";

/// The files of a client are in the place of CLIENT.
const HTTP_TEXT: &str = "\
# For OPTION. The paths hold in this folder, and in /run/secrets.
tls_config:
  ca_file: ca.pem
  cert_file: CLIENT.pem
  key_file: CLIENT-key.pem
";

/// An `http_config` with the certificate of this client.
fn http_text(option: &str, client: &str) -> String {
    HTTP_TEXT.replace("OPTION", option).replace("CLIENT", client)
}

/// How long a command may take: the folder may lie on a network that hangs.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Runs one of the commands.
pub async fn run(command: &TlsCommand) -> ExitCode {
    let today = jiff::Timestamp::now().to_zoned(TimeZone::UTC).date();
    let directory = match command {
        TlsCommand::Init(args) => &args.directory,
        TlsCommand::Renew(args) => &args.directory,
        TlsCommand::Client(args) => &args.directory,
    };
    let command = command.clone();
    let run = move || match &command {
        TlsCommand::Init(args) => init(args, today),
        TlsCommand::Renew(args) => renew(args, today),
        TlsCommand::Client(args) => client(args, today),
    };
    let result = lane::read(directory, TIMEOUT, run).await;
    let done = match result.unwrap_or_else(|stuck| Err(anyhow!("{stuck}"))) {
        Ok(text) => print(&text),
        Err(error) => {
            print_error(&format!("{error:#}\n"));
            false
        }
    };
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Writes all files, and says what to do with them.
fn init(args: &TlsInitArgs, today: Date) -> anyhow::Result<String> {
    let folder = Folder::new(&args.directory);
    if !args.force {
        refuse_existing(
            &folder,
            &args.directory,
            &FILES,
            "for new certificates of the same authority run `swarmscout tls renew`, to replace all \
             files, the authority included, give --force",
        )?;
    }
    let end = today.checked_add(AUTHORITY_YEARS.years()).context("the date is out of range")?;
    let authority = Authority::new(Validity { start: yesterday(today)?, end })?;
    let leaves = Leaves::issue(&authority, &args.hosts, args.days, today, end)?;
    let mut hosts = String::new();
    for host in &args.hosts {
        writeln!(hosts, "{host}").expect("a string takes all");
    }
    let mut files =
        vec![NewFile::secret(CA_KEY, &authority.key_pem()), NewFile::public(CA, authority.pem())];
    files.extend(leaves.files());
    files.extend([
        NewFile::public(HOSTS, &hosts),
        NewFile::public(WEB, WEB_TEXT),
        NewFile::public(HTTP, &http_text("--http.config.file", "client")),
    ]);
    files.extend(of_nodes());
    folder.write(&files)?;
    let mut text = format!(
        "An authority until {end}, certificates of server, client and nodes until {}, in {}.\n\
         Keep {CA_KEY} off the Swarm: its holder can make certificates that all of this accepts.\n\n",
        leaves.end,
        args.directory.display(),
    );
    text += &next_steps(&args.directory, &authority, &leaves, true);
    Ok(text)
}

/// Writes new certificates of the authority in the folder.
fn renew(args: &TlsRenewArgs, today: Date) -> anyhow::Result<String> {
    let folder = Folder::open(&args.directory)?;
    let authority = authority(&folder, &args.directory)?;
    let hosts = folder.read(HOSTS)?;
    let hosts = hosts.lines().map(str::trim).filter(|line| !line.is_empty());
    let hosts: Vec<CertificateHost> = hosts
        .map(str::parse)
        .collect::<Result<_, _>>()
        .with_context(|| format!("cannot use {}", args.directory.join(HOSTS).display()))?;
    let end = authority.end(today)?;
    let leaves = Leaves::issue(&authority, &hosts, args.days, today, end)?;
    let had_nodes = folder.has(NODE_CERT);
    let mut files = Vec::from(leaves.files());
    files.extend(of_nodes().into_iter().filter(|file| !folder.has(&file.name)));
    folder.write(&files)?;
    let mut text = format!(
        "New certificates of server, client and nodes until {}, in {}.\n",
        leaves.end,
        args.directory.display(),
    );
    if !had_nodes {
        text += "The certificate of nodes was not there before. Without the section `authorization`, a \
                 server lets each node read everything: write into its web configuration file\n    \
                 authorization:\n      change: [cert:swarmscout-client]\n      \
                 nodes: [cert:swarmscout-node]\n";
    }
    if leaves.end == end {
        writeln!(
            text,
            "The authority ends on that day, too: make another one soon with `swarmscout tls init`."
        )
        .expect("a string takes all");
    }
    text += "Certificates of other names are renewed by `swarmscout tls client NAME --force`.\n\
             A program that reads these very files takes them up by itself. A secret of Docker never \
             changes, so a service needs new ones:\n\n";
    text += &next_steps(&args.directory, &authority, &leaves, false);
    Ok(text)
}

/// Writes a client certificate of another name, with an `http_config` for it.
fn client(args: &TlsClientArgs, today: Date) -> anyhow::Result<String> {
    let CertificateHost::Name(name) = &args.name else { bail!("{} is not a name", args.name) };
    ensure!(!name.starts_with('*'), "{name} is not the name of one client");
    ensure!(!name.ends_with("-key"), "{name} ends as the names of keys do: use another one");
    ensure!(
        FILES.iter().all(|file| file.split('.').next() != Some(name)),
        "{name} is the name of files of `tls init`: use another one"
    );
    let folder = Folder::open(&args.directory)?;
    let (certificate, key, http) =
        (format!("{name}.pem"), format!("{name}-key.pem"), format!("{name}.yml"));
    if !args.force {
        refuse_existing(
            &folder,
            &args.directory,
            &[&certificate, &key, &http],
            "for a new certificate of this name, with a new key, give --force",
        )?;
    }
    let authority = authority(&folder, &args.directory)?;
    let last = authority.end(today)?;
    let end = today.checked_add(i32::from(args.days).days()).context("the date is out of range")?;
    let validity = Validity { start: yesterday(today)?, end: end.min(last) };
    let issued =
        authority.issue(Purpose::Client, name, std::slice::from_ref(&args.name), validity)?;
    folder.write(&[
        NewFile::secret(&key, &issued.key),
        NewFile::public(&certificate, &issued.certificate),
        NewFile::public(&http, &http_text("--http.config.file", name)),
    ])?;
    let (directory, id) = (&args.directory, &issued.id);
    let [http, certificate, key] =
        [http, certificate, key].map(|file| for_shell(&directory.join(file)));
    // A name of a secret has at most 64 characters.
    let secret = &name[..name.len().min(64 - "swarmscout--key-01234567".len())];
    Ok(format!(
        "A client certificate for {name} until {}, in {}.\n\n\
         Its rights, in the section `authorization` of the server's web configuration file:\n      \
         read: [cert:{name}]\n\n\
         For commands: --http.config.file={http}\n\n\
         On a manager, for a service:\n  \
         docker secret create swarmscout-{secret}-{id} {certificate}\n  \
         docker secret create swarmscout-{secret}-key-{id} {key}\n",
        validity.end,
        directory.display(),
    ))
}

/// An error if one of the files is there.
fn refuse_existing(
    folder: &Folder,
    directory: &Path,
    files: &[&str],
    advice: &str,
) -> anyhow::Result<()> {
    match files.iter().find(|file| folder.has(file)) {
        Some(file) => {
            bail!("cannot write {}: the file exists; {advice}", directory.join(file).display())
        }
        None => Ok(()),
    }
}

/// A path as a shell and the command after it take it for one.
fn for_shell(path: &Path) -> String {
    let text = path.display().to_string();
    let text = if text.starts_with('-') { format!("./{text}") } else { text };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._/:@%+,".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// The authority in a folder.
fn authority(folder: &Folder, directory: &Path) -> anyhow::Result<Authority> {
    Authority::load(&folder.read(CA)?, &folder.read(CA_KEY)?)
        .with_context(|| format!("cannot use the authority in {}", directory.display()))
}

/// Where certificates start: the clocks of others may be late.
fn yesterday(today: Date) -> anyhow::Result<Date> {
    today.checked_sub(1.day()).context("the date is out of range")
}

/// How a node part is configured with its certificate.
fn of_nodes() -> [NewFile; 2] {
    [
        NewFile::public(NODE_WEB, NODE_WEB_TEXT),
        NewFile::public(NODE_HTTP, &http_text("--manager.http-config", "node")),
    ]
}

/// The certificates of a server, of a client, and of all nodes.
struct Leaves {
    server: Issued,
    client: Issued,
    node: Issued,
    /// The last day of all.
    end: Date,
}

impl Leaves {
    /// `last` is the last day of the authority.
    fn issue(
        authority: &Authority,
        hosts: &[CertificateHost],
        days: u16,
        today: Date,
        last: Date,
    ) -> anyhow::Result<Self> {
        let end = today.checked_add(i32::from(days).days()).context("the date is out of range")?;
        let validity = Validity { start: yesterday(today)?, end: end.min(last) };
        let own = OWN_HOSTS.map(|host| host.parse().expect("they are hosts"));
        let mut all = hosts.to_vec();
        all.extend(own.into_iter().filter(|host| !hosts.contains(host)));
        let name = |name: &str| vec![name.parse().expect("it is a host")];
        Ok(Self {
            server: authority.issue(Purpose::Server, "swarmscout", &all, validity)?,
            client: authority.issue(Purpose::Client, CLIENT, &name(CLIENT), validity)?,
            node: authority.issue(Purpose::Both, NODE, &name(NODE), validity)?,
            end: validity.end,
        })
    }

    /// Keys come first: a program that reads between two writes keeps what it has.
    fn files(&self) -> [NewFile; 6] {
        [
            NewFile::secret(SERVER_KEY, &self.server.key),
            NewFile::public(SERVER, &self.server.certificate),
            NewFile::secret(CLIENT_KEY, &self.client.key),
            NewFile::public(CLIENT_CERT, &self.client.certificate),
            NewFile::secret(NODE_KEY, &self.node.key),
            NewFile::public(NODE_CERT, &self.node.certificate),
        ]
    }
}

/// What to do with the files. The names of secrets hold what their keys are known by, so that new ones
/// have new names.
fn next_steps(directory: &Path, authority: &Authority, leaves: &Leaves, all: bool) -> String {
    let (ca, server, client) = (authority.id(), &leaves.server.id, &leaves.client.id);
    let node = &leaves.node.id;
    let secrets = [
        (CA, format!("swarmscout-ca-{ca}"), all),
        (SERVER, format!("swarmscout-server-{server}"), true),
        (SERVER_KEY, format!("swarmscout-server-key-{server}"), true),
        (CLIENT_CERT, format!("swarmscout-client-{client}"), true),
        (CLIENT_KEY, format!("swarmscout-client-key-{client}"), true),
        (NODE_CERT, format!("swarmscout-node-{node}"), true),
        (NODE_KEY, format!("swarmscout-node-key-{node}"), true),
        (WEB, format!("swarmscout-web-{ca}"), all),
    ];
    let mut text = String::from("On a manager:\n");
    for (file, secret, new) in &secrets {
        if *new {
            writeln!(text, "  docker secret create {secret} {}", for_shell(&directory.join(file)))
                .expect("a string takes all");
        }
    }
    let list = |text: &mut String, service: &str, files: &[&str]| {
        writeln!(text, "\n{service}\n    secrets:").expect("a string takes all");
        for (file, secret, _) in secrets.iter().filter(|(file, ..)| files.contains(file)) {
            writeln!(text, "      - {{source: {secret}, target: {file}}}")
                .expect("a string takes all");
        }
    };
    list(
        &mut text,
        "In the stack, for Swarmscout with --web.config.file=/run/secrets/web.yml:",
        &[CA, SERVER, SERVER_KEY, WEB],
    );
    list(&mut text, "for Prometheus:", &[CA, CLIENT_CERT, CLIENT_KEY]);
    text += "\nand at the end of the file:\n    secrets:\n";
    let of_nodes = [NODE_CERT, NODE_KEY];
    for (_, secret, _) in secrets.iter().filter(|(file, ..)| !of_nodes.contains(file)) {
        writeln!(text, "      {secret}: {{external: true}}").expect("a string takes all");
    }
    if all {
        text += "\nIn prometheus.yml, with a host that the server certificate names:\n    \
                 http_sd_configs:\n      - url: https://HOST:9465/sd/swarm\n        tls_config:\n          \
                 ca_file: /run/secrets/ca.pem\n          cert_file: /run/secrets/client.pem\n          \
                 key_file: /run/secrets/client-key.pem\n\n\
                 deploy/node.yml and deploy/reach.yml give node.pem to the node parts. Prometheus knows \
                 them by\n`server_name: swarmscout-node`.\n";
    } else {
        text += "\nThen `docker stack deploy`, and `docker secret rm` for the old ones.\n";
    }
    text
}

#[cfg(test)]
mod tests;
