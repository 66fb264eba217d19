//! Looks up a name at the servers and with the search domains of `resolv.conf` (Prometheus
//! `discovery/dns`).
//!
//! - Each search domain makes a candidate of a short name. The first candidate for which a server
//!   answers NOERROR is the result, even without a record.
//! - A server that answers neither NOERROR nor NXDOMAIN is skipped for the next one.
//! - If all candidates are NXDOMAIN, the name does not exist.
//! - Any other outcome is a failure: the known targets stay.

use std::time::Duration;

use domain::base::iana::{OptRcode, Rcode};
use domain::base::{Name, Rtype};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use super::exchange::{self, Answer, Trouble};
use super::records::{Records, to_wire};
use super::resolv_conf::{NameServer, ResolvConf};
use super::resolver::{MOST_AT_ONCE, Resolver};

/// A server that was recently silent gets one part in this many of the time, while others remain.
const IMPATIENCE: u32 = 10;

/// What all names of a refresh share.
#[derive(Debug)]
pub(super) struct Lookups<'a> {
    pub(super) resolver: &'a Resolver,
    pub(super) conf: &'a ResolvConf,
    pub(super) kind: Rtype,
    /// For one answer.
    pub(super) wait: Duration,
    /// From one question to the next.
    pub(super) gap: Duration,
    /// No question leaves after this.
    pub(super) end: Instant,
}

/// The answer for a name.
#[derive(Debug)]
pub(super) enum Said {
    /// It exists, and has these records of the type.
    Known(Records),
    /// It does not exist. The text is what each server answered.
    Unknown(String),
}

/// The lookup of a name failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// Whether no server could be reached.
    pub(super) absent: bool,
    /// What each server did.
    pub(super) detail: String,
}

/// A conclusive answer for one candidate.
enum Reply {
    Known(Records),
    Unknown,
}

impl Lookups<'_> {
    /// Looks up names, at most [`MOST_AT_ONCE`] at a time. Returns for each, in their order, when
    /// its lookup started and how it ended.
    pub(super) async fn find_all<'n>(
        &self,
        names: impl ExactSizeIterator<Item = &'n str>,
    ) -> Vec<(Instant, Result<Said, Failure>)> {
        let mut found: Vec<_> = (0..names.len()).map(|_| None).collect();
        let mut names = names.enumerate();
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < MOST_AT_ONCE
                && let Some((index, name)) = names.next()
            {
                running.push(async move { (index, Instant::now(), self.find(name).await) });
            }
            match running.next().await {
                Some((index, started, said)) => found[index] = Some((started, said)),
                None => return found.into_iter().flatten().collect(),
            }
        }
    }

    async fn find(&self, name: &str) -> Result<Said, Failure> {
        // One line a candidate.
        let mut lines = Vec::new();
        let (mut failed, mut absent) = (false, true);
        for candidate in self.conf.candidates(name) {
            let name = match to_wire(&candidate) {
                Ok(name) => name,
                Err(reason) => {
                    lines.push(format!("{candidate}: {reason}"));
                    (failed, absent) = (true, false);
                    continue;
                }
            };
            match self.ask_all(&name).await {
                Ok((_, Reply::Known(records))) => return Ok(Said::Known(records)),
                Ok((server, Reply::Unknown)) => {
                    lines.push(format!("{candidate} at {}: NXDOMAIN", server.name));
                }
                Err(troubles) => {
                    failed = true;
                    absent &= troubles.iter().all(Trouble::is_absence);
                    let troubles = self.conf.servers.iter().zip(troubles);
                    let troubles: Vec<_> = troubles
                        .map(|(server, trouble)| format!("{}: {trouble}", server.name))
                        .collect();
                    lines.push(format!("{candidate} at {}", troubles.join(", ")));
                }
            }
        }
        let detail = lines.join("; ");
        if failed { Err(Failure { absent, detail }) } else { Ok(Said::Unknown(detail)) }
    }

    /// Asks one server after the other, and silent ones again as often as `resolv.conf` says. The
    /// troubles are in the order of the servers.
    async fn ask_all(&self, name: &Name<Vec<u8>>) -> Result<(&NameServer, Reply), Vec<Trouble>> {
        let servers = &self.conf.servers;
        let mut troubles: Vec<Option<Trouble>> = servers.iter().map(|_| None).collect();
        for attempt in 0..self.conf.attempts {
            for (index, server) in servers.iter().enumerate() {
                let before = &mut troubles[index];
                if before.as_ref().is_some_and(|trouble| !trouble.is_silence()) {
                    continue;
                }
                // The order of servers matters: a later one may know fewer names. So a silent
                // server is not skipped, but each name waits for it only a short time.
                let others_left = attempt == 0 && index + 1 < servers.len();
                let impatient = others_left && self.resolver.is_silent(server.addr);
                let wait = if impatient { self.wait / IMPATIENCE } else { self.wait };
                // Some servers do not answer a question with EDNS.
                let edns = attempt == 0;
                match self.ask(server, name, edns, wait).await {
                    Ok(reply) => return Ok((server, reply)),
                    Err(Trouble::NotAsked) if before.is_some() => {}
                    Err(trouble) => *before = Some(trouble),
                }
            }
        }
        Err(troubles.into_iter().map(|trouble| trouble.unwrap_or(Trouble::NotAsked)).collect())
    }

    async fn ask(
        &self,
        server: &NameServer,
        name: &Name<Vec<u8>>,
        edns: bool,
        wait: Duration,
    ) -> Result<Reply, Trouble> {
        let mut answer = self.exchange(server, name, edns, wait).await?;
        if edns && matches!(answer.header().rcode(), Rcode::FORMERR | Rcode::NOTIMP) {
            // A server that does not know EDNS.
            answer = self.exchange(server, name, false, wait).await?;
        }
        match answer.opt_rcode() {
            OptRcode::NOERROR => {
                let records = Records::read(&answer);
                records.map(Reply::Known).map_err(|_| Trouble::Malformed("a record is damaged"))
            }
            OptRcode::NXDOMAIN => Ok(Reply::Unknown),
            code => Err(Trouble::Code(code)),
        }
    }

    /// Over UDP, and over TCP if the answer is cut short.
    async fn exchange(
        &self,
        server: &NameServer,
        name: &Name<Vec<u8>>,
        edns: bool,
        wait: Duration,
    ) -> Result<Answer, Trouble> {
        if self.conf.use_tcp {
            return self.over_tcp(server, name, wait).await;
        }
        let answer = {
            let (_slot, wait) = self.turn(wait).await?;
            let question = exchange::question(name, self.kind, edns);
            exchange::over_udp(server.addr, &question, wait).await
        };
        self.note(server, &answer);
        match answer? {
            cut if cut.header().tc() => {
                let answer = self.over_tcp(server, name, self.wait).await;
                answer.map_err(|trouble| Trouble::Tcp(Box::new(trouble)))
            }
            answer => Ok(answer),
        }
    }

    async fn over_tcp(
        &self,
        server: &NameServer,
        name: &Name<Vec<u8>>,
        wait: Duration,
    ) -> Result<Answer, Trouble> {
        let (_slot, wait) = self.turn(wait).await?;
        let question = exchange::question(name, self.kind, false);
        let answer = exchange::over_tcp(server.addr, &question, wait).await;
        if self.conf.use_tcp {
            self.note(server, &answer);
        }
        answer
    }

    fn note(&self, server: &NameServer, answer: &Result<Answer, Trouble>) {
        self.resolver.note(server.addr, !answer.as_ref().is_err_and(Trouble::is_silence));
    }

    /// Waits until the next question may be sent. Returns how much of `wait` its answer may take.
    async fn turn(&self, wait: Duration) -> Result<(SemaphorePermit<'_>, Duration), Trouble> {
        let slot = self.resolver.turn(self.gap, self.end).await.ok_or(Trouble::NotAsked)?;
        Ok((slot, wait.min(self.end - Instant::now())))
    }
}
