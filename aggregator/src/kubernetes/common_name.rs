//! The common name of a certificate, which TLS has verified and does not tell.

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// Object identifier 2.5.4.3, `commonName` (RFC 5280, appendix A.1).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const OBJECT_IDENTIFIER: u8 = 0x06;

/// The last common name in the subject of a certificate in DER, as Go's `pkix.Name` has it; `None`
/// without one.
pub(super) fn common_name(certificate: &[u8]) -> Option<String> {
    let certificate = CertificateDer::from(certificate);
    let certificate = EndEntityCert::try_from(&certificate).ok()?;
    in_subject(certificate.subject())
}

/// A subject is a sequence of sets of pairs of an identifier and a text (RFC 5280, 4.1.2.4).
fn in_subject(mut sets: &[u8]) -> Option<String> {
    let mut name = None;
    while let Some((_, mut set)) = next(&mut sets) {
        while let Some((_, mut pair)) = next(&mut set) {
            let Some((OBJECT_IDENTIFIER, COMMON_NAME)) = next(&mut pair) else { continue };
            let text = next(&mut pair).map(|(_, text)| text.to_vec());
            name = text.and_then(|text| String::from_utf8(text).ok());
        }
    }
    name
}

/// Takes the next element of DER: its tag and content. `None` at the end, and where it is not DER.
fn next<'a>(input: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (tag, rest) = input.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        // Longer than any name, or of no stated length, which DER has not.
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *input = rest;
    Some((*tag, content))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate(names: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, text) in names {
            params.distinguished_name.push(kind.clone(), *text);
        }
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_common_name_is_found_among_other_names() {
        let long = "n".repeat(300);
        for name in ["front-proxy-client", "ü", &long] {
            let names = [(DnType::OrganizationName, "masters"), (DnType::CommonName, name)];
            assert_eq!(common_name(&certificate(&names)).as_deref(), Some(name));
        }
    }

    #[test]
    fn what_has_no_common_name_has_none() {
        assert_eq!(common_name(&certificate(&[(DnType::OrganizationName, "front-proxy")])), None);
        assert_eq!(common_name(b"not a certificate"), None);
        for cut in 1..20 {
            let whole: &[u8] = &[0x31, 18, 0x30, 16, 6, 3, 0x55, 4, 3, 12, 9, 102, 114, 111, 110];
            let part = whole.get(..cut).unwrap_or(whole);
            assert_eq!(in_subject(part), None, "of {cut} bytes");
        }
    }
}
