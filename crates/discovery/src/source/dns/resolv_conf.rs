//! `resolv.conf` (resolv.conf(5)): which servers to ask, and what to append to short names.
//!
//! Every refresh reads it, since Docker rewrites or replaces it when a network is added or removed.
//! We read what Prometheus reads (miekg/dns `clientconfig.go`), and also `timeout`, `attempts` and
//! `use-vc`, which Prometheus does not use. Unknown lines and options are skipped, as the C library
//! does. A name server that is not an address is reported.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use swarmscout_net::disk;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 64 << 10;

const PORT: u16 = 53;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResolvConf {
    /// At least one.
    pub(super) servers: Vec<NameServer>,
    /// Ends of names, in the order in which they are tried.
    pub(super) search: Vec<String>,
    /// A name with at least this many dots is tried as it is before it is completed.
    pub(super) ndots: usize,
    /// How long to wait for an answer.
    pub(super) timeout: Duration,
    /// How often a silent server is asked.
    pub(super) attempts: u32,
    /// Uses TCP from the start.
    pub(super) use_tcp: bool,
    /// Name servers that cannot be asked, and why.
    pub(super) unusable: Vec<String>,
}

/// One of the servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NameServer {
    /// As written.
    pub(super) name: String,
    pub(super) addr: SocketAddr,
}

impl ResolvConf {
    /// Reads the file. Without a file or without servers in it, the server is port 53 of this
    /// machine, as for the C library. Blocks.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        match read(path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::parse("")),
            Err(error) => Err(error),
        }
    }

    pub(super) fn parse(text: &str) -> Self {
        let mut conf = Self {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            use_tcp: false,
            unusable: Vec::new(),
        };
        for (number, line) in text.lines().enumerate() {
            let mut words = line.split_whitespace();
            let keyword = words.next();
            let mut words = words.take_while(|word| !word.starts_with(['#', ';']));
            match keyword {
                Some("nameserver") => {
                    let Some(name) = words.next() else { continue };
                    match address(name) {
                        Ok(addr) => conf.servers.push(NameServer { name: name.to_owned(), addr }),
                        Err(reason) => {
                            conf.unusable.push(format!("line {}: {name}: {reason}", number + 1));
                        }
                    }
                }
                // The last of these counts. A lone dot, which systemd writes, adds nothing.
                Some("domain") => conf.search = words.take(1).map(str::to_owned).collect(),
                Some("search") => conf.search = words.map(str::to_owned).collect(),
                Some("options") => words.for_each(|option| conf.option(option)),
                _ => {}
            }
        }
        conf.search.retain(|domain| domain != ".");
        if conf.servers.is_empty() {
            let addr = (Ipv4Addr::LOCALHOST, PORT).into();
            conf.servers.push(NameServer { name: Ipv4Addr::LOCALHOST.to_string(), addr });
        }
        conf
    }

    fn option(&mut self, option: &str) {
        let (name, value) = option.split_once(':').unwrap_or((option, ""));
        // The limits are those of the C library, as is 0 for a value that is not a number.
        let number = value.parse::<u32>().unwrap_or(0);
        match name {
            "ndots" => self.ndots = number.min(15) as usize,
            "timeout" => self.timeout = Duration::from_secs(number.clamp(1, 30).into()),
            "attempts" => self.attempts = number.clamp(1, 5),
            "use-vc" | "usevc" | "tcp" => self.use_tcp = true,
            _ => {}
        }
    }

    /// The names to ask for in place of `name`, in this order, each with its final dot (miekg/dns
    /// `NameList`).
    pub(super) fn candidates(&self, name: &str) -> Vec<String> {
        let (dots_within, is_complete) = dots(name);
        if is_complete {
            return vec![name.to_owned()];
        }
        let whole = format!("{name}.");
        let completed = self.search.iter().map(|domain| {
            let dot = if dots(domain).1 { "" } else { "." };
            format!("{whole}{domain}{dot}")
        });
        if dots_within >= self.ndots {
            std::iter::once(whole.clone()).chain(completed).collect()
        } else {
            completed.chain(std::iter::once(whole.clone())).collect()
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let text = disk::whole(disk::open(path)?, MAX_FILE)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// How many dots part the labels of a name, and whether it ends in one. A dot after a backslash is
/// part of its label.
fn dots(name: &str) -> (usize, bool) {
    let mut dots = 0;
    let mut last = false;
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        last = c == '.';
        dots += usize::from(last);
        if c == '\\' {
            chars.next();
        }
    }
    (dots, last)
}

/// An address, with the zone of a link-local one; or both in brackets with a port, which BSD has.
fn address(text: &str) -> Result<SocketAddr, &'static str> {
    const NEITHER: &str = "not an IP address";
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once("]:"));
    let (host, port) = match bracketed {
        Some((host, port)) => (host, port.parse().map_err(|_| NEITHER)?),
        None => (text, PORT),
    };
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok((ip, port).into());
    }
    let (ip, zone) = host.split_once('%').ok_or(NEITHER)?;
    if zone.is_empty() || !matches!(ip.parse(), Ok(IpAddr::V6(_))) {
        return Err(NEITHER);
    }
    // The system resolves the name of the interface; an address needs no DNS query.
    let addresses = (host, port).to_socket_addrs().ok();
    addresses.and_then(|mut found| found.next()).ok_or("no such interface")
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expected: &Expect) {
        let ResolvConf { servers, search, ndots, timeout, attempts, use_tcp, unusable } =
            ResolvConf::parse(text);
        let servers: Vec<_> = servers.iter().map(|s| format!("{}={}", s.name, s.addr)).collect();
        expected.assert_eq(&format!(
            "{servers:?} {search:?} ndots:{ndots} timeout:{timeout:?} attempts:{attempts} tcp:{use_tcp} {unusable:?}"
        ));
    }

    #[test]
    fn reads_what_docker_and_systemd_write() {
        check(
            "search example.com\nnameserver 127.0.0.11\noptions edns0 trust-ad ndots:0\n\
             \n# Based on host file: '/etc/resolv.conf' (internal resolver)\n# ExtServers: [host(1.1.1.1)]\n",
            &expect![[
                r#"["127.0.0.11=127.0.0.11:53"] ["example.com"] ndots:0 timeout:5s attempts:2 tcp:false []"#
            ]],
        );
        check(
            "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n",
            &expect![[
                r#"["127.0.0.53=127.0.0.53:53"] [] ndots:1 timeout:5s attempts:2 tcp:false []"#
            ]],
        );
    }

    #[test]
    fn reads_the_rest() {
        check(
            "domain a.example\ndomain b.example c.example\n; nameserver 9.9.9.9\nnameserver\n\
             \tnameserver\t::1 # comment\nnameserver [192.0.2.1]:5353\nnameserver [::1]:54\nnameserver fe80::1%1\n\
             options ndots:99 timeout:0 attempts:x use-vc rotate\nsortlist 1.2.3.0\nNAMESERVER 1.1.1.1\n",
            &expect![[
                r#"["::1=[::1]:53", "[192.0.2.1]:5353=192.0.2.1:5353", "[::1]:54=[::1]:54", "fe80::1%1=[fe80::1%1]:53"] ["b.example"] ndots:15 timeout:1s attempts:1 tcp:true []"#
            ]],
        );
        check(
            "search a b\nsearch\noptions ndots:0 timeout:99 attempts:99\n",
            &expect![[
                r#"["127.0.0.1=127.0.0.1:53"] [] ndots:0 timeout:30s attempts:5 tcp:false []"#
            ]],
        );
    }

    #[test]
    fn reports_servers_that_cannot_be_asked() {
        check(
            "nameserver dns.example\nnameserver 1.2.3.4:53\nnameserver fe80::1%no-such-interface\n\
             nameserver 1.2.3.4%lo\nnameserver [::1]:x\nnameserver fe80::1%\n",
            &expect![[
                r#"["127.0.0.1=127.0.0.1:53"] [] ndots:1 timeout:5s attempts:2 tcp:false ["line 1: dns.example: not an IP address", "line 2: 1.2.3.4:53: not an IP address", "line 3: fe80::1%no-such-interface: no such interface", "line 4: 1.2.3.4%lo: not an IP address", "line 5: [::1]:x: not an IP address", "line 6: fe80::1%: not an IP address"]"#
            ]],
        );
    }

    #[test]
    fn a_missing_file_is_an_empty_one_and_no_other_failure_is() {
        let folder = std::env::temp_dir();
        let read = |name: &str| ResolvConf::read(&folder.join(name));
        assert_eq!(read("no-such-file-of-swarmscout").unwrap(), ResolvConf::parse(""));
        assert_eq!(read("").unwrap_err().to_string(), "not a regular file");
    }

    #[test]
    fn completes_names() {
        let check = |conf: &str, name: &str, expected: &[&str]| {
            assert_eq!(ResolvConf::parse(conf).candidates(name), expected, "{conf} {name}");
        };
        let search = "search a.example b.example.\n";
        check(search, "web", &["web.a.example.", "web.b.example.", "web."]);
        check(search, "tasks.web", &["tasks.web.", "tasks.web.a.example.", "tasks.web.b.example."]);
        check(search, "web.", &["web."]);
        check("search a\noptions ndots:0", "web", &["web.", "web.a."]);
        check("search a\noptions ndots:2", "tasks.web", &["tasks.web.a.", "tasks.web."]);
        check("", "web", &["web."]);
        check("search a", r"x\.y", &[r"x\.y.a.", r"x\.y."]);
        check("search a", r"x\\.y", &[r"x\\.y.", r"x\\.y.a."]);
        check("search a", r"x\.", &[r"x\..a.", r"x\.."]);
        check("search a", ".", &["."]);
    }
}
