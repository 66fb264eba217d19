//! Go's names of cipher suites and groups, and what to write for those that rustls does not have.

use rustls::SupportedCipherSuite;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use swarmscout_config_decoder::nearest;
use swarmscout_model::quote::Quoted;

/// A cipher suite of TLS 1.2, or `None` for one of TLS 1.3, which are always on. The error says what
/// to write instead.
pub(super) fn cipher_suite(name: &str) -> Result<Option<SupportedCipherSuite>, String> {
    const TLS_1_3: [&str; 3] =
        ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];
    if TLS_1_3.contains(&name) {
        return Ok(None);
    }
    let all = aws_lc_rs::ALL_CIPHER_SUITES;
    let suite_name = |suite: &SupportedCipherSuite| suite.suite().as_str().unwrap_or_default();
    if let Some(suite) =
        all.iter().find(|suite| suite_name(suite) == name && suite.tls13().is_none())
    {
        return Ok(Some(*suite));
    }
    let Some((exchange, cipher)) = name.split_once("_WITH_") else {
        let known = all.iter().map(suite_name).filter(|known| known.starts_with("TLS_"));
        let hint = nearest(name, known).map(|known| format!(": did you mean {known}?"));
        return Err(format!("unknown cipher: {}{}", Quoted(name), hint.unwrap_or_default()));
    };
    let why = match (exchange, cipher) {
        ("TLS_RSA", _) => "its key exchange has no forward secrecy",
        (_, cipher) if cipher.contains("_CBC_") => "its CBC mode is open to attacks",
        _ => "it is weak or unknown",
    };
    let signed_by = if exchange.contains("ECDSA") { "ECDSA" } else { "RSA" };
    let instead = if cipher.contains("CHACHA20") {
        "CHACHA20_POLY1305_SHA256"
    } else if cipher.contains("AES_256") {
        "AES_256_GCM_SHA384"
    } else {
        "AES_128_GCM_SHA256"
    };
    Err(format!(
        "cipher {} is not supported, {why}: write TLS_ECDHE_{signed_by}_WITH_{instead}",
        Quoted(name)
    ))
}

/// A group for the key exchange. The error says what to write instead.
pub(super) fn group(name: &str) -> Result<&'static dyn SupportedKxGroup, String> {
    const KNOWN: [&str; 4] = ["X25519MLKEM768", "X25519", "CurveP256", "CurveP384"];
    match name {
        "X25519MLKEM768" => Ok(kx_group::X25519MLKEM768),
        "X25519" => Ok(kx_group::X25519),
        "CurveP256" => Ok(kx_group::SECP256R1),
        "CurveP384" => Ok(kx_group::SECP384R1),
        "CurveP521" => Err("curve CurveP521 is not supported: write CurveP384".to_owned()),
        _ => {
            let known = KNOWN.join(", ");
            Err(format!("unknown curve: {}: known are {known}", Quoted(name)))
        }
    }
}
