//! Which addresses of a network are in use, as a manager knows it.
//!
//! The list of networks does not say it. An Engine from version 29 on (API 1.52) has the counts of the
//! leader's allocator. An older one knows the endpoints on a network that has a task on its own node.

use std::net::IpAddr;

use super::de::{self, Raw};
use super::messages as sent;
use super::read::{Fault, Reader};

/// The most addresses that are read of one answer. An overlay network of Docker has 254 by default.
const MOST_ADDRESSES: usize = 100_000;

/// What a manager says of the addresses of a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkStatus {
    /// How many IPv4 addresses are left for members, by the leader; `None` of older Engines.
    pub free: Option<u64>,
    /// Addresses in use that the Engine knows of, those of containers outside of services included.
    pub used: Vec<IpAddr>,
}

impl NetworkStatus {
    /// Reads the answer to `/networks/ID?verbose=true`.
    pub(super) fn read(text: &[u8]) -> Result<Self, Fault> {
        let sent: sent::NetworkStatus<'_> = de::read(&mut Reader::new(text))?;
        let mut free = None;
        sent.subnets.reader().map(|reader, subnet| {
            let sent: sent::SubnetStatus = de::read(reader)?;
            if !subnet.contains(':') {
                free = Some(free.unwrap_or(0_u64).saturating_add(sent.free));
            }
            Ok(())
        })?;
        let mut used = Vec::new();
        sent.services.reader().map(|reader, _| {
            let sent: sent::ServiceOnNetwork<'_> = de::read(reader)?;
            push(&mut used, &sent.address);
            tasks(&sent.tasks, &mut used)
        })?;
        used.sort_unstable();
        used.dedup();
        Ok(Self { free, used })
    }
}

fn tasks(tasks: &Raw<'_>, used: &mut Vec<IpAddr>) -> Result<(), Fault> {
    tasks.reader().array(|reader| {
        let sent: sent::TaskOnNetwork<'_> = de::read(reader)?;
        push(used, &sent.address);
        Ok(())
    })
}

/// An Engine writes `<nil>` where there is none.
fn push(used: &mut Vec<IpAddr>, address: &str) {
    if used.len() < MOST_ADDRESSES {
        used.extend(address.parse::<IpAddr>().ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, free: Option<u64>, used: &[&str]) {
        let used = used.iter().map(|address| address.parse().unwrap()).collect();
        assert_eq!(NetworkStatus::read(text.as_bytes()).unwrap(), NetworkStatus { free, used });
    }

    /// Recorded from Docker 20.10.24 and 29, shortened: three tasks, and a container of `docker run`.
    #[test]
    fn answers_of_engines_are_read() {
        let services = r#""Services":{
            "":{"VIP":"<nil>","Ports":[],"LocalLBIndex":0,"Tasks":[
                {"Name":"loner","EndpointID":"5b6b","EndpointIP":"10.90.1.11","Info":{"Host IP":"10.77.20.21"}}]},
            "fill":{"VIP":"10.90.1.2","Ports":[],"LocalLBIndex":256,"Tasks":[
                {"Name":"fill.2.86tu","EndpointID":"0700","EndpointIP":"10.90.1.5","Info":{"Host IP":"10.77.20.22"}},
                {"Name":"fill.1.gq5g","EndpointID":"85b8","EndpointIP":"10.90.1.4","Info":null}]}}"#;
        let used = ["10.90.1.2", "10.90.1.4", "10.90.1.5", "10.90.1.11"];
        check(&format!("{{{services}}}"), None, &used);
        let status = r#""Status":{"IPAM":{"Subnets":{
            "10.90.1.0/28":{"IPsInUse":13,"DynamicIPsAvailable":3},
            "fd00::/64":{"IPsInUse":2,"DynamicIPsAvailable":18446744073709551613}}}}"#;
        check(&format!("{{{status},{services}}}"), Some(3), &used);
        check(r#"{"Name":"far","Services":null,"Peers":null}"#, None, &[]);
        check(r#"{"Status":null}"#, None, &[]);
    }

    #[test]
    fn what_is_not_such_an_answer_is_refused() {
        for text in ["", "[]", r#"{"Services":[]}"#, r#"{"Status":{"IPAM":{"Subnets":{"a":1}}}}"#] {
            assert!(NetworkStatus::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
