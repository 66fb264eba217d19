//! The pages: plain HTML, without scripts. Each renders one view (`crate::view`).

mod escape;
mod index;
mod source;
mod swarm;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use maud::{DOCTYPE, Markup, html};
use swarmscout_server::text;
use xxhash_rust::xxh3::xxh3_64;

use self::escape::Visible;
pub(super) use self::index::index;
use super::{App, links};

const STYLE: &str = include_str!("style.css");
const ICON: &str = include_str!("icon.svg");

/// The answer for a path that does not exist.
pub(super) async fn not_found(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    if !accept.is_some_and(|accept| accept.contains("text/html")) {
        return text(StatusCode::NOT_FOUND, "404 page not found\n");
    }
    let body = html! {
        h2 { "Page not found" }
        p { code { (Visible(uri.path())) } }
        p { a href=(path(&app, "/")) { "Overview" } }
    };
    respond(StatusCode::NOT_FOUND, &page(&app, "Not found", &body))
}

pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

pub(super) async fn icon() -> Response {
    asset("image/svg+xml", ICON)
}

/// Never changes: its address holds a digest of its content.
fn asset(content_type: &'static str, content: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    (headers, content).into_response()
}

fn respond(status: StatusCode, page: &Markup) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, page.0.clone()).into_response()
}

fn path(app: &App, below: &str) -> String {
    format!("{}{below}", links::path_prefix(app.server.options()))
}

fn page(app: &App, title: &str, body: &Markup) -> Markup {
    let style = path(app, &format!("/style.css?v={:016x}", xxh3_64(STYLE.as_bytes())));
    let icon = path(app, &format!("/icon.svg?v={:016x}", xxh3_64(ICON.as_bytes())));
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="icon" type="image/svg+xml" href=(icon);
                link rel="stylesheet" href=(style);
            }
            body {
                header {
                    a.name href=(path(app, "/")) {
                        img src=(icon) alt="" width="28" height="28";
                        (app.context.options.page_title)
                    }
                    span.version { (app.context.program.build.version) }
                }
                main { (body) }
            }
        }
    }
}

/// A duration in its two largest units: `2 h 5 min`.
fn age(age: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let seconds = age.as_secs();
    let largest = UNITS.iter().position(|(size, _)| seconds >= *size).unwrap_or(UNITS.len() - 1);
    let (size, unit) = UNITS[largest];
    let rest =
        UNITS.get(largest + 1).map(|(size, unit)| ((seconds % UNITS[largest].0) / size, unit));
    match rest {
        Some((count, next)) if count > 0 => format!("{} {unit} {count} {next}", seconds / size),
        _ => format!("{} {unit}", seconds / size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (125, "2 min 5 s"),
            (3600, "1 h"),
            (7503, "2 h 5 min"),
            (86_400 * 3 + 59, "3 d"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), expected);
        }
    }
}
