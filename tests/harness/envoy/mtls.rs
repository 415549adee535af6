//! Mutual TLS as a mesh has it: one authority, and a certificate with a SPIFFE URI for each proxy.

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use serde_json::{Value, json};

const CONTEXT: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";

/// The authority of a mesh with the trust domain `cluster.local`.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// A transport socket for a listener that takes connections of this mesh alone, as Istio's
    /// sidecars do in the mode STRICT.
    pub fn server(&self, namespace: &str, account: &str) -> Result<Value> {
        let mut context = self.context("DownstreamTlsContext", namespace, account)?;
        if let Some(fields) = context.as_object_mut() {
            fields.insert("require_client_certificate".to_owned(), true.into());
        }
        Ok(json!({"name": "envoy.transport_sockets.tls", "typed_config": context}))
    }

    /// A transport socket for a cluster: what a proxy of this identity shows.
    pub fn client(&self, namespace: &str, account: &str) -> Result<Value> {
        let context = self.context("UpstreamTlsContext", namespace, account)?;
        Ok(json!({"name": "envoy.transport_sockets.tls", "typed_config": context}))
    }

    fn context(&self, kind: &str, namespace: &str, account: &str) -> Result<Value> {
        let uri = format!("spiffe://cluster.local/ns/{namespace}/sa/{account}");
        let mut params = CertificateParams::new(Vec::new())?;
        // Istio's certificates have no subject.
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(uri.as_str().try_into()?)];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        Ok(json!({
            "@type": format!("{CONTEXT}.{kind}"),
            "common_tls_context": {
                "tls_certificates": [{
                    "certificate_chain": {"inline_string": certificate.pem()},
                    "private_key": {"inline_string": key.serialize_pem()},
                }],
                "validation_context": {"trusted_ca": {"inline_string": self.0.pem()}},
            },
        }))
    }
}
