//! What is shown at most, so that an answer has a bounded size whatever is explained.

/// Cuts a text to this many bytes.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.len() {
        length if length <= most => text.to_owned(),
        _ => format!("{}…", &text[..text.floor_char_boundary(most)]),
    }
}

/// The most bytes of a name or an ID.
pub(super) const NAME: usize = 256;

/// The most bytes of a sentence.
pub(super) const SENTENCE: usize = 1024;

/// The first of some texts, and how many more there are: `a, b and 3 more`.
pub(super) fn join(texts: impl IntoIterator<Item: AsRef<str>>, most: usize) -> String {
    let mut texts = texts.into_iter();
    let first: Vec<_> = texts.by_ref().take(most).map(|text| cut(text.as_ref(), NAME)).collect();
    match texts.count() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
