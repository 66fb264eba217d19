//! The table.

use std::fmt::Display;

/// Prints rows as they come.
#[derive(Debug)]
pub struct Report(());

impl Report {
    #[expect(clippy::print_stdout, reason = "the table is the output")]
    pub fn new() -> Self {
        println!("| what | ours | peer | ours/peer | wanted |");
        println!("|---|---|---|---|---|");
        Self(())
    }

    /// One figure, lower is better; `show` writes it with its unit.
    #[expect(clippy::unused_self, reason = "a row needs its table's head before it")]
    #[expect(clippy::print_stdout, reason = "the table is the output")]
    pub fn row<T: Display>(
        &mut self,
        what: &str,
        ours: f64,
        peer: Option<f64>,
        wanted: &str,
        show: impl Fn(f64) -> T,
    ) {
        let theirs = peer.map_or_else(String::new, |peer| show(peer).to_string());
        let ratio = peer.map_or_else(String::new, |peer| format!("{:.3}", ours / peer));
        println!("| {what} | {} | {theirs} | {ratio} | {wanted} |", show(ours));
    }
}

/// `0.123 s`.
pub fn seconds(figure: f64) -> String {
    format!("{figure:.3} s")
}

/// `12.3 MiB`.
pub fn mebibytes(figure: f64) -> String {
    format!("{:.1} MiB", figure / f64::from(1 << 20))
}

/// `12`.
pub fn count(figure: f64) -> String {
    format!("{figure:.0}")
}

/// `12.3 ms`.
pub fn milliseconds(figure: f64) -> String {
    format!("{:.1} ms", figure * 1000.0)
}
