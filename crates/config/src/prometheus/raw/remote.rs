//! Where samples are sent to, and read from.

use std::collections::BTreeMap;

use swarmscout_config_decoder::{HttpKeys, section};
use swarmscout_model::{PromDuration, Secret};
use swarmscout_net::Url;

use super::RelabelConfig;

section! {
    /// One of `remote_write`. Checked and kept until this program scrapes.
    pub(crate) RemoteWrite: "config.RemoteWriteConfig", "remote_write" {
        /// Where to send, required.
        key url: Option<Url> = None, always;
        /// How long sending may take.
        key remote_timeout: PromDuration = PromDuration::from_secs(30);
        /// More headers.
        key headers: BTreeMap<String, String> = BTreeMap::new();
        /// Rules for samples.
        key write_relabel_configs: Vec<Option<RelabelConfig>> = Vec::new();
        /// Its name in metrics, unique.
        key name: String = String::new();
        /// Send exemplars.
        key send_exemplars: bool = false;
        /// Send native histograms.
        key send_native_histograms: bool = false;
        /// Use all addresses of the host in turn.
        key round_robin_dns: bool = false;
        /// `prometheus.WriteRequest` or `io.prometheus.write.v2.Request`.
        key protobuf_message: String = "prometheus.WriteRequest".into();
        /// Log requests that fail.
        key failed_request_logging: bool = false;
        /// How requests to the server are made; `enable_http2` is false here.
        inline http: HttpKeys = HttpKeys { enable_http2: false, ..HttpKeys::default() };
        /// How samples wait and leave.
        key queue_config: QueueConfig = QueueConfig::default();
        /// How metadata is sent.
        key metadata_config: MetadataConfig = MetadataConfig::default();
        /// Amazon's signature.
        key sigv4: Option<SigV4> = None;
        /// Microsoft's tokens.
        key azuread: Option<AzureAd> = None;
        /// Google's tokens.
        key google_iam: Option<GoogleIam> = None;
    }
}

section! {
    /// How samples wait and leave.
    pub(crate) QueueConfig: "config.QueueConfig", "queue_config" {
        /// Samples that wait in a shard.
        key capacity: i64 = 10000;
        /// The most shards.
        key max_shards: i64 = 50;
        /// The fewest shards.
        key min_shards: i64 = 1;
        /// The most samples of a request.
        key max_samples_per_send: i64 = 2000;
        /// How long a sample waits for others.
        key batch_send_deadline: PromDuration = PromDuration::from_secs(5);
        /// The shortest pause after a failure.
        key min_backoff: PromDuration = PromDuration::from_millis(30);
        /// The longest pause after a failure.
        key max_backoff: PromDuration = PromDuration::from_secs(5);
        /// Try again after status 429.
        key retry_on_http_429: bool = false;
        /// Samples older than this are dropped; 0 for none.
        key sample_age_limit: PromDuration = PromDuration::ZERO;
    }
}

section! {
    /// How metadata is sent.
    pub(crate) MetadataConfig: "config.MetadataConfig", "metadata_config" {
        /// Send it.
        key send: bool = true, always;
        /// How often.
        key send_interval: PromDuration = PromDuration::from_secs(60), always;
        /// The most of a request.
        key max_samples_per_send: i64 = 2000;
    }
}

section! {
    /// Amazon's signature.
    pub(crate) SigV4: "sigv4.SigV4Config", "sigv4" {
        /// Region.
        key region: String = String::new();
        /// Key; with a secret or not at all.
        key access_key: String = String::new();
        /// Secret.
        key secret_key: Secret = Secret::default();
        /// Profile.
        key profile: String = String::new();
        /// Role.
        key role_arn: String = String::new();
        /// Identifier for the role.
        key external_id: String = String::new();
        /// Use FIPS endpoints of STS.
        key use_fips_sts_endpoint: bool = false;
        /// Service.
        key service_name: String = String::new(), shown("aps");
    }
}

section! {
    /// Microsoft's tokens. Exactly one way to get them.
    pub(crate) AzureAd: "azuread.AzureADConfig", "azuread" {
        /// A managed identity.
        key managed_identity: Option<ManagedIdentity> = None;
        /// A workload identity.
        key workload_identity: Option<WorkloadIdentity> = None;
        /// OAuth.
        key oauth: Option<AzureOAuth> = None;
        /// The SDK's own way.
        key sdk: Option<AzureSdk> = None;
        /// A certificate.
        key certificate: Option<AzureCertificate> = None;
        /// `AzurePublic`, `AzureChina` or `AzureGovernment`.
        key cloud: String = String::new(), shown("AzurePublic");
        /// Scope.
        key scope: String = String::new();
    }
}

section! {
    /// A managed identity.
    pub(crate) ManagedIdentity: "azuread.ManagedIdentityConfig", "managed_identity" {
        /// Client, a UUID; none for the system's identity.
        key client_id: String = String::new();
    }
}

section! {
    /// A workload identity.
    pub(crate) WorkloadIdentity: "azuread.WorkloadIdentityConfig", "workload_identity" {
        /// Client, a UUID.
        key client_id: String = String::new();
        /// Tenant, a UUID.
        key tenant_id: String = String::new();
        /// A file that holds the token.
        key token_file_path: String = String::new(), shown("/var/run/secrets/azure/tokens/azure-identity-token");
    }
}

section! {
    /// OAuth.
    pub(crate) AzureOAuth: "azuread.OAuthConfig", "oauth" {
        /// Client, a UUID.
        key client_id: String = String::new();
        /// Its secret.
        key client_secret: Secret = Secret::default();
        /// Tenant.
        key tenant_id: String = String::new();
    }
}

section! {
    /// The SDK's own way.
    pub(crate) AzureSdk: "azuread.SDKConfig", "sdk" {
        /// Tenant.
        key tenant_id: String = String::new();
    }
}

section! {
    /// A certificate.
    pub(crate) AzureCertificate: "azuread.CertificateConfig", "certificate" {
        /// Client, a UUID.
        key client_id: String = String::new();
        /// Tenant.
        key tenant_id: String = String::new();
        /// The certificate, PEM or PFX.
        key certificate_path: String = String::new();
        /// Its key, PEM, where it has a file of its own.
        key certificate_key_path: String = String::new();
        /// Password of the certificate.
        key certificate_password: Secret = Secret::default();
        /// Send the whole chain.
        key send_certificate_chain: bool = false;
    }
}

section! {
    /// Google's tokens.
    pub(crate) GoogleIam: "googleiam.Config", "google_iam" {
        /// A file that holds credentials.
        key credentials_file: String = String::new();
    }
}

section! {
    /// One of `remote_read`, for a server only.
    pub(crate) RemoteRead: "config.RemoteReadConfig", "remote_read" {
        /// Where to read, required.
        key url: Option<Url> = None, always;
        /// How long reading may take.
        key remote_timeout: PromDuration = PromDuration::from_secs(60);
        /// The largest frame in bytes.
        key chunked_read_limit: u64 = 50_000_000;
        /// More headers.
        key headers: BTreeMap<String, String> = BTreeMap::new();
        /// Ask for recent samples too.
        key read_recent: bool = false;
        /// Its name in metrics, unique.
        key name: String = String::new();
        /// How requests to the server are made.
        inline http: HttpKeys = HttpKeys::default();
        /// Labels that a query must ask for.
        key required_matchers: BTreeMap<String, String> = BTreeMap::new();
        /// Ask for the external labels too.
        key filter_external_labels: bool = true;
    }
}
