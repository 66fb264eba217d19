//! What the values of labels may be.

use std::borrow::Cow;

use http::Uri;
use swarmscout_model::{NameScheme, PromDuration};

use super::keys::is_name;
use super::refusal::{Cause, Reason};

/// The most bytes of a value. Every target of the service gets a copy.
pub(super) const LONGEST: usize = 4096;

/// Go's `strconv.ParseBool`.
pub(super) fn boolean(value: &str) -> Result<bool, Cause> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(Cause::new(Reason::NotABoolean, r#"write "true" or "false""#)),
    }
}

pub(super) fn port(value: &str) -> Result<u16, Cause> {
    digits(value)
        .and_then(|digits| digits.parse().ok())
        .filter(|port| *port > 0)
        .ok_or_else(|| Cause::new(Reason::Port, "write a number from 1 to 65535"))
}

pub(super) fn sample_limit(value: &str) -> Result<u64, Cause> {
    let number = digits(value).and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| Cause::new(Reason::NotANumber, "write a number of samples, such as 10000"))
}

/// Rust also takes a sign.
fn digits(value: &str) -> Option<&str> {
    value.bytes().all(|byte| byte.is_ascii_digit()).then_some(value)
}

pub(super) fn scheme(value: &str) -> Result<&str, Cause> {
    match value {
        "http" | "https" => Ok(value),
        _ => Err(Cause::new(Reason::Scheme, r#"write "http" or "https""#)),
    }
}

/// A path, with a slash before it where there was no slash.
pub(super) fn path(value: &str) -> Result<Cow<'_, str>, Cause> {
    let cause = |instead: &str| Err(Cause::new(Reason::Path, instead));
    if value.contains("://") {
        return cause(
            "write the path alone, such as /metrics; scheme and port are labels of their own",
        );
    }
    if value.contains('?') {
        return cause("write the path without its query, and the query as labels param.<name>");
    }
    if value.contains(|c: char| c == '#' || c.is_whitespace() || c.is_control()) {
        return cause("write a path without #, spaces and control characters");
    }
    Ok(if value.starts_with('/') { value.into() } else { format!("/{value}").into() })
}

/// A duration that is not zero.
pub(super) fn duration(value: &str) -> Result<PromDuration, Cause> {
    let duration = value.parse().ok().filter(|duration: &PromDuration| !duration.is_zero());
    duration.ok_or_else(|| {
        Cause::new(Reason::Duration, "write a duration above 0, such as 30s or 1m30s")
    })
}

pub(super) fn class(value: &str) -> Result<&str, Cause> {
    let instead = "write a name of lower case letters, digits, _ and -, such as internal";
    if is_name(value) { Ok(value) } else { Err(Cause::new(Reason::Class, instead)) }
}

/// What a probe asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProbeValue<'a> {
    Url(&'a str),
    /// The hosts of the service's Traefik rules.
    Traefik,
}

pub(super) fn probe(value: &str) -> Result<ProbeValue<'_>, Cause> {
    if value == "traefik" {
        return Ok(ProbeValue::Traefik);
    }
    let uri = value.parse::<Uri>().ok();
    let is_http = uri.as_ref().is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
    });
    let has_user = uri.and_then(|uri| Some(uri.authority()?.as_str().contains('@')));
    if has_user == Some(true) {
        let instead = "write the URL without user and password; a module of the blackbox exporter \
                       has them";
        return Err(Cause::new(Reason::Probe, instead));
    }
    if is_http {
        return Ok(ProbeValue::Url(value));
    }
    Err(Cause::new(Reason::Probe, r#"write an http:// or https:// URL, or "traefik""#))
}

/// The name of a label of the target. Prometheus before 3.0 refuses a whole list for another one.
pub(super) fn label_name(name: &str) -> Result<(), Cause> {
    if !NameScheme::Legacy.is_valid_label_name(name) {
        let instead = "a label's name has letters, digits and _, and no digit first";
        return Err(Cause::new(Reason::LabelName, instead));
    }
    if name == "job" {
        return Err(Cause::new(Reason::ReservedLabelName, "the key job sets the label job"));
    }
    if name == "instance" || name.starts_with("__") {
        let instead = "instance and names that begin with __ are not set by labels";
        return Err(Cause::new(Reason::ReservedLabelName, instead));
    }
    Ok(())
}

/// The name of a parameter of the URL, which is a part of a label's name.
pub(super) fn param_name(name: &str) -> Result<(), Cause> {
    if !name.is_empty() && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(Cause::new(Reason::ParamName, "a parameter's name has letters, digits and _"))
}
