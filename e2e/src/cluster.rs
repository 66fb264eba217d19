//! A real Swarm on one machine: every engine in network, mount, host-name and process namespaces of
//! its own, joined by a bridge in the namespace of the tests.
//!
//! Virtual IPs do not answer where the kernel has no IPVS; addresses of tasks and ports in host
//! mode do.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::dns::with_resolv_conf;
use crate::docker::Docker;
use crate::process::{Process, run};
use crate::until;

/// The script that turns the child of `unshare` into an engine: name, address and state folder are
/// its first arguments, the rest is dockerd's command line. Containers of the engine can mount its socket,
/// or the folder of it, at the usual place.
const ENGINE: &str = r#"
name=$1 address=$2 state=$3 dockerd=$4; shift 4
hostname "$name"
rm -rf "$state/run"
mount --make-rshared /
mount -t tmpfs tmpfs /run
mkdir -p /run/docker /run/containerd /etc/docker /var/lib/docker "$state/etc" "$state/data" "$state/run"
mount --bind "$state/run" /run/docker
mount -t tmpfs tmpfs /run/containerd
mount --bind "$state/etc" /etc/docker
mount --bind "$state/data" /var/lib/docker
exec "$dockerd" --pidfile /run/docker/engine.pid --storage-driver overlay2 \
    -H "tcp://$address:2375" -H "unix://$state/docker.sock" -H unix:///run/docker.sock "$@"
"#;

/// What every container serves at `/metrics`.
const METRICS: &str = "# HELP demo_requests_total Requests.\n# TYPE demo_requests_total counter\ndemo_requests_total 7\n";

/// A Swarm of real engines.
#[derive(Debug)]
pub struct Cluster {
    state: PathBuf,
    /// Name of the bridge and prefix of the namespaces.
    bridge: String,
    /// The first three bytes of all addresses.
    net: String,
    /// What an engine runs that is added.
    docker: Docker,
    engines: Vec<Engine>,
}

/// An image that is made of files of this machine, and has a busybox.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// With its tag.
    pub name: &'a str,
    /// A path in the image.
    pub entrypoint: &'a str,
    /// What is there, with the libraries that it loads. Empty: one of the files.
    pub program: &'a Path,
    /// Folders that belong to the user 65534.
    pub folders: &'a [&'a str],
    /// Paths and texts; all may be run.
    pub files: &'a [(&'a str, &'a str)],
}

impl Default for Image<'_> {
    fn default() -> Self {
        Self { name: "", entrypoint: "", program: Path::new(""), folders: &[], files: &[] }
    }
}

/// What such an image has of busybox.
const APPLETS: [&str; 12] =
    ["base64", "cat", "cp", "head", "httpd", "ls", "mv", "nc", "sed", "sh", "tr", "wget"];

/// One engine of a Swarm.
#[derive(Debug)]
pub struct Engine {
    pub name: String,
    pub address: String,
    manager: bool,
    docker: Docker,
    /// Options of dockerd that only this engine has.
    options: Vec<String>,
    process: Option<Process>,
}

impl Cluster {
    /// Brings up managers and workers of the engine that the environment names, and joins them. The
    /// second worker has metrics of its own at port 9323. Takes some 20 s.
    pub fn up(managers: usize, workers: usize) -> Result<Self> {
        Self::of(Docker::from_env(), managers, workers)
    }

    /// The same with another engine.
    pub fn of(docker: Docker, managers: usize, workers: usize) -> Result<Self> {
        let pid = std::process::id();
        let state = std::env::temp_dir().join(format!("swarmscout-e2e-{pid}"));
        fs::create_dir_all(&state)?;
        let bridge = format!("ss{}", pid % 100_000);
        let net = format!("10.86.{}", pid % 250);
        println!("{managers} managers, {workers} workers: {}", docker.version()?);
        let mut cluster = Self { state, bridge, net, docker, engines: Vec::new() };
        cluster.add_bridge()?;
        for i in 1..=managers {
            cluster.add_engine(true, i);
        }
        for i in 1..=workers {
            cluster.add_engine(false, i);
        }
        for i in 0..cluster.engines.len() {
            cluster.start(i)?;
        }
        for i in 0..cluster.engines.len() {
            cluster.await_answer(i)?;
        }
        cluster.load_images()?;
        cluster.join()?;
        Ok(cluster)
    }

    /// The folder of this cluster's files; it goes with the cluster.
    pub fn folder(&self) -> &Path {
        &self.state
    }

    /// The engine of this name: `manager-1`, `worker-2`.
    pub fn engine(&self, name: &str) -> &Engine {
        &self.engines[self.index(name)]
    }

    /// The URL of an engine's API.
    pub fn url(&self, name: &str) -> String {
        format!("tcp://{}:2375", self.engine(name).address)
    }

    /// The path of an engine's unix socket.
    pub fn socket(&self, name: &str) -> PathBuf {
        self.state.join(name).join("docker.sock")
    }

    /// The path of a manager's control socket. There is another file at each start of the engine.
    pub fn control_socket(&self, name: &str) -> PathBuf {
        self.state.join(name).join("run/swarm/control.sock")
    }

    /// Runs the docker command against the first manager.
    pub fn docker<S: AsRef<str>>(&self, arguments: &[S]) -> Result<String> {
        self.docker_at("manager-1", arguments)
    }

    /// Runs the docker command against one engine.
    pub fn docker_at<S: AsRef<str>>(&self, name: &str, arguments: &[S]) -> Result<String> {
        let mut command = self.engine(name).docker.client();
        command.arg("-H").arg(self.url(name));
        run(command.args(arguments.iter().map(AsRef::as_ref)))
    }

    /// The same command in the network of a container of an engine, with the container's
    /// `resolv.conf`. All else is the engine's.
    pub fn in_container(&self, name: &str, container: &str, command: &Command) -> Result<Command> {
        let inspect = |format: &str| self.docker_at(name, &["inspect", "-f", format, container]);
        let (pid, file) = (inspect("{{.State.Pid}}")?, inspect("{{.ResolvConfPath}}")?);
        let inside = with_resolv_conf(file, command);
        let mut entered = Command::new("nsenter");
        let engine = self.engine(name).dockerd().context("the engine does not run")?;
        entered.args(["--mount", "--target", &engine]);
        // The container's process has this number where the engine is, and its /proc knows it.
        entered.args(["nsenter", &format!("--net=/proc/{pid}/ns/net")]);
        entered.arg(inside.get_program()).args(inside.get_args());
        Ok(entered)
    }

    /// Stops an engine: its node goes down.
    pub fn stop(&mut self, name: &str) {
        let i = self.index(name);
        self.engines[i].halt();
    }

    /// Ends an engine by KILL, and all that runs there with it: what it would do to end in order is
    /// not done.
    pub fn kill(&mut self, name: &str) -> Result<()> {
        let i = self.index(name);
        let mut process = self.engines[i].process.take().context("the engine does not run")?;
        let dockerd = only_child(&process).context("the engine does not run")?;
        run(Command::new("kill").args(["-s", "KILL", &dockerd]))?;
        process.wait(Duration::from_secs(15)).map(drop)
    }

    /// The address that the next engine gets that is added.
    pub fn next_address(&self) -> String {
        format!("{}.{}", self.net, 30 + self.engines.len())
    }

    /// Starts an engine that is in no Swarm, and answers at its socket. `options` go to dockerd.
    pub fn add_alone(&mut self, name: &str, options: Vec<String>) -> Result<()> {
        let address = self.next_address();
        let (name_of, docker, process) = (name.to_owned(), self.docker.clone(), None);
        let engine = Engine { name: name_of, address, manager: false, docker, options, process };
        self.engines.push(engine);
        self.start_alone(name)
    }

    /// Starts such an engine again.
    pub fn start_alone(&mut self, name: &str) -> Result<()> {
        let i = self.index(name);
        self.start(i)?;
        until("the engine's answer at its socket", Duration::from_mins(1), || {
            self.docker_by_socket(name, &["version"])
        })
        .map(drop)
    }

    /// Runs the docker command against the socket of one engine.
    pub fn docker_by_socket<S: AsRef<str>>(&self, name: &str, arguments: &[S]) -> Result<String> {
        let mut command = self.engine(name).docker.client();
        command.arg("-H").arg(format!("unix://{}", self.socket(name).display()));
        run(command.args(arguments.iter().map(AsRef::as_ref)))
    }

    /// Takes a worker out of the Swarm and lets it join again: a node of the same name and address,
    /// and another ID.
    pub fn rejoin(&self, name: &str) -> Result<()> {
        self.docker_at(name, &["swarm", "leave", "--force"])?;
        self.join_one(self.engine(name))
    }

    /// Starts another engine in the place of one that is stopped, on what that one left.
    pub fn upgrade(&mut self, name: &str, docker: &Docker) -> Result<()> {
        let i = self.index(name);
        self.engines[i].docker = docker.clone();
        self.restart(name)
    }

    /// Starts an engine again.
    pub fn restart(&mut self, name: &str) -> Result<()> {
        let i = self.index(name);
        self.start(i)?;
        self.await_answer(i)
    }

    /// Creates a service of every kind that discovery has to cope with, and waits until those that
    /// can run do.
    pub fn deploy(&self) -> Result<()> {
        self.docker(&["node", "update", "--label-add", "tier=front", "worker-1"])?;
        self.docker(&["node", "update", "--label-add", "note=x=y, z ✓", "manager-1"])?;
        for network in [
            &["front", "--subnet", "10.91.1.0/24", "--label", "team=a"][..],
            &["back", "--subnet", "10.91.2.0/24", "--internal"],
        ] {
            self.docker(
                &[&["network", "create", "-d", "overlay"], &network[1..], &network[..1]].concat(),
            )?;
        }
        for service in SERVICES {
            self.create_service(service)?;
        }
        // One rolling update, so that a service has an update status and old tasks.
        self.docker(&[
            "service",
            "update",
            "-d",
            "-q",
            "--no-resolve-image",
            "--env-add",
            "V=2",
            "web",
        ])?;
        until("all services", Duration::from_mins(2), || {
            let state =
                self.docker(&["service", "inspect", "-f", "{{.UpdateStatus.State}}", "web"])?;
            let list = self.docker(&["service", "ls", "--format", "{{.Name}} {{.Replicas}}"])?;
            let up = ["web 3/3", "agent 3/3", "both 2/2", "dnsrr 2/2", "host-network 3/3"];
            let missing: Vec<_> =
                up.iter().filter(|want| !list.lines().any(|l| l.starts_with(**want))).collect();
            anyhow::ensure!(
                missing.is_empty() && state == "completed",
                "{state}, missing {missing:?} in\n{list}"
            );
            Ok(())
        })
    }

    /// Creates a service, its name first, and waits for none of its tasks.
    pub fn create_service(&self, options: &str) -> Result<String> {
        let mut arguments = vec!["service", "create", "-d", "-q", "--no-resolve-image", "--name"];
        arguments.extend(options.split_whitespace());
        self.docker(&arguments)
    }

    /// Waits until a service is listed like this: `web 3/3`.
    pub fn await_replicas(&self, want: &str) -> Result<()> {
        until(want, Duration::from_mins(2), || {
            let list = self.docker(&["service", "ls", "--format", "{{.Name}} {{.Replicas}}"])?;
            anyhow::ensure!(list.lines().any(|line| line.starts_with(want)), "{list}");
            Ok(())
        })
    }

    /// Replaces all tasks of a service, and waits until that is done; `during` runs once it has
    /// started.
    pub fn update_service(&self, service: &str, during: impl FnOnce() -> Result<()>) -> Result<()> {
        let update = ["service", "update", "-d", "-q", "--no-resolve-image", "--env-add", "V=2"];
        self.docker(&[&update[..], &[service]].concat())?;
        during()?;
        until("the update", Duration::from_mins(2), || {
            let format = "{{.UpdateStatus.State}}";
            let state = self.docker(&["service", "inspect", "-f", format, service])?;
            anyhow::ensure!(state == "completed", "{state}");
            Ok(())
        })
    }

    fn index(&self, name: &str) -> usize {
        let found = self.engines.iter().position(|engine| engine.name == name);
        found.unwrap_or_else(|| panic!("there is no engine {name}"))
    }

    fn add_bridge(&self) -> Result<()> {
        ip(&["link", "add", &self.bridge, "type", "bridge"])?;
        ip(&["addr", "add", &format!("{}.1/24", self.net), "dev", &self.bridge])?;
        ip(&["link", "set", &self.bridge, "up"])
    }

    fn add_engine(&mut self, manager: bool, number: usize) {
        let (kind, offset) = if manager { ("manager", 10) } else { ("worker", 20) };
        let address = format!("{}.{}", self.net, offset + number);
        let labels: &[&str] = match (manager, number) {
            (true, 1) => &["--label", "zone=z1", "--label", "com.example.rack-id=r 1"],
            (false, 1) => &[
                "--label",
                "city=Zürich ✓",
                "--label",
                "empty=",
                "--node-generic-resource",
                "gpu=2",
            ],
            _ => &["--label", "url=http://h:1/?q=1&r=2"],
        };
        let mut options: Vec<_> = labels.iter().map(|&label| label.to_owned()).collect();
        if (manager, number) == (false, 2) {
            options.extend(["--experimental".to_owned(), format!("--metrics-addr={address}:9323")]);
        }
        let (name, docker) = (format!("{kind}-{number}"), self.docker.clone());
        self.engines.push(Engine { name, address, manager, docker, options, process: None });
    }

    fn start(&mut self, i: usize) -> Result<()> {
        let engine = &self.engines[i];
        let folder = self.state.join(&engine.name);
        let namespace = format!("{}-{}", self.bridge, engine.name);
        if !folder.exists() {
            fs::create_dir_all(&folder)?;
            let veth = format!("{}v{i}", self.bridge);
            ip(&["netns", "add", &namespace])?;
            ip(&[
                "link", "add", &veth, "type", "veth", "peer", "name", "eth0", "netns", &namespace,
            ])?;
            ip(&["link", "set", &veth, "master", &self.bridge, "up"])?;
            ip(&[
                "-n",
                &namespace,
                "addr",
                "add",
                &format!("{}/24", engine.address),
                "dev",
                "eth0",
            ])?;
            ip(&["-n", &namespace, "link", "set", "lo", "up"])?;
            ip(&["-n", &namespace, "link", "set", "eth0", "up"])?;
        }
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{namespace}"));
        command.args(["unshare", "-m", "-u", "-p", "-f", "--mount-proc", "--kill-child=KILL"]);
        command.args(["bash", "-c", ENGINE, "engine", &engine.name, &engine.address]);
        command.arg(&folder).args(engine.docker.dockerd()).args(&engine.options);
        engine.docker.set_path(&mut command);
        let process = Process::start(&mut command, &folder.join("log"))?;
        self.engines[i].process = Some(process);
        Ok(())
    }

    fn await_answer(&self, i: usize) -> Result<()> {
        let engine = &self.engines[i];
        let url = format!("http://{}:2375/_ping", engine.address);
        // A manager without quorum may keep who asks waiting for long.
        until("the engine's answer", Duration::from_mins(3), || crate::get(&url)).with_context(
            || {
                let log = engine.process.as_ref().map(Process::printed).unwrap_or_default();
                format!("{}: {log}", engine.name)
            },
        )?;
        Ok(())
    }

    /// Gives every engine the image `demo:1`: a static busybox that serves [`METRICS`] at port
    /// 8080.
    fn load_images(&self) -> Result<()> {
        let root = self.state.join("image");
        for folder in ["bin", "www", "tmp", "etc"] {
            fs::create_dir_all(root.join(folder))?;
        }
        let busybox = run(Command::new("sh").args(["-c", "command -v busybox"]))?;
        fs::copy(busybox, root.join("bin/busybox"))?;
        for applet in ["sh", "httpd", "sleep", "true", "false"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet))?;
        }
        fs::write(root.join("www/metrics"), METRICS)?;
        let archive = self.state.join("image.tar");
        run(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(archive).arg("."))?;
        self.engines.iter().try_for_each(|engine| self.load_image(&engine.name))
    }

    /// Gives an engine that image: those of the Swarm have it.
    pub fn load_image(&self, name: &str) -> Result<()> {
        let serve = r#"CMD ["sh","-c","trap 'exit 0' TERM; httpd -f -p 8080 -h /www & wait"]"#;
        let archive = self.state.join("image.tar").display().to_string();
        self.docker_at(name, &["import", "-c", serve, "-c", "EXPOSE 8080", &archive, "demo:1"])
            .map(drop)
    }

    /// Makes an image of a program of this machine on one engine, with the libraries that it loads.
    pub fn add_program(&self, name: &str, program: &Path, image: &str) -> Result<()> {
        let image = Image { name: image, entrypoint: "/program", program, ..Image::default() };
        self.add_image(&[name], &image)
    }

    /// Makes an image on several engines.
    pub fn add_image(&self, engines: &[&str], image: &Image<'_>) -> Result<()> {
        let root = self.state.join(image.name.replace([':', '/'], "-"));
        let place = |path: &str| -> Result<PathBuf> {
            let place = root.join(path.trim_start_matches('/'));
            fs::create_dir_all(place.parent().context("a file has a folder")?)?;
            Ok(place)
        };
        let copy = |from: &Path, path: &str| -> Result<()> {
            fs::copy(from, place(path)?).map(drop).with_context(|| from.display().to_string())
        };
        fs::create_dir_all(root.join("tmp"))?;
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
        copy(&self.state.join("image/bin/busybox"), "/bin/busybox")?;
        for applet in APPLETS {
            let link = root.join("bin").join(applet);
            if !link.exists() {
                std::os::unix::fs::symlink("busybox", link)?;
            }
        }
        for (path, text) in image.files {
            fs::write(place(path)?, text)?;
            fs::set_permissions(place(path)?, fs::Permissions::from_mode(0o755))?;
        }
        for folder in image.folders {
            let folder = root.join(folder.trim_start_matches('/'));
            fs::create_dir_all(&folder)?;
            std::os::unix::fs::chown(&folder, Some(65534), Some(65534))?;
        }
        if !image.program.as_os_str().is_empty() {
            copy(image.program, image.entrypoint)?;
        }
        // A static program loads none: then the command fails.
        let libraries = run(Command::new("ldd").arg(image.program)).unwrap_or_default();
        for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
            copy(Path::new(library), library)?;
        }
        let archive = root.with_extension("tar");
        run(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg("."))?;
        let archive = archive.display().to_string();
        let entrypoint = format!("ENTRYPOINT [\"{}\"]", image.entrypoint);
        engines.iter().try_for_each(|engine| {
            self.docker_at(engine, &["import", "-c", &entrypoint, &archive, image.name]).map(drop)
        })
    }

    /// Deploys a stack of the folder `stacks`. There `${FOLDER}` is that of the first manager.
    pub fn deploy_stack(&self, name: &str) -> Result<()> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("stacks/{name}.yml"));
        let folder = self.state.join("manager-1").display().to_string();
        self.deploy_files(&[&file], name, &[("FOLDER", &folder)])
    }

    /// Deploys a stack, as a person on the first manager does: each file changes the ones before.
    pub fn deploy_files(
        &self,
        files: &[&Path],
        name: &str,
        variables: &[(&str, &str)],
    ) -> Result<()> {
        let engine = self.engine("manager-1");
        let mut command = engine.docker.client();
        command.envs(variables.iter().copied()).arg("-H").arg(self.url(&engine.name));
        command.args(["stack", "deploy", "--resolve-image", "never"]);
        for file in files {
            command.arg("-c").arg(file);
        }
        run(command.arg(name)).map(drop)
    }

    /// Gives the machine of an engine another host name: the managers learn it within 20 s.
    pub fn rename(&self, name: &str, hostname: &str) -> Result<()> {
        let engine = self.engine(name).dockerd().context("the engine does not run")?;
        run(Command::new("nsenter").args(["--uts", "--target", &engine, "hostname", hostname]))
            .map(drop)
    }

    /// The names of all engines.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.engines.iter().map(|engine| engine.name.as_str())
    }

    fn join(&self) -> Result<()> {
        let first = &self.engines[0];
        self.docker(&[
            "swarm",
            "init",
            "--advertise-addr",
            &first.address,
            "--task-history-limit",
            "5",
        ])?;
        self.engines[1..].iter().try_for_each(|engine| self.join_one(engine))
    }

    fn join_one(&self, engine: &Engine) -> Result<()> {
        let leader = format!("{}:2377", self.engines[0].address);
        let role = if engine.manager { "manager" } else { "worker" };
        let token = self.docker(&["swarm", "join-token", "-q", role])?;
        let address = &engine.address;
        self.docker_at(
            &engine.name,
            &["swarm", "join", "--token", &token, "--advertise-addr", address, &leader],
        )
        .map(drop)
    }
}

/// Name and options of each service; a word each.
const SERVICES: &[&str] = &[
    "web --replicas 3 -p 8081:8080 --network front -l prometheus.io/scrape=true --container-label app=web demo:1",
    "agent --mode global -p mode=host,published=9100,target=8080 -l prometheus-job=agent demo:1",
    "both --replicas 2 --network front --network back -l empty= -l a.b=dot -l a-b=dash --limit-memory 64m demo:1",
    "plain demo:1",
    "ports --network front -p 5353:53/udp -p 5353:53/tcp -p 8053:8080 demo:1",
    "dnsrr --replicas 2 --endpoint-mode dnsrr --network back demo:1",
    "random-port -p 8080 demo:1",
    "two-host-ports -p mode=host,target=8080,published=9201 -p mode=host,target=53,protocol=udp --constraint node.role==worker demo:1",
    "host-network --mode global --network host demo:1",
    "nowhere --replicas 2 --network front --constraint node.labels.none==such demo:1",
    "zero --replicas 0 -p 8099:8080 demo:1",
    "crash --restart-delay 1s --restart-max-attempts 2 demo:1 false",
    "no-image --restart-max-attempts 1 --restart-delay 1s no-such-image:9",
    "job --mode replicated-job --replicas 2 demo:1 true",
    "job-everywhere --mode global-job demo:1 true",
];

impl Engine {
    /// The process of dockerd, seen from here: the only child of `unshare`.
    pub(crate) fn dockerd(&self) -> Option<String> {
        only_child(self.process.as_ref()?)
    }

    /// TERM to dockerd, which is the only child of `unshare`; KILL to its whole process namespace
    /// after a while.
    fn halt(&mut self) {
        let dockerd = self.dockerd();
        let Some(mut process) = self.process.take() else { return };
        if let Some(dockerd) = dockerd {
            let _ = run(Command::new("kill").args(["-s", "TERM", &dockerd]));
        }
        // Should it hang, dropping the value kills `unshare`, and the kernel the rest with it.
        let _ = process.wait(Duration::from_secs(15));
    }
}

pub(crate) fn only_child(process: &Process) -> Option<String> {
    let parent = process.pid();
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split_whitespace().next().map(str::to_owned)
}

impl Drop for Cluster {
    fn drop(&mut self) {
        std::thread::scope(|scope| {
            for engine in &mut self.engines {
                scope.spawn(|| engine.halt());
            }
        });
        for engine in &self.engines {
            let _ = ip(&["netns", "del", &format!("{}-{}", self.bridge, engine.name)]);
        }
        let _ = ip(&["link", "del", &self.bridge]);
        let _ = fs::remove_dir_all(&self.state);
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    run(Command::new("ip").args(arguments)).map(drop)
}
