//! A simulated speaker: joins with a seat, and lets the crowd talk. The first of a room is its host.

use std::sync::Arc;

use anyhow::{anyhow, bail};
use protocol::Identity;
use protocol::message::{ClientMessage, ServerMessage};
use protocol::token::Role;
use tokio::sync::{mpsc, watch};

use crate::clock::now_ns;
use crate::door::{Door, is_passing};
use crate::media_peer::{MediaPeer, Part};
use crate::run::Run;
use crate::session::Session;
use crate::watch::{News, Watch};

/// A speaker who is in.
pub(crate) struct Speaker {
    run: Arc<Run>,
    room: usize,
    index: usize,
    door: Door,
    session: Session,
    watch: Watch,
    media: MediaPeer,
}

impl Speaker {
    /// Joins and connects; the talk's part of this number is theirs from then on.
    pub(crate) async fn enter(run: Arc<Run>, room: usize, index: usize) -> anyhow::Result<Self> {
        let asked_ns = now_ns();
        let role = if index == 0 { Role::Host } else { Role::Speaker };
        let name = format!("speaker-{index}");
        let fail = |what: &str, code: &str| anyhow!("{name} of {} cannot {what}: {code}", run.rooms[room]);
        let identity = Identity::new(&name)?;
        let (_, local) = run.stage.place();
        let number = (room * run.options.speakers as usize + index) as u64;
        let mut watch = Watch::of_speaker(Arc::clone(&run.boards[room]));
        let mut door = Door::new(Arc::clone(&run), room, identity, role, local, number);
        let (session, welcome) = door.enter(&mut watch).await.map_err(|code| fail("join", &code))?;
        let Some(own) = welcome.you.number else { bail!("{name} has no seat") };
        let part = Part::Speaks { own: own.0, index: Some(index) };
        let media = MediaPeer::new(Arc::clone(&run), room, number, part, asked_ns);
        let mut speaker = Self { run: Arc::clone(&run), room, index, door, session, watch, media };
        while !speaker.connect().await.map_err(|code| fail("connect", &code))? {
            speaker.media.is_due().await;
            if speaker.session.is_lost() {
                speaker.come_back().await?;
            }
        }
        Ok(speaker)
    }

    /// Reads until the end; a host promotes whoever asks meanwhile.
    pub(crate) async fn live(
        mut self,
        mut hands: mpsc::UnboundedReceiver<Identity>,
        mut over: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                text = self.session.next() => match text {
                    Ok(text) => self.watch.hear(&text),
                    Err(code) => self.run.failure(&format!("speaker_{code}")),
                },
                Some(identity) = hands.recv() => self.promote(identity).await,
                () = self.media.is_due() => {
                    self.connect().await.map_err(|code| anyhow!("{self} was dropped: {code}"))?;
                }
                _ = over.changed() => {
                    self.session.leave().await;
                    return Ok(());
                }
            }
            let is_put_out = self.react()?;
            if is_put_out || self.session.is_lost() {
                tokio::select! {
                    back = self.come_back() => back?,
                    _ = over.changed() => return Ok(()),
                }
            }
        }
    }

    /// Does what was told; true when they are put out and may come back.
    fn react(&mut self) -> anyhow::Result<bool> {
        match self.watch.news.take() {
            Some(News::Moved { speak: true }) => self.media.renew(),
            Some(News::Removed(reason)) if is_passing(&reason) => return Ok(true),
            Some(News::Removed(reason)) => bail!("{self} was removed: {reason}"),
            _ => {}
        }
        Ok(false)
    }

    /// Asks for media; whether there are any.
    async fn connect(&mut self) -> Result<bool, String> {
        let connected = self.media.connect(self.door.node(), &mut self.session, &mut self.watch).await?;
        Ok(connected.is_some())
    }

    /// Comes back to the seat, and speaks on meanwhile.
    async fn come_back(&mut self) -> anyhow::Result<()> {
        let back = self.door.come_back(&mut self.watch, false).await;
        let (session, welcome) = back.map_err(|code| anyhow!("{self} was dropped: {code}"))?;
        self.session = session;
        let Some(own) = welcome.you.number else { bail!("{self} has lost the seat") };
        if !welcome.resumed {
            self.media.renew();
        }
        self.media.want(Part::Speaks { own: own.0, index: Some(self.index) });
        self.media.signaled_by(self.door.node());
        Ok(())
    }

    async fn promote(&mut self, identity: Identity) {
        self.run.boards[self.room].promote(identity.as_str());
        let asked = self.session.ask(ClientMessage::Promote { identity }, &mut self.watch).await;
        if let Ok(ServerMessage::Error(error)) = asked {
            self.run.failure(&format!("promote_{}", crate::session::code(&error)));
        }
    }
}

impl std::fmt::Display for Speaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "speaker-{} of {}", self.index, self.run.rooms[self.room])
    }
}
