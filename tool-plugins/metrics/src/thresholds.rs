//! Where a measured difference becomes a fact worth telling. All numbers of judgement stand here,
//! each with its reason; the arithmetic that is compared with them is in [`crate::change`].
//!
//! They are set to be missed by ordinary days: a signal of harm should make a person look.

/// A change counts when its medians lie this many robust standard deviations apart. Ordinary noise
/// stays below 3 in the tests; traffic that follows people wanders up to about 4.
pub const CLEAR: f64 = 5.0;

/// What came back to the usual is over when it has stayed there this long, in seconds.
pub const CALM_SECONDS: f64 = 180.0;

/// Share of answers that are server errors from which users notice: 2 in 100.
pub const ERROR_SHARE: f64 = 0.02;
/// And it must be this many times what was usual: a service that always fails 3 % is as usual.
pub const ERROR_TIMES: f64 = 3.0;
/// Without a change in the recording (the fault may be older) only a share this large is told.
pub const ERROR_SHARE_ALL_ALONG: f64 = 0.05;
/// Fewer failed answers than this over the time judged say nothing.
pub const ERRORS_LEAST: f64 = 5.0;

/// Share of 4xx answers; callers cause them, so it takes many before they are worth words.
pub const CLIENT_ERROR_SHARE: f64 = 0.10;
/// The same without a change in the recording.
pub const CLIENT_ERROR_SHARE_ALL_ALONG: f64 = 0.25;

/// Latency this many times the usual is slow.
pub const SLOW_TIMES: f64 = 2.0;
/// And by at least this many seconds: from 2 to 5 ms nobody waits.
pub const SLOW_LEAST: f64 = 0.02;

/// Latency up to this many times the usual is as usual; between the two nothing is told.
pub const AS_USUAL_TIMES: f64 = 1.4;

/// Traffic this many times the usual is a rise; its reciprocal, a fall.
pub const TRAFFIC_TIMES: f64 = 1.6;
/// Requests per second below which traffic is not judged.
pub const TRAFFIC_LEAST: f64 = 0.1;

/// Share of CPU periods in which a container was held back, from which answers get slower.
pub const THROTTLED: f64 = 0.25;
/// And it must be this many times the share before.
pub const THROTTLED_TIMES: f64 = 2.0;
/// Below this a container is free.
pub const UNTHROTTLED: f64 = 0.05;
/// Share of the CPU limit in use that leaves no room.
pub const SATURATED: f64 = 0.90;

/// Cores in use without a limit from which it is worth telling.
pub const BUSY_CORES: f64 = 0.5;

/// Share of the memory limit from which the next burst kills.
pub const NEAR_LIMIT: f64 = 0.90;
/// Growth per hour, as a share of the limit, that will fill it within a day's work.
pub const GROWTH_PER_HOUR: f64 = 0.05;
/// Share of pairs of values that must rise for growth to be steady and not a step.
pub const GROWTH_RISING: f64 = 0.85;
/// Growth must last this long, milliseconds: filling a cache after a start takes minutes.
pub const GROWTH_LASTS_MS: i64 = 10 * 60 * 1000;
/// Part of the whole growth that each third of a process's life must bring: a jump or a cache that
/// fills brings nearly all of it in one.
pub const GROWTH_OF_EACH_THIRD: f64 = 0.15;
/// A level of memory this many times the one before jumped.
pub const MEMORY_JUMPS: f64 = 1.25;
/// Share of the limit from which even level memory is harm: there is no room for one more page.
pub const AT_LIMIT: f64 = 0.98;
/// Growth over the time seen, as a share of where it began, below which it is drift.
pub const GROWTH_LEAST: f64 = 0.08;
/// Growth that creeps is told from less than that, where memory is near its limit by now
/// ([`CREEPING_FROM`], a share of it) and comes to it within [`CREEPING_HOURS`].
pub const CREEPING_LEAST: f64 = 0.02;
/// See [`CREEPING_LEAST`].
pub const CREEPING_FROM: f64 = 0.80;
/// See [`CREEPING_LEAST`].
pub const CREEPING_HOURS: f64 = 24.0;
/// Growth that creeps must last this long, milliseconds.
pub const CREEPING_LASTS_MS: i64 = 30 * 60 * 1000;
/// A fall by this share is a restart or a collection: growth is judged between falls.
pub const FALL: f64 = 0.25;
/// Spread (95th minus 5th percentile) as a share of the median, up to which memory is level.
pub const LEVEL_SPREAD: f64 = 0.15;

/// A series of any meaning is told when it changed by this share of the larger level.
pub const SHIFTED: f64 = 0.25;
/// Events that a change of a counter must add or take away in all: one lost 404 is no change.
pub const SHIFTED_EVENTS: f64 = 60.0;
/// And this clearly: many series are looked at, so chance finds some.
pub const SHIFTED_CLEAR: f64 = 6.0;

/// Hits in lookups that must be lost before a cache is said to have failed: 15 in 100 more of all
/// lookups then fall through to what stands behind it.
pub const HIT_RATIO_FALL: f64 = 0.15;
/// A cache that evicts and finds less than this was so before the recording began.
pub const HIT_RATIO_POOR: f64 = 0.50;
/// Evicted keys per second from which a cache is short of room.
pub const EVICTED_LEAST: f64 = 1.0;
/// And this many times what was usual.
pub const EVICTED_TIMES: f64 = 3.0;
/// Share of its keys that a cache keeps when it was emptied.
pub const KEYS_LEFT: f64 = 0.4;

/// Messages waiting beyond this many times the usual, and beyond [`BACKLOG_LEAST`], are a backlog.
pub const BACKLOG_TIMES: f64 = 3.0;
/// Messages that must wait beyond the usual: fewer are a burst.
pub const BACKLOG_LEAST: f64 = 30.0;
/// Up to this many times the usual, and [`BACKLOG_LEAST`], a queue keeps up.
pub const BACKLOG_USUAL: f64 = 1.5;
/// A consumer at less than this share of its usual rate stands still.
pub const STALLED: f64 = 0.05;
/// A consumer at less than this share of its usual rate got slower.
pub const SLOWER: f64 = 0.75;
/// Messages coming in at this many times the usual rate are a flood.
pub const INFLOW_TIMES: f64 = 1.8;

/// Share of a volume in use from which writes are about to fail.
pub const VOLUME_FULL: f64 = 0.95;
/// Share in use up to which a volume has room, if it does not fill within [`VOLUME_FILLS_HOURS`].
pub const VOLUME_ROOM: f64 = 0.85;
/// A volume that is full in fewer hours at its present growth is filling.
pub const VOLUME_FILLS_HOURS: f64 = 6.0;

/// Share of its connections in use from which a pool or database has none to give.
pub const CONNECTIONS_FULL: f64 = 0.95;
/// Share of a database's connections that one client holds when it is the one to blame.
pub const CONNECTIONS_HELD: f64 = 0.4;
/// Seconds a transaction may sit idle; beyond, it holds its locks for nobody's good.
pub const IDLE_IN_TRANSACTION: f64 = 60.0;
/// Traffic this many times the usual is a flood that capacity was not made for.
pub const FLOOD_TIMES: f64 = 2.5;
/// Share of a service's added load that one caller must bring to be its source.
pub const FLOOD_SHARE: f64 = 0.6;
