//! What a client certificate says.

use rustls::pki_types::CertificateDer;
use swarmscout_net::certificate_fields;

/// The certificate that a client has shown, and whose key it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Whether an authority of `client_ca` vouches for it. If not, its names prove nothing: everybody
    /// can make such a certificate.
    pub verified: bool,
    /// The common name of its subject.
    pub common_name: Option<String>,
    /// Its subject alternative names: DNS names, email addresses, IP addresses, URIs.
    pub alternative_names: Vec<String>,
}

impl ClientCertificate {
    pub(crate) fn new(certificate: &CertificateDer<'_>, verified: bool) -> Self {
        let fields = certificate_fields(certificate).unwrap_or_default();
        Self {
            verified,
            common_name: fields.common_name,
            alternative_names: fields.alternative_names,
        }
    }

    /// Whether it is verified, and has this common name or subject alternative name.
    pub fn proves(&self, name: &str) -> bool {
        let is_common_name = self.common_name.as_deref() == Some(name);
        let is_named = is_common_name || self.alternative_names.iter().any(|own| own == name);
        self.verified && is_named
    }
}
