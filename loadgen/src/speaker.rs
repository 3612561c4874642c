//! A simulated speaker: joins with a seat, and lets the crowd talk. The first of a room is its host.

use std::sync::Arc;

use anyhow::{anyhow, bail};
use protocol::Identity;
use protocol::message::ClientMessage;
use protocol::token::Role;
use tokio::sync::{mpsc, watch};

use crate::clock::now_ns;
use crate::crowd::Why;
use crate::run::{Connection, Run, Wanted};
use crate::session::{Pass, Session};
use crate::target::sign;
use crate::watch::{News, Watch};

/// A speaker who is in.
pub(crate) struct Speaker {
    run: Arc<Run>,
    room: usize,
    index: usize,
    number: u32,
    session: Session,
    watch: Watch,
    connection: Connection,
}

impl Speaker {
    /// Joins and connects; the talk's part of this number is theirs from then on.
    pub(crate) async fn enter(run: Arc<Run>, room: usize, index: usize) -> anyhow::Result<Self> {
        let role = if index == 0 { Role::Host } else { Role::Speaker };
        let name = format!("speaker-{index}");
        let fail = |what: &str, code: &str| anyhow!("{name} of {} cannot {what}: {code}", run.rooms[room]);
        let identity = Identity::new(&name)?;
        let token = sign(&run.options, Some(&run.rooms[room]), Some(&identity), role)?;
        let (place, local) = run.stage.place();
        let mut watch = Watch::of_speaker(Arc::clone(&run.boards[room]));
        let pass = Pass { token, resume: None };
        let entered = Session::enter(&run.target, local, pass, &mut watch).await;
        let (mut session, welcome) = entered.map_err(|code| fail("join", &code))?;
        watch.welcomed(welcome.presence_version);
        let Some(number) = welcome.you.number else { bail!("{name} has no seat") };
        let wanted = Wanted {
            room,
            place,
            asked_ns: now_ns(),
            why: Why::Joins,
            instead_of: None,
            own: Some(number.0),
            speaks: Some(Some(index)),
        };
        let connected = run.connect(&run.stage, wanted, &mut session, &mut watch).await;
        let connection = connected.map_err(|code| fail("connect", &code))?;
        Ok(Self { run, room, index, number: number.0, session, watch, connection })
    }

    /// Reads until the end; a host promotes whoever asks meanwhile.
    pub(crate) async fn live(
        mut self,
        mut hands: mpsc::UnboundedReceiver<Identity>,
        mut over: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let name = format!("speaker-{} of {}", self.index, self.run.rooms[self.room]);
        loop {
            tokio::select! {
                text = self.session.next() => match text {
                    Ok(text) => self.watch.hear(&text),
                    Err(code) => bail!("{name} was dropped: {code}"),
                },
                Some(identity) = hands.recv() => self.promote(identity).await,
                Ok(why) = &mut self.connection.lost => bail!("{name} was dropped: {why}"),
                _ = over.changed() => {
                    self.session.leave().await;
                    return Ok(());
                }
            }
            match self.watch.news.take() {
                Some(News::Moved { speak: true }) => self.move_on().await?,
                Some(News::Removed(reason)) => bail!("{name} was removed: {reason}"),
                _ => {}
            }
        }
    }

    async fn promote(&mut self, identity: Identity) {
        self.run.boards[self.room].promote(identity.as_str());
        let asked = self.session.ask(ClientMessage::Promote { identity }, &mut self.watch).await;
        if let Ok(protocol::message::ServerMessage::Error(error)) = asked {
            self.run.failure(&format!("promote_{}", crate::session::code(&error)));
        }
    }

    async fn move_on(&mut self) -> anyhow::Result<()> {
        let (place, _) = self.run.stage.place();
        let wanted = Wanted {
            room: self.room,
            place,
            asked_ns: now_ns(),
            why: Why::Moves,
            instead_of: Some(self.connection.place),
            own: Some(self.number),
            speaks: Some(Some(self.index)),
        };
        let moved = self.run.connect(&self.run.stage, wanted, &mut self.session, &mut self.watch).await;
        let moved = moved.map_err(|code| anyhow!("speaker-{} cannot move: {code}", self.index))?;
        self.run.stage.remove(std::mem::replace(&mut self.connection, moved).place);
        Ok(())
    }
}
