//! Layouts of log lines, as the usual libraries write them. A line may become several.

use serde_json::{Value, json};

use super::{Level, Voice};
use crate::incidents::{clock::Moment, dice::Dice};

/// What is said.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// When.
    pub at: Moment,
    /// How grave.
    pub level: Level,
    /// The program.
    pub unit: &'a str,
    /// The pod.
    pub pod: &'a str,
    /// The text.
    pub text: &'a str,
    /// A stack trace, if there is one.
    pub trace: &'a [String],
}

/// How a layout writes a line.
#[derive(Clone, Copy)]
enum Layout {
    /// One line of text, the trace behind it.
    Text(fn(&Line<'_>, &mut Dice) -> String),
    /// An object, the trace under this key.
    Json(fn(&Line<'_>, &mut Dice) -> Value, &'static str),
}

use Layout::{Json, Text};

const LAYOUTS: [(Voice, Layout); 29] = [
    (Voice::Logback, Text(logback)),
    (Voice::Log4j, Text(log4j)),
    (Voice::Logstash, Json(logstash, "stack_trace")),
    (Voice::Zap, Json(zap, "stacktrace")),
    (Voice::Logrus, Text(logrus)),
    (Voice::Klog, Text(klog)),
    (Voice::Slog, Text(slog)),
    (Voice::GoStd, Text(go_std)),
    (Voice::PyStd, Text(py_std)),
    (Voice::PyJson, Json(py_json, "exc_info")),
    (Voice::Structlog, Json(structlog, "exception")),
    (Voice::Pino, Json(pino, "err")),
    (Voice::Winston, Json(winston, "stack")),
    (Voice::NodePlain, Text(node_plain)),
    (Voice::DotNetConsole, Text(dot_net)),
    (Voice::Serilog, Json(serilog, "@x")),
    (Voice::RubyLogger, Text(ruby)),
    (Voice::Monolog, Text(monolog)),
    (Voice::Tracing, Text(tracing)),
    (Voice::TracingJson, Json(tracing_json, "stack")),
    (Voice::Nginx, Text(nginx)),
    (Voice::EnvoyJson, Json(envoy, "stack")),
    (Voice::Postgres, Text(postgres)),
    (Voice::Mysql, Text(mysql)),
    (Voice::Redis, Text(redis)),
    (Voice::Kafka, Text(kafka)),
    (Voice::Rabbit, Text(rabbit)),
    (Voice::Mongo, Json(mongo, "stack")),
    (Voice::Plain, Text(plain)),
];

impl Line<'_> {
    /// The line as `voice` writes it, without the kubelet's time.
    #[must_use]
    pub fn written(&self, voice: Voice, chance: &mut Dice) -> Vec<String> {
        let layout = LAYOUTS.iter().find(|(of, _)| *of == voice).map(|(_, layout)| *layout);
        match layout {
            Some(Layout::Json(write, key)) => vec![self.with_trace(write(self, chance), key)],
            Some(Layout::Text(write)) => {
                let mut lines = vec![write(self, chance)];
                if voice == Voice::DotNetConsole {
                    lines.push(format!("      {}", self.text));
                }
                match (voice, lines.first().and_then(|line| line.split_once(']'))) {
                    // Postgres writes DETAIL and STATEMENT as lines of the same session.
                    (Voice::Postgres, Some((session, _))) => {
                        let more = |text: &String| format!("{session}] {text}");
                        lines.extend(self.trace.iter().map(more).collect::<Vec<_>>());
                    }
                    _ => lines.extend(self.trace.iter().cloned()),
                }
                lines
            }
            None => vec![self.text.to_owned()],
        }
    }

    fn with_trace(&self, mut object: Value, key: &str) -> String {
        let trace = self.trace.join("\n");
        if let (false, Some(object)) = (trace.is_empty(), object.as_object_mut()) {
            let value = if key == "err" {
                json!({"type": "Error", "message": self.text, "stack": trace})
            } else {
                json!(trace)
            };
            object.insert(key.to_owned(), value);
        }
        object.to_string()
    }

    fn zulu(&self, digits: usize) -> String {
        format!("{}Z", self.at.iso('T', digits))
    }

    fn class(&self) -> String {
        self.unit.split('-').map(capital).collect()
    }

    fn snake(&self) -> String {
        self.unit.replace('-', "_")
    }

    fn quoted(&self) -> String {
        self.text.replace('"', "\\\"")
    }

    fn word(&self) -> &'static str {
        match self.level {
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
            Level::Fatal => "FATAL",
        }
    }

    fn lower(&self) -> &'static str {
        match self.level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
            Level::Fatal => "fatal",
        }
    }

    fn python(&self) -> &'static str {
        match self.level {
            Level::Warn => "WARNING",
            Level::Fatal => "CRITICAL",
            Level::Debug | Level::Info | Level::Error => self.word(),
        }
    }

    fn serilog(&self) -> &'static str {
        match self.level {
            Level::Debug => "Debug",
            Level::Info => "Information",
            Level::Warn => "Warning",
            Level::Error => "Error",
            Level::Fatal => "Fatal",
        }
    }

    fn dot_net(&self) -> &'static str {
        match self.level {
            Level::Debug => "dbug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "fail",
            Level::Fatal => "crit",
        }
    }

    fn postgres(&self) -> &'static str {
        match self.level {
            Level::Debug | Level::Info => "LOG",
            Level::Warn => "WARNING",
            Level::Error => "ERROR",
            Level::Fatal => "FATAL",
        }
    }

    fn mysql(&self) -> &'static str {
        match self.level {
            Level::Debug | Level::Info => "Note",
            Level::Warn => "Warning",
            Level::Error | Level::Fatal => "ERROR",
        }
    }

    fn letter(&self) -> char {
        self.word().chars().next().unwrap_or('I')
    }

    fn pino(&self) -> i64 {
        match self.level {
            Level::Debug => 20,
            Level::Info => 30,
            Level::Warn => 40,
            Level::Error => 50,
            Level::Fatal => 60,
        }
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn logback(l: &Line<'_>, chance: &mut Dice) -> String {
    let (first, class) = (l.unit.get(..1).unwrap_or("x"), l.class());
    let thread = chance.below(40) + 1;
    let logger = format!("c.{first}.{class}Service");
    format!(
        "{} {:>5} 1 --- [nio-8080-exec-{thread}] {logger:<36} : {}",
        l.at.iso(' ', 3),
        l.word(),
        l.text
    )
}

fn log4j(l: &Line<'_>, chance: &mut Dice) -> String {
    let at = l.at.iso(' ', 3).replace('.', ",");
    let package = l.unit.replace('-', ".");
    format!(
        "{at} [worker-{}] {:<5} com.{package}.{} - {}",
        chance.below(16),
        l.word(),
        l.class(),
        l.text
    )
}

fn logstash(l: &Line<'_>, chance: &mut Dice) -> Value {
    json!({"@timestamp": l.zulu(3), "@version": "1", "message": l.text,
        "logger_name": format!("com.{}.Handler", l.unit.replace('-', "")),
        "thread_name": format!("http-nio-8080-exec-{}", chance.below(40) + 1), "level": l.word()})
}

fn zap(l: &Line<'_>, chance: &mut Dice) -> Value {
    let seconds = l.at.unix as f64 + f64::from(l.at.millis()) / 1000.0;
    let caller = format!("internal/{}.go:{}", l.snake(), chance.between(30, 400));
    json!({"level": l.lower(), "ts": seconds, "caller": caller, "msg": l.text})
}

fn logrus(l: &Line<'_>, _: &mut Dice) -> String {
    let level = if l.level == Level::Warn { "warning" } else { l.lower() };
    let at = l.at.civil().iso('T');
    format!("time=\"{at}Z\" level={level} msg=\"{}\" component={}", l.quoted(), l.unit)
}

fn klog(l: &Line<'_>, chance: &mut Dice) -> String {
    let civil = l.at.civil();
    let when =
        format!("{:02}{:02} {}.{:06}", civil.month, civil.day, civil.time(), l.at.nanos / 1000);
    format!("{}{when}       1 {}.go:{}] {}", l.letter(), l.snake(), chance.between(40, 700), l.text)
}

fn slog(l: &Line<'_>, _: &mut Dice) -> String {
    format!("time={} level={} msg=\"{}\" service={}", l.zulu(3), l.word(), l.quoted(), l.unit)
}

fn go_std(l: &Line<'_>, _: &mut Dice) -> String {
    format!("{} {}", l.at.civil().iso(' ').replace('-', "/"), l.text)
}

fn py_std(l: &Line<'_>, _: &mut Dice) -> String {
    format!("{} {:<8} [{}] {}", l.at.iso(' ', 3).replace('.', ","), l.python(), l.snake(), l.text)
}

fn py_json(l: &Line<'_>, _: &mut Dice) -> Value {
    json!({"asctime": l.at.iso(' ', 3).replace('.', ","), "levelname": l.python(),
        "name": l.snake(), "message": l.text})
}

fn structlog(l: &Line<'_>, _: &mut Dice) -> Value {
    json!({"event": l.text, "logger": l.unit, "level": l.lower(), "timestamp": l.zulu(6)})
}

fn pino(l: &Line<'_>, _: &mut Dice) -> Value {
    let time = l.at.unix * 1000 + i64::from(l.at.millis());
    json!({"level": l.pino(), "time": time, "pid": 1, "hostname": l.pod, "name": l.unit, "msg": l.text})
}

fn winston(l: &Line<'_>, _: &mut Dice) -> Value {
    json!({"level": l.lower(), "message": l.text, "service": l.unit, "timestamp": l.zulu(3)})
}

fn node_plain(l: &Line<'_>, _: &mut Dice) -> String {
    format!("[{}] {}: {}", l.zulu(3), l.word(), l.text)
}

fn dot_net(l: &Line<'_>, chance: &mut Dice) -> String {
    format!("{}: {}.Services.RequestService[{}]", l.dot_net(), l.class(), chance.below(20))
}

fn serilog(l: &Line<'_>, _: &mut Dice) -> Value {
    json!({"@t": l.zulu(7), "@m": l.text, "@l": l.serilog(),
        "SourceContext": format!("{}.Services.RequestService", l.class())})
}

fn ruby(l: &Line<'_>, _: &mut Dice) -> String {
    format!("{}, [{} #1] {:>5} -- : {}", l.letter(), l.at.iso('T', 6), l.word(), l.text)
}

fn monolog(l: &Line<'_>, _: &mut Dice) -> String {
    let level = if l.level == Level::Warn { "WARNING" } else { l.word() };
    format!("[{}+00:00] production.{level}: {} [] []", l.at.iso('T', 6), l.text)
}

fn tracing(l: &Line<'_>, _: &mut Dice) -> String {
    format!("{} {:>5} {}: {}", l.zulu(6), l.word(), l.snake(), l.text)
}

fn tracing_json(l: &Line<'_>, _: &mut Dice) -> Value {
    json!({"timestamp": l.zulu(6), "level": l.word(), "fields": {"message": l.text}, "target": l.snake()})
}

fn nginx(l: &Line<'_>, chance: &mut Dice) -> String {
    let level = match l.level {
        Level::Error | Level::Fatal => "error",
        Level::Warn => "warn",
        Level::Debug | Level::Info => "notice",
    };
    let at = l.at.civil().iso(' ').replace('-', "/");
    format!("{at} [{level}] 29#29: *{} {}", chance.between(1000, 90_000), l.text)
}

fn envoy(l: &Line<'_>, _: &mut Dice) -> Value {
    json!({"start_time": l.zulu(3), "level": l.lower(), "authority": l.unit, "message": l.text})
}

/// A text that begins with `[4711] user@db/app LOG:` says itself which session speaks.
fn postgres(l: &Line<'_>, chance: &mut Dice) -> String {
    if l.text.starts_with('[') {
        return format!("{} UTC {}", l.at.iso(' ', 3), l.text);
    }
    format!("{} UTC [{}] {}:  {}", l.at.iso(' ', 3), chance.between(60, 9000), l.postgres(), l.text)
}

fn mysql(l: &Line<'_>, chance: &mut Dice) -> String {
    let (thread, code) = (chance.between(8, 900), chance.between(10_000, 13_999));
    format!("{} {thread} [{}] [MY-0{code}] [Server] {}", l.zulu(6), l.mysql(), l.text)
}

fn redis(l: &Line<'_>, _: &mut Dice) -> String {
    let civil = l.at.civil();
    let date = format!("{:02} {} {}", civil.day, civil.month_name(), civil.year);
    let mark = if l.level >= Level::Warn { '#' } else { '*' };
    format!("1:M {date} {}.{:03} {mark} {}", civil.time(), l.at.millis(), l.text)
}

fn kafka(l: &Line<'_>, _: &mut Dice) -> String {
    format!("[{}] {} {} ({})", l.at.iso(' ', 3).replace('.', ","), l.word(), l.text, l.unit)
}

fn rabbit(l: &Line<'_>, chance: &mut Dice) -> String {
    let process = chance.between(200, 9000);
    format!("{}+00:00 [{}] <0.{process}.0> {}", l.at.iso(' ', 6), l.lower(), l.text)
}

/// What stands behind `attr=` is an object of its own.
fn mongo(l: &Line<'_>, chance: &mut Dice) -> Value {
    let (text, more) = l.text.split_once(" attr=").unwrap_or((l.text, ""));
    let mut whole = json!({"t": {"$date": format!("{}+00:00", l.at.iso('T', 3))}, "s": l.letter().to_string(),
        "c": "COMMAND", "id": 51803, "ctx": format!("conn{}", chance.between(100, 999)), "msg": text});
    if let (Some(whole), Ok(attributes)) =
        (whole.as_object_mut(), serde_json::from_str::<Value>(more))
    {
        whole.insert("attr".to_owned(), attributes);
    }
    whole
}

fn plain(l: &Line<'_>, _: &mut Dice) -> String {
    l.text.to_owned()
}
