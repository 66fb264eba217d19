//! The `section!` macro: a section from a table of its keys.

use crate::{Out, Value};

/// The properties of a key, in addition to its type.
#[derive(Clone, Debug)]
pub struct KeyInfo {
    /// As it is written in the file.
    pub name: &'static str,
    /// Heading of the section whose key it is, where sections are inlined.
    pub of: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// Name of its type.
    pub value: String,
    /// The default as it is written; empty for none.
    pub default: String,
    /// What its row says in addition.
    pub marks: Marks,
}

/// What a key's row in its section's table says beyond type and default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks {
    /// Written back even where it is empty.
    pub always: bool,
    /// Written back on one line.
    pub flow: bool,
    /// Prometheus does not have it.
    pub ours: bool,
    /// What this version makes of it.
    pub state: State,
    /// The default, where the field's own is only a mark for "not set".
    pub shown: Option<&'static str>,
}

/// What this version makes of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// What it says.
    #[default]
    Works,
    /// Checked, kept, written back, without effect yet: a warning.
    Kept,
    /// Checked and kept; only a Prometheus server has a use for it, so no warning.
    Ignored,
    /// Refused by name until its part exists.
    Refused,
}

impl Marks {
    /// Written back even where it is empty.
    #[must_use]
    pub const fn always(mut self) -> Self {
        self.always = true;
        self
    }

    /// Written back on one line.
    #[must_use]
    pub const fn flow(mut self) -> Self {
        self.flow = true;
        self
    }

    /// Prometheus does not have it.
    #[must_use]
    pub const fn ours(mut self) -> Self {
        self.ours = true;
        self
    }

    /// [`State::Kept`].
    #[must_use]
    pub const fn kept(mut self) -> Self {
        self.state = State::Kept;
        self
    }

    /// [`State::Ignored`].
    #[must_use]
    pub const fn ignored(mut self) -> Self {
        self.state = State::Ignored;
        self
    }

    /// [`State::Refused`].
    #[must_use]
    pub const fn refused(mut self) -> Self {
        self.state = State::Refused;
        self
    }

    /// The default that the reference shows.
    #[must_use]
    pub const fn shown(mut self, default: &'static str) -> Self {
        self.shown = Some(default);
        self
    }
}

/// Makes a [`Section`](crate::Section) from a table of keys.
///
/// ```text
/// section! {
///     /// What it is.
///     pub Name: "go.Type", "heading" {
///         /// What the key does.
///         key name: Type = default, marks(…) mark;
///         /// All keys of another section stand among this one's.
///         inline field: Section = default;
///     }
/// }
/// ```
#[macro_export]
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $vis:vis $name:ident: $type:literal, $title:literal {
            $(
                $(#[doc = $doc:literal])+
                $kind:ident $field:ident: $value:ty = $default:expr
                $(, $($mark:ident $(($($argument:tt)*))?)+)?;
            )+
        }
        $(unknown $unknown:expr;)?
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name {
            /// Where the section and its keys stand.
            pub at: $crate::At,
            $($(#[doc = $doc])+ pub $field: $value,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { at: Default::default(), $($field: $default,)+ }
            }
        }

        impl $crate::Section for $name {
            const TYPE: &'static str = $type;
            const TITLE: &'static str = $title;

            fn at(&self) -> &$crate::At {
                &self.at
            }

            fn at_mut(&mut self) -> &mut $crate::At {
                &mut self.at
            }

            fn empty() -> Self {
                Self {
                    at: Default::default(),
                    $($field: <$value as $crate::Value>::zero(),)+
                }
            }

            fn take(
                &mut self,
                key: &$crate::yaml::Key,
                node: &$crate::yaml::Node,
                cx: &mut $crate::Cx<'_>,
            ) -> Option<&'static str> {
                $($crate::section!(@take $kind self $field key node cx);)+
                None
            }

            fn place(&mut self, at: $crate::Position) {
                self.at.place(at);
                $($crate::section!(@place $kind self $field at);)+
            }

            fn keys(out: &mut Vec<$crate::KeyInfo>) {
                let defaults = Self::default();
                $(
                    let marks = $crate::Marks::default()
                        $($(.$mark($($($argument)*)?))+)?;
                    let doc = concat!($($doc),+);
                    $crate::section!(
                        @keys $kind defaults $field $value, marks doc out
                    );
                )+
            }

            fn write(&self, out: &mut Vec<(String, $crate::Out)>) {
                let defaults = Self::default();
                $(
                    let marks = $crate::Marks::default()
                        $($(.$mark($($($argument)*)?))+)?;
                    $crate::section!(
                        @write $kind self defaults $field marks out
                    );
                )+
            }

            fn all_empty(&self) -> bool {
                true $(&& $crate::Value::is_empty(&self.$field))+
            }

            fn refer_fields(reference: &mut $crate::Reference) {
                if !reference.begin::<Self>(concat!($($about),+)) {
                    return;
                }
                $(
                    let marks = $crate::Marks::default()
                        $($(.$mark($($($argument)*)?))+)?;
                    reference.below::<$value>(marks.state);
                )+
            }

            $(fn unknown(key: &str) -> Option<String> {
                let unknown: fn(&str) -> Option<String> = $unknown;
                unknown(key)
            })?
        }
    };

    (@take key $self:ident $field:ident $key:ident $node:ident $cx:ident) => {
        let name = $crate::key_name(stringify!($field));
        if &*$key.text == name {
            let good = $cx.read($node, &mut $self.$field);
            $self.at.note(name, $key.at, good);
            return Some(name);
        }
    };
    (@take inline $self:ident $field:ident $key:ident $node:ident $cx:ident) => {
        if let Some(name) = $crate::Section::take(&mut $self.$field, $key, $node, $cx) {
            let failed = $crate::Section::at(&$self.$field).failed(name);
            $self.at.note(name, $key.at, !failed);
            return Some(name);
        }
    };

    (@place key $self:ident $field:ident $at:ident) => {};
    (@place inline $self:ident $field:ident $at:ident) => {
        $crate::Section::place(&mut $self.$field, $at);
    };

    (@keys key $defaults:ident $field:ident $value:ty, $marks:ident $doc:ident $out:ident) => {
        $out.push($crate::KeyInfo {
            name: $crate::key_name(stringify!($field)),
            of: <Self as $crate::Section>::TITLE,
            doc: $doc,
            value: <$value as $crate::Value>::name(),
            default: $crate::shown_default(&$defaults.$field, $marks),
            marks: $marks,
        });
    };
    (@keys inline $defaults:ident $field:ident $value:ty, $marks:ident $doc:ident $out:ident) => {
        let _ = ($marks, $doc, &$defaults.$field);
        let first = $out.len();
        <$value as $crate::Section>::keys($out);
        for key in &mut $out[first..] {
            key.of = <$value as $crate::Section>::TITLE;
        }
    };

    // What is empty is left out, unless it would then be read as a default that is not.
    (@write key $self:ident $defaults:ident $field:ident $marks:ident $out:ident) => {
        if $marks.always
            || !$crate::Value::is_empty(&$self.$field)
            || !$crate::Value::is_empty(&$defaults.$field)
        {
            let name = $crate::key_name(stringify!($field));
            let value = $crate::Value::encode(&$self.$field);
            $out.push((name.to_owned(), if $marks.flow { value.on_one_line() } else { value }));
        }
    };
    (@write inline $self:ident $defaults:ident $field:ident $marks:ident $out:ident) => {
        let _ = ($marks, &$defaults.$field);
        $crate::Section::write(&$self.$field, $out);
    };
}
/// A field's key: raw identifiers (`r#type`) lose their mark.
pub fn key_name(field: &'static str) -> &'static str {
    field.strip_prefix("r#").unwrap_or(field)
}

/// A default as the reference shows it.
pub fn shown_default<T: Value>(value: &T, marks: Marks) -> String {
    match (marks.shown, value.encode()) {
        (Some(text), _) => text.to_owned(),
        (None, Out::Bool(value)) => value.to_string(),
        (None, Out::Int(value)) if value != 0 => value.to_string(),
        (None, Out::Float(value)) if value != 0.0 => value.to_string(),
        (None, Out::String(text)) if !value.is_empty() => text,
        _ => String::new(),
    }
}
