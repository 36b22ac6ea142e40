//! Names of a story: drawn per seed from large lists, none twice in one cluster.

use std::collections::BTreeSet;

use super::dice::Dice;

/// Trades: the namespace's words and the stems of its services.
const TRADES: [(&str, &str); 16] = [
    (
        "claims-desk assura coverline",
        "claims premiums underwriting brokers payouts actuary renewals policyholder reinsure appraisal excess dossier",
    ),
    (
        "wardnet medicore clinic-ops",
        "wards triage admissions pharmacy imaging referrals bedplan dosage vitals consent rota lab-results",
    ),
    (
        "campusone uni-portal scholaris",
        "enrolment grades lectures alumni bursary courses library-loans exams tutors transcript dorms syllabus",
    ),
    (
        "agrofield cropline silo-ops",
        "harvest silo irrigation tractors soil-probe yield seed-stock livestock forecast parcels-map drones fertiliser",
    ),
    (
        "parcelway courio depotnet",
        "manifests hubs sorting couriers track-trace dropoff lockers customs-desk scan-in weighbridge fleet returns-desk",
    ),
    (
        "arenaplay questline lootforge",
        "matchmaking lobby inventory leaderboards loot guilds avatars replays anticheat chatroom seasonpass quests",
    ),
    (
        "gridpulse voltway meterworks",
        "meters tariff-book outages gridmap readings settlement-run feed-in substations dispatch demand-curve billing-runs smartplug",
    ),
    (
        "innkeep staywell suite-ops",
        "rooms reservations guests housekeeping minibar keycards rateplan concierge frontdesk channel-sync folio amenity",
    ),
    (
        "tunestack wavecast audiohaus",
        "playlists streams artists royalties lyrics podcasts radio-mix charts offline-sync waveform follow listening",
    ),
    (
        "tellerone fundsway cashnet",
        "transfers balances cards limits fraud-check standing-orders iban-lookup mandates ledger-core disputes overdraft passbook",
    ),
    (
        "simwerk roamnet airlink",
        "sims numbers roaming usage topups porting handsets tariff-switch coverage voicemail provisioning credits",
    ),
    (
        "dailybrief presshub kiosknet",
        "articles comments paywall feeds digest newsroom images crosswords archive subscriptions authors embargo",
    ),
    (
        "homefind keyhaus lettings",
        "listings viewings mortgages valuations floorplans tenants deposits brokerage neighbourhood energy-pass contracts inspections",
    ),
    (
        "cinebox reelhouse filmgate",
        "titles watchlist playback subtitles trailers rental parental drm-keys recommend-feed posters regions licences",
    ),
    (
        "fitloop gymcore pulseclub",
        "workouts trainers memberships heartrate challenges bodyscan nutrition class-plan lockers-app checkins streaks coaching",
    ),
    (
        "jobmatch talentry hirewell",
        "vacancies applicants interviews offers screening skills employers salary-bench calendar-sync onboarding badges resumes",
    ),
];

const ENDS: [&str; 9] = ["-api", "-svc", "-service", "", "", "-core", "-srv", "-backend", "-app"];
const GATES: [&str; 10] = [
    "edge",
    "gateway",
    "bff",
    "public-api",
    "portal",
    "frontdoor",
    "graph",
    "ingress-proxy",
    "router",
    "mobile-api",
];
const TREES: [&str; 24] = [
    "acacia",
    "baobab",
    "cedar",
    "dogwood",
    "ebony",
    "fir",
    "ginkgo",
    "hazel",
    "ironwood",
    "juniper",
    "kapok",
    "larch",
    "mahogany",
    "nutmeg",
    "olive",
    "pine",
    "quebracho",
    "rowan",
    "sequoia",
    "teak",
    "umbrella",
    "walnut",
    "yew",
    "zelkova",
];
const FIRMS: [&str; 20] = [
    "brightwater",
    "calderon",
    "duskfield",
    "everlane",
    "fennimore",
    "glasshouse",
    "harrowgate",
    "inkwell",
    "jadeport",
    "kestrelworks",
    "lumenia",
    "moorland",
    "northgate",
    "oldbridge",
    "pinnacle",
    "quarrystone",
    "redfern",
    "saltmarsh",
    "thornbury",
    "underhill",
];
const OTHERS: [&str; 18] = [
    "backoffice wiki-search",
    "backoffice time-sheets",
    "people-ops leave-planner",
    "people-ops payslip-view",
    "seo sitemap-builder",
    "seo link-checker",
    "legal contract-store",
    "legal retention-sweeper",
    "dataroom report-export",
    "dataroom cube-builder",
    "support ticket-triage",
    "support canned-replies",
    "growth coupon-mailer",
    "growth referral-links",
    "labs feature-probe",
    "labs notebook-hub",
    "facility desk-booking",
    "facility visitor-badge",
];
const HOSTS: [&str; 14] = [
    "api.paystride.example",
    "gateway.smsferry.example",
    "v2.geocodia.example",
    "rates.fxlantern.example",
    "api.taxwright.example",
    "verify.idmeridian.example",
    "push.notifly.example",
    "api.mailharbor.example",
    "lookup.addressly.example",
    "score.creditvane.example",
    "sign.docuvault.example",
    "tickets.railhub.example",
    "api.weatherloom.example",
    "storage.blobcove.example",
];
const PEOPLE: [&str; 12] = [
    "m.okafor",
    "jlindqvist",
    "t.baptiste",
    "h.nakamura",
    "sofia.r",
    "p.vandermeer",
    "a.kowalczyk",
    "d.oyelaran",
    "r.castellano",
    "ines.m",
    "y.haddad",
    "k.brennan",
];

/// Names not yet given away.
#[derive(Debug)]
pub struct Names {
    dice: Dice,
    stems: Vec<String>,
    others: Vec<&'static str>,
    used: BTreeSet<String>,
    /// Namespace of the application that the alert is about.
    pub home: String,
    /// The firm: part of hosts and registries.
    pub firm: String,
    /// Where images come from, without the image's own name.
    pub registry: String,
    end: &'static str,
}

impl Names {
    /// Draws the trade, the firm and the habits of naming.
    #[must_use]
    pub fn draw(mut dice: Dice) -> Self {
        let (spaces, stems) = dice.pick(&TRADES);
        let spaces: Vec<&str> = spaces.split(' ').collect();
        let ending = dice.pick(&["", "", "-prod", "-live", "-eu"]);
        let home = format!("{}{ending}", dice.pick(&spaces));
        let firm = dice.pick(&FIRMS).to_owned();
        let registry = match dice.below(7) {
            0 => format!("registry.{firm}.example/{home}"),
            1 => format!("ghcr.io/{firm}"),
            2 => format!(
                "{}.dkr.ecr.eu-central-1.amazonaws.com",
                dice.between(100_000_000_000, 899_999_999_999)
            ),
            3 => format!("europe-docker.pkg.dev/{firm}-prod/apps"),
            4 => format!("harbor.{firm}.internal/apps"),
            5 => format!("quay.io/{firm}"),
            _ => format!("{firm}.azurecr.io"),
        };
        let stems: Vec<String> = stems.split(' ').map(str::to_owned).collect();
        let stems = dice.shuffled(&stems);
        let end = dice.pick(&ENDS);
        Self { dice, stems, others: Vec::new(), used: BTreeSet::new(), home, firm, registry, end }
    }

    /// A service of the trade, such as `premiums-api`.
    pub fn service(&mut self) -> String {
        let stem = self.stems.pop().unwrap_or_else(|| self.dice.pick(&TREES).to_owned());
        let end = if self.dice.chance(0.7) { self.end } else { self.dice.pick(&ENDS) };
        self.unique(format!("{stem}{end}"))
    }

    /// A worker of the trade, such as `premiums-worker`.
    pub fn worker(&mut self) -> String {
        let stem = self.stems.pop().unwrap_or_else(|| self.dice.pick(&TREES).to_owned());
        let end = self.dice.pick(&["-worker", "-consumer", "-processor", "-runner", "-jobs"]);
        self.unique(format!("{stem}{end}"))
    }

    /// A thing of the trade called `end`, such as `premiums-db`.
    pub fn thing(&mut self, ends: &[&'static str]) -> String {
        let stem = self.stems.pop().unwrap_or_else(|| self.dice.pick(&TREES).to_owned());
        let end = self.dice.pick(ends);
        self.unique(format!("{stem}-{end}"))
    }

    /// What stands in front of the application.
    pub fn gate(&mut self) -> String {
        let gate = self.dice.pick(&GATES);
        let short: String = self.home.split('-').next().unwrap_or_default().to_owned();
        let name = if self.dice.chance(0.5) { format!("{short}-{gate}") } else { gate.to_owned() };
        self.unique(name)
    }

    /// A host outside the cluster.
    pub fn host(&mut self) -> String {
        let host = self.dice.pick(&HOSTS);
        self.unique(host.to_owned())
    }

    /// Namespace and name of a workload that has nothing to do with the story.
    pub fn stranger(&mut self) -> (String, String) {
        if self.others.is_empty() {
            self.others = self.dice.shuffled(&OTHERS);
        }
        let both = self.others.pop().unwrap_or_default();
        let (space, name) = both.split_once(' ').unwrap_or((both, "idle"));
        (space.to_owned(), self.unique(name.to_owned()))
    }

    /// A tree, for nodes and storage classes.
    pub fn tree(&mut self) -> &'static str {
        self.dice.pick(&TREES)
    }

    /// Who changed something.
    pub fn person(&mut self) -> &'static str {
        self.dice.pick(&PEOPLE)
    }

    fn unique(&mut self, name: String) -> String {
        let mut candidate = name.clone();
        let mut number = 2;
        while !self.used.insert(candidate.clone()) {
            candidate = format!("{name}-{number}");
            number += 1;
        }
        candidate
    }
}
