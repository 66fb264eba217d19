//! What a real browser can be made to do to a Swarmscout by pages of other sites.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Result, ensure};
use swarmscout_e2e::get;
use swarmscout_e2e::process::run;
use swarmscout_e2e::program::{Server, swarmscout};
use swarmscout_e2e::scratch::Scratch;

/// A site that shows one page, until it is dropped.
struct Site {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Site {
    fn start(page: String) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                // A browser opens connections that it does not use.
                let _ = show(&stream, &page);
            }
        });
        Ok(Self { address, stop, thread: Some(thread) })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

fn show(mut stream: &TcpStream, page: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(std::time::Duration::from_secs(2)))?;
    for line in BufReader::new(stream).lines() {
        if line?.is_empty() {
            break;
        }
    }
    let size = page.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {size}\r\n\
         Connection: close\r\n\r\n{page}"
    )
}

/// The page that a browser shows for `url`. Every name that ends in `.test` is this machine.
fn visit(folder: &Path, url: &str) -> Result<String> {
    run(Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-dev-shm-usage", "--host-resolver-rules=MAP *.test 127.0.0.1"])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .args(["--virtual-time-budget=5000", "--dump-dom", url]))
}

#[test]
fn no_page_of_another_site_ends_it_or_reads_it() -> Result<()> {
    let scratch = Scratch::new()?;
    let folder: &Path = &scratch;
    let file = folder.join("config.yml");
    std::fs::write(
        &file,
        "scrape_configs:\n- job_name: a\n  static_configs: [{targets: ['secret.example:1']}]\n",
    )?;
    let mut command = swarmscout();
    command.arg(format!("--config.file={}", file.display()));
    command.args(["--web.enable-lifecycle", "--web.allowed-hosts=scout.test"]);
    let server = Server::start(command, folder, "browser")?;
    let port = server.url.rsplit_once(':').map_or("", |(_, port)| port);

    for host in ["scout.test", "127.0.0.1", "localhost"] {
        for path in ["/-/quit", "/-/reload"] {
            let site = Site::start(format!(
                "<!DOCTYPE html><form method=post action='http://{host}:{port}{path}'></form>\
                 <script>document.forms[0].submit()</script>"
            ))?;
            let shown = visit(folder, &format!("http://evil.test:{}/", site.address.port()))?;
            // The browser did send it.
            ensure!(shown.contains("request refused: it was sent by a page of"), "{host}: {shown}");
            ensure!(shown.contains("evil.test"), "{host}: {shown}");
            get(&format!("{}/-/ready", server.url))?;
        }
    }
    // A name of the attacker that has become this machine.
    let shown = visit(folder, &format!("http://evil.test:{port}/sd/a"))?;
    ensure!(shown.contains("request refused: this server does not know the host"), "{shown}");
    let shown = visit(folder, &format!("http://scout.test:{port}/sd/a"))?;
    ensure!(shown.contains("secret.example:1"), "{shown}");
    Ok(())
}
