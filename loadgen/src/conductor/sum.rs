//! The sum: what crowds, boards, probes and nodes have counted, as one set of figures.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::ramp::Usage;
use super::{Conductor, Played};
use crate::clock::SECOND;
use crate::crowd::Tally;
use crate::ear::Stay;
use crate::figures::{
    ByNode, Figures, Generator, Group, Heard, Listeners, Presence, Probes, Reconnect, Second, Sessions,
};
use crate::places::Via;
use crate::reckoning::{Account, Expected, OnVoice, on_voice};
use crate::watch::Told;
use crate::{Histogram, groups, usage};

impl Conductor<'_> {
    /// Ends the crowds and adds everything up.
    pub(super) async fn sum(
        &mut self,
        began: SystemTime,
        played: Played,
        ended_ns: u64,
    ) -> anyhow::Result<Figures> {
        let mut audience = Tally::default();
        for crowd in &self.run.audience {
            audience.add(crowd.end()?);
        }
        let mut stage = self.run.stage.end()?;
        let rooms = on_voice(std::mem::take(&mut stage.said));
        let first_ns = self.seconds.began_ns();
        let wall_s = seconds(played.began_ns, ended_ns);
        let steady_s = seconds(played.steady_ns, ended_ns);
        let owed = Expected::of(&stays(&audience), &rooms, first_ns);
        let owed_on_stage = Expected::of(&stays(&stage), &rooms, first_ns);
        let regions = self.regions();
        let by_node = self.by_node(&audience.accounts, &rooms, &regions);
        let by_region = self.by_region(&audience.accounts, &rooms, &regions);
        let probes = self.probes(&rooms, ended_ns).await;
        let cut = count(&self.run.counts.cut);
        // Whoever was on stage comes back there.
        let mut hears_again = audience.hears_again.clone();
        hears_again.add(&stage.hears_again);
        let reconnect =
            (cut > 0).then(|| Reconnect { cut, connected: count(&self.run.counts.back), hears_again });
        let failures = self.failures(&audience);
        let mut per_second = self.seconds.finish();
        self.complete(&mut per_second, &owed, &audience);
        Ok(Figures {
            began,
            wall_s,
            steady_s,
            listeners: self.listeners(played, probes.as_ref()),
            failures,
            join: taken(&self.run.join),
            connected: taken(&self.run.connected),
            first_audio: audience.first_audio.clone(),
            presence: self.presence(&audience, played),
            by_node,
            by_region,
            sessions: self.sessions(played),
            generator: self.generator(&audience, &stage, played),
            audio: heard(audience, &owed, wall_s),
            stage: heard(stage, &owed_on_stage, wall_s),
            probes,
            nodes: self.nodes.iter().map(|node| node.figures(steady_s)).collect(),
            reconnect,
            garbage: played.garbage,
            seconds: per_second,
        })
    }

    /// What failed, with those who have neither failed nor come in when the run ended.
    fn failures(&self, audience: &Tally) -> BTreeMap<String, u64> {
        let mut failures = self.run.failures();
        let counts = &self.run.counts;
        let joining = self.ramp.wanted().saturating_sub(count(&counts.joined) + count(&counts.failed));
        let coming_back = count(&counts.cut).saturating_sub(count(&counts.back) + count(&counts.not_back));
        let more = [("no_audio", audience.no_audio), ("not_in_yet", joining), ("not_back_yet", coming_back)];
        for (code, times) in more.into_iter().filter(|(_, times)| *times > 0) {
            *failures.entry(code.into()).or_default() += times;
        }
        failures
    }

    async fn probes(&mut self, rooms: &HashMap<u32, OnVoice>, ended_ns: u64) -> Option<Probes> {
        let requested = u64::from(self.run.options.probes);
        let mut sum = Probes { requested, ..Probes::default() };
        for probe in self.ramp.take_probes().await {
            match probe {
                Ok(probe) => {
                    let (room, heard) = probe.end().await;
                    let (expected, received) =
                        rooms.get(&room).map_or((0, 0), |room| heard.against(room, ended_ns));
                    sum.connected += 1;
                    sum.frames_expected += expected;
                    sum.frames_received += received;
                }
                Err(error) => tracing::warn!("a probe could not listen: {error:#}"),
            }
        }
        (requested > 0).then_some(sum)
    }

    /// Probes are listeners too.
    fn listeners(&self, played: Played, probes: Option<&Probes>) -> Listeners {
        let counts = &self.run.counts;
        let (joined, last_ns) = (count(&counts.joined), count(&counts.last_join_ns));
        let took_s = seconds(played.began_ns, last_ns);
        let boards = self.run.boards.iter();
        let probes = probes.copied().unwrap_or_default();
        Listeners {
            requested: self.ramp.wanted() + probes.requested,
            joined: joined + probes.connected,
            failed: self.ramp.wanted() - joined + probes.requested - probes.connected,
            dropped: count(&counts.dropped),
            churned: count(&counts.churned),
            told_to_wait: boards.map(|board| count(&board.told_to_wait)).sum(),
            joins_per_s: if took_s > 0.0 { joined as f64 / took_s } else { 0.0 },
        }
    }

    fn presence(&self, audience: &Tally, played: Played) -> Presence {
        let told = Told::so_far(&self.run.boards);
        let mut presence = Presence {
            messages: told.messages - played.told.messages,
            bytes: told.bytes - played.told.bytes,
            gaps: told.gaps,
            ..Presence::default()
        };
        for board in &self.run.boards {
            presence.lag.add(&taken(&board.lag));
            presence.promotion_seen.add(&taken(&board.promotion_seen));
        }
        let stays = audience.accounts.iter().flat_map(|account| &account.stays);
        presence.listener_s =
            stays.map(|stay| seconds(stay.from_ns.max(played.steady_ns), stay.until_ns)).sum();
        presence.promotions = count(&self.run.counts.promotions);
        presence
    }

    fn by_node(
        &self,
        accounts: &[Account],
        rooms: &HashMap<u32, OnVoice>,
        regions: &BTreeMap<String, String>,
    ) -> Vec<ByNode> {
        let (names, began_ns) = (self.run.places.names(), self.seconds.began_ns());
        let media = groups::by(accounts, rooms, began_ns, |via| Some(via.media)).into_iter().filter_map(
            |(media, heard)| {
                let name = names.get(usize::from(media))?.to_string();
                Some(ByNode { region: regions.get(&name).cloned(), name, role: "edge", heard })
            },
        );
        let signaling = groups::by(accounts, rooms, began_ns, |via| Some(via.signaling)).into_iter();
        let signaling = signaling.map(|(number, heard)| ByNode {
            region: None,
            name: format!("url-{}", number + 1),
            role: "signaling",
            heard,
        });
        media.chain(signaling).collect()
    }

    fn by_region(
        &self,
        accounts: &[Account],
        rooms: &HashMap<u32, OnVoice>,
        regions: &BTreeMap<String, String>,
    ) -> BTreeMap<String, Group> {
        let (names, began_ns) = (self.run.places.names(), self.seconds.began_ns());
        let region = |via: Via| regions.get(names.get(usize::from(via.media))?.as_str()).map(String::as_str);
        let heard = groups::by(accounts, rooms, began_ns, region).into_iter();
        heard.map(|(region, heard)| (region.to_owned(), heard)).collect()
    }

    fn regions(&self) -> BTreeMap<String, String> {
        self.nodes.iter().flat_map(|node| node.regions().clone()).collect()
    }

    fn sessions(&self, played: Played) -> Sessions {
        let counts = &self.run.counts;
        Sessions {
            lost: count(&counts.lost),
            resumed: count(&counts.resumed),
            anew: count(&counts.anew),
            renewed: played.renewed,
            away: taken(&self.run.away),
        }
    }

    fn generator(&self, audience: &Tally, stage: &Tally, played: Played) -> Generator {
        let cpu_s = usage::cpu_s();
        Generator {
            cpu_s,
            steady_cpu_s: cpu_s - played.cpu_s,
            rss_peak_bytes: usage::rss_peak_bytes(),
            late_ticks: stage.late_ticks,
            ticks: stage.ticks,
            socket_drops: audience.socket_drops + stage.socket_drops,
            strays: audience.strays + stage.strays,
            handshake_backlog_max: audience.backlog.max(stage.backlog),
            handshake_wait_max: audience.backlog_wait_ns.max(stage.backlog_wait_ns) / 1_000,
            handshake_drops: audience.backlog_dropped + stage.backlog_dropped,
        }
    }

    /// Adds what is only known at the end: losses and usage.
    fn complete(&self, seconds: &mut [Second], owed: &Expected, audience: &Tally) {
        for (index, second) in seconds.iter_mut().enumerate() {
            let owed = owed.by_second.get(index).copied().unwrap_or_default();
            let received = audience.received_by_second.get(index).copied().unwrap_or_default();
            second.lost = owed.saturating_sub(received);
        }
        add_usage(seconds, &self.ramp.usage);
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.latency.add(&other.latency);
        self.longest_gap.add(&other.longest_gap);
        self.first_audio.add(&other.first_audio);
        self.hears_again.add(&other.hears_again);
        self.late += other.late;
        self.duplicates += other.duplicates;
        self.undecryptable += other.undecryptable;
        self.unknown += other.unknown;
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.no_audio += other.no_audio;
        self.socket_drops += other.socket_drops;
        self.strays += other.strays;
        self.backlog = self.backlog.max(other.backlog);
        self.backlog_wait_ns = self.backlog_wait_ns.max(other.backlog_wait_ns);
        self.backlog_dropped += other.backlog_dropped;
        let frames = self.frames_per_packet.iter_mut().zip(other.frames_per_packet);
        frames.for_each(|(mine, theirs)| *mine += theirs);
        let framing = self.packets_by_framing.iter_mut().zip(other.packets_by_framing);
        framing.for_each(|(mine, theirs)| *mine += theirs);
        self.wrapped_listeners += other.wrapped_listeners;
        self.wrapped_streams += other.wrapped_streams;
        self.accounts.extend(other.accounts);
        let length = self.received_by_second.len().max(other.received_by_second.len());
        self.received_by_second.resize(length, 0);
        let received = self.received_by_second.iter_mut().zip(other.received_by_second);
        received.for_each(|(mine, theirs)| *mine += theirs);
    }
}

/// Adds what was seen second by second. Probes are listeners too, and stay in seconds that nobody has noted.
fn add_usage(seconds: &mut [Second], usage: &[Usage]) {
    let mut noted = usage.iter().peekable();
    let mut probes = 0;
    for (index, second) in seconds.iter_mut().enumerate() {
        while let Some(usage) = noted.next_if(|usage| usage.second <= index) {
            probes = usage.probes;
            if usage.second == index {
                second.node_cores = usage.node_cores;
                second.node_rss_bytes = usage.node_rss_bytes;
                second.generator_cores = usage.generator_cores;
            }
        }
        second.connected += probes;
    }
}

/// What a crowd heard, against what it was owed.
fn heard(tally: Tally, owed: &Expected, wall_s: f64) -> Heard {
    let stays = tally.accounts.iter().flat_map(|account| &account.stays);
    let received: u64 = stays.map(|stay| stay.received).sum();
    // Somebody may have heard a frame that was on its way when they left, and which is not owed.
    let received = received.min(owed.frames);
    Heard {
        frames_expected: owed.frames,
        frames_received: received,
        frames_lost: owed.frames - received,
        frames_late: tally.late,
        duplicates: tally.duplicates,
        undecryptable: tally.undecryptable,
        unknown: tally.unknown,
        latency: tally.latency,
        longest_gap: tally.longest_gap,
        packets: tally.packets,
        bytes: tally.bytes,
        frames_per_packet: tally.frames_per_packet,
        packets_by_framing: tally.packets_by_framing,
        wrapped_listeners: tally.wrapped_listeners,
        wrapped_streams: tally.wrapped_streams,
        seconds: wall_s,
    }
}

fn stays(tally: &Tally) -> Vec<(u32, Option<u32>, Stay)> {
    tally.accounts.iter().flat_map(Account::stays).collect()
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn taken(histogram: &Mutex<Histogram>) -> Histogram {
    histogram.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn seconds(from_ns: u64, until_ns: u64) -> f64 {
    until_ns.saturating_sub(from_ns) as f64 / SECOND as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_among_the_listeners_of_every_second_from_when_they_listen() {
        let mut seconds = vec![Second { connected: 10, ..Second::default() }; 5];
        let usage = |second, probes| Usage { second, probes, generator_cores: 0.5, ..Usage::default() };
        add_usage(&mut seconds, &[usage(0, 0), usage(1, 1), usage(3, 2)]);
        assert_eq!(seconds.iter().map(|second| second.connected).collect::<Vec<_>>(), [10, 11, 11, 12, 12]);
        assert_eq!(seconds[2].generator_cores, 0.0, "nobody has noted this one");
    }
}
