//! Where people go whose region is full: an order for each region, as `eu=uk:us`.

use std::collections::BTreeMap;
use std::str::FromStr;

use protocol::id::{IdError, Region};

/// For each region, those that take its people when it is full, nearest first, and no others. Of a region
/// that is not named, any.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Spill(BTreeMap<Region, Vec<Region>>);

/// The text is no order of regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSpill {
    /// There is no `=`.
    #[error("must be a region and, nearest first, those that take its people: eu=uk:us")]
    Form,
    /// A region is none.
    #[error("a region {0}")]
    Region(#[from] IdError),
}

/// The order of one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpillOrder(Region, Vec<Region>);

impl FromStr for SpillOrder {
    type Err = BadSpill;

    fn from_str(text: &str) -> Result<Self, BadSpill> {
        let (region, others) = text.split_once('=').ok_or(BadSpill::Form)?;
        let others = others.split(':').map(str::trim).filter(|other| !other.is_empty());
        Ok(Self(Region::new(region.trim())?, others.map(Region::new).collect::<Result<_, _>>()?))
    }
}

impl FromIterator<SpillOrder> for Spill {
    fn from_iter<T: IntoIterator<Item = SpillOrder>>(orders: T) -> Self {
        Self(orders.into_iter().map(|SpillOrder(region, others)| (region, others)).collect())
    }
}

impl Spill {
    /// How far a region is from somebody: 0 is their own. None: they are not sent there.
    pub(super) fn distance(&self, from: &Region, to: &Region) -> Option<usize> {
        if from == to {
            return Some(0);
        }
        let Some(others) = self.0.get(from) else { return Some(1) };
        others.iter().position(|other| other == to).map(|place| place + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> Region {
        Region::new(name).unwrap()
    }

    #[test]
    fn a_region_spills_in_its_order_and_nowhere_else() {
        let spill: Spill =
            ["eu=uk: us", "ch="].map(|order| order.parse::<SpillOrder>().unwrap()).into_iter().collect();
        let far = |from, to| spill.distance(&region(from), &region(to));
        assert_eq!(
            [far("eu", "eu"), far("eu", "uk"), far("eu", "us"), far("eu", "ch")],
            [Some(0), Some(1), Some(2), None]
        );
        assert_eq!([far("ch", "ch"), far("ch", "eu")], [Some(0), None], "nobody leaves it");
        assert_eq!([far("us", "us"), far("us", "eu")], [Some(0), Some(1)], "no order: anywhere");
    }

    #[test]
    fn what_is_no_order_says_how_one_is_written() {
        assert_eq!("eu".parse::<SpillOrder>(), Err(BadSpill::Form));
        assert!(matches!("eu=u k".parse::<SpillOrder>(), Err(BadSpill::Region(_))));
    }
}
