//! How much is told of what others cause as often as they like: so much of each, and so much of all
//! together, in a minute.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// The time that a ration is for.
pub(super) const SPAN: Duration = Duration::from_secs(60);

/// What may still be told.
#[derive(Debug)]
pub(super) struct Ration {
    /// Of all together.
    most: usize,
    /// Of one.
    each: usize,
    /// What was told and of whom, oldest first.
    told: VecDeque<(Instant, String)>,
}

impl Ration {
    /// `most` in a minute, and `each` of one.
    pub(super) fn new(most: usize, each: usize) -> Self {
        Self { most, each, told: VecDeque::new() }
    }

    /// Takes one of what may be told of `whom`.
    pub(super) fn take(&mut self, whom: &str, now: Instant) -> bool {
        while self.told.front().is_some_and(|(at, _)| now - *at >= SPAN) {
            self.told.pop_front();
        }
        let own = self.told.iter().filter(|(_, told)| told == whom).count();
        let may = self.told.len() < self.most && own < self.each;
        if may {
            self.told.push_back((now, whom.to_owned()));
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_makes_noise_leaves_room_for_others_until_all_is_told() {
        let (mut ration, begun) = (Ration::new(5, 2), Instant::now());
        let told = |ration: &mut Ration, whom: &str, now| {
            (0..10).filter(|_| ration.take(whom, now)).count()
        };
        assert_eq!([told(&mut ration, "a", begun), told(&mut ration, "b", begun)], [2, 2]);
        assert_eq!([told(&mut ration, "c", begun), told(&mut ration, "d", begun)], [1, 0]);
        assert_eq!(told(&mut ration, "a", begun + SPAN), 2);
    }
}
