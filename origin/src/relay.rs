//! The root of the trees: takes frames from the shards and sends one copy down each link that wants
//! them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::relay::{Downstream, LinkId, MAX_ROOMS, Output};
use node::Child;
use node::meters::{LinkMeter, bad_input, queue_full};
use protocol::link::{ChildMessage, Datagram, ParentMessage};
use protocol::{Epoch, Frame, NodeId, RoomId};
use service::metrics::{Follower, Gauge};
use service::{Metrics, Shutdown};
use tokio::sync::Notify;
use transport::Queue;
use transport::link::{Event, LinkHandle};
use transport::queue::Full;

/// Between two looks at what was counted.
const FOLLOW: Duration = Duration::from_millis(250);

/// What the relay is told.
pub(crate) enum Input {
    /// There is such a room, in this epoch.
    Open { room: RoomId, epoch: Epoch },
    /// It is over.
    Close(RoomId),
    /// A child has linked.
    Up(LinkId, LinkHandle<ParentMessage>),
    /// It wants something.
    Said(LinkId, ChildMessage),
    /// It is gone.
    Lost(LinkId),
}

/// What may be dropped when there is too much of it.
pub(crate) enum Audio {
    /// From a shard, to the children.
    Frame { room: RoomId, frame: Frame },
    /// From a child: a heartbeat, or a request for lost frames.
    Datagram(LinkId, Datagram),
}

pub(crate) type RelayQueue = Queue<Input, Audio, Notify>;

/// Puts what happens on a child's link into the queue.
pub(crate) fn told(queue: &RelayQueue, id: LinkId, child: Child) -> Result<(), Full> {
    match child {
        Child::Said(Event::Datagram(datagram)) => queue.push_frame(Audio::Datagram(id, datagram)),
        Child::Said(Event::Message(message)) => return queue.push(Input::Said(id, message)),
        Child::Up(handle) => queue.push_always(Input::Up(id, handle)),
        Child::Lost => queue.push_always(Input::Lost(id)),
    }
    Ok(())
}

/// All trees of this origin.
pub(crate) struct Relay {
    me: NodeId,
    queue: Arc<RelayQueue>,
    downstream: Downstream,
    children: HashMap<LinkId, (LinkHandle<ParentMessage>, LinkMeter)>,
    rooms: HashMap<RoomId, Epoch>,
    out: Vec<Output<ParentMessage>>,
    metrics: Metrics,
    meters: Meters,
}

struct Meters {
    refused: Follower,
    dropped: Follower,
    resent: Follower,
    unknown_channel: Follower,
    children: Gauge,
}

impl Relay {
    pub(crate) fn new(me: NodeId, queue: Arc<RelayQueue>, metrics: Metrics) -> Self {
        let meters = Meters {
            refused: Follower::new(queue_full(&metrics, "relay_commands")),
            dropped: Follower::new(queue_full(&metrics, "relay_frames")),
            resent: Follower::new(
                metrics.counter("dais_link_resent_frames_total", "Frames sent again to a child."),
            ),
            unknown_channel: Follower::new(bad_input(&metrics, "relay_channel")),
            children: metrics.gauge("dais_link_children", "Nodes that take rooms from this one."),
        };
        Self {
            me,
            queue,
            downstream: Downstream::default(),
            children: HashMap::new(),
            rooms: HashMap::new(),
            out: Vec::new(),
            metrics,
            meters,
        }
    }

    /// Works until `ended` begins.
    pub(crate) async fn run(mut self, ended: Shutdown) {
        let mut follow = tokio::time::interval(FOLLOW);
        let (mut control, mut audio) = (VecDeque::new(), VecDeque::new());
        loop {
            tokio::select! {
                biased;
                () = self.queue.waker().notified() => {
                    self.queue.take(&mut control, &mut audio);
                    control.drain(..).for_each(|input| self.handle(input));
                    audio.drain(..).for_each(|audio| self.relay(audio));
                    self.send();
                }
                _ = follow.tick() => self.follow(),
                () = ended.begun() => return,
            }
        }
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::Open { room, epoch } => self.open(room, epoch),
            Input::Close(room) => {
                self.rooms.remove(&room);
                self.downstream.close(&room, &mut self.out);
            }
            Input::Up(id, handle) => {
                self.downstream.link_up(id);
                self.children.insert(id, (handle, LinkMeter::new(&self.metrics)));
            }
            Input::Said(id, message) => self.said(id, message),
            Input::Lost(id) => {
                self.children.remove(&id);
                for room in self.downstream.link_lost(id) {
                    self.forget_unless_needed(&room);
                }
            }
        }
    }

    /// Beyond [`MAX_ROOMS`] a room has no children, as its shard refuses it.
    fn open(&mut self, room: RoomId, epoch: Epoch) {
        if self.rooms.len() >= MAX_ROOMS && !self.rooms.contains_key(&room) {
            return;
        }
        let known = self.rooms.entry(room.clone()).or_default();
        *known = epoch.max(*known);
        self.downstream.set_path(&room, vec![self.me.clone()], *known, &mut self.out);
    }

    fn said(&mut self, id: LinkId, message: ChildMessage) {
        match message {
            ChildMessage::Subscribe { room, channel, .. } => {
                // A listener may well be there before the first speaker: the way is open nonetheless.
                let epoch = self.rooms.get(&room).copied().unwrap_or_default();
                match self.downstream.subscribe(id, &room, channel, &mut self.out) {
                    Ok(()) => {
                        self.downstream.set_path(&room, vec![self.me.clone()], epoch, &mut self.out);
                    }
                    Err(error) => {
                        let refused = ParentMessage::Refused { channel, why: error.to_string() };
                        self.out.push(Output::Message(id, refused));
                    }
                }
            }
            ChildMessage::Unsubscribe { channel } => {
                if let Some(room) = self.downstream.unsubscribe(id, channel) {
                    self.forget_unless_needed(&room);
                }
            }
        }
    }

    fn relay(&mut self, audio: Audio) {
        match audio {
            Audio::Frame { room, frame } => self.downstream.forward(&room, &frame, &mut self.out),
            Audio::Datagram(id, Datagram::Heartbeat(heartbeat)) => {
                self.downstream.loss(Instant::now(), id, heartbeat.loss_permille);
            }
            Audio::Datagram(id, Datagram::Missing(missing)) => {
                self.downstream.missing(id, &missing, &mut self.out);
            }
            // Audio flows down only. A child that sends some is of no version we know.
            Audio::Datagram(_, Datagram::Frames { .. }) => {
                bad_input(&self.metrics, "relay_upwards").inc();
            }
        }
    }

    /// A room that nobody opened is remembered only while a child waits for it.
    fn forget_unless_needed(&mut self, room: &RoomId) {
        if !self.rooms.contains_key(room) && !self.downstream.has_children(room) {
            self.downstream.close(room, &mut self.out);
        }
    }

    fn send(&mut self) {
        for output in self.out.drain(..) {
            let (Output::Datagram(id, _) | Output::Message(id, _)) = &output;
            let Some((link, _)) = self.children.get(id) else { continue };
            match output {
                Output::Datagram(_, datagram) => link.send_datagram(datagram),
                Output::Message(_, message) => link.send(message),
            }
        }
    }

    fn follow(&mut self) {
        let counts = self.queue.counts();
        self.meters.refused.follow(counts.refused);
        self.meters.dropped.follow(counts.dropped);
        self.meters.resent.follow(self.downstream.stats().resent);
        self.meters.unknown_channel.follow(self.downstream.stats().unknown_channel);
        self.meters.children.set(self.children.len() as i64);
        self.children.values_mut().for_each(|(link, meter)| meter.follow(link));
    }
}
