//! A simulated listener: joins, connects, stays, and does what the storms order.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use protocol::Identity;
use protocol::message::{ClientMessage, Welcome};
use protocol::token::Role;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::clock::now_ns;
use crate::crowd::Why;
use crate::door::{Door, is_passing};
use crate::media_peer::{Connected, MediaPeer, Part, at};
use crate::run::{Run, record};
use crate::session::{Code, Session};
use crate::watch::{News, Watch};

/// How long somebody who was promoted stays on stage.
const ON_STAGE: Duration = Duration::from_secs(10);

/// What a listener is told to do.
pub(crate) enum Order {
    /// Leave for good; at the end of the run, say so when it is done.
    Leave(Option<oneshot::Sender<()>>),
    /// Lose everything, and come back at once.
    Cut,
    /// Raise the hand, and tell the host who asks, if somebody is to be promoted.
    RaiseHand(Option<mpsc::UnboundedSender<Identity>>),
}

/// One listener.
pub(crate) struct Listener {
    pub(crate) run: Arc<Run>,
    /// Their room, and their number in the whole run.
    pub(crate) room: usize,
    pub(crate) number: u64,
    /// They belong to those asked for, not to the churn.
    pub(crate) is_first: bool,
    pub(crate) orders: mpsc::UnboundedReceiver<Order>,
}

/// How a WebSocket ended.
enum End {
    /// They were told to leave.
    Left(Option<oneshot::Sender<()>>),
    /// They were told to lose everything.
    Cut,
    /// It ended by itself: they come back, and hear on meanwhile.
    Lost(Code),
    /// They were put out, or give up.
    Dropped(Code),
}

/// What a listener has, whatever becomes of the WebSocket.
struct Present {
    door: Door,
    watch: Watch,
    media: MediaPeer,
    /// They have heard something.
    is_in: bool,
    /// They are, since they were cut last.
    is_back: bool,
    /// While on stage: until when.
    on_stage: Option<Instant>,
}

impl Listener {
    /// Lives until told to leave, or until something goes wrong for good, which is counted.
    pub(crate) async fn live(mut self) {
        // Boxed, like all that is done once: a task is as large as the largest thing that it may do.
        let (mut session, mut present) = match Box::pin(self.enter()).await {
            Ok(entered) => entered,
            Err(code) => return self.failed(&code),
        };
        loop {
            let end = match self.stay(&mut session, &mut present).await {
                End::Cut => {
                    drop(session);
                    self.cut(&mut present.media, &mut present.is_back);
                    Box::pin(self.come_back(&mut present, true)).await.map(|(session, _)| session)
                }
                End::Lost(code) => {
                    drop(session);
                    Box::pin(self.lost(&mut present, &code)).await
                }
                end @ End::Left(_) => {
                    present.media.close();
                    Box::pin(session.leave()).await;
                    Err(end)
                }
                end @ End::Dropped(_) => Err(end),
            };
            session = match end {
                Ok(session) => session,
                Err(end) => return self.end(&mut present, end),
            };
        }
    }

    async fn enter(&self) -> Result<(Session, Present), Code> {
        let (run, asked_ns) = (&self.run, now_ns());
        let (_, local) = run.crowd(self.number).place();
        let identity = Identity::new(&format!("listener-{}", self.number)).map_err(|_| "internal")?;
        let mut door = Door::new(Arc::clone(run), self.room, identity, Role::Listener, local, self.number);
        let board = &run.boards[self.room];
        let mut watch = Watch::new(Arc::clone(board));
        let (session, welcome) = door.enter(&mut watch).await?;
        // Who comes back later was never gone to the others.
        board.mark(door.node().into(), welcome.presence_version);
        record(&run.join, asked_ns, now_ns());
        let media = MediaPeer::new(Arc::clone(run), self.room, self.number, Part::Listens, asked_ns);
        Ok((session, Present { door, watch, media, is_in: false, is_back: true, on_stage: None }))
    }

    /// Reads and obeys until the end.
    async fn stay(&mut self, session: &mut Session, present: &mut Present) -> End {
        loop {
            // Something may have been read while something else was waited for.
            if let Some(news) = present.watch.news.take()
                && let Err(end) = Box::pin(self.react(session, present, news)).await
            {
                return end;
            }
            tokio::select! {
                text = session.next() => match text {
                    Ok(text) => present.watch.hear(&text),
                    Err(code) => return End::Lost(code),
                },
                order = self.orders.recv() => match order {
                    Some(Order::Leave(done)) => return End::Left(done),
                    Some(Order::RaiseHand(host)) => {
                        let body = ClientMessage::RaiseHand;
                        // Refused (no such room, too often): then nobody is promoted, which shows.
                        let asked = Box::pin(session.ask(body, &mut present.watch)).await;
                        if let Some(host) = host.filter(|_| asked.is_ok()) {
                            let _ = host.send(present.door.identity.clone());
                        }
                    }
                    Some(Order::Cut) | None => return End::Cut,
                },
                () = present.media.is_due() => {
                    if let Err(code) = Box::pin(self.connect(session, present)).await {
                        return End::Dropped(code);
                    }
                }
                () = at(present.on_stage) => Box::pin(self.step_down(session, present)).await,
            }
        }
    }

    async fn react(&self, session: &mut Session, present: &mut Present, news: News) -> Result<(), End> {
        match news {
            News::Promoted(number) => present.media.want(Part::Speaks { own: number, index: None }),
            News::Moved { speak } if speak == (present.media.part() != Part::Listens) => {
                present.media.renew()
            }
            News::Demoted if present.media.part() != Part::Listens => self.step_down(session, present).await,
            News::Removed(reason) if is_passing(&reason) => {
                return Err(End::Lost(format!("removed_{reason}")));
            }
            News::Removed(reason) => return Err(End::Dropped(format!("removed_{reason}"))),
            News::Moved { .. } | News::Demoted => {}
        }
        Ok(())
    }

    async fn connect(&self, session: &mut Session, present: &mut Present) -> Result<(), Code> {
        let signaling = present.door.node();
        let connected = present.media.connect(signaling, session, &mut present.watch).await?;
        let Some(Connected { why, asked_ns, at_ns }) = connected else { return Ok(()) };
        let counts = &self.run.counts;
        match why {
            Why::Returns => counts.add(|counts| &counts.back),
            Why::Joins if self.is_first => {
                record(&self.run.connected, asked_ns, at_ns);
                counts.last_join_ns.fetch_max(at_ns, Ordering::Relaxed);
                counts.add(|counts| &counts.joined);
            }
            Why::Joins => counts.add(|counts| &counts.churned),
            Why::Moves => counts.add(|counts| &counts.renewed),
        }
        (present.is_in, present.is_back) = (true, true);
        if present.media.part() != Part::Listens && present.on_stage.is_none() {
            present.on_stage = Some(Instant::now() + ON_STAGE);
            counts.add(|counts| &counts.promotions);
        }
        Ok(())
    }

    /// Leaves the stage and listens at an edge again.
    async fn step_down(&self, session: &mut Session, present: &mut Present) {
        present.on_stage = None;
        present.media.close();
        present.media.want(Part::Listens);
        let body = ClientMessage::Demote { identity: None };
        // Refused when the host was faster; and whoever has lost the WebSocket hears it by the next `welcome`.
        let _ = session.ask(body, &mut present.watch).await;
    }

    /// They are cut off from everything.
    fn cut(&self, media: &mut MediaPeer, is_back: &mut bool) {
        media.cut();
        // Whoever is on the way already is not cut off twice.
        if std::mem::replace(is_back, false) {
            self.run.counts.add(|counts| &counts.cut);
        }
    }

    /// The WebSocket has ended by itself.
    async fn lost(&mut self, present: &mut Present, code: &str) -> Result<Session, End> {
        let (run, lost_ns) = (Arc::clone(&self.run), now_ns());
        run.failure(code);
        run.counts.add(|counts| &counts.lost);
        let (session, is_resumed) = self.come_back(present, false).await?;
        record(&run.away, lost_ns, now_ns());
        run.counts.add(if is_resumed { |counts| &counts.resumed } else { |counts| &counts.anew });
        Ok(session)
    }

    /// Comes back in, for as long as it takes; whether everything is as it was.
    async fn come_back(&mut self, present: &mut Present, is_at_once: bool) -> Result<(Session, bool), End> {
        let (session, welcome) = {
            let Present { door, watch, media, is_back, .. } = &mut *present;
            let mut coming = std::pin::pin!(door.come_back(watch, is_at_once));
            loop {
                tokio::select! {
                    back = &mut coming => break back.map_err(End::Dropped)?,
                    order = self.orders.recv() => match order {
                        Some(Order::Leave(done)) => return Err(End::Left(done)),
                        Some(Order::Cut) => self.cut(media, is_back),
                        // Nobody sees the hand of somebody who is away.
                        Some(Order::RaiseHand(_)) => {}
                        None => return Err(End::Cut),
                    },
                }
            }
        };
        welcome_back(present, &welcome);
        Ok((session, welcome.resumed))
    }

    /// The last of somebody who did not leave by themselves in an orderly way.
    fn end(&self, present: &mut Present, end: End) {
        present.media.close();
        match end {
            End::Dropped(code) if present.is_in => {
                self.run.failure(&code);
                self.run.counts.add(|counts| &counts.dropped);
                if !present.is_back {
                    self.run.counts.add(|counts| &counts.not_back);
                }
            }
            End::Dropped(code) => self.failed(&code),
            End::Left(Some(done)) => {
                let _ = done.send(());
            }
            // Nobody waits for them to come back.
            End::Left(None) if !present.is_back => {
                self.run.counts.cut.fetch_sub(1, Ordering::Relaxed);
            }
            End::Left(None) | End::Cut | End::Lost(_) => {}
        }
    }

    fn failed(&self, code: &str) {
        self.run.failure(code);
        if self.is_first {
            self.run.counts.add(|counts| &counts.failed);
        }
    }
}

/// Media that others hold for them go on, as far as they fit what the server says.
fn welcome_back(present: &mut Present, welcome: &Welcome) {
    if !welcome.resumed {
        present.media.renew();
    }
    let part = welcome.you.number.map(|own| Part::Speaks { own: own.0, index: None });
    present.on_stage = part.map(|_| present.on_stage.unwrap_or_else(|| Instant::now() + ON_STAGE));
    present.media.want(part.unwrap_or(Part::Listens));
    present.media.signaled_by(present.door.node());
}
