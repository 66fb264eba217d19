//! From a document to typed values and back, whatever the sections are: the schema is in
//! [`crate::prometheus`].

mod decode;
mod out;
mod reference;
mod suggest;
mod table;
mod values;

pub(crate) use decode::{At, Cx, Findings, Section, Value, not_found};
pub(crate) use out::Out;
pub(crate) use reference::Reference;
pub use reference::reference;
pub(crate) use suggest::nearest;
pub(crate) use table::{KeyInfo, Marks, State, key_name, section, shown_default};
pub(crate) use values::{Address, Any, Discovery, FilePath, LabelName, LabelSet, in_folder};
