//! How long one waits for how many failures: arithmetic, in milliseconds.
//!
//! A leaky bucket, as the generic cell rate algorithm has it: each failure is remembered for so long after those before it,
//! so that a time says how many there are.

use std::time::Duration;

use crate::{
    clock::milliseconds,
    state::failures::{Code, Failed, Tally},
};

/// The first wait; each further failure doubles it.
const FIRST_MS: i64 = 1000;
/// So many more than the free ones are counted: enough to double up to any wait that can be set.
const COUNTED: u32 = 20;

/// Of one kind of counter.
#[derive(Debug, Clone, Copy)]
pub struct Law {
    free: u32,
    longest_ms: i64,
    /// In so long one failure is forgotten.
    each_ms: i64,
}

impl Law {
    /// The wait begins with the last of the `free` failures.
    pub fn new(free: u32, longest: Duration, each: Duration) -> Self {
        Self { free, longest_ms: milliseconds(longest), each_ms: milliseconds(each).max(1) }
    }

    pub fn failed(&self, code: Code) -> Failed {
        let most_ms = self.each_ms.saturating_mul(i64::from(self.free.saturating_add(COUNTED)));
        Failed { code, each_ms: self.each_ms, most_ms }
    }

    /// What is left of the wait, if anything.
    pub fn left(&self, tally: Tally, now_ms: i64) -> Option<Duration> {
        // A clock that went back makes nobody wait.
        let over_ms = u64::try_from(now_ms - tally.failed_ms).ok()?;
        let wait_ms = self.wait_ms(self.failures(tally, tally.failed_ms)).unsigned_abs();
        let left_ms = wait_ms.checked_sub(over_ms).filter(|left| *left > 0)?;
        Some(Duration::from_millis(left_ms))
    }

    /// How many may try at once, so that no more than the free ones can fail before the wait.
    pub fn room(&self, tally: Option<Tally>, now_ms: i64) -> u32 {
        let failures = tally.map_or(0, |tally| self.failures(tally, now_ms));
        self.free.saturating_sub(failures).max(1)
    }

    /// Those that are remembered.
    fn failures(&self, tally: Tally, at_ms: i64) -> u32 {
        let remembered_ms = tally.clear_ms.saturating_sub(at_ms).max(0).unsigned_abs();
        u32::try_from(remembered_ms.div_ceil(self.each_ms.unsigned_abs())).unwrap_or(u32::MAX)
    }

    fn wait_ms(&self, failures: u32) -> i64 {
        match failures.checked_sub(self.free) {
            Some(doubled) => (FIRST_MS << doubled.min(COUNTED)).min(self.longest_ms),
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: Duration = Duration::from_mins(15);
    const LAW: fn() -> Law = || Law::new(5, MAX, MAX);

    /// As the state adds it.
    fn failed(law: &Law, tally: Option<Tally>, now_ms: i64) -> Tally {
        let Failed { each_ms, most_ms, .. } = law.failed([0; 32]);
        let clear_ms = tally.map_or(now_ms, |tally| tally.clear_ms.max(now_ms)) + each_ms;
        Tally { failed_ms: now_ms, clear_ms: clear_ms.min(now_ms + most_ms) }
    }

    #[test]
    fn the_wait_doubles_from_a_second_after_the_free_failures() {
        let law = LAW();
        let mut tally = None;
        let mut waits = Vec::new();
        for now_ms in 0..17 {
            let after = failed(&law, tally, now_ms);
            waits.push(law.left(after, now_ms).map_or(0, |left| left.as_secs()));
            tally = Some(after);
        }
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
    }

    #[test]
    fn one_failure_is_forgotten_in_the_longest_wait() {
        let law = LAW();
        let each = law.each_ms;
        let tally = (0..5).fold(None, |tally, now_ms| Some(failed(&law, tally, now_ms)));
        let room = |now_ms: i64| law.room(tally, now_ms);
        assert_eq!([room(4), room(each), room(2 * each), room(5 * each)], [1, 1, 2, 5]);
        // Whoever tries as often as he may for ever waits the longest each time.
        let (mut tally, mut now_ms) = (tally.unwrap(), 4);
        for _ in 0..50 {
            now_ms += law.left(tally, now_ms).map_or(0, milliseconds);
            tally = failed(&law, Some(tally), now_ms);
        }
        assert_eq!(law.left(tally, now_ms), Some(MAX));
    }

    #[test]
    fn a_clock_that_went_back_makes_nobody_wait_for_long() {
        let law = LAW();
        let tally = (0..30).fold(None, |tally, _| Some(failed(&law, tally, 1_000_000_000))).unwrap();
        assert_eq!(law.left(tally, 0), None);
        assert_eq!(law.room(Some(tally), 0), 1);
        assert_eq!(law.left(failed(&law, Some(tally), 0), 0), Some(MAX));
    }

    proptest! {
        #[test]
        fn no_wait_is_above_the_longest_and_none_is_shorter_than_that_for_fewer_failures(
            free in 1_u32..1_000_000, longest in 1_u64..86_400, failures in 0_u32..u32::MAX,
        ) {
            let law = Law::new(free, Duration::from_secs(longest), MAX);
            let (wait, next) = (law.wait_ms(failures), law.wait_ms(failures + 1));
            prop_assert!(wait <= next && next <= law.longest_ms);
            prop_assert_eq!(wait == 0, failures < free);
        }

        #[test]
        fn what_is_left_only_shrinks_and_there_is_always_room_for_one(
            free in 1_u32..100, times in prop::collection::vec(0_i64..2_000_000, 1..40), later in 0_i64..10_000_000,
        ) {
            let law = Law::new(free, MAX, MAX / free);
            let (mut tally, mut now_ms) = (None, 0);
            for pause in times {
                now_ms += pause;
                tally = Some(failed(&law, tally, now_ms));
            }
            let tally = tally.unwrap();
            let left = |at_ms: i64| law.left(tally, at_ms).unwrap_or_default();
            prop_assert!(left(now_ms) <= MAX && left(now_ms + later) <= left(now_ms));
            let room = |at_ms: i64| law.room(Some(tally), at_ms);
            prop_assert!((1..=free).contains(&room(now_ms)) && room(now_ms + later) >= room(now_ms));
            // Whoever waits is not forgotten meanwhile.
            prop_assert!(now_ms + milliseconds(left(now_ms)) <= tally.clear_ms);
        }
    }
}
