//! The places for connections, and who gives up his when all are taken and somebody new comes: one that nobody would miss.
//! Knows nothing of what a connection carries.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Why a connection can be closed for another one. Those that stand first go first, among their like whoever rests longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rest {
    /// All is said; what the other side may still send is thrown away.
    Over,
    /// It has never brought a whole request.
    New,
    /// Between two requests.
    Idle,
}

pub struct Places {
    free: Arc<Semaphore>,
    resting: Mutex<Resting>,
}

/// What a connection holds as long as it is open. It is at work until it says that it rests.
pub struct Place {
    places: Arc<Places>,
    resting: Option<(Key, oneshot::Receiver<()>)>,
    /// Given back after the rest is gone from the list. None where the places were closed, which they never are.
    _permit: Option<OwnedSemaphorePermit>,
}

/// Two of a kind go in the order in which they came to rest.
type Key = (Rest, u64);

#[derive(Default)]
struct Resting {
    by_worth: BTreeMap<Key, oneshot::Sender<()>>,
    next: u64,
    /// Somebody waits for a place, and nobody rested whom one could ask.
    wanted: bool,
}

impl Places {
    pub fn new(number: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(number)), resting: Mutex::default() })
    }

    /// A place as soon as there is one. Where all are taken somebody who rests is asked to go, or whoever comes to rest next.
    pub async fn take(self: &Arc<Self>) -> Place {
        let permit = match self.free.clone().try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => {
                self.resting().ask_one_to_go();
                let permit = self.free.clone().acquire_owned().await;
                self.resting().wanted = false;
                permit.ok()
            }
        };
        Place { places: self.clone(), resting: None, _permit: permit }
    }

    fn resting(&self) -> MutexGuard<'_, Resting> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// From now on, if not before, its connection can be closed.
    pub fn rests(&mut self, why: Rest) {
        if self.resting.as_ref().is_some_and(|((before, _), _)| *before == why) {
            return;
        }
        let asked_before = self.leaves_the_list() == Some(Asked::ToGo);
        let (ask, asked) = oneshot::channel();
        let mut resting = self.places.resting();
        let key = (why, resting.next);
        resting.next += 1;
        resting.by_worth.insert(key, ask);
        if resting.wanted || asked_before {
            resting.ask_one_to_go();
        }
        drop(resting);
        self.resting = Some((key, asked));
    }

    /// From now on its connection is not closed. Where it was asked to go at the same moment, another one is asked in its
    /// place.
    pub fn works(&mut self) {
        if self.leaves_the_list() == Some(Asked::ToGo) {
            self.places.resting().ask_one_to_go();
        }
    }

    /// Ready when it rests and is asked to go.
    pub fn poll_asked_to_go(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.resting {
            Some((_, asked)) => Pin::new(asked).poll(cx).map(drop),
            None => Poll::Pending,
        }
    }

    /// Nothing where it was not in the list.
    fn leaves_the_list(&mut self) -> Option<Asked> {
        let (key, _) = self.resting.take()?;
        let listed = self.places.resting().by_worth.remove(&key);
        Some(if listed.is_some() { Asked::Nothing } else { Asked::ToGo })
    }
}

#[derive(PartialEq, Eq)]
enum Asked {
    Nothing,
    ToGo,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leaves_the_list();
    }
}

impl Resting {
    fn ask_one_to_go(&mut self) {
        let first = self.by_worth.pop_first();
        self.wanted = first.is_none();
        if let Some((_, ask)) = first {
            // Whoever does not listen at this moment finds that he is not in the list any more.
            let _ = ask.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin};

    use futures_util::FutureExt;

    use super::*;

    async fn taken(places: &Arc<Places>, rests: &[Rest]) -> Vec<Place> {
        let mut taken = Vec::new();
        for why in rests {
            let mut place = places.take().await;
            place.rests(*why);
            taken.push(place);
        }
        taken
    }

    fn asked(place: &mut Place) -> bool {
        poll_fn(|cx| place.poll_asked_to_go(cx)).now_or_never().is_some()
    }

    #[tokio::test]
    async fn whoever_would_be_missed_least_goes_first_and_among_their_like_whoever_rests_longest() {
        let places = Places::new(6);
        let rests = [Rest::Idle, Rest::New, Rest::Idle, Rest::Over, Rest::New, Rest::Over];
        let mut taken: Vec<(usize, Place)> = taken(&places, &rests).await.into_iter().enumerate().collect();
        for next in [3, 5, 1, 4, 0, 2] {
            places.resting().ask_one_to_go();
            let gone: Vec<(usize, Place)> = taken.extract_if(.., |(_, place)| asked(place)).collect();
            assert_eq!(gone.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [next]);
        }
    }

    #[tokio::test]
    async fn nobody_is_asked_while_there_are_places_and_only_one_for_each_who_comes() {
        let places = Places::new(2);
        let mut taken = taken(&places, &[Rest::New, Rest::New]).await;
        assert!(!asked(&mut taken[0]) && !asked(&mut taken[1]));
        let mut waiting = pin!(places.take());
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(asked(&mut taken[0]) && !asked(&mut taken[1]));
        taken.remove(0);
        waiting.await;
        assert!(!asked(&mut taken[0]));
    }

    #[tokio::test]
    async fn whoever_is_at_work_is_never_asked_but_whoever_comes_to_rest_next() {
        let places = Places::new(2);
        let mut taken = taken(&places, &[Rest::New, Rest::Idle]).await;
        taken.iter_mut().for_each(Place::works);
        let mut waiting = pin!(places.take());
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(!asked(&mut taken[0]) && !asked(&mut taken[1]));
        taken[1].rests(Rest::Idle);
        taken[0].rests(Rest::New);
        assert!(asked(&mut taken[1]) && !asked(&mut taken[0]));
    }

    #[tokio::test]
    async fn whoever_has_work_when_he_is_asked_keeps_his_place_and_another_one_is_asked() {
        let places = Places::new(2);
        let mut taken = taken(&places, &[Rest::New, Rest::Idle]).await;
        let mut waiting = pin!(places.take());
        assert!(waiting.as_mut().now_or_never().is_none());
        taken[0].works();
        assert!(!asked(&mut taken[0]) && asked(&mut taken[1]));
        taken[1].works();
        taken[0].rests(Rest::Idle);
        assert!(asked(&mut taken[0]), "now there is nobody else");
    }

    #[tokio::test]
    async fn whoever_is_asked_and_rests_for_another_reason_is_still_asked() {
        let places = Places::new(1);
        let mut taken = taken(&places, &[Rest::New]).await;
        let mut waiting = pin!(places.take());
        assert!(waiting.as_mut().now_or_never().is_none());
        taken[0].rests(Rest::Over);
        assert!(asked(&mut taken[0]));
    }
}
