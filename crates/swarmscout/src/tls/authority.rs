//! The certificates: P-256, signed by one authority.

use std::fmt::Write as _;

use anyhow::{Context as _, ensure};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::CertificateHost;

/// The name of every authority. They differ by their keys.
const NAME: &str = "Swarmscout CA";

/// From the start of one day to the start of another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validity {
    pub(super) start: Date,
    pub(super) end: Date,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Server,
    Client,
    /// A client that is a server, too.
    Both,
}

/// A certificate with its key.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) certificate: String,
    pub(super) key: String,
    /// The first digits of the digest of its key.
    pub(super) id: String,
}

/// Who signs.
#[derive(Debug)]
pub(super) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    id: String,
}

impl Authority {
    pub(super) fn new(validity: Validity) -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let params = Self::params(validity);
        let certificate = params.self_signed(&key)?;
        let id = short_id(&params, &key);
        Ok(Self { pem: certificate.pem(), issuer: Issuer::new(params, key), id })
    }

    /// The one that [`Self::new`] made.
    pub(super) fn load(pem: &str, key: &str) -> anyhow::Result<Self> {
        let key = KeyPair::from_pem(key).context("the key cannot be read")?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| anyhow::anyhow!("{error}"))
            .context("the certificate cannot be read")?;
        let public = key.der_bytes();
        let holds = |part: &[u8]| certificate.windows(part.len()).any(|window| window == part);
        ensure!(holds(public), "the key does not belong to the certificate");
        ensure!(holds(NAME.as_bytes()), "`swarmscout tls init` has not made it");
        // Only its name and its key go into what it signs.
        let any_day = Date::constant(2000, 1, 1);
        let params = Self::params(Validity { start: any_day, end: any_day });
        let id = short_id(&params, &key);
        Ok(Self { pem: pem.to_owned(), issuer: Issuer::new(params, key), id })
    }

    fn params(validity: Validity) -> CertificateParams {
        let mut params = params(NAME, validity);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    pub(super) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// The first digits of the digest of its key.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The day on which it ends. An error if that is over.
    pub(super) fn end(&self, today: Date) -> anyhow::Result<Date> {
        let end = swarmscout_net::certificates_end(self.pem.as_bytes())
            .context("the end of the authority's certificate cannot be read")?;
        let end = jiff::Timestamp::from_second(end)?.to_zoned(TimeZone::UTC).date();
        ensure!(end > today, "the authority has ended on {end}: make another with `tls init`");
        Ok(end)
    }

    /// A certificate with these names.
    pub(super) fn issue(
        &self,
        purpose: Purpose,
        name: &str,
        hosts: &[CertificateHost],
        validity: Validity,
    ) -> anyhow::Result<Issued> {
        let key = KeyPair::generate()?;
        let mut params = params(name, validity);
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let (server, client) =
            (ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth);
        params.extended_key_usages = match purpose {
            Purpose::Server => vec![server],
            Purpose::Client => vec![client],
            Purpose::Both => vec![server, client],
        };
        for host in hosts {
            params.subject_alt_names.push(match host {
                CertificateHost::Ip(address) => SanType::IpAddress(*address),
                CertificateHost::Name(name) => SanType::DnsName(name.as_str().try_into()?),
            });
        }
        let certificate: Certificate = params.signed_by(&key, &self.issuer)?;
        let id = short_id(&params, &key);
        Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem(), id })
    }
}

fn params(name: &str, Validity { start, end }: Validity) -> CertificateParams {
    let time = |day: Date| {
        let unsigned = |part: i8| part.unsigned_abs();
        date_time_ymd(day.year().into(), unsigned(day.month()), unsigned(day.day()))
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = time(start);
    params.not_after = time(end);
    params
}

fn short_id(params: &CertificateParams, key: &KeyPair) -> String {
    params.key_identifier(key).iter().take(4).fold(String::new(), |mut id, byte| {
        write!(id, "{byte:02x}").expect("a string takes all");
        id
    })
}
