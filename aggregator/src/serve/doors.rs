//! The addresses for other autoscalers: external metrics of Kubernetes and KEDA's external scaler.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::listener::Door;
use super::tls::{self, Clients, Tls, TlsError};
use crate::api::{App, external_metrics_router, in_full, keda_router};
use crate::clock;
use crate::config::{Config, ExternalMetricsConfig, KedaConfig, KedaTls, ServingCertificate};
use crate::kubernetes::{FrontProxy, KubernetesError, Reviews, ServingPair, SharedCertificate};

/// Time between looks at certificates and at who may ask.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// The same while something is missing.
const TRY_AGAIN: Duration = Duration::from_secs(2);
/// Streams on one connection from kube-apiserver.
const STREAMS: u32 = 256;
/// Streams on one connection from KEDA, which has one for all its `ScaledObject`s with the same
/// settings, and a stream or two for each.
const KEDA_STREAMS: u32 = 16_384;

/// Why an address for other autoscalers cannot be opened.
#[derive(Debug, Error)]
pub enum DoorError {
    /// Somebody else listens there, or may not.
    #[error("{key}: cannot listen on {address}")]
    Listen {
        /// The setting.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The certificate in the files cannot be used. Correct the files or the paths.
    #[error("{key}: there is no TLS")]
    Tls {
        /// The setting.
        key: &'static str,
        /// Why.
        #[source]
        source: TlsError,
    },
}

/// Opens what is configured. The tasks that keep certificates fresh are added to `keepers`.
///
/// # Errors
/// When an address cannot be listened on, or a certificate in files cannot be used now. A cluster
/// that does not answer is asked again, and is no error.
pub(super) async fn open(
    config: &Config,
    client: Option<&kube::Client>,
    app: &Arc<App>,
    keepers: &mut JoinSet<()>,
) -> Result<Vec<Door>, DoorError> {
    let mut doors = Vec::new();
    if let (Some(external), Some(client)) = (&config.external_metrics, client) {
        doors.push(open_external_metrics(external, client, app, keepers).await?);
    }
    if let Some(keda) = &config.keda {
        doors.push(open_keda(keda, app, keepers).await?);
    }
    Ok(doors)
}

async fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, DoorError> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|source| DoorError::Listen { key, address, source })?;
    tracing::info!(%address, "{key}");
    Ok(listener)
}

async fn open_external_metrics(
    config: &ExternalMetricsConfig,
    client: &kube::Client,
    app: &Arc<App>,
    keepers: &mut JoinSet<()>,
) -> Result<Door, DoorError> {
    let key = "external_metrics.tls";
    if let ServingCertificate::Files(files) = &config.certificate {
        // A mistake in a path is said at once, not every few seconds.
        let pair = tls::read_pair(files).await;
        pair.and_then(|pair| tls::settings(&pair, Clients::Unasked))
            .map_err(|source| DoorError::Tls { key, source })?;
    }
    let (front_proxy, known_front_proxy) = watch::channel(None);
    let (settings, current_settings) = watch::channel(None);
    let keeper = Keeper {
        certificate: config.certificate.clone(),
        client: client.clone(),
        front_proxy,
        settings,
        shown: None,
    };
    keepers.spawn(keeper.keep());
    Ok(Door {
        listener: listen("external_metrics.listen", config.listen).await?,
        router: external_metrics_router(
            Arc::clone(app),
            known_front_proxy,
            Reviews::new(client.clone()),
        ),
        tls: Some(Tls::new(current_settings)),
        max_streams: STREAMS,
    })
}

/// Why external metrics cannot be asked for at the moment.
#[derive(Debug, Error)]
enum KeepError {
    #[error(transparent)]
    Kubernetes(#[from] KubernetesError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Keeps fresh what external metrics are served with.
struct Keeper {
    certificate: ServingCertificate,
    client: kube::Client,
    front_proxy: watch::Sender<Option<Arc<FrontProxy>>>,
    settings: watch::Sender<Option<Arc<ServerConfig>>>,
    /// What the settings were made from.
    shown: Option<(ServingPair, String)>,
}

impl Keeper {
    async fn keep(mut self) {
        let mut works = None;
        loop {
            let result = self.look().await;
            // A failure that lasts is said once.
            let said = result.as_ref().err().map(|error| in_full(error));
            if works.as_ref() != Some(&said) {
                match &said {
                    None => tracing::info!("external metrics can be asked for"),
                    Some(cause) => tracing::warn!(cause, "external metrics cannot be asked for"),
                }
                works = Some(said);
            }
            tokio::time::sleep(if result.is_ok() { LOOK_AGAIN } else { TRY_AGAIN }).await;
        }
    }

    /// Looks once. What cannot be renewed stays as it was.
    async fn look(&mut self) -> Result<(), KeepError> {
        let proxy = FrontProxy::load(&self.client).await?;
        let now = clock::now();
        let shared = match &self.certificate {
            ServingCertificate::Files(_) => None,
            ServingCertificate::SelfMade(service) => {
                Some(SharedCertificate::new(self.client.clone(), service.clone()))
            }
        };
        let pair = match (&self.certificate, &shared) {
            (_, Some(shared)) => shared.pair(now).await?,
            (ServingCertificate::Files(files), None) => tls::read_pair(files).await?,
            (ServingCertificate::SelfMade(_), None) => return Ok(()),
        };
        let next = (pair, proxy.ca.clone());
        if self.shown.as_ref() != Some(&next) {
            let settings = tls::settings(&next.0, Clients::May(&next.1))?;
            self.settings.send_replace(Some(settings));
            self.shown = Some(next);
        }
        self.front_proxy.send_replace(Some(Arc::new(proxy)));
        if let Some(shared) = shared {
            shared.make_trusted(now).await?;
        }
        Ok(())
    }
}

async fn open_keda(
    config: &KedaConfig,
    app: &Arc<App>,
    keepers: &mut JoinSet<()>,
) -> Result<Door, DoorError> {
    let tls = match &config.tls {
        None => None,
        Some(tls) => {
            let first = keda_pem(tls).await.and_then(|pem| Ok((keda_settings(&pem)?, pem)));
            let (settings, pem) =
                first.map_err(|source| DoorError::Tls { key: "keda.tls", source })?;
            let (sender, current) = watch::channel(Some(settings));
            keepers.spawn(keep_keda(tls.clone(), pem, sender));
            Some(Tls::new(current))
        }
    };
    let listener = listen("keda.listen", config.listen).await?;
    Ok(Door { listener, router: keda_router(Arc::clone(app)), tls, max_streams: KEDA_STREAMS })
}

/// What the settings for KEDA are made from.
type KedaPem = (ServingPair, Option<String>);

async fn keda_pem(tls: &KedaTls) -> Result<KedaPem, TlsError> {
    let pair = tls::read_pair(&tls.files).await?;
    let ca = match &tls.client_ca {
        None => None,
        Some(path) => Some(tls::read(path).await?),
    };
    Ok((pair, ca))
}

fn keda_settings((pair, ca): &KedaPem) -> Result<Arc<ServerConfig>, TlsError> {
    tls::settings(pair, ca.as_deref().map_or(Clients::Unasked, Clients::Must))
}

/// Reads the files again and again. What cannot be used is said, and what was there stays.
async fn keep_keda(
    tls: KedaTls,
    mut shown: KedaPem,
    sender: watch::Sender<Option<Arc<ServerConfig>>>,
) {
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        let next = keda_pem(&tls).await.and_then(|pem| {
            let changed = (pem != shown).then(|| keda_settings(&pem)).transpose()?;
            Ok((changed, pem))
        });
        match next {
            Ok((Some(settings), pem)) => {
                tracing::info!("the certificate for KEDA has changed");
                sender.send_replace(Some(settings));
                shown = pem;
            }
            Ok((None, _)) => {}
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(cause, "the certificate for KEDA cannot be renewed");
            }
        }
    }
}
