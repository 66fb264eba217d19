//! `http_config`, which stands among the keys of many sections.

mod check;
mod client;
mod keys;

pub use self::check::reserved_header;
pub use self::keys::{
    AuthorizationKeys, BasicAuthKeys, HeaderKeys, HttpKeys, OAuth2Keys, ProxyKeys, TlsKeys,
};
