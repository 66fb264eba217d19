//! Text from outside, made visible.

use std::fmt::Write as _;

use maud::{Escaper, Render};

/// Text whose characters are all visible: control characters, and those that change the
/// direction or hide what follows, are written as `\u{…}`. Markup has no effect in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visible<'a>(pub(super) &'a str);

impl Render for Visible<'_> {
    fn render_to(&self, out: &mut String) {
        let mut escaper = Escaper::new(out);
        for c in self.0.chars() {
            let written = match c {
                '\n' => escaper.write_char(c),
                _ if c.is_control() || is_invisible(c) => write!(escaper, "{}", c.escape_unicode()),
                _ => escaper.write_char(c),
            };
            written.expect("writing to memory never fails");
        }
    }
}

/// Marks of direction, joiners, tags, and what is never shown.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_hidden_and_nothing_is_markup() {
        for (text, expected) in [
            ("plain ü 漢", "plain ü 漢"),
            ("<b a=\"x\">&", "&lt;b a=&quot;x&quot;&gt;&amp;"),
            ("a\x1b[31m\0b", "a\\u{1b}[31m\\u{0}b"),
            ("a\u{202e}b\u{200b}", "a\\u{202e}b\\u{200b}"),
            ("two\nlines", "two\nlines"),
        ] {
            assert_eq!(Visible(text).render().0, expected);
        }
    }
}
