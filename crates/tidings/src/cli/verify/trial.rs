//! A run: a node, paths, readers, publishers, a storm, and then the truth.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::judge::Lives;
use super::ledger::Ledger;
use super::node::{Broker, Kept, Node};
use super::plan::Plan;
use super::publisher::Publisher;
use super::reader::Reader;
use super::schedule::{Act, schedule};
use super::{publisher, storm, truth};
use crate::cli::Failure;
use crate::cli::progress::Progress;
use crate::client::{Endpoint, generated_id};
use crate::proxy::{Condition, Path, Spoiler, Upstream};

/// Between two looks at how far everybody is.
const LOOK: Duration = Duration::from_millis(100);

/// Where the channels are.
#[derive(Debug)]
pub enum Place {
    /// On nodes that are started for the run.
    Own(Kept),
    /// On a node that runs: these namespaces of it.
    Found { endpoint: Box<Endpoint>, namespaces: Vec<String> },
}

/// All that a run found, before it is judged.
#[derive(Debug)]
pub struct Findings {
    /// The channels.
    pub channels: Vec<ChannelFindings>,
    /// Who read, and how many items were spoilt on the way to each.
    pub readers: Vec<(Arc<Reader>, u64)>,
    /// What was published.
    pub ledger: Arc<Ledger>,
    /// What became of the node, if it is our own.
    pub lives: Option<Lives>,
    /// The faults.
    pub acts: Vec<Act>,
    /// Whether all readers came to the end.
    pub is_settled: bool,
    /// Nodes that were started for the run.
    pub nodes: usize,
}

/// What is known of one channel.
#[derive(Debug)]
pub struct ChannelFindings {
    /// Its name.
    pub name: String,
    /// Whether it is at-least-once.
    pub is_durable: bool,
    /// From which number on messages were published after the faults.
    pub until: u32,
    /// What of it can still be read, if that is known.
    pub kept: Option<HashSet<u32>>,
}

/// Everybody who takes part.
struct Cast {
    names: Vec<String>,
    durable: Vec<bool>,
    endpoint: Endpoint,
    readers: Vec<Arc<Reader>>,
    /// Those of readers, then one for each publisher.
    paths: Vec<Path>,
    ledger: Arc<Ledger>,
    began: Instant,
}

/// Runs it.
///
/// # Errors
///
/// What keeps it from being judged at all: a node that does not start, readers that cannot connect, a
/// publisher that is refused.
pub async fn run(plan: &Plan, place: Place, progress: &mut Progress) -> anyhow::Result<Findings> {
    let run = generated_id()?;
    let (mut nodes, endpoints, names, mut lives) = match place {
        Place::Own(kept) => {
            let broker = kept.broker;
            let nodes = Node::all(&kept).await?;
            let endpoints = nodes.iter().map(Node::endpoint).collect::<anyhow::Result<Vec<_>>>()?;
            let names = Node::CHANNELS.map(str::to_owned).to_vec();
            let lives = Lives { forgets: broker == Broker::Memory, ..Lives::default() };
            (nodes, endpoints, names, Some(lives))
        }
        Place::Found { endpoint, namespaces } => {
            (Vec::new(), vec![*endpoint], names(&namespaces, &run[..8]), None)
        }
    };
    let mut server = nodes.first_mut().and_then(Node::take_server);
    let links: Vec<Path> = nodes.iter_mut().filter_map(Node::take_link).collect();
    let cast = Cast::gather(plan, endpoints, names).await?;
    let acts = cast.schedule(plan, lives.is_some(), server.is_some());
    let mut tasks = cast.start_readers(plan)?;
    cast.wait_for_readers(plan, progress).await?;
    cast.start_publishers(plan, &run, &mut tasks)?;
    let storming = async {
        let on_nodes = async {
            match &mut lives {
                Some(lives) => storm::on_nodes(&acts, &mut nodes, cast.began, lives).await,
                None => Ok(()),
            }
        };
        let on_server = async {
            match &mut server {
                Some(server) => storm::on_server(&acts, server, cast.began).await,
                None => Ok(Vec::new()),
            }
        };
        let lasting = sleep(plan.duration);
        let (on_paths, on_links) = (storm::on_paths(&acts, &cast.paths), storm::on_links(&acts, &links));
        let ((), (), on_nodes, on_server, ()) =
            tokio::join!(on_paths, on_links, on_nodes, on_server, lasting);
        on_nodes?;
        on_server
    };
    let begun = Instant::now();
    tokio::select! {
        stormed = storming => {
            // What is allowed while a node ends is allowed while its broker does.
            let restarts = stormed?;
            lives.iter_mut().for_each(|lives| lives.add(&restarts));
        }
        error = cast.watch(&mut tasks, plan, begun, progress) => return Err(error),
    }
    cast.paths.iter().for_each(|path| path.change(Condition::mend));
    let until: Vec<u32> =
        (0..cast.names.len()).map(|channel| cast.ledger.count(channel).saturating_add(1)).collect();
    let is_settled = tokio::select! {
        settled = cast.settle(plan, &until) => settled,
        error = cast.watch(&mut tasks, plan, begun, progress) => return Err(error),
    };
    progress.title("reading what is kept".into());
    tasks.shutdown().await;
    Ok(Findings { nodes: nodes.len(), ..cast.found(until, lives, acts, is_settled).await })
}

/// Two channels of each namespace. No other run has their names.
fn names(namespaces: &[String], run: &str) -> Vec<String> {
    let both = namespaces.iter().flat_map(|namespace| [(namespace, 1), (namespace, 2)]);
    both.map(|(namespace, number)| match namespace.as_str() {
        "default" => format!("verify-{run}-{number}"),
        namespace => format!("{namespace}:verify-{run}-{number}"),
    })
    .collect()
}

impl Cast {
    async fn gather(plan: &Plan, endpoints: Vec<Endpoint>, names: Vec<String>) -> anyhow::Result<Self> {
        let endpoint = endpoints[0].clone();
        let mut durable = Vec::new();
        for name in &names {
            // A channel that says nothing is polled seldom; and who may not publish should hear so at once.
            publisher::greet(&endpoint, name).await?;
            durable.push(truth::is_durable(&endpoint, name).await?);
        }
        let (began, ledger) = (Instant::now(), Arc::new(Ledger::new(names.len())));
        let views = plan.views(names.len());
        let upstream = Upstream::new(endpoints);
        let mut paths = Vec::new();
        for _ in &views {
            paths.push(Path::open(upstream.clone(), plan.breaks.map(Spoiler::new)).await?);
        }
        for _ in &names {
            paths.push(Path::open(upstream.clone(), None).await?);
        }
        let readers = views.into_iter().map(|view| Arc::new(Reader::new(view, &names, began))).collect();
        Ok(Self { names, durable, endpoint, readers, paths, ledger, began })
    }

    fn schedule(&self, plan: &Plan, is_own: bool, has_server: bool) -> Vec<Act> {
        let faults: Vec<_> = plan
            .faults
            .iter()
            .copied()
            .filter(|fault| {
                if fault.is_of_broker() || fault.is_of_link() {
                    has_server
                } else {
                    is_own || !fault.is_of_node()
                }
            })
            .collect();
        let readers = self.readers.iter().map(|reader| Some(reader.view().transport));
        let paths: Vec<_> = readers.chain(self.names.iter().map(|_| None)).collect();
        schedule(plan.seed, plan.duration, &faults, &paths)
    }

    /// The tasks of all readers. One that ends says nothing: its reader knows why.
    fn start_readers(&self, plan: &Plan) -> anyhow::Result<JoinSet<Option<anyhow::Error>>> {
        let mut tasks = JoinSet::new();
        for (reader, path) in self.readers.iter().zip(&self.paths) {
            let (reader, endpoint) = (Arc::clone(reader), self.endpoint.through(path.address())?);
            let timing = plan.timing();
            tasks.spawn(async move {
                reader.follow(endpoint, timing).await;
                None
            });
        }
        Ok(tasks)
    }

    /// Waits until each has its first cursor: from then on nothing may be lost.
    async fn wait_for_readers(&self, plan: &Plan, progress: &mut Progress) -> anyhow::Result<()> {
        let begun = Instant::now();
        progress.title("connecting".into());
        loop {
            let missing = |reader: &&Arc<Reader>| reader.connects() == 0;
            let Some(reader) = self.readers.iter().find(missing) else { return Ok(()) };
            let (name, end) = (reader.view().transport.name(), reader.end());
            if end.is_some() || begun.elapsed() > plan.start_max() {
                let why = end.or_else(|| reader.trouble()).unwrap_or_else(|| "no answer".into());
                let advice = "check what stands before the node; --transports leaves one out";
                return Err(Failure::new(
                    format!("cannot read over {name}, without any fault: {why}"),
                    advice,
                )
                .into());
            }
            sleep(LOOK).await;
        }
    }

    fn start_publishers(
        &self,
        plan: &Plan,
        run: &str,
        tasks: &mut JoinSet<Option<anyhow::Error>>,
    ) -> anyhow::Result<()> {
        let paths = &self.paths[self.readers.len()..];
        for (number, (channel, path)) in self.names.iter().zip(paths).enumerate() {
            let publisher = Publisher {
                endpoint: self.endpoint.through(path.address())?,
                run: run.to_owned(),
                channel: channel.clone(),
                number,
                ledger: Arc::clone(&self.ledger),
                rate: plan.rate,
                patience: plan.silence,
                began: self.began,
                seed: plan.seed,
            };
            tasks.spawn(async move { Some(publisher.run().await) });
        }
        Ok(())
    }

    /// Shows how far it is; ends only if a publisher does.
    async fn watch(
        &self,
        tasks: &mut JoinSet<Option<anyhow::Error>>,
        plan: &Plan,
        begun: Instant,
        progress: &mut Progress,
    ) -> anyhow::Error {
        loop {
            let (published, acknowledged) = self.ledger.totals();
            let gone = begun.elapsed().min(plan.duration);
            let share = gone.as_secs_f64() / plan.duration.as_secs_f64().max(0.001);
            progress.title(match gone < plan.duration {
                true => format!("seed {}", plan.seed),
                false => "no more faults: waiting for all to catch up".into(),
            });
            progress.show(format_args!(
                "{} {} of {} s, {published} published, {acknowledged} acknowledged",
                bar(share),
                gone.as_secs(),
                plan.duration.as_secs()
            ));
            tokio::select! {
                () = sleep(LOOK) => {}
                Some(Ok(Some(error))) = tasks.join_next() => return error,
            }
        }
    }

    /// Waits until each reader has what was published after the faults. False if the time is over before.
    async fn settle(&self, plan: &Plan, until: &[u32]) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < plan.settle_max() {
            if self.readers.iter().all(|reader| reader.has(until)) {
                return true;
            }
            sleep(LOOK).await;
        }
        false
    }

    async fn found(
        self,
        until: Vec<u32>,
        lives: Option<Lives>,
        acts: Vec<Act>,
        is_settled: bool,
    ) -> Findings {
        let mut channels = Vec::new();
        for ((name, is_durable), until) in self.names.into_iter().zip(self.durable).zip(until) {
            let kept = truth::kept(&self.endpoint, &name).await;
            channels.push(ChannelFindings { name, is_durable, until, kept });
        }
        let spoilt = self.paths.iter().map(Path::spoilt);
        let readers = self.readers.into_iter().zip(spoilt).collect();
        Findings { channels, readers, ledger: self.ledger, lives, acts, is_settled, nodes: 0 }
    }
}

/// A bar of which a share is full.
fn bar(share: f64) -> String {
    const WIDTH: usize = 24;
    let full = ((share * WIDTH as f64) as usize).min(WIDTH);
    format!("[{}{}]", "█".repeat(full), "·".repeat(WIDTH - full))
}
