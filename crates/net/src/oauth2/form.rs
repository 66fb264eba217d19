//! What is asked of a token server, as `application/x-www-form-urlencoded`.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::OAuth2;

/// What Go's `url.QueryEscape` leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Parameters, by name. `endpoint_params` replace the grant type and nothing else.
pub(super) struct Form<'a>(BTreeMap<&'a str, String>);

impl<'a> Form<'a> {
    pub(super) fn new(grant_type: &str, config: &'a OAuth2) -> Self {
        let params = config.endpoint_params.iter();
        let mut params: BTreeMap<_, _> =
            params.map(|(name, value)| (name.as_str(), value.clone())).collect();
        params.entry("grant_type").or_insert_with(|| grant_type.to_owned());
        if !config.scopes.is_empty() {
            params.insert("scope", config.scopes.join(" "));
        }
        Self(params)
    }

    /// Leaves out what is empty.
    pub(super) fn with(mut self, name: &'a str, value: &str) -> Self {
        if !value.is_empty() {
            self.0.insert(name, value.to_owned());
        }
        self
    }

    pub(super) fn encode(self) -> String {
        let pairs =
            self.0.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value)));
        pairs.collect::<Vec<_>>().join("&")
    }
}

/// As Go's `url.QueryEscape` writes it.
pub(super) fn escape(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string().replace("%20", "+")
}
