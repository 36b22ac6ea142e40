//! Requests for what was never there, as scanners of the internet make them.

use super::{Lines, Scene};
use crate::incidents::{clock::Sec, dice::Dice, series::at_point, voice::Level, workload::Pod};

/// What scanners of the internet ask everybody for.
const PROBED: [&str; 8] = [
    "/wp-login.php",
    "/.env",
    "/.git/config",
    "/phpmyadmin/index.php",
    "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php",
    "/xmlrpc.php",
    "/actuator/env",
    "/cgi-bin/luci/;stok=/locale",
];
const SCANNERS: [&str; 3] = [
    "Mozilla/5.0 zgrab/0.x",
    "Mozilla/5.0 (compatible; CensysInspect/1.1)",
    "python-requests/2.31.0",
];

impl Scene<'_> {
    /// Whether somebody scans the workload at `at`.
    pub(super) fn strayed(&self, at: Sec) -> bool {
        let named = |id| self.cluster[id].name == self.workload.name;
        let strays = self.cluster.traffic.strays.iter().find(|(id, _)| named(*id));
        strays.is_some_and(|(_, points)| at_point(points, at) > 0.0)
    }

    /// Somebody asks for what was never there.
    pub(super) fn stray(&self, pod: &Pod, at: Sec, lines: &mut Lines, chance: &mut Dice) {
        let path = chance.pick(&PROBED);
        if self.workload.voice.is_access() {
            return self.access((at, 404), (path, chance.clone().pick(&SCANNERS)), lines, chance);
        }
        let text = format!("GET {path} 404 (no route) agent=\"{}\"", chance.pick(&SCANNERS));
        self.say(pod, (at, Level::Info, &text, &[]), lines, chance);
    }
}
