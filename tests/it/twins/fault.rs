//! Faults as data: what can happen to one call, at which calls, and when a late effect lands. The rows of the matrix are
//! listed once, in [`rows`].

use std::time::Duration;

use hyper::Method;

use super::Asked;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// Nobody listens, from there on until the test mends it. Only at a call that is named by its number.
    Refused,
    /// Reset before the request was read; never carried out.
    CutUnread,
    /// Carried out, then reset.
    CutDone,
    /// Reset; carried out later.
    CutLate(Lands),
    /// No answer for as long as the client waits; carried out later.
    Hung(Lands),
    /// The system answers this status, in its own words. `wait`: seconds in `Retry-After`.
    Status { status: u16, done: bool, wait: Option<u32> },
    /// Something in between answers this status, with a page; never carried out.
    Between(u16),
    /// Carried out; a 200 with a page.
    Garbled,
    /// Carried out; half of the answer.
    Truncated,
    /// Carried out and answered well, after this time.
    Slow(Duration),
}

/// When the effect comes of a call whose client has gone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lands {
    /// Just before the nth request after it.
    BeforeNext(u32),
    After(Duration),
    /// When the test says `land_late`.
    WhenTold,
    Never,
}

/// What became of the request itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Effect {
    NotDone,
    Done,
    Late(Lands),
}

impl Fault {
    pub fn effect(self) -> Effect {
        match self {
            Self::Refused | Self::CutUnread | Self::Between(_) => Effect::NotDone,
            Self::CutDone | Self::Garbled | Self::Truncated | Self::Slow(_) => Effect::Done,
            Self::Status { done, .. } => {
                if done {
                    Effect::Done
                } else {
                    Effect::NotDone
                }
            }
            Self::CutLate(lands) | Self::Hung(lands) => Effect::Late(lands),
        }
    }

    pub fn hangs(self) -> bool {
        matches!(self, Self::Hung(_))
    }
}

/// A fault under the name and number that the matrix gives it.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub number: u8,
    pub name: &'static str,
    pub fault: Fault,
}

/// Every row with every truth that it admits; late ones once for each of the given moments.
pub fn rows(moments: &[Lands]) -> Vec<Row> {
    let status = |status, done, wait| Fault::Status { status, done, wait };
    let mut rows = vec![
        (1, "refused", Fault::Refused),
        (2, "reset unread", Fault::CutUnread),
        (3, "reply lost", Fault::CutDone),
        (5, "500 not done", status(500, false, None)),
        (6, "500 done", status(500, true, None)),
        (7, "503 wait", status(503, false, Some(60))),
        (8, "429 wait long", status(429, false, Some(60))),
        (8, "429 wait short", status(429, false, Some(0))),
        (9, "408 not done", status(408, false, None)),
        (9, "408 done", status(408, true, None)),
        (10, "404", status(404, false, None)),
        (10, "404 of another", Fault::Between(404)),
        (11, "409 of ours", status(409, true, None)),
        (12, "409 of others", status(409, false, None)),
        (13, "garbled", Fault::Garbled),
        (14, "truncated", Fault::Truncated),
        (15, "slow", Fault::Slow(Duration::from_millis(20))),
    ];
    for &lands in moments {
        rows.push((4, "hung", Fault::Hung(lands)));
        rows.push((4, "cut, late", Fault::CutLate(lands)));
    }
    rows.into_iter().map(|(number, name, fault)| Row { number, name, fault }).collect()
}

/// Which calls a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum At {
    /// The nth from the moment of the plan; the first is 1.
    Call(u64),
    /// The first with this method whose path contains this.
    Path(&'static str, &'static str),
}

/// Whether only that call is struck.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lasts {
    Once,
    /// And every one after it, until the test mends it.
    On,
    /// And every one after it with that method and path, until the test mends it.
    EachTime,
    /// Every one after it is refused with a 403, until the test mends it.
    ThenRefused,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    pub at: At,
    pub fault: Fault,
    pub lasts: Lasts,
}

impl Plan {
    pub fn nth(nth: u64, fault: Fault, lasts: Lasts) -> Self {
        Self { at: At::Call(nth), fault, lasts }
    }

    /// `path` is a part of it.
    pub fn on(method: &'static str, path: &'static str, fault: Fault) -> Self {
        Self { at: At::Path(method, path), fault, lasts: Lasts::Once }
    }

    pub fn lasting(self, lasts: Lasts) -> Self {
        Self { lasts, ..self }
    }
}

/// What the server is to do with a request that has just arrived.
pub(super) struct Arrival {
    pub fault: Option<Fault>,
    /// What lands before it.
    pub late: Vec<Asked>,
    /// The next one is to be refused: the door shuts before this one is answered.
    pub shut_behind: bool,
    /// No connection may outlive its request, since one must be made to be refused.
    pub close: bool,
}

#[derive(Default)]
pub(super) struct Faults {
    plan: Option<Plan>,
    calls: u64,
    struck: u64,
    log: Vec<String>,
    late: Vec<(Lands, Asked)>,
}

impl Faults {
    /// Whether the door must shut at once.
    pub fn plan(&mut self, plan: Plan) -> bool {
        let shut = plan.fault == Fault::Refused && plan.at == At::Call(1);
        self.plan = Some(plan);
        self.calls = 0;
        self.struck = u64::from(shut);
        shut
    }

    pub fn mend(&mut self) {
        self.plan = None;
    }

    pub fn calls(&self) -> u64 {
        self.calls
    }

    pub fn struck(&self) -> u64 {
        self.struck
    }

    pub fn log(&self) -> Vec<String> {
        self.log.clone()
    }

    pub fn arrive(&mut self, method: &Method, path: &str) -> Arrival {
        self.calls += 1;
        self.log.push(format!("{method} {path}"));
        for (lands, _) in &mut self.late {
            if let Lands::BeforeNext(n) = lands {
                *n = n.saturating_sub(1);
            }
        }
        let late = self.take(|lands| lands == Lands::BeforeNext(0));
        let mut arrival = Arrival { fault: None, late, shut_behind: false, close: false };
        let Some(plan) = self.plan else { return arrival };
        let again = matches!(plan.lasts, Lasts::On | Lasts::ThenRefused) && self.struck > 0;
        let meant = match plan.at {
            At::Call(nth) => self.calls == nth,
            At::Path(wanted, part) => {
                let first = self.struck == 0 || plan.lasts == Lasts::EachTime;
                first && method.as_str() == wanted && path.contains(part)
            }
        };
        if plan.fault == Fault::Refused {
            arrival.close = true;
            arrival.shut_behind = plan.at == At::Call(self.calls + 1);
            self.struck += u64::from(arrival.shut_behind);
        } else if meant || again {
            self.struck += 1;
            let refused = Fault::Status { status: 403, done: false, wait: None };
            let then = !meant && plan.lasts == Lasts::ThenRefused;
            arrival.fault = Some(if then { refused } else { plan.fault });
        }
        arrival
    }

    pub fn keep(&mut self, asked: Asked, lands: Lands) {
        if lands != Lands::Never {
            self.late.push((lands, asked));
        }
    }

    pub fn take_late(&mut self) -> Vec<Asked> {
        self.take(|_| true)
    }

    pub fn take_after(&mut self, length: Duration) -> Vec<Asked> {
        self.take(|lands| lands == Lands::After(length))
    }

    fn take(&mut self, now: impl Fn(Lands) -> bool) -> Vec<Asked> {
        let (now, later) = self.late.drain(..).partition(|(lands, _)| now(*lands));
        self.late = later;
        let now: Vec<(Lands, Asked)> = now;
        now.into_iter().map(|(_, asked)| asked).collect()
    }
}
