//! From the keys of `tls_server_config` to settings.
//!
//! Nothing may only seem to protect. So some of what exporter-toolkit accepts and does not use is
//! refused: names that clients are to have where no certificate is asked for, verification without an
//! authority (Go then takes every authority that the system trusts).

use rustls::SupportedProtocolVersion;
use rustls::crypto::aws_lc_rs;
use swarmscout_config_decoder::{Cx, FilePath};
use swarmscout_model::Secret;
use swarmscout_model::quote::Quoted;
use swarmscout_net::config::{PemSource, TlsVersion};

use super::names::{cipher_suite, group};
use super::{ClientAuth, TlsSettings};
use crate::raw::TlsServerKeys;

/// `None` if TLS is off, or if something is missing, which is noted.
pub(crate) fn check(keys: &TlsServerKeys, cx: &mut Cx<'_>) -> Option<TlsSettings> {
    let at = &keys.at;
    let text = |text: &String| Secret::new(text.clone());
    let cert = source("cert", &text(&keys.cert), &keys.cert_file, keys, cx);
    let key = source("key", &keys.key, &keys.key_file, keys, cx);
    let client_ca = source("client_ca", &text(&keys.client_ca), &keys.client_ca_file, keys, cx);
    let client_auth = client_auth(keys, client_ca.is_some(), cx);
    let versions = versions(keys, cx);
    let (suites, versions) = suites(keys, versions, cx);
    let groups = groups(keys, cx);
    let wants_tls = cert.is_some()
        || key.is_some()
        || client_ca.is_some()
        || !keys.client_auth_type.is_empty()
        || keys.client_allowed_sans.is_some();
    if !wants_tls {
        // A section that is `{}` is meant so.
        if let Some((_, place)) = at.keys().next()
            && !at.any_failed()
        {
            cx.error(
                place,
                "TLS would be off without a certificate: write cert_file and key_file, or remove \
                 tls_server_config",
            );
        }
        return None;
    }
    for (name, found) in [("cert", &cert), ("key", &key)] {
        let file = super::file_key(name);
        if found.is_none() && !at.failed(name) && !at.failed(file) {
            cx.error(at.section(), format!("missing one of {name} or {file}"));
        }
    }
    Some(TlsSettings {
        at: keys.at.clone(),
        cert: cert?,
        key: key?,
        client_ca,
        client_auth,
        allowed_names: keys.client_allowed_sans.clone(),
        versions,
        suites,
        groups,
        own_order: keys.prefer_server_cipher_suites && !keys.cipher_suites.is_empty(),
    })
}

/// The file counts where both are written, as in exporter-toolkit.
fn source(
    name: &'static str,
    inline: &Secret,
    file: &FilePath,
    keys: &TlsServerKeys,
    cx: &mut Cx<'_>,
) -> Option<PemSource> {
    if file.0.is_empty() {
        return (!inline.is_empty()).then(|| PemSource::Inline(inline.clone()));
    }
    if !inline.is_empty() {
        let text = format!("{name} has no effect: {} is used", super::file_key(name));
        cx.within(name, |cx| cx.warn(keys.at.key(name), text));
    }
    Some(PemSource::File(file.0.clone().into()))
}

fn client_auth(keys: &TlsServerKeys, has_ca: bool, cx: &mut Cx<'_>) -> ClientAuth {
    let at = &keys.at;
    let written = keys.client_auth_type.as_str();
    let Some(auth) = ClientAuth::parse(written) else {
        let text = format!(
            "invalid ClientAuth: {}: write NoClientCert, RequestClientCert, RequireAnyClientCert, \
             VerifyClientCertIfGiven or RequireAndVerifyClientCert",
            Quoted(written)
        );
        cx.within("client_auth_type", |cx| cx.error(at.key("client_auth_type"), text));
        return ClientAuth::NoClientCert;
    };
    if at.failed("client_auth_type") {
        return auth;
    }
    let allowed = keys.client_allowed_sans.is_some();
    let no_certificates = auth == ClientAuth::NoClientCert;
    if no_certificates && has_ca {
        let key = if at.has("client_ca_file") { "client_ca_file" } else { "client_ca" };
        let text = "client CA's have been configured without a Client Auth Policy: write \
            client_auth_type: RequireAndVerifyClientCert";
        cx.within(key, |cx| cx.error(at.key(key), text));
    }
    let key = "client_allowed_sans";
    if no_certificates && allowed {
        let text = "no client certificate is asked for: write client_auth_type: \
            RequireAndVerifyClientCert";
        cx.within(key, |cx| cx.error(at.key(key), text));
    }
    if allowed && !no_certificates && !auth.verifies() {
        let text = "everybody can make a certificate with these names, since no authority has to \
            vouch for it: write client_auth_type: RequireAndVerifyClientCert";
        cx.within(key, |cx| cx.warn(at.key(key), text));
    }
    if auth.verifies() && !has_ca && !at.failed("client_ca") && !at.failed("client_ca_file") {
        let text = format!(
            "{written} needs client_ca_file: the certificates of the authorities that vouch for \
             clients"
        );
        cx.within("client_auth_type", |cx| cx.error(at.key("client_auth_type"), text));
    }
    auth
}

fn versions(keys: &TlsServerKeys, cx: &mut Cx<'_>) -> Vec<&'static SupportedProtocolVersion> {
    let TlsServerKeys { min_version: min, max_version: max, at, .. } = keys;
    for (key, version) in [("min_version", min), ("max_version", max)] {
        if let Some(old @ (TlsVersion::Tls10 | TlsVersion::Tls11)) = version {
            let name = if *old == TlsVersion::Tls10 { "TLS10" } else { "TLS11" };
            let text = format!("{name} is not supported, it is broken: write TLS12 or TLS13");
            cx.within(key, |cx| cx.error(at.key(key), text));
            return Vec::new();
        }
    }
    if let (Some(min), Some(max)) = (min, max)
        && max < min
    {
        let text = "max_version must be greater than or equal to min_version";
        cx.within("max_version", |cx| cx.error(at.key("max_version"), text));
    }
    let known = [
        (TlsVersion::Tls13, &rustls::version::TLS13),
        (TlsVersion::Tls12, &rustls::version::TLS12),
    ];
    let is_allowed = |version: &TlsVersion| {
        min.is_none_or(|min| min <= *version) && max.is_none_or(|max| *version <= max)
    };
    known.into_iter().filter(|(version, _)| is_allowed(version)).map(|(_, known)| known).collect()
}

type Suites = Vec<rustls::SupportedCipherSuite>;

/// Those of TLS 1.3 cannot be chosen, as in Go. A list without one of TLS 1.2 turns that version off.
fn suites(
    keys: &TlsServerKeys,
    mut versions: Vec<&'static SupportedProtocolVersion>,
    cx: &mut Cx<'_>,
) -> (Suites, Vec<&'static SupportedProtocolVersion>) {
    if keys.cipher_suites.is_empty() {
        return (aws_lc_rs::DEFAULT_CIPHER_SUITES.to_vec(), versions);
    }
    let all = aws_lc_rs::DEFAULT_CIPHER_SUITES.iter();
    let mut suites: Suites = all.filter(|suite| suite.tls13().is_some()).copied().collect();
    let fixed = suites.len();
    let mut good = true;
    cx.within("cipher_suites", |cx| {
        for (i, name) in keys.cipher_suites.iter().enumerate() {
            match cipher_suite(name) {
                Ok(suite) => suites.extend(suite),
                Err(reason) => {
                    good = false;
                    cx.item(i, |cx| cx.error_here(reason));
                }
            }
        }
    });
    if suites.len() == fixed {
        versions.retain(|version| version.version == rustls::ProtocolVersion::TLSv1_3);
        if versions.is_empty()
            && good
            && keys.max_version.is_none_or(|max| max >= TlsVersion::Tls12)
        {
            let text = "none of these suites is one of TLS 1.2, which max_version asks for: write \
                TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
            cx.within("cipher_suites", |cx| cx.error(keys.at.key("cipher_suites"), text));
        }
    }
    (suites, versions)
}

fn groups(
    keys: &TlsServerKeys,
    cx: &mut Cx<'_>,
) -> Vec<&'static dyn rustls::crypto::SupportedKxGroup> {
    if keys.curve_preferences.is_empty() {
        return aws_lc_rs::DEFAULT_KX_GROUPS.to_vec();
    }
    let mut groups = Vec::new();
    cx.within("curve_preferences", |cx| {
        for (i, name) in keys.curve_preferences.iter().enumerate() {
            match group(name) {
                Ok(group) => groups.push(group),
                Err(reason) => cx.item(i, |cx| cx.error_here(reason)),
            }
        }
    });
    groups
}
