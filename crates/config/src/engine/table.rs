//! The `section!` macro: a section from a table of its keys.

use super::{Out, Value};

/// The properties of a key, in addition to its type.
#[derive(Clone, Debug)]
pub(crate) struct KeyInfo {
    pub(crate) name: &'static str,
    /// Heading of the section whose key it is, where sections are inlined.
    pub(crate) of: &'static str,
    /// One sentence.
    pub(crate) doc: &'static str,
    /// Name of its type.
    pub(crate) value: String,
    /// The default as it is written; empty for none.
    pub(crate) default: String,
    pub(crate) marks: Marks,
}

/// What a key's row in its section's table says beyond type and default.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks {
    /// Written back even where it is empty.
    pub(crate) always: bool,
    /// Written back on one line.
    pub(crate) flow: bool,
    /// Prometheus does not have it.
    pub(crate) ours: bool,
    pub(crate) state: State,
    /// The default, where the field's own is only a mark for "not set".
    pub(crate) shown: Option<&'static str>,
}

/// What this version makes of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
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
    pub(crate) const fn always(mut self) -> Self {
        self.always = true;
        self
    }

    pub(crate) const fn flow(mut self) -> Self {
        self.flow = true;
        self
    }

    pub(crate) const fn ours(mut self) -> Self {
        self.ours = true;
        self
    }

    pub(crate) const fn kept(mut self) -> Self {
        self.state = State::Kept;
        self
    }

    pub(crate) const fn ignored(mut self) -> Self {
        self.state = State::Ignored;
        self
    }

    pub(crate) const fn refused(mut self) -> Self {
        self.state = State::Refused;
        self
    }

    pub(crate) const fn shown(mut self, default: &'static str) -> Self {
        self.shown = Some(default);
        self
    }
}

/// Makes a [`Section`] from a table of keys.
///
/// ```text
/// section! {
///     /// What it is.
///     Name: "go.Type", "heading" {
///         /// What the key does.
///         key name: Type = default, marks(…) mark;
///         /// All keys of another section stand among this one's.
///         inline field: Section = default;
///     }
/// }
/// ```
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $name:ident: $type:literal, $title:literal {
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
        pub(crate) struct $name {
            pub(crate) at: $crate::engine::At,
            $($(#[doc = $doc])+ pub(crate) $field: $value,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { at: Default::default(), $($field: $default,)+ }
            }
        }

        impl $crate::engine::Section for $name {
            const TYPE: &'static str = $type;
            const TITLE: &'static str = $title;

            fn at(&self) -> &$crate::engine::At {
                &self.at
            }

            fn at_mut(&mut self) -> &mut $crate::engine::At {
                &mut self.at
            }

            fn empty() -> Self {
                Self {
                    at: Default::default(),
                    $($field: <$value as $crate::engine::Value>::zero(),)+
                }
            }

            fn take(
                &mut self,
                key: &swarmscout_model::yaml::Key,
                node: &swarmscout_model::yaml::Node,
                cx: &mut $crate::engine::Cx<'_>,
            ) -> Option<&'static str> {
                $($crate::engine::section!(@take $kind self $field key node cx);)+
                None
            }

            fn place(&mut self, at: $crate::Position) {
                self.at.place(at);
                $($crate::engine::section!(@place $kind self $field at);)+
            }

            fn keys(out: &mut Vec<$crate::engine::KeyInfo>) {
                let defaults = Self::default();
                $(
                    let marks = $crate::engine::Marks::default()
                        $($(.$mark($($($argument)*)?))+)?;
                    let doc = concat!($($doc),+);
                    $crate::engine::section!(
                        @keys $kind defaults $field $value, marks doc out
                    );
                )+
            }

            fn write(&self, out: &mut Vec<(String, $crate::engine::Out)>) {
                let defaults = Self::default();
                $(
                    let marks = $crate::engine::Marks::default()
                        $($(.$mark($($($argument)*)?))+)?;
                    $crate::engine::section!(
                        @write $kind self defaults $field marks out
                    );
                )+
            }

            fn all_empty(&self) -> bool {
                true $(&& $crate::engine::Value::is_empty(&self.$field))+
            }

            fn refer_fields(reference: &mut $crate::engine::Reference) {
                if !reference.begin::<Self>(concat!($($about),+)) {
                    return;
                }
                $(
                    let marks = $crate::engine::Marks::default()
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
        let name = $crate::engine::key_name(stringify!($field));
        if &*$key.text == name {
            let good = $cx.read($node, &mut $self.$field);
            $self.at.note(name, $key.at, good);
            return Some(name);
        }
    };
    (@take inline $self:ident $field:ident $key:ident $node:ident $cx:ident) => {
        if let Some(name) = $self.$field.take($key, $node, $cx) {
            let failed = $self.$field.at.failed(name);
            $self.at.note(name, $key.at, !failed);
            return Some(name);
        }
    };

    (@place key $self:ident $field:ident $at:ident) => {};
    (@place inline $self:ident $field:ident $at:ident) => {
        $crate::engine::Section::place(&mut $self.$field, $at);
    };

    (@keys key $defaults:ident $field:ident $value:ty, $marks:ident $doc:ident $out:ident) => {
        $out.push($crate::engine::KeyInfo {
            name: $crate::engine::key_name(stringify!($field)),
            of: <Self as $crate::engine::Section>::TITLE,
            doc: $doc,
            value: <$value as $crate::engine::Value>::name(),
            default: $crate::engine::shown_default(&$defaults.$field, $marks),
            marks: $marks,
        });
    };
    (@keys inline $defaults:ident $field:ident $value:ty, $marks:ident $doc:ident $out:ident) => {
        let _ = ($marks, $doc, &$defaults.$field);
        let first = $out.len();
        <$value as $crate::engine::Section>::keys($out);
        for key in &mut $out[first..] {
            key.of = <$value as $crate::engine::Section>::TITLE;
        }
    };

    // What is empty is left out, unless it would then be read as a default that is not.
    (@write key $self:ident $defaults:ident $field:ident $marks:ident $out:ident) => {
        if $marks.always
            || !$crate::engine::Value::is_empty(&$self.$field)
            || !$crate::engine::Value::is_empty(&$defaults.$field)
        {
            let name = $crate::engine::key_name(stringify!($field));
            let value = $crate::engine::Value::encode(&$self.$field);
            $out.push((name.to_owned(), if $marks.flow { value.on_one_line() } else { value }));
        }
    };
    (@write inline $self:ident $defaults:ident $field:ident $marks:ident $out:ident) => {
        let _ = ($marks, &$defaults.$field);
        $crate::engine::Section::write(&$self.$field, $out);
    };
}
pub(crate) use section;

/// A field's key: raw identifiers (`r#type`) lose their mark.
pub(crate) fn key_name(field: &'static str) -> &'static str {
    field.strip_prefix("r#").unwrap_or(field)
}

/// A default as the reference shows it.
pub(crate) fn shown_default<T: Value>(value: &T, marks: Marks) -> String {
    match (marks.shown, value.encode()) {
        (Some(text), _) => text.to_owned(),
        (None, Out::Bool(value)) => value.to_string(),
        (None, Out::Int(value)) if value != 0 => value.to_string(),
        (None, Out::Float(value)) if value != 0.0 => value.to_string(),
        (None, Out::String(text)) if !value.is_empty() => text,
        _ => String::new(),
    }
}
