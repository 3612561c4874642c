//! Where the room comes from: what the origins and the edge of the town know of it, and what they say to what they
//! are told.

use protocol::id::{NodeId, Region};
use protocol::node::{RoomOrigin, Stage};
use room::live::{Input, Origins};
use room::stages::{Heard, Stages};

use super::media::{Media, Word, hall};
use super::world::{Happening, NODES, World};

pub(crate) struct Origin {
    pub(crate) name: NodeId,
    pub(crate) is_live: bool,
    stages: Stages,
    pub(crate) stage: Option<Stage>,
}

/// What a live room sees of the origins.
pub(crate) struct Seen<'a>(pub(crate) &'a [Origin]);

impl Origins for Seen<'_> {
    fn is_live(&self, node: &NodeId) -> bool {
        self.0.iter().any(|origin| origin.name == *node && origin.is_live)
    }

    fn place(&mut self, _region: Option<&Region>) -> Option<NodeId> {
        self.0.iter().find(|origin| origin.is_live).map(|origin| origin.name.clone())
    }
}

impl Origin {
    pub(crate) fn new(name: &str) -> Self {
        let name = NodeId::new(name).unwrap();
        Self { stages: Stages::new(name.clone(), 1), name, is_live: true, stage: None }
    }

    /// It knows nothing any more.
    pub(crate) fn forget(&mut self) {
        (self.stages, self.stage) = (Stages::new(self.name.clone(), 1), None);
    }
}

impl World {
    pub(crate) fn push(&mut self, index: usize, boot: u64, node: &NodeId, stage: Stage) {
        let is_reached = self.hears(index);
        let origin = self.origins.iter_mut().find(|origin| origin.name == *node && origin.is_live);
        let Some(origin) = origin.filter(|_| is_reached) else {
            return self.at(self.now + 500, Happening::Input(index, boot, Box::new(Input::Pushed(false))));
        };
        let is_taken = origin.stages.take(&stage).is_ok();
        if is_taken {
            origin.stage = Some(stage);
        } else {
            let line = format!("{node} refuses {:?} {}", stage.epoch, stage.version);
            self.tell(line);
        }
        self.at(self.now + 4, Happening::Input(index, boot, Box::new(Input::Pushed(is_taken))));
    }

    /// A signaling node says where the room comes from: each second, and at once where it is elsewhere than before.
    pub(crate) fn tell_origin(&mut self, index: usize, boot: u64, is_news: bool) {
        let life = self.nodes[index].life.as_ref().unwrap();
        let Some((root, stage)) = life.comes_from.clone() else { return };
        let told = RoomOrigin { room: hall(), root, stage: (!is_news).then_some(stage) };
        for media in 0..self.media.len() {
            let word = Word::Origin(told.clone());
            self.at(self.now + 5, Happening::Word(index, boot, media, word));
        }
    }

    /// A media node hears it, and says so where it knows otherwise.
    pub(crate) fn hear_origin(&mut self, media: usize, told: RoomOrigin) {
        let node = self.media[media].name.clone();
        let Some(origin) = self.origins.iter_mut().find(|origin| origin.name == node) else {
            let ours = &mut self.media[media].root;
            match ours {
                Some(ours) if ours.epoch >= told.root.epoch => {
                    if *ours != told.root {
                        let known = RoomOrigin { root: ours.clone(), stage: None, ..told };
                        self.contradict(&node, &known);
                    }
                }
                _ => *ours = Some(told.root),
            }
            return;
        };
        match origin.stages.hear(&told) {
            Heard::Known => {}
            Heard::Otherwise(known) => self.contradict(&node, &known),
            Heard::Replaced => {
                origin.forget();
                self.end_all(media, "another origin has taken over");
            }
        }
    }

    /// An origin loses what it has been told, and nobody hears of that.
    pub(crate) fn forget_stage(&mut self, media: usize) {
        let node = self.media[media].name.clone();
        if let Some(origin) = self.origins.iter_mut().find(|origin| origin.name == node) {
            origin.forget();
            self.calm_since = self.calm_since.max(self.now);
            self.tell(format!("{node} forgets the stage"));
        }
    }

    fn contradict(&mut self, node: &NodeId, known: &RoomOrigin) {
        self.tell(format!(
            "{node} knows otherwise: {} {:?} {:?}",
            known.root.origin, known.root.epoch, known.stage
        ));
        for index in 0..NODES {
            if !self.hears(index) {
                continue;
            }
            if let Some(boot) = self.nodes[index].life.as_ref().map(|life| life.boot) {
                let input = Input::Known(node.clone(), known.clone());
                self.at(self.now + 10, Happening::Input(index, boot, Box::new(input)));
            }
        }
    }

    pub(crate) fn lose_origin(&mut self, index: usize) {
        let origin = &mut self.origins[index];
        origin.is_live = false;
        origin.forget();
        let name = origin.name.clone();
        self.media.iter_mut().filter(|media| media.name == name).for_each(Media::forget);
        for node in 0..NODES {
            if let Some(life) = &self.nodes[node].life {
                let input = Box::new(Input::NodeLost(name.clone()));
                let boot = life.boot;
                self.at(self.now + 700, Happening::Input(node, boot, input));
            }
        }
    }
}
