use axum::http::{HeaderName, HeaderValue};
use rcgen::{CertificateParams, DnType, KeyPair};

use super::*;

fn data(more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut data: BTreeMap<String, String> = [
        ("requestheader-client-ca-file", "-----BEGIN CERTIFICATE-----"),
        ("requestheader-allowed-names", r#"["front-proxy"]"#),
        ("requestheader-username-headers", r#"["X-Remote-User"]"#),
        ("requestheader-group-headers", r#"["X-Remote-Group"]"#),
        ("requestheader-extra-headers-prefix", r#"["X-Remote-Extra-"]"#),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    for (key, value) in more {
        data.insert((*key).to_owned(), (*value).to_owned());
    }
    data
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

fn certificate(name: &str) -> Vec<u8> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

#[test]
fn the_front_proxy_names_the_caller() {
    let proxy = FrontProxy::from_data(&data(&[])).unwrap();
    let headers = headers(&[
        ("X-Remote-User", "system:serviceaccount:kube-system:horizontal-pod-autoscaler"),
        ("X-Remote-Group", "system:serviceaccounts"),
        ("X-Remote-Group", "system:authenticated"),
        ("X-Remote-Extra-Example.com%2fScope", "a"),
    ]);
    let caller = proxy.caller(Some(&certificate("front-proxy")), &headers).unwrap();
    assert_eq!(caller.user, "system:serviceaccount:kube-system:horizontal-pod-autoscaler");
    assert_eq!(caller.groups, ["system:serviceaccounts", "system:authenticated"]);
    let extra = BTreeMap::from([("example.com/scope".to_owned(), vec!["a".to_owned()])]);
    assert_eq!(caller.extra, extra);
}

#[test]
fn headers_alone_make_nobody_anybody() {
    let proxy = FrontProxy::from_data(&data(&[])).unwrap();
    let admin = headers(&[("X-Remote-User", "admin"), ("X-Remote-Group", "system:masters")]);
    assert_eq!(proxy.caller(None, &admin), Err(NotAuthenticated::NoCertificate));
    // Of the same authority, but not the front proxy.
    let wrong = NotAuthenticated::WrongName("kubelet".to_owned());
    assert_eq!(proxy.caller(Some(&certificate("kubelet")), &admin), Err(wrong));
    let nobody = proxy.caller(Some(&certificate("front-proxy")), &HeaderMap::new());
    assert_eq!(nobody, Err(NotAuthenticated::NoUser));
}

#[test]
fn without_allowed_names_the_authority_decides() {
    let proxy = FrontProxy::from_data(&data(&[("requestheader-allowed-names", "[]")])).unwrap();
    let user = headers(&[("X-Remote-User", "web")]);
    assert_eq!(proxy.caller(Some(&certificate("any")), &user).unwrap().user, "web");
}

#[test]
fn a_cluster_without_a_front_proxy_is_refused_with_what_is_missing() {
    let without = |key: &str| {
        let mut data = data(&[]);
        data.remove(key);
        FrontProxy::from_data(&data).unwrap_err().to_string()
    };
    for field in ["requestheader-client-ca-file", "requestheader-username-headers"] {
        assert!(without(field).contains(field), "{}", without(field));
    }
    let broken = FrontProxy::from_data(&data(&[("requestheader-allowed-names", "front-proxy")]));
    assert!(broken.is_err(), "names that cannot be read are not no names");
}
