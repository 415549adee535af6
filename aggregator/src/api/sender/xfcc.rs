//! Reads `x-forwarded-client-cert`, in which Envoy says whose certificate a request came with.
//!
//! Elements are separated by commas, one for each proxy on the way, the nearest last; an element is
//! pairs `Key=value`, separated by semicolons; a value may stand in double quotes, in which a quote
//! is `\"` (Envoy, "HTTP header manipulation", x-forwarded-client-cert). Only the last element was
//! written by the proxy in front of us: with `APPEND_FORWARD`, which Istio's sidecars use on their
//! way in, the others are what the sender says of itself, and may be anything, such as a quote that
//! nobody closes. So the last element is looked for from the end.

use std::fmt;

use thiserror::Error;

const SCHEME: &str = "spiffe://";

/// A workload's identity: `spiffe://TRUST/ns/NAMESPACE/sa/ACCOUNT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api) struct Sender {
    trust_domain: String,
    /// Its namespace.
    pub(in crate::api) namespace: String,
    /// Its service account.
    pub(in crate::api) account: String,
}

impl fmt::Display for Sender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trust_domain, namespace, account } = self;
        write!(formatter, "{SCHEME}{trust_domain}/ns/{namespace}/sa/{account}")
    }
}

/// Why a header says nothing that one could rely on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(in crate::api) enum Unreadable {
    /// The header came more than once.
    #[error("the header came more than once")]
    SeveralLines,
    /// Not text, or quotes that are not closed.
    #[error("its last element is not as Envoy writes it")]
    Malformed,
    /// The certificate has no identity, or several.
    #[error("its last element has not one URI")]
    NotOneUri,
    /// An identity of another form than a mesh gives to workloads.
    #[error("its URI is not spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT")]
    NoWorkload,
    /// An identity that another authority gives: its namespaces are not ours.
    #[error("its trust domain is not that of the proxy in front of the aggregator")]
    OtherTrustDomain,
}

/// Whose certificate the nearest proxy saw.
pub(super) fn nearest(header: &[u8]) -> Result<Sender, Unreadable> {
    let element = std::str::from_utf8(last(header)?).map_err(|_| Unreadable::Malformed)?;
    let (mut uris, mut own) = (Vec::new(), Vec::new());
    for pair in parts(element, b';') {
        let (key, value) = pair.split_once('=').ok_or(Unreadable::Malformed)?;
        let value = unquoted(value)?;
        if key.eq_ignore_ascii_case("uri") {
            uris.push(value);
        } else if key.eq_ignore_ascii_case("by") {
            own.push(value);
        }
    }
    // SPIFFE allows a certificate one URI alone (X.509-SVID, section 2).
    let [uri] = uris.as_slice() else { return Err(Unreadable::NotOneUri) };
    let sender = workload(uri).ok_or(Unreadable::NoWorkload)?;
    let is_ours = |own: &&str| {
        let domain = own.strip_prefix(SCHEME).and_then(|own| own.split('/').next());
        domain.is_none_or(|domain| domain == sender.trust_domain)
    };
    if own.iter().all(is_ours) { Ok(sender) } else { Err(Unreadable::OtherTrustDomain) }
}

/// The last element. Quotes are counted from the end, where the proxy wrote them.
fn last(header: &[u8]) -> Result<&[u8], Unreadable> {
    let mut quoted = false;
    for (at, byte) in header.iter().enumerate().rev() {
        match byte {
            b'"' if !is_escaped(header, at) => quoted = !quoted,
            b',' if !quoted => return Ok(header.get(at + 1..).unwrap_or_default()),
            _ => {}
        }
    }
    if quoted { Err(Unreadable::Malformed) } else { Ok(header) }
}

/// Whether an odd number of backslashes stands before a place.
fn is_escaped(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// Splits at a separator that does not stand in quotes.
fn parts(text: &str, separator: u8) -> Vec<&str> {
    let bytes = text.as_bytes();
    let (mut parts, mut begin, mut quoted) = (Vec::new(), 0, false);
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == b'"' && !is_escaped(bytes, at) {
            quoted = !quoted;
        } else if *byte == separator && !quoted {
            parts.push(text.get(begin..at).unwrap_or_default());
            begin = at + 1;
        }
    }
    parts.push(text.get(begin..).unwrap_or_default());
    parts
}

/// A value without the quotes around it; none may stand elsewhere unless it is escaped.
fn unquoted(value: &str) -> Result<&str, Unreadable> {
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let bytes = inner.as_bytes();
    let is_bare = |(at, byte): (usize, &u8)| *byte == b'"' && !is_escaped(bytes, at);
    if bytes.iter().enumerate().any(is_bare) { Err(Unreadable::Malformed) } else { Ok(inner) }
}

fn workload(uri: &str) -> Option<Sender> {
    let parts: Vec<_> = uri.strip_prefix(SCHEME)?.split('/').collect();
    let [trust_domain, "ns", namespace, "sa", account] = parts.as_slice() else { return None };
    // What Kubernetes and SPIFFE allow in these names, so that no other spelling means the same.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let named = |name: &str| (1..=253).contains(&name.len()) && name.chars().all(is_plain);
    [trust_domain, namespace, account].into_iter().all(|name| named(name)).then(|| Sender {
        trust_domain: (*trust_domain).to_owned(),
        namespace: (*namespace).to_owned(),
        account: (*account).to_owned(),
    })
}

#[cfg(test)]
mod tests;
