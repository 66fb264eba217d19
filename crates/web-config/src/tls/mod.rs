//! `tls_server_config`: what a server offers, and whom it lets in.

mod check;
mod handshake;
mod names;
mod verify;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};
use swarmscout_config_decoder::At;
use swarmscout_model::quote::Quoted;
use swarmscout_net::config::PemSource;
use swarmscout_net::{CertificateFields, certificate_fields, seconds_in_words};
use zeroize::Zeroizing;

pub(crate) use self::check::check;
pub use self::handshake::{Accepted, Refusal, RefusalKind};
use self::verify::{Authorities, ClientVerifier};

/// Protocols by ALPN, the preferred first.
const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// `tls_server_config`, checked, without the files that it names.
#[derive(Clone, Debug)]
pub(crate) struct TlsSettings {
    /// Where its keys stand.
    pub(crate) at: At,
    pub(crate) cert: PemSource,
    pub(crate) key: PemSource,
    pub(crate) client_ca: Option<PemSource>,
    pub(crate) client_auth: ClientAuth,
    /// `client_allowed_sans`; `None`: any.
    pub(crate) allowed_names: Option<Vec<String>>,
    versions: Vec<&'static SupportedProtocolVersion>,
    suites: Vec<SupportedCipherSuite>,
    groups: Vec<&'static dyn SupportedKxGroup>,
    /// Whether the order of `suites` decides, not that of the client.
    own_order: bool,
}

/// `client_auth_type`, as Go names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    #[default]
    NoClientCert,
    RequestClientCert,
    RequireAnyClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

impl ClientAuth {
    /// `None` if there is no such type.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "" | "NoClientCert" => Self::NoClientCert,
            "RequestClientCert" => Self::RequestClientCert,
            // The second is what older files have.
            "RequireAnyClientCert" | "RequireClientCert" => Self::RequireAnyClientCert,
            "VerifyClientCertIfGiven" => Self::VerifyClientCertIfGiven,
            "RequireAndVerifyClientCert" => Self::RequireAndVerifyClientCert,
            _ => return None,
        })
    }

    /// Whether an authority must vouch for a certificate.
    pub(crate) fn verifies(self) -> bool {
        matches!(self, Self::VerifyClientCertIfGiven | Self::RequireAndVerifyClientCert)
    }

    fn is_mandatory(self) -> bool {
        matches!(self, Self::RequireAnyClientCert | Self::RequireAndVerifyClientCert)
    }
}

/// A text of PEM.
pub(crate) type Pem = Zeroizing<Vec<u8>>;

/// The texts that [`TlsSettings`] refer to.
#[derive(Debug)]
pub(crate) struct Material {
    pub(crate) cert: Pem,
    pub(crate) key: Pem,
    pub(crate) client_ca: Option<Pem>,
}

/// TLS of a server, ready for handshakes.
#[derive(Clone, Debug)]
pub struct TlsDoor {
    config: Arc<ServerConfig>,
    client_auth: ClientAuth,
    trust: Arc<Trust>,
    /// When the first certificate of the server's chain ends, in seconds since 1970.
    pub certificate_ends: i64,
}

/// What a client has to prove.
#[derive(Debug, PartialEq, Eq)]
struct Trust {
    client_auth: ClientAuth,
    authorities: Vec<CertificateDer<'static>>,
    allowed_names: Option<Vec<String>>,
}

impl TlsDoor {
    /// All that is wrong with the certificates and the key is an error. A warning is pushed for those
    /// that work, but not for long.
    pub(crate) fn new(
        settings: &TlsSettings,
        http2: bool,
        material: &Material,
        warnings: &mut Vec<Fault>,
    ) -> Result<Self, Vec<Fault>> {
        let provider = Arc::new(CryptoProvider {
            cipher_suites: settings.suites.clone(),
            kx_groups: settings.groups.clone(),
            ..aws_lc_rs::default_provider()
        });
        let chain = certificates("cert", &settings.cert, &material.cert, warnings);
        let key = signing_key(&settings.key, &material.key, &provider);
        let authorities = match (&settings.client_ca, &material.client_ca) {
            (Some(source), Some(pem)) => certificates("client_ca", source, pem, warnings)
                .map(|(found, _)| found)
                .and_then(|found| {
                    let authorities = Authorities::new(&found);
                    let authorities =
                        authorities.map_err(|reason| Fault::new("client_ca", source, &reason))?;
                    Ok((found, authorities))
                }),
            _ => Ok(Default::default()),
        };
        let ((chain, certificate_ends), signing, (trusted, authorities)) =
            match (chain, key, authorities) {
                (Ok(chain), Ok(key), Ok(authorities)) => (chain, key, authorities),
                (chain, key, authorities) => {
                    let faults = [chain.err(), key.err(), authorities.err()];
                    return Err(faults.into_iter().flatten().collect());
                }
            };
        check_pair(&chain, &settings.key, &signing).map_err(|fault| vec![fault])?;
        let trust = Trust {
            client_auth: settings.client_auth,
            authorities: trusted,
            allowed_names: settings.allowed_names.clone(),
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&settings.versions)
            .map_err(|error| vec![Fault::new("cert", &settings.cert, &error.to_string())])?;
        let builder = if trust.client_auth == ClientAuth::NoClientCert {
            builder.with_no_client_auth()
        } else {
            let names = trust.allowed_names.clone();
            let verifier = ClientVerifier::new(trust.client_auth, authorities, names, &provider);
            builder.with_client_cert_verifier(Arc::new(verifier))
        };
        let resolver = SingleCertAndKey::from(CertifiedKey::new(chain, signing));
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        config.ignore_client_order = settings.own_order;
        config.alpn_protocols =
            if http2 { vec![HTTP_2.to_vec(), HTTP_1.to_vec()] } else { vec![HTTP_1.to_vec()] };
        if trust.client_auth != ClientAuth::NoClientCert {
            // A session that is resumed would not be checked again: neither by authorities that have
            // changed nor against the end of the certificate.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        let (client_auth, trust) = (trust.client_auth, Arc::new(trust));
        Ok(Self { config: Arc::new(config), client_auth, trust, certificate_ends })
    }

    /// Whether a client that `other` let in would be let in by this one with the same result.
    pub(crate) fn trusts_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.trust, &other.trust) || self.trust == other.trust
    }
}

/// What is wrong with what a key of `tls_server_config` holds, or with the file that it names.
#[derive(Debug)]
pub(crate) struct Fault {
    /// `cert_file`, or `cert` where it is inline.
    pub(crate) key: &'static str,
    pub(crate) message: String,
}

impl Fault {
    /// `key` is the name of the inline key.
    fn new(key: &'static str, source: &PemSource, reason: &str) -> Self {
        match source {
            PemSource::Inline(_) => Self { key, message: reason.to_owned() },
            PemSource::File(path) => {
                let message = format!("cannot use {}: {reason}", path.display());
                Self { key: file_key(key), message }
            }
        }
    }
}

/// The key of the file that holds what `key` else holds.
pub(crate) fn file_key(key: &'static str) -> &'static str {
    match key {
        "cert" => "cert_file",
        "key" => "key_file",
        _ => "client_ca_file",
    }
}

/// How the warning about a certificate goes on that is not valid any longer.
pub(crate) const EXPIRED: &str = "expired ";

/// How long before the end of a certificate a warning is due, in seconds.
const SOON: i64 = 14 * 86_400;

/// All certificates of a text, and when the first of them ends.
fn certificates(
    key: &'static str,
    source: &PemSource,
    pem: &Pem,
    warnings: &mut Vec<Fault>,
) -> Result<(Vec<CertificateDer<'static>>, i64), Fault> {
    let fault = |reason: &str| Fault::new(key, source, reason);
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| fault(&format!("not PEM: {error}")))?;
    if found.is_empty() {
        return Err(fault("no certificate (PEM) in it"));
    }
    let mut first_end = i64::MAX;
    let now = now();
    let span = |from: i64, to: i64| seconds_in_words(u64::try_from(to - from).unwrap_or(0));
    for (i, certificate) in found.iter().enumerate() {
        let fields = certificate_fields(certificate)
            .ok_or_else(|| fault(&format!("certificate {} in it is broken", i + 1)))?;
        let (begins, ends) = (fields.begins, fields.ends);
        first_end = first_end.min(ends);
        let state = if ends < now {
            format!("{EXPIRED}{} ago: renew it", span(ends, now))
        } else if ends < now + SOON {
            format!("expires in {}: renew it", span(now, ends))
        } else if begins > now {
            format!("is valid only in {}: is the clock right?", span(now, begins))
        } else {
            continue;
        };
        let name = describe(&fields);
        let (key, message) = match source {
            PemSource::Inline(_) => (key, format!("the certificate {name} {state}")),
            PemSource::File(path) => {
                (file_key(key), format!("the certificate {name} in {} {state}", path.display()))
            }
        };
        warnings.push(Fault { key, message });
    }
    Ok((found, first_end))
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// The owner of a certificate, for messages.
fn describe(fields: &CertificateFields) -> String {
    let name = fields.common_name.as_ref().or(fields.alternative_names.first());
    name.map_or_else(|| "without a name".to_owned(), |name| quoted(name))
}

/// A name from a certificate, which anybody may have chosen.
fn quoted(name: &str) -> String {
    const SHOWN: usize = 100;
    let cut: String = name.chars().take(SHOWN).collect();
    let more = if cut.len() < name.len() { "…" } else { "" };
    format!("{}{more}", Quoted(&cut))
}

fn signing_key(
    source: &PemSource,
    pem: &Pem,
    provider: &CryptoProvider,
) -> Result<Arc<dyn SigningKey>, Fault> {
    let fault = |reason: &str| Fault::new("key", source, reason);
    let has = |text: &[u8]| pem.windows(text.len()).any(|part| part == text);
    if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
        let file = match source {
            PemSource::File(path) => path.display().to_string(),
            PemSource::Inline(_) => "KEY".to_owned(),
        };
        return Err(fault(&format!(
            "the key is encrypted, and nothing can ask for its password: decrypt it by \
             (umask 077; openssl pkey -in {file} -out {file}.plain)"
        )));
    }
    let key =
        PrivateKeyDer::from_pem_slice(pem).map_err(|_| fault("no private key (PEM) in it"))?;
    let key = provider.key_provider.load_private_key(key);
    key.map_err(|_| fault("the key is broken, or not of RSA (2048 to 8192 bits), ECDSA (P-256, P-384, P-521) or Ed25519"))
}

/// Whether the key is that of the first certificate.
fn check_pair(
    chain: &[CertificateDer<'static>],
    source: &PemSource,
    key: &Arc<dyn SigningKey>,
) -> Result<(), Fault> {
    let belongs = |certificate: &CertificateDer<'static>| {
        CertifiedKey::new(vec![certificate.clone()], Arc::clone(key)).keys_match().is_ok()
    };
    match chain.iter().position(belongs) {
        Some(0) => Ok(()),
        Some(at) => {
            let place = at + 1;
            Err(Fault::new(
                "key",
                source,
                &format!(
                    "the key belongs to certificate {place} of the chain, not to the first: the server's \
                 certificate must come first"
                ),
            ))
        }
        None => Err(Fault::new("key", source, "the key does not belong to the certificate")),
    }
}

#[cfg(test)]
pub(crate) mod tests;
