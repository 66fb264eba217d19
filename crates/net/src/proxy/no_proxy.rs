//! `no_proxy`, as `golang.org/x/net/http/httpproxy` reads it. Answers recorded from Go decide
//! (`tests/go-httpproxy`).

use std::net::IpAddr;

use crate::Error;

/// Hosts that are reached without a proxy. This machine itself always is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NoProxy(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// `*`.
    All,
    /// `10.0.0.0/8`.
    Network { bits: u128, prefix: u32, is_v4: bool },
    /// `10.0.0.1`, `[::1]:443`.
    Address { address: IpAddr, port: Option<String> },
    /// `example.com`, `.example.com`, `*.example.com:443`.
    Domain { suffix: String, itself: bool, port: Option<String> },
}

impl NoProxy {
    /// Reads a list with commas. What is not a rule matches nothing, as in Go; a name beyond ASCII
    /// is refused, since it could not match the `xn--` form that is asked for.
    pub(super) fn parse(list: &str) -> Result<Self, Error> {
        let mut rules = Vec::new();
        for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            if !item.is_ascii() {
                let reason = "host name is not ASCII: write it in its xn-- form".to_owned();
                return Err(Error::Url { url: item.to_owned(), reason });
            }
            match item.to_ascii_lowercase().as_str() {
                "*" => rules.push(Rule::All),
                item => rules.extend(Rule::parse(item)),
            }
        }
        Ok(Self(rules))
    }

    /// Whether `host` is reached without a proxy.
    pub(super) fn has(&self, host: &str, port: u16) -> bool {
        if host == "localhost" {
            return true;
        }
        let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        if address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        let host = host.to_ascii_lowercase();
        self.0.iter().any(|rule| rule.has(&host, address, port))
    }
}

impl Rule {
    fn parse(item: &str) -> Option<Self> {
        if let Some(network) = Self::network(item) {
            return Some(network);
        }
        let (host, port) = split_port(item).map_or((item, None), |(host, port)| (host, Some(port)));
        let port = port.filter(|port| !port.is_empty()).map(str::to_owned);
        if host.is_empty() {
            return None;
        }
        if let Ok(address) = host.parse::<IpAddr>() {
            return Some(Self::Address { address: address.to_canonical(), port });
        }
        let host = match host.strip_prefix('*') {
            Some(rest) if rest.starts_with('.') => rest,
            _ => host,
        };
        let itself = !host.starts_with('.');
        let suffix = if itself { format!(".{host}") } else { host.to_owned() };
        Some(Self::Domain { suffix, itself, port })
    }

    fn network(item: &str) -> Option<Self> {
        let (address, prefix) = item.split_once('/')?;
        let digits = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = prefix.parse::<u32>().ok().filter(|_| digits)?;
        let (bits, is_v4) = match address.parse().ok()? {
            IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, true),
            IpAddr::V6(address) => (address.to_bits(), false),
        };
        if prefix > if is_v4 { 32 } else { 128 } {
            return None;
        }
        let masked = bits & mask(prefix);
        // A network of IPv4 addresses that is written as one of IPv6.
        match (is_v4, masked >> 32 == 0xffff) {
            (false, true) => {
                Some(Self::Network { bits: masked << 96, prefix: prefix - 96, is_v4: true })
            }
            _ => Some(Self::Network { bits: masked, prefix, is_v4 }),
        }
    }

    fn has(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        let fits = |wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| *wanted == port.to_string())
        };
        match self {
            Self::All => true,
            Self::Network { bits, prefix, is_v4 } => {
                let own = match address {
                    Some(IpAddr::V4(own)) if *is_v4 => u128::from(own.to_bits()) << 96,
                    Some(IpAddr::V6(own)) if !*is_v4 => own.to_bits(),
                    _ => return false,
                };
                own & mask(*prefix) == *bits
            }
            Self::Address { address: own, port } => address == Some(*own) && fits(port),
            Self::Domain { suffix, itself, port } => {
                address.is_none()
                    && (host.ends_with(suffix) || (*itself && host == &suffix[1..]))
                    && fits(port)
            }
        }
    }
}

/// The first `prefix` of 128 bits.
fn mask(prefix: u32) -> u128 {
    u128::MAX.checked_shl(128 - prefix).unwrap_or(0)
}

/// Go's `net.SplitHostPort`; `None` where that fails.
fn split_port(item: &str) -> Option<(&str, &str)> {
    let (before, port) = item.rsplit_once(':')?;
    let host = match before.strip_prefix('[') {
        Some(inside) => inside.strip_suffix(']')?,
        None if before.contains(':') => return None,
        None => before,
    };
    (!host.contains(['[', ']']) && !port.contains(['[', ']'])).then_some((host, port))
}
