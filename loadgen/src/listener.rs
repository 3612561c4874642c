//! A simulated listener: joins, connects, stays, and does what the storms order.

use std::sync::Arc;
use std::time::Duration;

use protocol::Identity;
use protocol::message::ClientMessage;
use protocol::token::Role;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::clock::now_ns;
use crate::crowd::Why;
use crate::run::{Connection, Run, Wanted, record};
use crate::session::{Code, Pass, Session};
use crate::target::sign;
use crate::watch::{News, Watch};

/// How long somebody who was promoted stays on stage.
const ON_STAGE: Duration = Duration::from_secs(10);

/// What a listener is told to do.
pub(crate) enum Order {
    /// Leave for good, and say so when it is done.
    Leave(oneshot::Sender<()>),
    /// Lose everything, and come back at once.
    Cut,
    /// Raise the hand, and tell the host who asks.
    RaiseHand(mpsc::UnboundedSender<Identity>),
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

/// How a stay ended.
enum End {
    Left(oneshot::Sender<()>),
    Cut,
    Dropped(Code),
}

/// A listener who is in.
struct Present {
    session: Session,
    watch: Watch,
    identity: Identity,
    resume: String,
    /// None while on stage.
    listening: Option<Connection>,
    /// While on stage: the connection, if there is one yet, and until when.
    speaking: Option<(Connection, Instant)>,
}

impl Listener {
    /// Lives until told to leave, or until something goes wrong, which is counted.
    pub(crate) async fn live(mut self) {
        let mut resume = None;
        let mut asked_ns = now_ns();
        let mut why = Why::Joins;
        loop {
            // Boxed, like all that is done once: a task is as large as the largest thing that it may do.
            let entered = Box::pin(self.enter(resume.take(), asked_ns, why)).await;
            let mut present = match entered {
                Ok(present) => present,
                Err(code) => return self.failed(&code, why),
            };
            match self.stay(&mut present).await {
                End::Left(done) => {
                    self.part(&present);
                    Box::pin(present.session.leave()).await;
                    let _ = done.send(());
                    return;
                }
                End::Cut => {
                    asked_ns = now_ns();
                    self.part(&present);
                    (resume, why) = (Some(present.resume), Why::Returns);
                    self.run.counts.add(|counts| &counts.cut);
                }
                End::Dropped(code) => {
                    self.part(&present);
                    self.run.counts.add(|counts| &counts.dropped);
                    return self.run.failure(&code);
                }
            }
        }
    }

    fn failed(&self, code: &str, why: Why) {
        self.run.failure(code);
        match why {
            Why::Joins if self.is_first => self.run.counts.add(|counts| &counts.failed),
            Why::Joins => {}
            Why::Returns | Why::Moves => {
                self.run.counts.add(|counts| &counts.dropped);
                self.run.counts.add(|counts| &counts.not_back);
            }
        }
    }

    async fn enter(&self, resume: Option<String>, asked_ns: u64, why: Why) -> Result<Present, Code> {
        let run = &self.run;
        let crowd = run.crowd(self.number);
        let (place, local) = crowd.place();
        let mut watch = Watch::new(Arc::clone(&run.boards[self.room]));
        let room = &run.rooms[self.room];
        let identity = Identity::new(&format!("listener-{}", self.number)).map_err(|_| "internal")?;
        let token = sign(&run.options, Some(room), Some(&identity), Role::Listener);
        let token = token.map_err(|_| "token".to_owned())?;
        let pass = Pass { token, resume };
        let (mut session, welcome) = Session::enter(&run.target, local, pass, &mut watch).await?;
        watch.welcomed(welcome.presence_version);
        if why == Why::Joins {
            // Who comes back was never gone to the others.
            run.boards[self.room].mark(welcome.presence_version);
            record(&run.join, asked_ns, now_ns());
        }
        let wanted =
            Wanted { room: self.room, place, asked_ns, why, instead_of: None, own: None, speaks: None };
        let connection = run.connect(crowd, wanted, &mut session, &mut watch).await?;
        self.entered(asked_ns, &connection, why);
        let resume = welcome.resume;
        Ok(Present { session, watch, identity, resume, listening: Some(connection), speaking: None })
    }

    fn entered(&self, asked_ns: u64, connection: &Connection, why: Why) {
        let counts = &self.run.counts;
        match why {
            Why::Returns => counts.add(|counts| &counts.back),
            Why::Joins if self.is_first => {
                record(&self.run.connected, asked_ns, connection.at_ns);
                counts.last_join_ns.fetch_max(connection.at_ns, std::sync::atomic::Ordering::Relaxed);
                counts.add(|counts| &counts.joined);
            }
            Why::Joins => counts.add(|counts| &counts.churned),
            Why::Moves => {}
        }
    }

    /// Reads and obeys until the end.
    async fn stay(&mut self, present: &mut Present) -> End {
        loop {
            // Something may have been read while something else was waited for.
            if let Some(news) = present.watch.news.take()
                && let Err(code) = Box::pin(self.react(present, news)).await
            {
                return End::Dropped(code);
            }
            let until = present.speaking.as_ref().map(|(_, until)| *until);
            tokio::select! {
                text = present.session.next() => match text {
                    Ok(text) => present.watch.hear(&text),
                    Err(code) => return End::Dropped(code),
                },
                order = self.orders.recv() => match order {
                    Some(Order::Leave(done)) => return End::Left(done),
                    Some(Order::Cut) => return End::Cut,
                    Some(Order::RaiseHand(host)) => {
                        let body = ClientMessage::RaiseHand;
                        // Refused (no such room, too often): then nobody is promoted, which shows.
                        if Box::pin(present.session.ask(body, &mut present.watch)).await.is_ok() {
                            let _ = host.send(present.identity.clone());
                        }
                    }
                    None => return End::Cut,
                },
                why = lost(&mut present.listening) => return End::Dropped(why),
                () = at(until) => {
                    if let Err(code) = Box::pin(self.step_down(present)).await {
                        return End::Dropped(code);
                    }
                }
            }
        }
    }

    async fn react(&self, present: &mut Present, news: News) -> Result<(), Code> {
        match news {
            News::Promoted(number) => self.step_up(present, number).await,
            News::Moved { speak: false } => self.listen_again(present).await,
            News::Demoted if present.speaking.is_some() => self.step_down(present).await,
            News::Removed(reason) => Err(format!("removed_{reason}")),
            News::Moved { speak: true } | News::Demoted => Ok(()),
        }
    }

    /// Connects to the origin, then lets the edge go, as the SDK does.
    async fn step_up(&self, present: &mut Present, number: u32) -> Result<(), Code> {
        let crowd = &self.run.stage;
        let (place, _) = crowd.place();
        let speaks = Some(None);
        let own = Some(number);
        let wanted = Wanted {
            room: self.room,
            place,
            asked_ns: now_ns(),
            why: Why::Moves,
            instead_of: None,
            own,
            speaks,
        };
        let connected = self.run.connect(crowd, wanted, &mut present.session, &mut present.watch).await?;
        present.speaking = Some((connected, Instant::now() + ON_STAGE));
        self.stop_listening(present);
        self.run.counts.add(|counts| &counts.promotions);
        Ok(())
    }

    /// Leaves the stage and listens at an edge again.
    async fn step_down(&self, present: &mut Present) -> Result<(), Code> {
        self.stop_speaking(present);
        let body = ClientMessage::Demote { identity: None };
        // Refused when the host was faster.
        present.session.ask(body, &mut present.watch).await?;
        self.listen_again(present).await
    }

    async fn listen_again(&self, present: &mut Present) -> Result<(), Code> {
        let crowd = self.run.crowd(self.number);
        let (place, _) = crowd.place();
        let wanted = Wanted {
            room: self.room,
            place,
            asked_ns: now_ns(),
            why: Why::Moves,
            instead_of: present.listening.as_ref().map(|connection| connection.place),
            own: None,
            speaks: None,
        };
        let connected = self.run.connect(crowd, wanted, &mut present.session, &mut present.watch).await?;
        self.stop_listening(present);
        present.listening = Some(connected);
        Ok(())
    }

    fn stop_listening(&self, present: &mut Present) {
        if let Some(connection) = present.listening.take() {
            self.run.crowd(self.number).remove(connection.place);
        }
    }

    fn stop_speaking(&self, present: &mut Present) {
        if let Some((connection, _)) = present.speaking.take() {
            self.run.stage.remove(connection.place);
        }
    }

    fn part(&self, present: &Present) {
        if let Some(connection) = &present.listening {
            self.run.crowd(self.number).remove(connection.place);
        }
        if let Some((connection, _)) = &present.speaking {
            self.run.stage.remove(connection.place);
        }
    }
}

/// Waits until the connection is lost; for ever where there is none.
async fn lost(connection: &mut Option<Connection>) -> Code {
    match connection {
        // Whoever drops the sender has let us go on purpose.
        Some(connection) => match (&mut connection.lost).await {
            Ok(why) => why.into(),
            Err(_) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

async fn at(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
