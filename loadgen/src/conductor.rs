//! The order of a run: rooms, speakers, the ramp, the storms, the end, and the sum of it all.

mod ramp;
mod setup;
mod sum;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use protocol::Identity;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::clock::now_ns;
use crate::crowd::{Crowd, Seconds};
use crate::garbage::Garbage;
use crate::nodes::Followed;
use crate::run::Run;
use crate::speaker::Speaker;
use crate::table::Progress;
use crate::target::Target;
use crate::watch::Told;
use crate::{Figures, Options, figures, usage};

use ramp::{Ramp, Usage};
use setup::{assemble, check, check_against, make_rooms};

/// How long after the last join somebody may still connect: for longer nobody comes back who is told to.
const STRAGGLERS: Duration = Duration::from_secs(150);

/// How long the leave may take.
const FAREWELL: Duration = Duration::from_secs(20);

/// Runs it all. `show` is called every second with how it goes.
pub async fn run(options: Options, show: &mut (dyn FnMut(&Progress) + Send)) -> anyhow::Result<Figures> {
    check(&options)?;
    let began = SystemTime::now();
    let target = Target::find(&options.urls).await?;
    check_against(&options, &target)?;
    let rooms = make_rooms(&options, &target).await?;
    let seconds = Arc::new(Seconds::new(now_ns()));
    let run = Arc::new(assemble(options, target, rooms, &seconds)?);
    let (over, is_over) = watch::channel(false);
    let (mut speakers, hosts) = Conductor::seat(&run, &is_over).await?;
    let mut conductor = Conductor::new(Arc::clone(&run), Arc::clone(&seconds), hosts, show);
    let result = tokio::select! {
        result = conductor.play() => result,
        error = first_failure(&mut speakers) => Err(error),
    };
    let ended_ns = now_ns();
    let played = result?;
    conductor.read_nodes().await;
    run.audience.iter().chain([&run.stage]).for_each(Crowd::close);
    conductor.dismiss(&over, &mut speakers).await;
    run.end_rooms().await;
    conductor.sum(began, played, ended_ns).await
}

/// A speaker who is lost ends the run: nothing after it would mean what it says.
async fn first_failure(speakers: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Error {
    while let Some(ended) = speakers.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error,
            Err(error) => return error.into(),
        }
    }
    std::future::pending().await
}

/// What the run has come through, for the sum.
#[derive(Clone, Copy)]
pub(super) struct Played {
    began_ns: u64,
    /// When everybody was in.
    steady_ns: u64,
    /// CPU of this process at that time.
    cpu_s: f64,
    /// What listeners had been told by then.
    told: Told,
    /// Media sessions that were renewed: whoever waits to leave hears nothing, and may ask again.
    renewed: u64,
    /// What was thrown since.
    garbage: Option<figures::Garbage>,
}

/// The run as it goes on.
pub(super) struct Conductor<'a> {
    run: Arc<Run>,
    seconds: Arc<Seconds>,
    ramp: Ramp,
    nodes: Vec<Followed>,
    /// How each room's host hears of raised hands.
    hosts: Vec<UnboundedSender<Identity>>,
    show: &'a mut (dyn FnMut(&Progress) + Send),
    began_ns: u64,
    phase: &'static str,
    cpu_s_last: f64,
}

impl<'a> Conductor<'a> {
    fn new(
        run: Arc<Run>,
        seconds: Arc<Seconds>,
        hosts: Vec<UnboundedSender<Identity>>,
        show: &'a mut (dyn FnMut(&Progress) + Send),
    ) -> Self {
        let nodes = run.options.metrics.iter().map(|url| Followed::new(url)).collect();
        let ramp = Ramp::new(Arc::clone(&run));
        let (began_ns, cpu_s_last) = (now_ns(), usage::cpu_s());
        Self { run, seconds, ramp, nodes, hosts, show, began_ns, phase: "ramp", cpu_s_last }
    }

    /// Lets all speakers in; nothing begins before they are there.
    async fn seat(
        run: &Arc<Run>,
        over: &watch::Receiver<bool>,
    ) -> anyhow::Result<(JoinSet<anyhow::Result<()>>, Vec<UnboundedSender<Identity>>)> {
        let mut living = JoinSet::new();
        let mut hosts = Vec::new();
        for room in 0..run.rooms.len() {
            let entering = (0..run.options.speakers as usize)
                .map(|index| tokio::spawn(Speaker::enter(Arc::clone(run), room, index)));
            for (index, entering) in entering.collect::<Vec<_>>().into_iter().enumerate() {
                let speaker = entering.await.context("a speaker's task ended")??;
                let (host, hands): (_, UnboundedReceiver<Identity>) = unbounded_channel();
                if index == 0 {
                    hosts.push(host);
                }
                living.spawn(speaker.live(hands, over.clone()));
            }
        }
        Ok((living, hosts))
    }

    /// From the first join to the end of the time that was asked for.
    async fn play(&mut self) -> anyhow::Result<Played> {
        self.began_ns = now_ns();
        self.read_nodes().await;
        self.ramp_up().await?;
        self.read_nodes().await;
        self.nodes.iter_mut().for_each(Followed::start);
        let (steady_ns, cpu_s, told) = (now_ns(), usage::cpu_s(), Told::so_far(&self.run.boards));
        let garbage = self.throw_garbage()?;
        self.ramp.raise_hands(self.run.options.hands);
        self.steady().await;
        let renewed = self.run.counts.renewed.load(Ordering::Relaxed);
        let garbage = garbage.map(Garbage::end);
        Ok(Played { began_ns: self.began_ns, steady_ns, cpu_s, told, renewed, garbage })
    }

    fn throw_garbage(&self) -> anyhow::Result<Option<Garbage>> {
        let per_s = self.run.options.garbage;
        (per_s > 0).then(|| Garbage::start(per_s, self.run.ports())).transpose()
    }

    async fn ramp_up(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        let rate = self.run.options.ramp;
        let mut next_second = started + Duration::from_secs(1);
        self.ramp.probes();
        loop {
            let due = (started.elapsed().as_secs_f64() * rate) as u64 + 1;
            self.ramp.join_until(due);
            if self.ramp.is_complete() {
                break;
            }
            self.each_second(&mut next_second).await;
            sleep(Duration::from_millis(2)).await;
        }
        let until = Instant::now() + STRAGGLERS;
        self.phase = "settling";
        while !self.is_settled() && Instant::now() < until {
            self.each_second(&mut next_second).await;
            sleep(Duration::from_millis(5)).await;
        }
        let joined = self.run.counts.joined.load(Ordering::Relaxed);
        let wanted = self.ramp.wanted();
        ensure!(joined > 0 || wanted == 0, "nobody could join: {:?}", self.run.failures());
        Ok(())
    }

    fn is_settled(&self) -> bool {
        let counts = &self.run.counts;
        let settled = counts.joined.load(Ordering::Relaxed) + counts.failed.load(Ordering::Relaxed);
        settled >= self.ramp.wanted() && self.ramp.probes_are_settled()
    }

    async fn steady(&mut self) {
        self.phase = "steady";
        let started = Instant::now();
        let options = self.run.options.clone();
        let mut next_second = started + Duration::from_secs(1);
        let (mut churned, mut promoted, mut cut) = (0, 0, false);
        while started.elapsed() < options.duration {
            let elapsed = started.elapsed().as_secs_f64();
            while churned < (elapsed * options.churn) as u64 {
                self.ramp.churn();
                churned += 1;
            }
            while promoted < (elapsed * options.promote / 60.0) as u64 {
                self.ramp.promote(&self.hosts);
                promoted += 1;
            }
            if !cut && options.reconnect_at.is_some_and(|at| started.elapsed() >= at) {
                self.phase = "reconnect";
                self.ramp.cut_all();
                cut = true;
            }
            self.each_second(&mut next_second).await;
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn each_second(&mut self, next: &mut Instant) {
        if Instant::now() < *next {
            return;
        }
        *next += Duration::from_secs(1);
        self.read_nodes().await;
        let cpu_s = usage::cpu_s();
        let generator_cores = cpu_s - std::mem::replace(&mut self.cpu_s_last, cpu_s);
        let second = self.seconds.of(now_ns()) as usize;
        let node_cores: f64 = self.nodes.iter().map(|node| node.cpu_s_last).sum();
        let node_rss_bytes: u64 = self.nodes.iter().map(Followed::rss_bytes).sum();
        let last = self.seconds.with(|done| done.last().copied()).unwrap_or_default();
        let counts = &self.run.counts;
        let probes = counts.probes.load(Ordering::Relaxed);
        self.ramp.usage.push(Usage { second, node_cores, node_rss_bytes, generator_cores, probes });
        (self.show)(&Progress {
            at_s: now_ns().saturating_sub(self.began_ns) as f64 / 1e9,
            connected: counts.joined.load(Ordering::Relaxed) - counts.dropped.load(Ordering::Relaxed),
            wanted: self.ramp.wanted(),
            failed: counts.failed.load(Ordering::Relaxed),
            packets_per_s: last.packets,
            latency_p99_us: last.latency_p99,
            packets_missing: self.seconds.missing(),
            phase: self.phase,
        });
    }

    async fn read_nodes(&mut self) {
        for node in &mut self.nodes {
            if let Err(error) = node.read(&self.run.target).await {
                tracing::warn!("--metrics: {error:#}");
            }
        }
    }

    /// Everybody leaves, listeners first.
    async fn dismiss(&mut self, over: &watch::Sender<bool>, speakers: &mut JoinSet<anyhow::Result<()>>) {
        let farewell = async {
            self.ramp.dismiss().await;
            over.send_replace(true);
            while speakers.join_next().await.is_some() {}
        };
        // Whoever does not manage in time is dropped with the runtime.
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }
}
