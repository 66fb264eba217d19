//! From a YAML document to typed values and back, for every part of the configuration file.
//!
//! A section of the file is a table of its keys ([`section!`]): each with its type, its default and
//! one sentence. The table makes the decoder, what is written back, suggestions for mistyped keys
//! and the reference in `docs/configuration.md`. [`HttpKeys`] is the section that many others share.
//!
//! Each part of the program declares its own sections next to what it makes of them: a source in its
//! folder of `discovery`, the file itself in `config`.
//!
//! **Invariant: decoding goes on behind every error**, and each error has its place in the file. No
//! error and no written section shows a secret.
//!
//! It may use `model` and `net`.

mod check;
mod decode;
mod error;
mod http;
mod out;
mod reference;
mod suggest;
mod table;
mod types;
mod values;

pub use swarmscout_model::yaml;

pub use check::{at_most_one, port, refresh_interval};
pub use decode::{Advice, At, Cx, Findings, Instead, Options, Section, Value, not_found};
pub use error::{ConfigError, Errors, Position, Warning};
pub use http::{
    AuthorizationKeys, BasicAuthKeys, HeaderKeys, HttpKeys, OAuth2Keys, ProxyKeys, TlsKeys,
    reserved_header,
};
pub use out::Out;
pub use reference::{Reference, reference_of};
pub use suggest::nearest;
pub use table::{KeyInfo, Marks, State, key_name, shown_default};
pub use types::{Address, FilePath, LabelName, LabelSet, in_folder, is_glob};
pub use values::Any;
