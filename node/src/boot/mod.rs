//! Wires the node: opens what it stands on, starts what serves, waits, and stops in the opposite order.
//! The only place that knows every part.

mod arrival;
mod banner;
mod first_start;
mod health;
mod listeners;
mod local_directory;
mod protocols;
mod replacer;
mod signals;
mod standing;

use crate::admin::{self, AdminService, NodeFacts};
use crate::config::{Config, Service};
use crate::context::Services;
use crate::limits::STOP_TIMEOUT;
use crate::metrics::Metrics;
use crate::net::{Balancers, BoundListener, Gate, Network, NetworkError, NetworkOptions, Permits};
use crate::queue::Queue;
use crate::services::directory::Directory;
use crate::services::leadership::Gains;
use crate::services::passwords::Passwords;
use crate::tls::{self, CertificateFiles, Tls, TlsError};
use crate::{net, runtime};
use cluster::{Clock, Cluster, StartOptions, SystemClock};
use futures::FutureExt;
use futures::future::BoxFuture;
use local_directory::LocalDirectory;
use model::directory::view;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use storage::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Why a node did not start or did not stop well.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A file of the data directory.
    #[error("{path}: {error}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The store does not open.
    #[error("{0}")]
    Store(#[from] storage::OpenError),
    /// The cluster does not start.
    #[error("{0}")]
    Cluster(#[from] cluster::StartError),
    /// The certificate.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// A listener.
    #[error("{0}")]
    Network(#[from] NetworkError),
    /// The first domain and account.
    #[error("first start: {0}")]
    FirstStart(String),
    /// The data directory was copied and the other copy runs.
    #[error("this node stops: {0}. Remove this copy; to add a node, start a blank one with --join")]
    Displaced(String),
    /// Anything else that should not happen.
    #[error("{0}")]
    Other(String),
}

/// Runs a node until it is told to stop.
///
/// # Errors
/// When it cannot start; says what to do where something can be done.
pub async fn run(config: Config) -> Result<(), BootError> {
    let config = Arc::new(config);
    let mut signals = signals::listen().map_err(|error| BootError::Other(format!("signals: {error}")))?;
    let started = tokio::select! {
        started = start(&config) => started?,
        reason = signals.next() => {
            // Nothing was promised to anybody yet, and what is on disk can be left at any moment.
            tracing::info!(reason, "told to stop while starting");
            return Ok(());
        }
    };
    let displaced = started.services.cluster.clone();
    let reason = tokio::select! {
        reason = signals.next() => reason,
        why = displaced.displaced() => {
            // Sessions are not waited for: what they ask is the other process's to answer.
            return Err(BootError::Displaced(why));
        }
    };
    tracing::info!(reason, "stopping");
    signals.end_at_once_when_told_again();
    stop(started).await
}

/// Everything that runs, in the order it was started.
struct Node {
    store: Store,
    services: Services,
    running: Running,
}

async fn start(config: &Arc<Config>) -> Result<Node, BootError> {
    let started = Instant::now();
    make_data_directory(&config.data)?;
    raise_file_limit();
    let store = open_store(&config.data, config.block_cache_bytes).await?;
    let files = certificate_files(config)?;
    let tls = Tls::load(&files)?;
    let cluster = start_cluster(config, &store).await?;
    let serving = async {
        let services = start_services(config, cluster.clone(), tls).await?;
        let first = first_start::prepare(&services, &config.domain).await.map_err(BootError::FirstStart)?;
        let running = serve(&services, &files, started).await?;
        Ok::<_, BootError>((services, first, running))
    };
    let (services, first, running) = tokio::select! {
        biased;
        why = cluster.displaced() => return Err(BootError::Displaced(why)),
        serving = serving => serving?,
    };
    let domain = local_domain(&services.directory, &config.domain);
    banner::print(config, &domain, &running.listeners, first.as_ref());
    Ok(Node { store, services, running })
}

/// The domain this node was given when it is local, else the cluster's first: who joins need not name one.
fn local_domain(directory: &Directory, configured: &str) -> String {
    let names = directory.with_rows(|rows| view::domains(rows)).unwrap_or_default().into_iter().map(|(name, _)| name);
    let names: Vec<String> = names.collect();
    let first = || names.first().cloned().unwrap_or_else(|| configured.to_owned());
    if names.iter().any(|name| name == configured) { configured.to_owned() } else { first() }
}

fn make_data_directory(data: &Path) -> Result<(), BootError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data);
    made.map_err(|error| BootError::File { path: data.to_owned(), error })
}

/// Each session and each body being read holds a descriptor; the soft limit of 1024 is from other times.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}

/// Opens the data directory of a node; fails when one runs there.
pub(crate) async fn open_store(data: &Path, block_cache_bytes: Option<usize>) -> Result<Store, BootError> {
    let options = storage::Options {
        data: data.to_owned(),
        block_cache_bytes,
        decode: Arc::new(|record: &[u8]| cluster::decode_record(record)),
        progress: Box::new(|done, of| {
            if of > 0 {
                tracing::info!(done, of, "groups opened");
            }
        }),
    };
    let opened = tokio::task::spawn_blocking(move || Store::open(options)).await;
    Ok(opened.map_err(|error| BootError::Other(error.to_string()))??)
}

/// The operator's certificate, else the one in the data directory, made at the first start.
fn certificate_files(config: &Config) -> Result<CertificateFiles, TlsError> {
    if let Some(files) = &config.certificate {
        return Ok(files.clone());
    }
    let directory = config.data.join("tls");
    let files = CertificateFiles {
        certificate: directory.join("self-signed.pem"),
        private_key: directory.join("self-signed.key"),
    };
    if files.modified().contains(&None) {
        tls::write_self_signed(&files, &self_signed_names(config))?;
    }
    Ok(files)
}

fn self_signed_names(config: &Config) -> Vec<String> {
    let mut names = vec![config.hostname.clone()];
    if config.hostname != "localhost" {
        names.push("localhost".to_owned());
    }
    names
}

async fn start_cluster(config: &Config, store: &Store) -> Result<Cluster, BootError> {
    let options = StartOptions {
        store: store.clone(),
        node_name: config.name.clone(),
        hostname: config.hostname.clone(),
        release: env!("CARGO_PKG_VERSION").to_owned(),
        bind: config.cluster_bind(),
        advertise: config.advertise.as_ref().map(ToString::to_string),
        join: config
            .join
            .as_ref()
            .map(|join| cluster::Join { address: join.address.to_string(), token: join.token.0.clone() }),
        clock: Arc::new(SystemClock),
        catch_up_bytes_per_second: config.catch_up_bytes_per_second,
        shards: model::limits::SHARDS,
        log_bounds: cluster::LogBounds::default(),
        network: None,
        progress: Arc::new(|done, of| tracing::info!("log replay: {done} of {of}")),
    };
    Ok(Cluster::start(options).await?)
}

async fn start_services(config: &Arc<Config>, cluster: Cluster, tls: Tls) -> Result<Services, BootError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let directory = Directory::new(LocalDirectory(cluster.clone()));
    let fake_salt_key =
        first_start::fake_salt_key(&cluster, &*clock, &directory).await.map_err(BootError::FirstStart)?;
    let metrics = Arc::new(Metrics::default());
    let replacer = Arc::new(replacer::ByProposal { cluster: cluster.clone(), clock: Arc::clone(&clock) });
    let passwords =
        Passwords::counted(directory.clone(), fake_salt_key, runtime::processors(), Arc::clone(&metrics), replacer);
    let stop = CancellationToken::new();
    Ok(Services {
        cluster,
        directory,
        passwords: passwords.map_err(|error| BootError::Other(error.to_string()))?,
        tls,
        config: Arc::clone(config),
        clock,
        metrics,
        gate: Gate::new(stop.clone()),
        in_touch: Arc::new(AtomicBool::new(true)),
        stop,
        tasks: TaskTracker::new(),
    })
}

struct Running {
    network: Network,
    queue: Queue,
    listeners: Vec<admin::ListenerItem>,
    /// Serves to the very end, so that `status` and `/healthz` answer while sessions say goodbye.
    last: CancellationToken,
}

async fn serve(services: &Services, files: &CertificateFiles, started: Instant) -> Result<Running, BootError> {
    let permits = Permits::default();
    let options = NetworkOptions {
        tls: services.tls.clone(),
        permits: permits.clone(),
        metrics: Arc::clone(&services.metrics),
        gate: services.gate.clone(),
    };
    let web = bind_web(&services.config)?;
    let (specs, delivery) = protocols::start(services).await?;
    let network = Network::start(specs, options).await?;
    let queue = protocols::start_queue(services, delivery, network.bound()).await?;
    let listeners = listeners::table(&network, &web, services.cluster.cluster_address());
    listeners::write(&services.config.data, &listeners)
        .map_err(|error| BootError::File { path: services.config.data.join(listeners::FILE), error })?;
    let last = CancellationToken::new();
    let facts = NodeFacts { started, listeners: listeners.clone(), permits: permits.clone() };
    let socket = admin::bind(&services.config.data)
        .map_err(|error| BootError::File { path: services.config.data.join(admin::SOCKET_NAME), error })?;
    tokio::spawn(admin::serve(socket, Arc::new(AdminService::new(services.clone(), facts)), last.clone()));
    let health = Arc::new(health::NodeHealth { services: services.clone(), permits });
    let balancers = Balancers::new(&services.config.proxy_protocol_from);
    for listener in web {
        let incoming = net::Incoming::new(listener, balancers.clone());
        tokio::spawn(web::serve(incoming, health.clone(), last.clone().cancelled_owned()));
    }
    start_background(services, files);
    Ok(Running { network, queue, listeners, last })
}

fn bind_web(config: &Config) -> Result<Vec<BoundListener>, NetworkError> {
    let name = Service::Http.name();
    let addresses = config.listeners.get(&Service::Http).map_or(&[][..], Vec::as_slice);
    addresses.iter().map(|address| net::bind(name, *address)).collect()
}

/// Work that belongs to no session. Each ends with `services.stop`.
fn start_background(services: &Services, files: &CertificateFiles) {
    let (tls, files, stop) = (services.tls.clone(), files.clone(), services.stop.clone());
    services.tasks.spawn(tls::reload_when_changed(tls, files, stop));
    let in_background = |work: BoxFuture<'static, ()>| {
        services.tasks.spawn(services.stop.clone().run_until_cancelled_owned(work));
    };
    in_background(standing::watch(services.clone()).boxed());
    in_background(standing::stay_in_touch(services.clone()).boxed());
    in_background(arrival::tell(services.clone()).boxed());
    in_background(reap_orphans(services.cluster.clone(), Arc::clone(&services.clock)).boxed());
}

/// Takes away the mail of accounts whose removal was cut short, whenever this node begins to lead a shard.
async fn reap_orphans(cluster: Cluster, clock: Arc<dyn Clock>) {
    let mut gains = Gains::new(cluster.clone());
    loop {
        match admin::reap_orphans(&cluster, &*clock, gains.next().await).await {
            Ok(0) => {}
            Ok(accounts) => tracing::info!(accounts, "mail of removed accounts was taken away"),
            Err(error) => tracing::warn!(error, "mail of removed accounts could not be looked for"),
        }
    }
}

/// Sessions are told and awaited, background work ends, groups drain, the store is synced and closed.
async fn stop(node: Node) -> Result<(), BootError> {
    let Node { store, services, running } = node;
    tokio::join!(running.network.stop(), running.queue.stop());
    services.tasks.close();
    if tokio::time::timeout(STOP_TIMEOUT, services.tasks.wait()).await.is_err() {
        tracing::warn!(tasks = services.tasks.len(), "background work did not end in time and is cut");
    }
    services.cluster.shutdown().await;
    running.last.cancel();
    let closed = tokio::task::spawn_blocking(move || store.close()).await;
    let path = services.config.data.clone();
    closed.map_err(|error| BootError::Other(error.to_string()))?.map_err(|error| BootError::File { path, error })?;
    tracing::info!("stopped");
    Ok(())
}
