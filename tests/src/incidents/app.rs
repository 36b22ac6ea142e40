//! An application: a gate, a chain of services behind it, and further ones beside the chain.

use super::{
    cluster::Cluster,
    traffic::{Call, Id, Outside, Peer},
    voice::{self, Runtime},
};

/// Services of the application, from the gate inwards.
#[derive(Debug, Clone)]
pub struct App {
    /// The chain; the first is what users reach.
    pub path: Vec<Id>,
    /// Called by services of the chain, and well.
    pub sides: Vec<Id>,
}

impl App {
    /// The first of the chain.
    #[must_use]
    pub fn gate(&self) -> Id {
        self.path.first().copied().unwrap_or(Id(0))
    }

    /// The last of the chain.
    #[must_use]
    pub fn last(&self) -> Id {
        self.path.last().copied().unwrap_or(Id(0))
    }

    /// Who calls the last of the chain; itself when the chain has only one.
    #[must_use]
    pub fn caller(&self) -> Id {
        self.path.iter().rev().nth(1).copied().unwrap_or(self.gate())
    }
}

impl Cluster {
    /// An application in the home namespace whose chain has `hops` calls, with one to three
    /// further services beside it.
    pub fn app(&mut self, hops: usize) -> App {
        let home = self.home();
        let gate = self.names.gate();
        let mut path = vec![self.service(&home, &gate)];
        if self.dice.chance(0.5) {
            let id = self.last_id();
            self[id].runtime = Runtime::Proxy;
            self[id].voice = voice::draw_for(Runtime::Proxy, &mut self.dice);
        }
        for _ in 0..hops {
            let name = self.names.service();
            let id = self.service(&home, &name);
            if let Some(&caller) = path.last() {
                self.call(caller, Peer::In(id), true);
            }
            path.push(id);
        }
        let rps = self.dice.range(12.0, 90.0);
        if let Some(station) = path.first().and_then(|gate| self.traffic.station(*gate)) {
            station.rps = rps;
        }
        let mut sides = Vec::new();
        for _ in 0..self.dice.between(1, 3) {
            let name = self.names.service();
            let id = self.service(&home, &name);
            let from = self.dice.pick(&path.iter().map(|id| id.0).collect::<Vec<_>>());
            self.call(Id(from), Peer::In(id), false);
            sides.push(id);
        }
        App { path, sides }
    }

    /// The workload added last.
    #[must_use]
    pub fn last_id(&self) -> Id {
        Id(self.workloads.len().saturating_sub(1))
    }

    /// Lets `from` call `to` with an ordinary share and patience.
    pub fn call(&mut self, from: Id, to: Peer, needed: bool) {
        let share = if needed { self.dice.range(0.6, 1.0) } else { self.dice.range(0.1, 0.5) };
        let timeout = self.dice.pick(&[2000.0, 3000.0, 5000.0, 10_000.0]);
        self.traffic.calls.push(Call { from, to, share, timeout, needed, harms: Vec::new() });
    }

    /// A host outside the cluster that `from` calls. Its address stands in a variable of the
    /// caller.
    pub fn outside(&mut self, from: Id, needed: bool) -> (usize, String) {
        let host = self.names.host();
        let latency = self.dice.range(40.0, 180.0);
        self.traffic.outside.push(Outside { host: host.clone(), latency, harms: Vec::new() });
        let place = self.traffic.outside.len() - 1;
        self.call(from, Peer::Out(place), needed);
        let url = format!("https://{host}");
        let variable = host.split('.').nth(1).unwrap_or("partner").to_uppercase();
        self[from].always(|template| template.set_env(&format!("{variable}_URL"), &url));
        (place, host)
    }
}
