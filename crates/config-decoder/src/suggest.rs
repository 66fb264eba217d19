//! "Did you mean": the known key that an unknown one was probably meant to be.

/// The one of `known` that is nearest to `word`, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = simplify(word);
    // A third of the letters may be wrong: `replacment`, `metric_port`, `masters_url`.
    let limit = plain.len().div_ceil(3);
    known
        .map(|name| (distance(&plain, &simplify(name)), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Letters and digits in lower case: `scrapeInterval`, `scrape-interval` and `scrape_interval` are
/// the same word.
fn simplify(word: &str) -> Vec<u8> {
    // A longer text is not a mistyped key.
    word.bytes()
        .filter(u8::is_ascii_alphanumeric)
        .map(|b| b.to_ascii_lowercase())
        .take(64)
        .collect()
}

/// How many letters must be inserted, removed, replaced or swapped with their neighbour.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let replaced = last[j] + usize::from(a[i] != b[j]);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant_and_nothing_else() {
        let known = ["masters", "refresh_interval", "metrics_port", "tls_config"];
        for (word, meant) in [
            ("master", Some("masters")),
            ("refreshInterval", Some("refresh_interval")),
            ("refersh_interval", Some("refresh_interval")),
            ("metric_port", Some("metrics_port")),
            ("tls-config", Some("tls_config")),
            ("x", None),
            ("", None),
            ("labels", None),
        ] {
            assert_eq!(nearest(word, known.into_iter()), meant, "{word}");
        }
    }
}
