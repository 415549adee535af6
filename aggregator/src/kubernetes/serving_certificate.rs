//! A certificate for the external metrics API that needs nobody else: made here, shared by all
//! aggregators through a Secret, and made known to kube-apiserver in the `APIService`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use serde_json::json;
use time::OffsetDateTime;

use super::target::within;
use super::{FIELD_MANAGER, KubernetesError};
use crate::config::ServiceName;
use crate::units::Timestamp;

/// Name of the `APIService` of external metrics.
pub const EXTERNAL_METRICS: &str = "v1beta1.external.metrics.k8s.io";
/// How long a certificate is good.
const GOOD_FOR: Duration = Duration::from_hours(365 * 24);
/// Age at which the next is made.
const RENEWED_AFTER: Duration = Duration::from_hours(270 * 24);
/// Clocks that are so much behind take a new certificate.
const CLOCKS_DIFFER: Duration = Duration::from_hours(1);
/// Tries when several aggregators make the Secret at once.
const TRIES: usize = 5;
/// Annotations of the Secret.
const RENEW_AFTER: &str = "foresail.dev/renew-after";
const MADE_FOR: &str = "foresail.dev/made-for";
/// Entries of the Secret.
const CERT: &str = "tls.crt";
const KEY: &str = "tls.key";
/// What kube-apiserver trusts: this certificate, and the one before it, which other aggregators
/// may still show for a moment.
const TRUSTED: &str = "ca.crt";

/// A certificate with its private key, PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct ServingPair {
    /// The certificate, followed by those that vouch for it.
    pub cert: String,
    /// Its private key.
    pub key: String,
}

impl fmt::Debug for ServingPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key belongs in no log.
        formatter.debug_struct("ServingPair").field("cert", &self.cert).finish_non_exhaustive()
    }
}

/// The certificate of all aggregators behind one Service.
#[derive(Clone)]
pub struct SharedCertificate {
    client: Client,
    service: ServiceName,
}

impl fmt::Debug for SharedCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("SharedCertificate").field(&self.service).finish()
    }
}

impl SharedCertificate {
    /// That of a Service.
    pub const fn new(client: Client, service: ServiceName) -> Self {
        Self { client, service }
    }

    /// The certificate to show at `now`: that of the Secret, which is made or renewed when it must
    /// be.
    ///
    /// # Errors
    /// When the cluster does not answer or the Secret may not be read and written.
    pub async fn pair(&self, now: Timestamp) -> Result<ServingPair, KubernetesError> {
        let secret = self.secret(now).await?;
        let missing = || KubernetesError::Contended { name: self.secret_name() };
        let pair = entry(&secret, CERT).zip(entry(&secret, KEY));
        let (cert, key) = pair.ok_or_else(missing)?;
        Ok(ServingPair { cert, key })
    }

    /// Tells kube-apiserver to trust what the Secret says, when it does not yet.
    ///
    /// # Errors
    /// When there is no `APIService`, it belongs to another server, or it may not be changed.
    pub async fn make_trusted(&self, now: Timestamp) -> Result<(), KubernetesError> {
        let trusted = self.secret(now).await?.data.and_then(|mut data| data.remove(TRUSTED));
        let services: Api<APIService> = Api::all(self.client.clone());
        let service = within(async { Ok(services.get(EXTERNAL_METRICS).await?) }).await?;
        let spec = service.spec.unwrap_or_default();
        let owner = spec.service.unwrap_or_default();
        let owner =
            format!("{}/{}", owner.namespace.unwrap_or_default(), owner.name.unwrap_or_default());
        let wanted = format!("{}/{}", self.service.namespace, self.service.name);
        if owner != wanted {
            return Err(KubernetesError::NotOurs { name: EXTERNAL_METRICS, owner, wanted });
        }
        if spec.ca_bundle == trusted {
            return Ok(());
        }
        // Guarded by the version: it may have been given to another server in between.
        let patch = Patch::Merge(json!({
            "metadata": {"resourceVersion": service.metadata.resource_version},
            "spec": {"caBundle": trusted},
        }));
        let by = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
        within(async { Ok(services.patch(EXTERNAL_METRICS, &by, &patch).await?) }).await?;
        tracing::info!(api_service = EXTERNAL_METRICS, "kube-apiserver trusts the certificate");
        Ok(())
    }

    fn secret_name(&self) -> String {
        format!("{}-external-metrics-tls", self.service.name)
    }

    /// Name under which kube-apiserver connects.
    fn host(&self) -> String {
        format!("{}.{}.svc", self.service.name, self.service.namespace)
    }

    /// The Secret with a certificate that is good at `now`.
    async fn secret(&self, now: Timestamp) -> Result<Secret, KubernetesError> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.service.namespace);
        let name = self.secret_name();
        let by = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
        for _ in 0..TRIES {
            let found = within(async { Ok(secrets.get_opt(&name).await?) }).await?;
            if let Some(found) = found.as_ref().filter(|found| self.is_good(found, now)) {
                return Ok(found.clone());
            }
            let next = self.next_secret(found.as_ref(), now)?;
            let written = within(async {
                let written = match &found {
                    None => secrets.create(&by, &next).await,
                    Some(_) => secrets.replace(&name, &by, &next).await,
                };
                match written {
                    // Another aggregator was faster: look at what it made.
                    Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
                    written => Ok(Some(written?)),
                }
            });
            if let Some(written) = written.await? {
                tracing::info!(secret = %name, "a certificate is made");
                return Ok(written);
            }
        }
        Err(KubernetesError::Contended { name: format!("{}/{name}", self.service.namespace) })
    }

    fn is_good(&self, secret: &Secret, now: Timestamp) -> bool {
        let annotation = |key| secret.metadata.annotations.as_ref()?.get(key).map(String::as_str);
        let renew_after: Option<u64> = annotation(RENEW_AFTER).and_then(|text| text.parse().ok());
        renew_after.is_some_and(|at| now < Timestamp::from_secs(at))
            && annotation(MADE_FOR) == Some(&*self.host())
            && [CERT, KEY, TRUSTED].iter().all(|name| entry(secret, name).is_some())
    }

    /// What comes after `found`.
    fn next_secret(
        &self,
        found: Option<&Secret>,
        now: Timestamp,
    ) -> Result<Secret, KubernetesError> {
        let pair = make(&self.host(), now).map_err(KubernetesError::Certificate)?;
        let before = found.and_then(|found| entry(found, CERT)).unwrap_or_default();
        let trusted = pair.cert.clone() + &before;
        let data = [(CERT, pair.cert), (KEY, pair.key), (TRUSTED, trusted)];
        let renew_after = (now + RENEWED_AFTER).as_micros() / 1_000_000;
        let annotations = [(RENEW_AFTER, renew_after.to_string()), (MADE_FOR, self.host())];
        let owned = |(key, text): (&str, String)| (key.to_owned(), text);
        Ok(Secret {
            metadata: ObjectMeta {
                name: Some(self.secret_name()),
                annotations: Some(annotations.map(owned).into()),
                resource_version: found.and_then(|found| found.metadata.resource_version.clone()),
                ..ObjectMeta::default()
            },
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(BTreeMap::from(
                data.map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes()))),
            )),
            ..Secret::default()
        })
    }
}

fn entry(secret: &Secret, name: &str) -> Option<String> {
    let ByteString(bytes) = secret.data.as_ref()?.get(name)?;
    String::from_utf8(bytes.clone()).ok().filter(|text| !text.is_empty())
}

/// A certificate for a host that vouches for itself: whoever trusts it trusts nothing else.
fn make(host: &str, now: Timestamp) -> Result<ServingPair, rcgen::Error> {
    let date = |at: Timestamp| {
        let secs = i64::try_from(at.as_micros() / 1_000_000).unwrap_or(i64::MAX);
        OffsetDateTime::from_unix_timestamp(secs).map_err(|_| rcgen::Error::Time)
    };
    let mut params = CertificateParams::new(vec![host.to_owned()])?;
    params.not_before = date(now - CLOCKS_DIFFER)?;
    params.not_after = date(now + GOOD_FOR)?;
    params.distinguished_name.push(DnType::CommonName, "foresail external metrics");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    Ok(ServingPair { cert: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
}
