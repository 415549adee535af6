//! Settings of what other autoscalers ask: the external metrics API of Kubernetes, and KEDA's
//! external scaler. Both are off unless they are named.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value;

use super::reader::{Problem, Section, problem};

/// `external.metrics.k8s.io/v1beta1`, as kube-apiserver asks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalMetricsConfig {
    /// Address to listen on, always with TLS. Required.
    pub listen: SocketAddr,
    /// What is shown to kube-apiserver. Required.
    pub certificate: ServingCertificate,
}

/// Where a server's certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServingCertificate {
    /// `tls: { cert, key }`: files that somebody else keeps, read again when they change. The
    /// `caBundle` of the `APIService` is theirs, too.
    Files(CertificateFiles),
    /// `tls: { service: NAMESPACE/NAME }`: self-made for the Service of the `APIService`, kept in a
    /// Secret beside it so that several aggregators show the same, and written to its `caBundle`.
    SelfMade(ServiceName),
}

/// PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, followed by those that vouch for it.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A Service of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// KEDA's external scaler, by gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KedaConfig {
    /// Address to listen on. Required.
    pub listen: SocketAddr,
    /// Default: none; the mesh's TLS, or none at all.
    pub tls: Option<KedaTls>,
}

/// TLS of the external scaler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KedaTls {
    /// What is shown to KEDA.
    pub files: CertificateFiles,
    /// PEM file of who vouches for KEDA's certificate, which is then demanded. Default: none is.
    pub client_ca: Option<PathBuf>,
}

const ADDRESS: &str = "an address and port such as 0.0.0.0:9443";
const PATH: &str = "the path of a PEM file";

/// Reads `external_metrics`; `None` when it is off, or a problem was found.
pub(super) fn read_external_metrics(
    top: &mut Section<'_>,
    problems: &mut Vec<Problem>,
) -> Option<ExternalMetricsConfig> {
    top.get("external_metrics")?;
    let mut s = top.section("external_metrics", problems);
    let listen = read_listen(&mut s, problems);
    let certificate = read_certificate(&mut s, problems);
    s.finish(problems);
    Some(ExternalMetricsConfig { listen: listen?, certificate: certificate? })
}

/// Reads `keda`; `None` when it is off, or a problem was found.
pub(super) fn read_keda(top: &mut Section<'_>, problems: &mut Vec<Problem>) -> Option<KedaConfig> {
    top.get("keda")?;
    let mut s = top.section("keda", problems);
    let listen = read_listen(&mut s, problems);
    let tls = read_keda_tls(&mut s, problems);
    s.finish(problems);
    Some(KedaConfig { listen: listen?, tls })
}

fn read_keda_tls(parent: &mut Section<'_>, problems: &mut Vec<Problem>) -> Option<KedaTls> {
    parent.get("tls")?;
    let mut s = parent.section("tls", problems);
    let files = read_files(&mut s, problems);
    let client_ca = s.read("client_ca", Some(None), PATH, problems, |v| path(v).map(Some));
    s.finish(problems);
    Some(KedaTls { files: files?, client_ca: client_ca? })
}

/// Names addresses that two of the listeners would share.
pub(super) fn check_listeners(all: &[(&str, Option<SocketAddr>)], problems: &mut Vec<Problem>) {
    for (at, (key, address)) in all.iter().enumerate() {
        let taken = all.iter().take(at).find(|(_, other)| other.is_some() && other == address);
        if let (Some(address), Some((other, _))) = (address, taken)
            && address.port() != 0
        {
            let value = Value::from(address.to_string());
            problems.push(problem(key, Some(&value), &format!("another address than {other}")));
        }
    }
}

fn read_listen(s: &mut Section<'_>, problems: &mut Vec<Problem>) -> Option<SocketAddr> {
    s.read("listen", None, ADDRESS, problems, |value| value.as_str()?.parse().ok())
}

fn read_certificate(
    parent: &mut Section<'_>,
    problems: &mut Vec<Problem>,
) -> Option<ServingCertificate> {
    let mut s = parent.section("tls", problems);
    let certificate = if s.get("service").is_some() {
        let valid = "NAMESPACE/NAME of the APIService's Service, without cert and key";
        let alone = s.get("cert").is_none() && s.get("key").is_none();
        let service = s.read("service", None, valid, problems, |value| {
            let (namespace, name) = value.as_str()?.split_once('/')?;
            let is_both = [namespace, name].iter().all(|part| is_dns_label(part));
            (is_both && alone)
                .then(|| ServiceName { namespace: namespace.to_owned(), name: name.to_owned() })
        });
        service.map(ServingCertificate::SelfMade)
    } else {
        read_files(&mut s, problems).map(ServingCertificate::Files)
    };
    s.finish(problems);
    certificate
}

fn read_files(s: &mut Section<'_>, problems: &mut Vec<Problem>) -> Option<CertificateFiles> {
    let cert = s.read("cert", None, PATH, problems, path);
    let key = s.read("key", None, PATH, problems, path);
    Some(CertificateFiles { cert: cert?, key: key? })
}

fn path(value: &Value) -> Option<PathBuf> {
    value.as_str().filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// A name as namespaces and Services have it (RFC 1123).
fn is_dns_label(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len())
        && text.chars().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::super::{Config, ConfigError, Problems};
    use super::*;

    #[test]
    fn both_are_off_unless_named() {
        let config = Config::from_yaml("{}").unwrap();
        assert_eq!((config.external_metrics, config.keda), (None, None));
    }

    #[test]
    fn a_certificate_is_of_files_or_self_made() {
        let text = "
external_metrics: { listen: '0.0.0.0:9443', tls: { service: mesh/foresail } }
keda: { listen: '127.0.0.1:9444', tls: { cert: c.pem, key: k.pem, client_ca: ca.pem } }
";
        let config = Config::from_yaml(text).unwrap();
        let service = ServiceName { namespace: "mesh".to_owned(), name: "foresail".to_owned() };
        let external = config.external_metrics.unwrap();
        assert_eq!(external.certificate, ServingCertificate::SelfMade(service));
        let tls = config.keda.unwrap().tls.unwrap();
        assert_eq!((tls.files.key, tls.client_ca), ("k.pem".into(), Some("ca.pem".into())));
        let text = "external_metrics: { listen: '[::]:9443', tls: { cert: a, key: b } }";
        let external = Config::from_yaml(text).unwrap().external_metrics.unwrap();
        let files = CertificateFiles { cert: "a".into(), key: "b".into() };
        assert_eq!(external.certificate, ServingCertificate::Files(files));
    }

    #[test]
    fn what_cannot_be_served_is_named_with_its_remedy() {
        for (text, key, valid) in [
            ("external_metrics: {}", "external_metrics.listen", "an address and port"),
            ("external_metrics: { listen: 'a:1' }", "external_metrics.tls.cert", "PEM file"),
            ("external_metrics: { tls: { cert: a } }", "external_metrics.tls.key", "PEM file"),
            (
                "external_metrics: { tls: { service: foresail } }",
                "external_metrics.tls.service",
                "NAMESPACE/NAME",
            ),
            (
                "external_metrics: { tls: { service: a/b, cert: c, key: d } }",
                "external_metrics.tls.service",
                "without cert and key",
            ),
            ("external_metrics: 9443", "external_metrics", "a mapping"),
            ("keda: { listen: '0.0.0.0:1', tls: {} }", "keda.tls.cert", "PEM file"),
            ("keda: { listen: '127.0.0.1:9900' }", "keda.listen", "another address than listen"),
            ("keda: { listen: '0.0.0.0:1', tsl: {} }", "keda.tsl", "one of listen, tls"),
        ] {
            let Err(ConfigError::Invalid(Problems(problems))) = Config::from_yaml(text) else {
                panic!("{text} was taken");
            };
            let found = problems.iter().any(|p| p.key == key && p.valid.contains(valid));
            assert!(found, "{text}: {problems:?}");
        }
    }
}
