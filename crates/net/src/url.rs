//! URLs as Go reads them, without WHATWG's rewriting.
//!
//! Prometheus' errors for a bad URL are those of Go's `net/url`, and so are the corner cases that
//! configurations rely on: a host may hold an underscore, a default port is not dropped, dots in a
//! path stay. A [`Url`] is any URL reference; what can be requested is checked by
//! [`Request`](crate::Request). Passwords are kept apart from the text, so that nothing which shows
//! a URL can show one.

use std::fmt;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use swarmscout_model::Secret;

use crate::Error;

/// A URL reference. `Display` and `Debug` show `xxxxx` in place of a password.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Url {
    scheme: String,
    user: Option<UserInfo>,
    host: String,
    path: String,
    query: Option<String>,
    opaque: Option<String>,
}

/// `user:password@` of a URL, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// The part before the colon.
    pub username: String,
    /// The part after it, if there is a colon.
    pub password: Option<Secret>,
}

impl std::hash::Hash for UserInfo {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.username.hash(state);
        self.password.as_ref().map(Secret::expose).hash(state);
    }
}

/// The reason for a URL in which a user or password seems to end early.
const UNESCAPED: &str = "the user and password before @ must be percent-encoded: write %23 for #, \
                         %2F for /, %3F for ?";

/// What a request line cannot carry as it is: Go escapes the same when it writes a URL.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

impl Url {
    /// Reads a URL as Go's `url.Parse` (1.26) does, with its error texts. The fragment is left out.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::read(text).map_err(|reason| {
            // What is quoted then may be a piece of a password.
            let hidden = reason.contains('"') && has_at_behind_authority(text);
            let reason = if hidden { UNESCAPED.to_owned() } else { reason };
            Error::Url { url: redact(text), reason }
        })
    }

    fn read(text: &str) -> Result<Self, String> {
        let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
        // Go drops it. Such a fragment is rare, but some have a password with a #.
        if fragment.contains('@') {
            return Err(UNESCAPED.to_owned());
        }
        if text.bytes().any(|b| b.is_ascii_control()) {
            return Err("net/url: invalid control character in URL".into());
        }
        let (scheme, rest) = split_scheme(text)?;
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(escape(query))),
            None => (rest, None),
        };
        let mut url = Self { scheme, query, ..Self::default() };
        let mut path = rest;
        if !rest.starts_with('/') {
            if !url.scheme.is_empty() {
                url.opaque = Some(rest.to_owned());
                return Ok(url);
            }
            if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
                return Err("first path segment in URL cannot contain colon".into());
            }
        }
        if let Some(after) = rest.strip_prefix("//")
            && (!url.scheme.is_empty() || !after.starts_with('/'))
        {
            let end = after.find('/').unwrap_or(after.len());
            let authority = &after[..end];
            path = &after[end..];
            let host = match authority.rsplit_once('@') {
                Some((user, host)) => {
                    url.user = Some(read_user(user)?);
                    host
                }
                None => authority,
            };
            url.host = read_host(&url.scheme, host)?;
        }
        check_escapes(path)?;
        url.path = escape(path);
        Ok(url)
    }

    /// This URL with the path and query of a request line, whatever they begin with.
    pub(crate) fn at(&self, target: &str) -> Self {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(escape(query))),
            None => (target, None),
        };
        Self { path: escape(path), query, ..self.clone() }
    }

    /// This URL without its user and password.
    pub(crate) fn without_user(&self) -> Self {
        Self { user: None, ..self.clone() }
    }

    /// Lower-case scheme; empty for a relative reference.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// What follows the scheme where it is not a path: `a@b` in `mailto:a@b`.
    pub fn opaque(&self) -> Option<&str> {
        self.opaque.as_deref()
    }

    /// Host with its port and brackets, as written; may be empty.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Host without port and brackets.
    pub fn hostname(&self) -> &str {
        let host = match self.host.rfind(':') {
            Some(colon) if !self.host[colon..].contains(']') => &self.host[..colon],
            _ => &self.host,
        };
        host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
    }

    /// The port as written, or `None` without one.
    pub fn port(&self) -> Option<&str> {
        let (before, port) = self.host.rsplit_once(':')?;
        let inside_brackets = before.starts_with('[') && !before.ends_with(']');
        (!inside_brackets && !port.is_empty()).then_some(port)
    }

    /// Credentials written in the URL.
    pub fn user(&self) -> Option<&UserInfo> {
        self.user.as_ref()
    }

    /// The path, percent-encoded where HTTP needs it; may be empty.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What follows `?`.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// What HTTP puts into the request line: never empty, always with a leading slash.
    pub(crate) fn request_target(&self) -> String {
        let mut target = String::with_capacity(self.path.len() + 1);
        if !self.path.starts_with('/') {
            target.push('/');
        }
        target.push_str(&self.path);
        if let Some(query) = &self.query {
            target.push('?');
            target.push_str(query);
        }
        target
    }

    /// Resolves `reference` against this URL (RFC 3986, section 5.2).
    pub(crate) fn join(&self, reference: &str) -> Result<Self, Error> {
        let mut url = Self::parse(reference)?;
        if url.opaque.is_some() || !url.scheme.is_empty() {
            return Ok(url);
        }
        url.scheme.clone_from(&self.scheme);
        if !url.host.is_empty() || url.user.is_some() {
            return Ok(url);
        }
        url.host.clone_from(&self.host);
        url.user.clone_from(&self.user);
        if url.path.is_empty() {
            url.path.clone_from(&self.path);
            if url.query.is_none() {
                url.query.clone_from(&self.query);
            }
        } else {
            url.path = merge_paths(&self.path, &url.path);
        }
        Ok(url)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.scheme.is_empty() {
            write!(f, "{}:", self.scheme)?;
        }
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        if let Some(opaque) = &self.opaque {
            // `user:password@host` without a scheme takes this form.
            let rest = format!("{opaque}{query}");
            return match rest.rsplit_once('@') {
                Some((_, host)) => write!(f, "xxxxx@{host}"),
                None => f.write_str(&rest),
            };
        }
        if !self.host.is_empty() || self.user.is_some() || !self.scheme.is_empty() {
            f.write_str("//")?;
        }
        let rest = format!("{}{}{query}", self.host, self.path);
        match &self.user {
            Some(UserInfo { username, password: Some(_) }) => {
                // The password may have an @ and a slash, and so end here.
                let rest = rest.rsplit_once('@').map_or(&*rest, |(_, rest)| rest);
                write!(f, "{}:xxxxx@{rest}", escape(username))
            }
            Some(UserInfo { username, password: None }) => {
                write!(f, "{}@{rest}", escape(username))
            }
            None => f.write_str(&rest),
        }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// A URL as it may be shown: with `xxxxx` in place of a password. For what is no URL, what is wrong
/// with it.
pub fn without_password(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) => url.to_string(),
        Err(error) => error.to_string(),
    }
}

/// `text` with what may be a password replaced, whether or not it is a URL. A password may hold a
/// `/`, `?`, `#` or `@` that somebody forgot to escape, so that all before the last `@` is taken
/// for one, even where it may be a port and a path.
pub fn redact(text: &str) -> String {
    let start = text.find("//").map_or(0, |slashes| slashes + 2);
    let hidden = text[start..].rfind('@').and_then(|at| {
        let colon = text[start..start + at].find(':')?;
        Some(format!("{}:xxxxx{}", &text[..start + colon], &text[start + at..]))
    });
    hidden.unwrap_or_else(|| text.to_owned())
}

/// Whether there is an `@` after what Go takes for the authority.
fn has_at_behind_authority(text: &str) -> bool {
    let rest = text.split_once("//").map_or(text, |(_, rest)| rest);
    rest.split_once(['/', '?', '#']).is_some_and(|(_, rest)| rest.contains('@'))
}

fn split_scheme(text: &str) -> Result<(String, &str), String> {
    match text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))) {
        Some(0) if text.starts_with(':') => Err("missing protocol scheme".into()),
        Some(at)
            if text[at..].starts_with(':')
                && text.starts_with(|c: char| c.is_ascii_alphabetic()) =>
        {
            Ok((text[..at].to_ascii_lowercase(), &text[at + 1..]))
        }
        _ => Ok((String::new(), text)),
    }
}

fn read_user(text: &str) -> Result<UserInfo, String> {
    let valid = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
    if !text.chars().all(valid) {
        return Err("net/url: invalid userinfo".into());
    }
    // A wrong escape is not quoted, as Go does: it is a piece of the password.
    check_escapes(text).map_err(|_| "net/url: invalid userinfo")?;
    let decode = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    Ok(match text.split_once(':') {
        Some((user, password)) => {
            UserInfo { username: decode(user), password: Some(Secret::new(decode(password))) }
        }
        None => UserInfo { username: decode(text), password: None },
    })
}

fn read_host(scheme: &str, host: &str) -> Result<String, String> {
    let name_end = if let Some(bracket) = host.rfind('[') {
        if bracket > 0 {
            return Err("invalid IP-literal".into());
        }
        let close = host.rfind(']').ok_or("missing ']' in host")?;
        let address = &host[1..close];
        if address.parse::<Ipv4Addr>().is_ok() {
            return Err("invalid IP-literal".into());
        }
        if address.parse::<Ipv6Addr>().is_err() {
            return Err(format!("invalid host: {address:?} is not an IPv6 address"));
        }
        close + 1
    } else {
        let colon =
            if matches!(scheme, "http" | "https") { host.find(':') } else { host.rfind(':') };
        colon.unwrap_or(host.len())
    };
    let (name, port) = host.split_at(name_end);
    let number = port.strip_prefix(':').unwrap_or_default();
    if !port.is_empty() && (!port.starts_with(':') || !number.bytes().all(|b| b.is_ascii_digit())) {
        return Err(format!("invalid port {port:?} after host"));
    }
    let refused = |c: &char| {
        c.is_ascii() && !c.is_ascii_alphanumeric() && !"-_.~!$&'()*+,;=:[]<>\"%".contains(*c)
    };
    if let Some(c) = name.chars().find(refused) {
        return Err(format!("invalid character {:?} in host name", c.to_string()));
    }
    check_escapes(name)?;
    for (at, _) in name.match_indices('%') {
        // RFC 3986 lets a host escape what is not ASCII, and nothing else.
        if name[at + 1..].starts_with(|c: char| c.is_ascii() && c < '8') {
            return Err(format!("invalid URL escape {:?}", &name[at..at + 3]));
        }
    }
    Ok(percent_decode_str(host).decode_utf8_lossy().into_owned())
}

fn check_escapes(text: &str) -> Result<(), String> {
    for (at, _) in text.match_indices('%') {
        let digits = text.as_bytes().get(at + 1..at + 3).unwrap_or_default();
        if digits.len() != 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
            let shown: String = text[at..].chars().take(3).collect();
            return Err(format!("invalid URL escape {shown:?}"));
        }
    }
    Ok(())
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// RFC 3986, sections 5.2.3 and 5.2.4.
fn merge_paths(base: &str, reference: &str) -> String {
    let full = if reference.starts_with('/') {
        reference.to_owned()
    } else {
        let folder = base.rfind('/').map_or("/", |slash| &base[..=slash]);
        format!("{folder}{reference}")
    };
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_folder = false;
    for segment in full.split('/').skip(1) {
        ends_in_folder = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let mut path = String::with_capacity(full.len());
    for segment in &kept {
        let _ = write!(path, "/{segment}");
    }
    if ends_in_folder || path.is_empty() {
        path.push('/');
    }
    path
}
