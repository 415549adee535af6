//! Who asks through kube-apiserver, and whether they may.
//!
//! kube-apiserver authenticates a caller, connects with a client certificate of its own, and names
//! the caller in headers. Which certificates and headers these are stands in the `ConfigMap`
//! `kube-system/extension-apiserver-authentication`; whether the caller may is asked with a
//! `SubjectAccessReview`. See "Configure the Aggregation Layer" in the Kubernetes documentation.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, PostParams};
use thiserror::Error;

use super::KubernetesError;
use super::common_name::common_name;
use super::target::within;
use crate::clock;
use crate::units::Timestamp;

const NAMESPACE: &str = "kube-system";
const CONFIG_MAP: &str = "extension-apiserver-authentication";
/// How long an answer to "may they?" is kept, as kube-apiserver's own default.
const REVIEW_KEPT: Duration = Duration::from_secs(10);
/// The most answers that are kept.
const MAX_REVIEWS: usize = 1024;

/// Why a caller is not who they say.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotAuthenticated {
    /// Ask through kube-apiserver.
    #[error("no client certificate of kube-apiserver's front proxy; ask through kube-apiserver")]
    NoCertificate,
    /// The certificate is trusted, but not for this.
    #[error("the client certificate's common name {0:?} is not that of the front proxy")]
    WrongName(String),
    /// The front proxy names nobody.
    #[error("the front proxy names no user")]
    NoUser,
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Caller {
    /// Name.
    pub user: String,
    /// Unique id, where the cluster gives one.
    pub uid: Option<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Whatever else is known of them.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// What kube-apiserver shows and says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrontProxy {
    /// Who vouches for its certificate, PEM.
    pub ca: String,
    /// Common names of its certificate; any when there are none.
    allowed_names: Vec<String>,
    user_headers: Vec<String>,
    uid_headers: Vec<String>,
    group_headers: Vec<String>,
    extra_prefixes: Vec<String>,
}

impl FrontProxy {
    /// Asks the cluster.
    ///
    /// # Errors
    /// When it does not answer, or has no front proxy.
    pub async fn load(client: &Client) -> Result<Self, KubernetesError> {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
        let map = within(async { Ok(maps.get(CONFIG_MAP).await?) }).await?;
        Self::from_data(&map.data.unwrap_or_default())
    }

    fn from_data(data: &BTreeMap<String, String>) -> Result<Self, KubernetesError> {
        let incomplete = |field| KubernetesError::NoFrontProxy { field };
        let list = |field: &'static str, is_required: bool| match data.get(field) {
            None if is_required => Err(incomplete(field)),
            None => Ok(Vec::new()),
            Some(text) => serde_json::from_str(text).map_err(|_| incomplete(field)),
        };
        let ca = data.get("requestheader-client-ca-file").filter(|ca| !ca.trim().is_empty());
        Ok(Self {
            ca: ca.cloned().ok_or_else(|| incomplete("requestheader-client-ca-file"))?,
            allowed_names: list("requestheader-allowed-names", false)?,
            user_headers: list("requestheader-username-headers", true)?,
            uid_headers: list("requestheader-uid-headers", false)?,
            group_headers: list("requestheader-group-headers", false)?,
            extra_prefixes: list("requestheader-extra-headers-prefix", false)?,
        })
    }

    /// The caller that headers name, when `certificate` (DER, and vouched for by
    /// [`FrontProxy::ca`], which TLS has checked) is the front proxy's.
    ///
    /// # Errors
    /// When it is not, or names nobody.
    pub fn caller(
        &self,
        certificate: Option<&[u8]>,
        headers: &HeaderMap,
    ) -> Result<Caller, NotAuthenticated> {
        let certificate = certificate.ok_or(NotAuthenticated::NoCertificate)?;
        let name = common_name(certificate).unwrap_or_default();
        if !self.allowed_names.is_empty() && !self.allowed_names.contains(&name) {
            return Err(NotAuthenticated::WrongName(name));
        }
        let first = |names: &[String]| {
            let mut values = names.iter().filter_map(|name| headers.get(name)?.to_str().ok());
            values.find(|value| !value.is_empty()).map(str::to_owned)
        };
        let groups = self.group_headers.iter().flat_map(|name| headers.get_all(name));
        let groups = groups.filter_map(|value| value.to_str().ok());
        Ok(Caller {
            user: first(&self.user_headers).ok_or(NotAuthenticated::NoUser)?,
            uid: first(&self.uid_headers),
            groups: groups.filter(|group| !group.is_empty()).map(str::to_owned).collect(),
            extra: self.extra(headers),
        })
    }

    fn extra(&self, headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        // Names in a HeaderMap are lower-case.
        let prefixes: Vec<_> = self.extra_prefixes.iter().map(|p| p.to_lowercase()).collect();
        for (name, value) in headers {
            let key = prefixes.iter().find_map(|prefix| name.as_str().strip_prefix(&**prefix));
            if let (Some(key), Ok(value)) = (key, value.to_str()) {
                extra.entry(percent_decoded(key)).or_default().push(value.to_owned());
            }
        }
        extra
    }
}

/// Text with its `%2f` read; as it stands where it cannot be.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let byte = after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let Some(byte) = byte else { return text.to_owned() };
        bytes.push(byte);
        rest = after.get(2..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// What a caller wants to read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reading {
    /// Namespace.
    pub namespace: String,
    /// API group.
    pub group: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Resource: here the metric's name.
    pub resource: String,
}

/// Asks the cluster who may what, and remembers the answers for a moment.
pub struct Reviews {
    client: Client,
    kept: Mutex<HashMap<(Caller, Reading), (bool, Timestamp)>>,
}

impl std::fmt::Debug for Reviews {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reviews").finish_non_exhaustive()
    }
}

impl Reviews {
    /// None asked yet.
    pub fn new(client: Client) -> Self {
        Self { client, kept: Mutex::default() }
    }

    /// Whether a caller may list what they want to read.
    ///
    /// # Errors
    /// When the cluster does not say.
    pub async fn may(&self, caller: &Caller, reading: &Reading) -> Result<bool, KubernetesError> {
        let question = (caller.clone(), reading.clone());
        let now = clock::now();
        let known = self.lock().get(&question).copied();
        if let Some((may, _)) = known.filter(|(_, at)| now.since(*at) < REVIEW_KEPT) {
            return Ok(may);
        }
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(caller.user.clone()),
                uid: caller.uid.clone(),
                groups: Some(caller.groups.clone()),
                extra: Some(caller.extra.clone()),
                resource_attributes: Some(ResourceAttributes {
                    namespace: Some(reading.namespace.clone()),
                    verb: Some("list".to_owned()),
                    group: Some(reading.group.to_owned()),
                    version: Some(reading.version.to_owned()),
                    resource: Some(reading.resource.clone()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let by = PostParams::default();
        let answer = within(async { Ok(reviews.create(&by, &review).await?) }).await?;
        let may = answer.status.is_some_and(|status| status.allowed);
        let mut kept = self.lock();
        if kept.len() >= MAX_REVIEWS {
            kept.retain(|_, (_, at)| now.since(*at) < REVIEW_KEPT);
        }
        if kept.len() < MAX_REVIEWS {
            kept.insert(question, (may, now));
        }
        Ok(may)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(Caller, Reading), (bool, Timestamp)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
