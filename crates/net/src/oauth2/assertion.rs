//! Signed assertions that are given for a token (RFC 7523, section 2.1).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Map, Value, json};
use swarmscout_model::Secret;

use crate::config::{JwtBearer, SignatureAlgorithm};

/// How long an assertion may be used (prometheus/common).
const VALID: Duration = Duration::from_mins(10);

/// Makes an assertion. The claims are prometheus/common's: what is configured adds to them and
/// replaces them.
pub(super) fn sign(
    jwt: &JwtBearer,
    key: &Secret,
    client_id: &str,
    scopes: &[String],
    default_audience: impl FnOnce() -> String,
) -> Result<Secret, String> {
    let (name, scheme) = match jwt.algorithm {
        SignatureAlgorithm::Rs256 => ("RS256", SignatureScheme::RSA_PKCS1_SHA256),
        SignatureAlgorithm::Rs384 => ("RS384", SignatureScheme::RSA_PKCS1_SHA384),
        SignatureAlgorithm::Rs512 => ("RS512", SignatureScheme::RSA_PKCS1_SHA512),
    };
    let unusable =
        || "the client certificate key is not an unencrypted RSA key (PEM) of 2048 to 8192 bits";
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|_| unusable())?;
    let key = aws_lc_rs::sign::any_supported_type(&key).map_err(|_| unusable())?;
    let signer = key.choose_scheme(&[scheme]).ok_or_else(unusable)?;

    let mut header = json!({"alg": name, "typ": "JWT"});
    if !jwt.key_id.is_empty() {
        header["kid"] = jwt.key_id.as_str().into();
    }
    let or = |text: &str, default: &str| if text.is_empty() { default } else { text }.to_owned();
    let audience = if jwt.audience.is_empty() { default_audience() } else { jwt.audience.clone() };
    // A clock before 1970 makes an assertion that has ended, which the server will say.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut claims = Map::from_iter([
        ("iss".to_owned(), Value::from(or(&jwt.issuer, client_id))),
        ("sub".to_owned(), client_id.into()),
        ("jti".to_owned(), unique()?.into()),
        ("aud".to_owned(), audience.into()),
        ("iat".to_owned(), now.as_secs().into()),
        ("exp".to_owned(), (now + VALID).as_secs().into()),
    ]);
    if !scopes.is_empty() {
        claims.insert("scope".to_owned(), scopes.join(" ").into());
    }
    claims.extend(jwt.claims.clone());

    let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
    let content =
        format!("{}.{}", encode(&header.to_string()), encode(&Value::from(claims).to_string()));
    let signature = signer.sign(content.as_bytes()).map_err(|error| error.to_string())?;
    Ok(Secret::new(format!("{content}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

/// A random UUID (version 4), so that no assertion is the same as another.
fn unique() -> Result<String, String> {
    let mut bytes = [0; 16];
    aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| "the system has no random numbers")?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let number = u128::from_be_bytes(bytes);
    let hex = format!("{number:032x}");
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}
