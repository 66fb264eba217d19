//! TLS as `tls_config` describes it.
//!
//! Nothing is read before the first `https` request: a client of a unix socket needs neither the
//! system's certificates nor the time and memory they take. Files are read again for each request,
//! as prometheus/common does; only where their content changed is a new configuration made, and
//! with it the pool of connections replaced.

mod der;
mod end;
mod fields;
mod peer;
mod roots;
mod verify;
mod words;

use std::path::Path;
use std::sync::{Arc, LazyLock};

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, SupportedProtocolVersion};
use tokio::sync::Mutex;
use tokio::time::Instant;
use zeroize::Zeroizing;

pub use end::certificates_end;
pub use fields::{CertificateFields, certificate_fields};
pub use peer::{PeerCertificate, peer_certificate};
pub use roots::SystemRoots;
pub use words::seconds_in_words;
pub(crate) use words::{
    alert_cause, alert_of, alert_words, explain, explain_io, handshake_failure,
};

use crate::config::{PemSource, TlsConfig, TlsVersion};
use crate::connect::Secure;
use crate::{Error, Secrets, file};

/// Where TLS configurations come from.
pub(crate) struct Tls {
    options: TlsConfig,
    server_name: Option<ServerName<'static>>,
    versions: Vec<&'static SupportedProtocolVersion>,
    http2: bool,
    roots: SystemRoots,
    secrets: Secrets,
    current: Mutex<Option<(Material, Secure)>>,
}

/// What a configuration is made from, as it stood in the file.
#[derive(Default, PartialEq, Eq)]
struct Material {
    ca: Option<Pem>,
    cert: Option<Pem>,
    key: Option<Pem>,
}

type Pem = Zeroizing<Vec<u8>>;

impl Tls {
    /// Checks what can be checked without reading a file.
    pub(crate) fn new(
        options: &TlsConfig,
        http2: bool,
        roots: SystemRoots,
        secrets: Secrets,
    ) -> Result<Self, Error> {
        let name = options.server_name.as_deref().filter(|name| !name.is_empty());
        let server_name = name.map(server_name).transpose().map_err(Error::Tls)?;
        let tls = Self {
            options: options.clone(),
            server_name,
            versions: versions(options)?,
            http2,
            roots,
            secrets,
            current: Mutex::new(None),
        };
        tls.check_inline()?;
        Ok(tls)
    }

    /// The configuration for the files as they are now, for a request that ends at `deadline`: the
    /// same `Arc` as before where nothing changed.
    pub(crate) async fn current(&self, deadline: Instant) -> Result<Secure, Error> {
        let material = Material {
            ca: read("CA", self.options.ca.as_ref(), deadline).await?,
            cert: read("client certificate", self.options.cert.as_ref(), deadline).await?,
            key: read("client key", self.options.key.as_ref(), deadline).await?,
        };
        let mut current = self.current.lock().await;
        if let Some((made_from, secure)) = &*current
            && *made_from == material
        {
            return Ok(secure.clone());
        }
        if let Some(key) = &material.key {
            self.secrets.learn(str::from_utf8(key).unwrap_or_default());
        }
        let config = Arc::new(self.build(&material, deadline).await?);
        let secure = Secure { config, server_name: self.server_name.clone() };
        *current = Some((material, secure.clone()));
        Ok(secure)
    }

    async fn build(&self, material: &Material, deadline: Instant) -> Result<ClientConfig, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = self.verifier(material.ca.as_deref(), &provider, deadline).await?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions)
            .map_err(|error| Error::Tls(explain(&error)))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match (&material.cert, &material.key) {
            (Some(cert), Some(key)) => {
                let chain = certificates("client certificate", cert, self.options.cert.as_ref())?;
                let key = private_key(key, self.options.key.as_ref())?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    unusable("client key", self.options.key.as_ref(), explain(&error))
                })?
            }
            _ => builder.with_no_client_auth(),
        };
        if self.http2 {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        Ok(config)
    }

    async fn verifier(
        &self,
        ca: Option<&Vec<u8>>,
        provider: &Arc<CryptoProvider>,
        deadline: Instant,
    ) -> Result<Arc<dyn ServerCertVerifier>, Error> {
        if self.options.insecure_skip_verify {
            return Ok(Arc::new(verify::Anything::new(provider)));
        }
        match ca {
            Some(pem) => {
                let trusted = certificates("CA", pem, self.options.ca.as_ref())?;
                verify::Trusted::new(trusted, provider)
                    .map(|verifier| Arc::new(verifier) as Arc<dyn ServerCertVerifier>)
                    .map_err(|reason| unusable("CA", self.options.ca.as_ref(), reason))
            }
            None => verify::of_roots(self.roots.get(deadline).await?, provider)
                .map(|verifier| verifier as Arc<dyn ServerCertVerifier>)
                .map_err(Error::Tls),
        }
    }

    /// Inline PEM is wrong for ever: better said when the configuration is loaded.
    fn check_inline(&self) -> Result<(), Error> {
        let inline = |source: &Option<PemSource>| match source {
            Some(PemSource::Inline(pem)) => Some(pem.expose().as_bytes().to_vec()),
            _ => None,
        };
        if let Some(ca) = inline(&self.options.ca) {
            certificates("CA", &ca, None)?;
        }
        if let Some(cert) = inline(&self.options.cert) {
            certificates("client certificate", &cert, None)?;
        }
        if let Some(key) = inline(&self.options.key) {
            private_key(&Zeroizing::new(key), None)?;
        }
        Ok(())
    }
}

/// Accepts every certificate, and offers none. Made once.
pub(crate) fn unverified() -> Result<Arc<ClientConfig>, String> {
    static CONFIG: LazyLock<Result<Arc<ClientConfig>, String>> = LazyLock::new(|| {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Arc::new(verify::Anything::new(&provider));
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| explain(&error))?;
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        Ok(Arc::new(builder.with_no_client_auth()))
    });
    CONFIG.clone()
}

/// The name that a server's certificate must have. A final dot, which ends the search for a DNS
/// name, is not a part of it.
pub(crate) fn server_name(name: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(name.strip_suffix('.').unwrap_or(name).to_owned())
        .map_err(|_| format!("{name:?} is not a name that a certificate can have"))
}

fn versions(options: &TlsConfig) -> Result<Vec<&'static SupportedProtocolVersion>, Error> {
    let TlsConfig { min_version: min, max_version: max, .. } = *options;
    if let (Some(min), Some(max)) = (min, max)
        && max < min
    {
        return Err(Error::Tls(
            "tls_config.max_version must be greater than or equal to tls_config.min_version if \
             both are specified"
                .to_owned(),
        ));
    }
    for (option, version) in [("min_version", min), ("max_version", max)] {
        if let Some(old @ (TlsVersion::Tls10 | TlsVersion::Tls11)) = version {
            let name = if old == TlsVersion::Tls10 { "TLS10" } else { "TLS11" };
            return Err(Error::Tls(format!(
                "tls_config.{option} {name} is not supported: use TLS12 or TLS13"
            )));
        }
    }
    let allowed =
        |version| min.is_none_or(|min| min <= version) && max.is_none_or(|max| version <= max);
    let known = [
        (TlsVersion::Tls12, &rustls::version::TLS12),
        (TlsVersion::Tls13, &rustls::version::TLS13),
    ];
    Ok(known
        .into_iter()
        .filter(|(version, _)| allowed(*version))
        .map(|(_, version)| version)
        .collect())
}

async fn read(
    what: &'static str,
    source: Option<&PemSource>,
    deadline: Instant,
) -> Result<Option<Pem>, Error> {
    match source {
        None => Ok(None),
        Some(PemSource::Inline(pem)) => Ok(Some(Zeroizing::new(pem.expose().as_bytes().to_vec()))),
        Some(PemSource::File(path)) => file::read(what, path, deadline).await.map(Some),
    }
}

fn certificates(
    what: &'static str,
    pem: &[u8],
    source: Option<&PemSource>,
) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| unusable(what, source, "not PEM".to_owned()))?;
    if certificates.is_empty() {
        return Err(unusable(what, source, "no certificate (PEM) in it".to_owned()));
    }
    Ok(certificates)
}

fn private_key(pem: &Pem, source: Option<&PemSource>) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        let reason = "no unencrypted private key (PEM) in it".to_owned();
        unusable("client key", source, reason)
    })
}

fn unusable(what: &'static str, source: Option<&PemSource>, reason: String) -> Error {
    match source {
        Some(PemSource::File(path)) => Error::File { what, path: Path::to_owned(path), reason },
        _ => Error::Tls(format!("cannot use {what}: {reason}")),
    }
}
