//! From a document to typed values and back. It knows nothing of the schema, which is in
//! [`crate::prometheus`]: sections are tables of keys (`section!`), made there.

mod decode;
mod out;
mod reference;
mod suggest;
mod table;
mod values;

pub(crate) use decode::{Advice, At, Cx, Findings, Instead, Section, Value, not_found};
pub(crate) use out::Out;
pub(crate) use reference::{Reference, reference_of};
pub(crate) use suggest::nearest;
pub(crate) use table::{KeyInfo, Marks, State, key_name, section, shown_default};
pub(crate) use values::Any;
