//! Who calls whom, how much and how well: a small simulation over the time of the recording.
//! Errors and latency travel from callee to caller, load from caller to callee. A workload without
//! a ready pod refuses connections by itself.

mod shares;
mod station;

use super::{
    clock::{BEGIN, END, STEP, Sec},
    dice::Dice,
    workload::Workload,
};

/// A workload of the cluster, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub usize);

/// Whom a call goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A workload of the cluster.
    In(Id),
    /// A host outside of it, by its place.
    Out(usize),
}

/// How a failed call looks to its caller.
#[derive(Debug, Clone, PartialEq)]
pub enum Why {
    /// Nothing listens there.
    Refused,
    /// It answered with this status.
    Status(u16),
    /// It did not answer in time.
    Timeout,
    /// Its name could not be resolved.
    NoHost,
    /// The connection was cut.
    Reset,
    /// The handshake failed: what the library said.
    Tls(String),
    /// Something particular to the protocol, said as it is.
    Said(String),
}

/// What is wrong with a station or a call for some time.
#[derive(Debug, Clone)]
pub struct Harm {
    /// From when.
    pub from: Sec,
    /// Until when.
    pub until: Sec,
    /// Over how many seconds it grows to its full size.
    pub grows: Sec,
    /// Share of requests that fail.
    pub errors: f64,
    /// Factor on latency.
    pub slow: f64,
    /// How it looks to the caller.
    pub why: Why,
}

impl Harm {
    /// `errors` of all requests fail from `from` on.
    #[must_use]
    pub fn errors(from: Sec, errors: f64, why: Why) -> Self {
        Self { from, until: Sec::MAX, grows: 0, errors, slow: 1.0, why }
    }

    /// Requests take `slow` times as long from `from` on.
    #[must_use]
    pub fn slow(from: Sec, slow: f64) -> Self {
        Self { from, until: Sec::MAX, grows: 90, errors: 0.0, slow, why: Why::Timeout }
    }

    fn size(&self, at: Sec) -> f64 {
        if at < self.from || at >= self.until {
            return 0.0;
        }
        if self.grows == 0 {
            1.0
        } else {
            ((at - self.from + STEP) as f64 / self.grows as f64).min(1.0)
        }
    }
}

/// A workload that serves requests.
#[derive(Debug, Clone)]
pub struct Station {
    /// Which.
    pub id: Id,
    /// Requests per second from outside the cluster.
    pub rps: f64,
    /// Milliseconds that it takes itself.
    pub latency: f64,
    /// What is wrong with it itself.
    pub harms: Vec<Harm>,
    /// Factors on the load from outside: from when, until when, over how many seconds, factor.
    pub surges: Vec<(Sec, Sec, Sec, f64)>,
    /// Requests per second that it can serve; beyond, it queues and refuses. 0 is no bound.
    pub capacity: f64,
}

/// Calls from one workload to another or to the outside.
#[derive(Debug, Clone)]
pub struct Call {
    /// The caller.
    pub from: Id,
    /// Whom it calls.
    pub to: Peer,
    /// How many calls it makes for each request.
    pub share: f64,
    /// Milliseconds that it waits.
    pub timeout: f64,
    /// Whether the caller fails when the call fails.
    pub needed: bool,
    /// What is wrong on the way.
    pub harms: Vec<Harm>,
}

/// A host outside the cluster.
#[derive(Debug, Clone)]
pub struct Outside {
    /// Host that callers use.
    pub host: String,
    /// Milliseconds that it takes.
    pub latency: f64,
    /// What is wrong with it.
    pub harms: Vec<Harm>,
}

/// Rates, error shares and latencies over time, one value per step.
#[derive(Debug, Clone, Default)]
pub struct Course {
    /// Requests per second.
    pub rate: Vec<f64>,
    /// Share that fails.
    pub errors: Vec<f64>,
    /// Milliseconds on average.
    pub latency: Vec<f64>,
}

/// Caller, callee, and a factor on its share of calls over time, as points of a line.
pub type Shift = (Id, Peer, Vec<(Sec, f64)>);

/// Everything that calls and is called.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    /// Serving workloads.
    pub stations: Vec<Station>,
    /// Calls.
    pub calls: Vec<Call>,
    /// Hosts outside.
    pub outside: Vec<Outside>,
    /// Requests per second over time for what is not there, as scanners make them.
    pub strays: Vec<(Id, Vec<(Sec, f64)>)>,
    /// Factors over time on the share of calls.
    pub shifts: Vec<Shift>,
}

/// What happened: a course for each station and for each call, in their order.
#[derive(Debug, Clone, Default)]
pub struct Played {
    /// Per station.
    pub stations: Vec<Course>,
    /// Per call.
    pub calls: Vec<Course>,
}

/// Times of all samples.
pub fn steps() -> impl Iterator<Item = Sec> {
    (0..=(END - BEGIN) / STEP).map(|n| BEGIN + n * STEP)
}

/// The place of `at` among the samples.
#[must_use]
pub fn step_of(at: Sec) -> usize {
    usize::try_from((at.clamp(BEGIN, END) - BEGIN) / STEP).unwrap_or_default()
}

impl Traffic {
    /// The station of a workload.
    pub fn station(&mut self, id: Id) -> Option<&mut Station> {
        self.stations.iter_mut().find(|station| station.id == id)
    }

    /// Harms the station of `id`.
    pub fn harm(&mut self, id: Id, harm: Harm) {
        if let Some(station) = self.station(id) {
            station.harms.push(harm);
        }
    }

    /// Harms all calls from `from` to `to`.
    pub fn harm_call(&mut self, from: Id, to: Peer, harm: &Harm) {
        for call in self.calls.iter_mut().filter(|call| call.from == from && call.to == to) {
            call.harms.push(harm.clone());
        }
    }

    /// Plays the traffic through. `chance` gives the small noise of every day.
    #[must_use]
    pub fn play(&self, workloads: &[Workload], chance: &mut Dice) -> Played {
        let mut played = Played {
            stations: vec![Course::default(); self.stations.len()],
            calls: vec![Course::default(); self.calls.len()],
        };
        let phase = chance.range(0.0, 6.0);
        for at in steps() {
            let wave = 1.0 + 0.05 * (at as f64 / 700.0 + phase).sin();
            let rates = self.rates(at, wave);
            let (errors, latency) = self.quality(at, workloads, &rates);
            for ((course, rate), (e, l)) in
                played.stations.iter_mut().zip(&rates).zip(errors.iter().zip(&latency))
            {
                course.rate.push(rate * chance.range(0.95, 1.05));
                course.errors.push(*e);
                course.latency.push(l * chance.range(0.93, 1.07));
            }
            for (call, course) in self.calls.iter().zip(&mut played.calls) {
                let (fail, wait) = self.seen(call, at, workloads, (&errors, &latency));
                let made = self.rate_of(call.from, &rates) * self.share(call, at);
                course.rate.push(made * chance.range(0.95, 1.05));
                course.errors.push(fail);
                course.latency.push(wait);
            }
        }
        played
    }

    fn place(&self, id: Id) -> Option<usize> {
        self.stations.iter().position(|station| station.id == id)
    }

    fn rate_of(&self, id: Id, rates: &[f64]) -> f64 {
        self.place(id).and_then(|at| rates.get(at)).copied().unwrap_or(1.0)
    }

    /// Load of all stations at `at`: from outside, and from callers, passed on down the graph.
    fn rates(&self, at: Sec, wave: f64) -> Vec<f64> {
        let surge = |station: &Station| -> f64 {
            station
                .surges
                .iter()
                .map(|&(from, until, grows, factor)| {
                    let harm = Harm { from, until, grows, errors: 0.0, slow: 1.0, why: Why::Reset };
                    1.0 + (factor - 1.0) * harm.size(at)
                })
                .product()
        };
        let own: Vec<f64> = self.stations.iter().map(|s| s.rps * wave * surge(s)).collect();
        let mut rates = own.clone();
        for _ in 0..6 {
            let mut next = own.clone();
            for call in &self.calls {
                // A call that cannot even be made brings no load to the other side.
                let lost: f64 = call
                    .harms
                    .iter()
                    .filter(|h| h.why != Why::Timeout)
                    .map(|h| h.size(at) * h.errors)
                    .sum();
                if let Peer::In(to) = call.to
                    && let Some(rate) = self.place(to).and_then(|place| next.get_mut(place))
                {
                    let made = self.rate_of(call.from, &rates) * self.share(call, at);
                    *rate += made * (1.0 - lost.min(1.0));
                }
            }
            rates = next;
        }
        rates
    }

    /// Share of failures and latency of all stations at `at`.
    fn quality(&self, at: Sec, workloads: &[Workload], rates: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let mut errors = vec![0.0; self.stations.len()];
        let mut latency: Vec<f64> = self.stations.iter().map(|station| station.latency).collect();
        for _ in 0..7 {
            let (mut e, mut l) = (Vec::new(), Vec::new());
            for (station, rate) in self.stations.iter().zip(rates) {
                let (own, time) = station.alone(at, *rate);
                let (mut good, mut whole) = (1.0 - own, time);
                for call in self.calls.iter().filter(|call| call.from == station.id) {
                    let (fail, wait) = self.seen(call, at, workloads, (&errors, &latency));
                    if call.needed {
                        good *= 1.0 - fail * self.share(call, at).min(1.0);
                    }
                    whole += wait * self.share(call, at);
                }
                e.push((1.0 - good).clamp(0.0, 1.0));
                l.push(whole);
            }
            (errors, latency) = (e, l);
        }
        (errors, latency)
    }

    /// What a caller sees of a call: share of failures and milliseconds.
    fn seen(
        &self,
        call: &Call,
        at: Sec,
        workloads: &[Workload],
        (errors, latency): (&[f64], &[f64]),
    ) -> (f64, f64) {
        let (mut fail, mut wait) = match call.to {
            Peer::In(id) => {
                let place = self.place(id);
                let of = |list: &[f64], other: f64| {
                    place.and_then(|p| list.get(p)).copied().unwrap_or(other)
                };
                let down =
                    workloads.get(id.0).is_some_and(|w| !w.pods.is_empty() && w.ready(at) == 0);
                if down { (1.0, 2.0) } else { (of(errors, 0.0), of(latency, 3.0)) }
            }
            Peer::Out(host) => self.outside.get(host).map_or((0.0, 50.0), |outside| {
                let errors =
                    outside.harms.iter().map(|harm| harm.size(at) * harm.errors).sum::<f64>();
                let slow: f64 = outside
                    .harms
                    .iter()
                    .map(|harm| 1.0 + (harm.slow - 1.0) * harm.size(at))
                    .product();
                (errors.min(1.0), outside.latency * slow)
            }),
        };
        for harm in &call.harms {
            let size = harm.size(at);
            fail = 1.0 - (1.0 - fail) * (1.0 - harm.errors * size);
            if harm.why == Why::Timeout && size > 0.0 {
                wait = wait * (1.0 - harm.errors * size) + call.timeout * harm.errors * size;
            }
            wait *= 1.0 + (harm.slow - 1.0) * size;
        }
        // Answer times are spread like waiting times: what takes longer than the caller waits fails.
        let late = (-call.timeout / wait.max(1.0)).exp();
        (1.0 - (1.0 - fail) * (1.0 - late), wait.min(call.timeout))
    }

    /// How a call fails at `at`, as its caller sees it.
    #[must_use]
    pub fn why(&self, call: &Call, at: Sec, workloads: &[Workload]) -> Why {
        let of = |harms: &[Harm]| {
            harms.iter().rev().find(|h| h.size(at) > 0.0 && h.errors > 0.0).map(|h| h.why.clone())
        };
        if let Some(why) = of(&call.harms) {
            return why;
        }
        match call.to {
            Peer::In(id)
                if workloads.get(id.0).is_some_and(|w| w.ready(at) == 0 && !w.pods.is_empty()) =>
            {
                Why::Refused
            }
            Peer::In(id) => {
                let harms = self
                    .place(id)
                    .and_then(|place| self.stations.get(place))
                    .map(|s| s.harms.as_slice());
                of(harms.unwrap_or_default()).unwrap_or_else(|| self.passed_on((id, at), workloads))
            }
            Peer::Out(host) => {
                self.outside.get(host).and_then(|o| of(&o.harms)).unwrap_or(Why::Timeout)
            }
        }
    }

    /// A callee that fails because of its own callees answers with a status of its own, unless
    /// everything below is merely slow: then the caller's patience ends first.
    fn passed_on(&self, (id, at): (Id, Sec), workloads: &[Workload]) -> Why {
        let overloaded = self.stations.iter().any(|s| s.id == id && s.capacity > 0.0);
        let failing = |harm: &Harm| harm.size(at) > 0.0 && harm.errors > 0.05;
        let down = |s: &Station| workloads.get(s.id.0).is_some_and(|w| w.ready(at) == 0);
        let below = self.stations.iter().any(|s| down(s) || s.harms.iter().any(failing))
            || self.outside.iter().any(|o| o.harms.iter().any(failing))
            || self.calls.iter().any(|c| c.harms.iter().any(failing));
        match (overloaded, below) {
            (true, _) => Why::Status(503),
            (_, true) => Why::Status(if id.0.is_multiple_of(2) { 502 } else { 500 }),
            _ => Why::Timeout,
        }
    }
}
