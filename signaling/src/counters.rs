//! The metrics of signaling. Labels are from small fixed sets: never a room, a person, an address.

use std::time::Duration;

use protocol::message::{ClientMessage, Quality, ServerMessage};
use protocol::{ApiError, Code, Region};
use room::presence::{Busy, COUNTS_INTERVAL_MS, NAMED_INTERVAL_MS};
use service::Metrics;
use service::metrics::{Counter, CounterBy, Gauge, Histogram, HistogramBy, Level, PEOPLE_SECONDS, Places};

use crate::presence::News;

/// Buckets for shares of what was heard.
const RATIOS: &[f64] = &[0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];

pub(crate) struct Counters {
    /// Hosts, speakers, listeners.
    participants: [Gauge; 3],
    messages: CounterBy,
    refused: CounterBy,
    bad_input: CounterBy,
    gaps: CounterBy,
    store_up: Gauge,
    clock_ahead: Level,
    lane_full: Counter,
    lingering_full: Counter,
    presence_lag: Histogram,
    presence_merged: Counter,
    presence_people: Gauge,
    store_people: Gauge,
    shares_refused: Counter,
    busy: Level,
    /// With names, and of counts only.
    presence_interval: [Level; 2],
    concealed: Histogram,
    lost: Histogram,
    /// Connections.
    pub(crate) places: Places,
    jitter: Histogram,
    delay: Histogram,
    requests: HistogramBy,
    /// By the region that was wanted.
    full: CounterBy,
    spilled: CounterBy,
    waiting: Gauge,
}

impl Counters {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let full = metrics.counters("dais_queue_full_total", "Bounded queues that were full.", &["queue"]);
        let participants = metrics.gauges(
            "dais_signaling_participants",
            "People who are in a room by this node, those who were just cut off included.",
            &["role"],
        );
        let intervals = metrics.levels(
            "dais_presence_interval_seconds",
            "Least time between two presence messages of a room, longer while threads are busy.",
            &["people"],
        );
        Self {
            participants: ["host", "speaker", "listener"].map(|role| participants.of(&[role])),
            messages: metrics.counters(
                "dais_signaling_messages_total",
                "WebSocket messages.",
                &["type", "direction"],
            ),
            refused: metrics.counters(
                "dais_signaling_refused_total",
                "Joins, messages and requests that were answered with an error.",
                &["reason"],
            ),
            bad_input: metrics.counters(
                "dais_bad_input_total",
                "What came from outside and could not be used.",
                &["what"],
            ),
            gaps: metrics.counters(
                "dais_bus_gaps_total",
                "Times that messages of others may have been missed: the bus was away, or reading too slow.",
                &["subject"],
            ),
            store_up: metrics
                .gauge("dais_store_up", "Whether the rooms' store answered when it was last asked."),
            clock_ahead: metrics.level(
                "dais_store_clock_ahead_seconds",
                "By how much this node's clock is ahead of that of the rooms' store.",
            ),
            lane_full: full.of(&["control_lane"]),
            lingering_full: full.of(&["lingering_peers"]),
            presence_lag: metrics.histogram(
                "dais_presence_lag_seconds",
                "From a change around the stage until it is written to a client.",
                PEOPLE_SECONDS,
            ),
            presence_merged: metrics
                .counter("dais_presence_merged_total", "Presence versions merged into a later message."),
            presence_people: metrics.gauge(
                "dais_presence_people",
                "People in the rooms that are live at this node, at whichever node they are, as they are shown.",
            ),
            store_people: metrics.gauge(
                "dais_store_people",
                "People in all rooms as the store counts them, and limits them: those who were just cut off included.",
            ),
            shares_refused: full.of(&["presence_shares"]),
            busy: metrics.level(
                "dais_signaling_busy_ratio",
                "Which part of their time the threads work that serve people.",
            ),
            presence_interval: ["named", "counted"].map(|people| intervals.of(&[people])),
            concealed: metrics.histogram(
                "dais_listener_concealed_ratio",
                "Share of the audio that listeners' browsers had to make up, as they report it.",
                RATIOS,
            ),
            lost: metrics.histogram(
                "dais_listener_loss_ratio",
                "Share of the packets that listeners' browsers have missed, as they report it.",
                RATIOS,
            ),
            jitter: metrics.histogram(
                "dais_listener_jitter_seconds",
                "By how much packets came sooner or later than others, as listeners' browsers report it.",
                PEOPLE_SECONDS,
            ),
            delay: metrics.histogram(
                "dais_listener_delay_seconds",
                "How long listeners' browsers kept audio before they played it, as they report it.",
                PEOPLE_SECONDS,
            ),
            places: Places::new(metrics),
            full: metrics.counters(
                "dais_signaling_full_total",
                "Listeners who were told to come back because every edge that may take them is full.",
                &["wanted"],
            ),
            spilled: metrics.counters(
                "dais_signaling_spilled_total",
                "Listeners who were sent to an edge of another region because theirs is full.",
                &["wanted"],
            ),
            waiting: metrics.gauge("dais_signaling_waiting", "Listeners who wait for a place at an edge."),
            requests: metrics.histograms(
                "dais_signaling_request_seconds",
                "How long people waited for what a room answers to a request, entering included.",
                PEOPLE_SECONDS,
                &["type"],
            ),
        }
    }

    pub(crate) fn full(&self, wanted: &Region) {
        self.full.of(&[wanted.as_str()]).inc();
    }

    pub(crate) fn spilled(&self, wanted: &Region) {
        self.spilled.of(&[wanted.as_str()]).inc();
    }

    pub(crate) fn waiting(&self, people: usize) {
        self.waiting.set(people as i64);
    }

    pub(crate) fn received(&self, message: &ClientMessage) {
        self.messages.of(&[message.kind(), "ingress"]).inc();
    }

    pub(crate) fn sent(&self, message: &ServerMessage) {
        self.sent_to(message.kind(), 1);
    }

    pub(crate) fn sent_to(&self, kind: &str, people: usize) {
        self.messages.of(&[kind, "egress"]).inc_by(people as u64);
    }

    pub(crate) fn presence_sent(&self, news: &News) {
        self.sent_to("presence", 1);
        self.presence_lag.observe(news.lag().as_secs_f64());
        self.presence_merged.inc_by(news.merged);
    }

    /// For rooms to add their people to.
    pub(crate) fn presence_people(&self) -> Gauge {
        self.presence_people.clone()
    }

    /// So many are in all rooms of the store.
    pub(crate) fn store_people(&self, people: i64) {
        self.store_people.set(people);
    }

    /// So many shares of presence were not taken because there are too many signaling nodes.
    pub(crate) fn shares_refused(&self, shares: u64) {
        self.shares_refused.inc_by(shares);
    }

    /// How busy threads are, and how often presence comes for it.
    pub(crate) fn busy(&self, busy: Busy) {
        self.busy.set(busy.mean());
        let intervals = [NAMED_INTERVAL_MS, COUNTS_INTERVAL_MS];
        for (gauge, interval) in self.presence_interval.iter().zip(intervals) {
            gauge.set(busy.restraint().stretch(interval) as f64 / 1_000.0);
        }
    }

    /// Something was answered with this error.
    pub(crate) fn refused(&self, error: &ApiError) {
        self.refused.of(&[reason(error.code)]).inc();
    }

    /// Something from outside could not be read.
    pub(crate) fn bad(&self, what: &'static str) {
        self.bad_input.of(&[what]).inc();
    }

    /// Messages on such a subject may have been missed.
    pub(crate) fn gap(&self, subject: &'static str) {
        self.gaps.of(&[subject]).inc();
    }

    /// Whether the store answers.
    pub(crate) fn store_up(&self, is_up: bool) {
        self.store_up.set(i64::from(is_up));
    }

    /// By how much the clock is ahead of the store's.
    pub(crate) fn clock_ahead(&self, ms: i64) {
        self.clock_ahead.set(ms as f64 / 1_000.0);
    }

    pub(crate) fn lane_full(&self) {
        self.lane_full.inc();
    }

    /// Somebody has replaced so many peers that the oldest one had to go at once.
    pub(crate) fn lingering_full(&self) {
        self.lingering_full.inc();
    }

    /// So many more hosts, speakers and listeners.
    pub(crate) fn participants(&self, more: [i64; 3]) {
        self.participants.iter().zip(more).for_each(|(gauge, more)| {
            gauge.inc_by(more);
        });
    }

    /// A request of this type was answered, so long after it came.
    pub(crate) fn answered(&self, kind: &str, after: Duration) {
        self.requests.of(&[kind]).observe(after.as_secs_f64());
    }

    pub(crate) fn heard(&self, quality: &Quality) {
        // Whatever somebody says is no more than can be.
        self.concealed.observe(f64::from(quality.concealed.clamp(0.0, 1.0)));
        self.lost.observe(f64::from(quality.loss.clamp(0.0, 1.0)));
        self.jitter.observe(f64::from(quality.jitter_ms.clamp(0.0, 10_000.0)) / 1_000.0);
        self.delay.observe(f64::from(quality.delay_ms.clamp(0.0, 10_000.0)) / 1_000.0);
    }
}

fn reason(code: Code) -> &'static str {
    match code {
        Code::BadRequest => "bad_request",
        Code::BadOffer => "bad_offer",
        Code::Unauthorized => "unauthorized",
        Code::Forbidden => "forbidden",
        Code::Banned => "banned",
        Code::Kicked => "kicked",
        Code::Replaced => "replaced",
        Code::NotFound => "not_found",
        Code::Ended => "ended",
        Code::Conflict => "conflict",
        Code::StageFull => "stage_full",
        Code::HandsFull => "hands_full",
        Code::RoomFull => "room_full",
        Code::TooLarge => "too_large",
        Code::RateLimited => "rate_limited",
        Code::Unavailable => "unavailable",
        Code::Busy => "busy",
        Code::Full => "full",
        Code::ResumeInvalid => "resume_invalid",
        Code::TooSlow => "too_slow",
        Code::JoinTimeout => "join_timeout",
        Code::Internal => "internal",
    }
}
