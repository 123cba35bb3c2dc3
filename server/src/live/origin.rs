//! Which pages may open a WebSocket: browsers let any page do it, and tell only where the page is from.

use axum::http::{HeaderMap, header};

/// Origins of other sites whose pages may open WebSockets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedOrigins {
    all: bool,
    listed: Vec<String>,
}

/// The page's origin is not one that may open a WebSocket.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "pages of {origin} may not open a WebSocket here; allow it with --allowed-origins (MESHCORE_SERVER_ALLOWED_ORIGINS)"
)]
pub(crate) struct WrongOrigin {
    origin: String,
}

impl AllowedOrigins {
    /// Reads a list separated by commas, such as `https://a.example,http://localhost:5173`; `*` allows all.
    /// `None` when an entry is no origin.
    pub fn parse(text: &str) -> Option<Self> {
        let mut allowed = Self::default();
        for entry in text.split(',').map(str::trim).filter(|e| !e.is_empty()) {
            if entry == "*" {
                allowed.all = true;
            } else {
                allowed.listed.push(normal(entry)?);
            }
        }
        Some(allowed)
    }

    /// Lets pages of the same site, of listed sites, and programs that are no browser (they send no origin)
    /// pass.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), WrongOrigin> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else {
            return Ok(());
        };
        let text = String::from_utf8_lossy(origin.as_bytes()).into_owned();
        let wrong = WrongOrigin {
            origin: text.chars().take(200).collect(),
        };
        if self.all {
            return Ok(());
        }
        if origins.next().is_some() {
            return Err(wrong);
        }
        let Some(origin) = normal(&text) else {
            return Err(wrong);
        };
        let is_same = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .is_some_and(|host| is_same_site(&origin, host));
        if is_same || self.listed.contains(&origin) {
            Ok(())
        } else {
            Err(wrong)
        }
    }
}

/// An origin in the form in which two that mean the same are equal.
fn normal(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let (scheme, authority) = text.split_once("://")?;
    let is_web = matches!(scheme, "http" | "https");
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let is_authority = !authority.is_empty()
        && authority
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b));
    (is_web && is_authority)
        .then(|| format!("{scheme}://{}", without_default_port(scheme, authority)))
}

fn without_default_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let port = if scheme == "https" { ":443" } else { ":80" };
    authority.strip_suffix(port).unwrap_or(authority)
}

/// Whether `host`, as the browser asked for it, is the site of `origin`. The scheme is the origin's: behind a
/// proxy that ends TLS this server sees plain HTTP.
fn is_same_site(origin: &str, host: &str) -> bool {
    origin.split_once("://").is_some_and(|(scheme, authority)| {
        authority == without_default_port(scheme, &host.to_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    fn passes(allowed: &str, host: &str, origin: &str) -> bool {
        let allowed = AllowedOrigins::parse(allowed).unwrap();
        allowed.check(&headers(host, Some(origin))).is_ok()
    }

    #[test]
    fn programs_that_are_no_browser_pass() {
        let nothing = AllowedOrigins::default();
        assert_eq!(nothing.check(&headers("mesh.example", None)), Ok(()));
    }

    #[test]
    fn pages_of_the_same_site_pass_and_others_do_not() {
        for (host, origin, expected) in [
            ("mesh.example", "https://mesh.example", true),
            ("Mesh.Example:443", "https://mesh.example", true),
            ("127.0.0.1:8080", "http://127.0.0.1:8080", true),
            ("[::1]:8080", "http://[::1]:8080", true),
            ("mesh.example", "http://mesh.example:8080", false),
            ("mesh.example:443", "http://mesh.example", false),
            ("mesh.example", "https://evil.example", false),
            ("mesh.example", "https://mesh.example.evil.example", false),
            ("mesh.example", "https://evil.example/mesh.example", false),
            ("mesh.example", "https://user@mesh.example", false),
            ("mesh.example", "null", false),
            ("mesh.example", "", false),
            ("", "https://", false),
        ] {
            assert_eq!(passes("", host, origin), expected, "{host} {origin}");
        }
    }

    #[test]
    fn listed_sites_pass_with_their_scheme_and_port_only() {
        let list = "https://App.example, http://localhost:5173";
        assert!(passes(list, "mesh.example", "https://app.example"));
        assert!(passes(list, "mesh.example", "https://app.example:443"));
        assert!(passes(list, "mesh.example", "http://localhost:5173"));
        assert!(!passes(list, "mesh.example", "http://app.example"));
        assert!(!passes(list, "mesh.example", "http://localhost:5174"));
        assert!(passes("*", "mesh.example", "https://anything.example"));
        assert!(passes("*", "mesh.example", "null"));
    }

    #[test]
    fn a_list_with_something_else_in_it_is_refused() {
        for list in [
            "mesh.example",
            "ftp://a.example",
            "https://a.example/path",
            "https://",
        ] {
            assert_eq!(AllowedOrigins::parse(list), None, "{list}");
        }
    }

    #[test]
    fn two_origins_are_one_too_many() {
        let mut both = headers("mesh.example", Some("https://mesh.example"));
        both.append(header::ORIGIN, "https://evil.example".parse().unwrap());
        assert!(AllowedOrigins::default().check(&both).is_err());
    }
}
