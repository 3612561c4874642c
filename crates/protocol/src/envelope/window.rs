//! Which numbers of one sender were here: the newest, and of the 1,024 below it each by itself.
//!
//! What was overtaken by a few is still taken, once; what was overtaken by more is refused unseen.

/// How far a number may be behind the newest.
const WIDTH: u64 = 1_024;

const WORDS: usize = (WIDTH / u64::BITS as u64) as usize;

/// Takes each number once.
#[derive(Debug, Clone)]
pub struct Window {
    /// The first number that was never reached.
    next: u64,
    /// The numbers from `next - WIDTH` on that were here; each where its own last digits say.
    seen: [u64; WORDS],
}

/// What is wrong with a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotNew {
    /// It was here.
    Replayed,
    /// Nobody knows any more: it is too far behind.
    Late,
}

impl Window {
    /// Takes every number.
    pub fn open() -> Self {
        Self { next: 0, seen: [0; WORDS] }
    }

    /// Takes only what comes after this one.
    pub fn after(number: u64) -> Self {
        Self { next: number.saturating_add(1), seen: [u64::MAX; WORDS] }
    }

    /// Takes a number that is new.
    pub fn take(&mut self, number: u64) -> Result<(), NotNew> {
        // Nothing comes after the last number there is, so it could be taken again and again. Nobody gets there.
        if number == u64::MAX {
            return Err(NotNew::Late);
        }
        if number >= self.next {
            self.reach(number);
        } else if self.next - number > WIDTH {
            return Err(NotNew::Late);
        }
        let (word, bit) = place(number);
        if self.seen[word] & bit != 0 {
            return Err(NotNew::Replayed);
        }
        self.seen[word] |= bit;
        Ok(())
    }

    /// Forgets what was in the place of the numbers up to this one.
    fn reach(&mut self, number: u64) {
        if number - self.next >= WIDTH {
            self.seen = [0; WORDS];
        } else {
            for passed in self.next..=number {
                let (word, bit) = place(passed);
                self.seen[word] &= !bit;
            }
        }
        self.next = number + 1;
    }
}

fn place(number: u64) -> (usize, u64) {
    let at = number % WIDTH;
    ((at / u64::from(u64::BITS)) as usize, 1 << (at % u64::from(u64::BITS)))
}
