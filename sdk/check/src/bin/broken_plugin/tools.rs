//! What the tools do.

use std::{sync::Arc, time::Duration};

use agent_proto::tool::v1::{
    CallLog, CallProgress, CallResult, Compensation, Failure, FailureClass, ToolDescriptor,
    call_response::Update,
};
use serde_json::{Map, Value, json};
use tokio::{sync::watch, time::Instant};

use crate::{
    call::{Asked, Out},
    plugin::{Plugin, failure, locked},
};

type Ended = Result<CallResult, Box<Failure>>;

pub(crate) async fn run(
    plugin: &Arc<Plugin>,
    tool: &ToolDescriptor,
    asked: &Asked,
    out: &Out,
) -> Ended {
    match tool.name.as_str() {
        "echo" => echo(plugin, &asked.arguments).await,
        "work" => work(plugin, asked, out).await,
        "list" => Ok(list(plugin, asked)),
        "find" => find(plugin, &asked.arguments),
        "state" => {
            let world = locked(&plugin.world);
            Ok(result(&json!({"at": world.counter + 1000 * world.value})))
        }
        "add" => add(plugin, asked).await,
        _ => set(plugin, asked),
    }
}

fn result(value: &Value) -> CallResult {
    CallResult {
        result_json: value.to_string(),
        summary: "done".to_owned(),
        ..CallResult::default()
    }
}

fn integer(arguments: &Map<String, Value>, name: &str) -> i64 {
    arguments.get(name).and_then(Value::as_i64).unwrap_or_default()
}

async fn echo(plugin: &Plugin, arguments: &Map<String, Value>) -> Ended {
    let mut answer = arguments.clone();
    if let Some(Value::String(text)) = arguments.get("text") {
        let mut text = text.clone();
        if plugin.breaks("CALL-05") {
            locked(&plugin.world).last_text.clone_from(&text);
            tokio::time::sleep(Duration::from_millis(20)).await;
            text.clone_from(&locked(&plugin.world).last_text);
        }
        if plugin.breaks("ARG-03") {
            text.retain(|letter| !letter.is_control());
        }
        answer.insert("text".to_owned(), json!(text));
    }
    if let Some(number) = arguments.get("number").filter(|_| plugin.breaks("ARG-02")) {
        // What a language without 64-bit integers makes of it.
        let rounded = number.as_f64().map(|number| format!("{number}"));
        answer.insert("number".to_owned(), rounded.and_then(|n| n.parse::<i64>().ok()).into());
    }
    Ok(result(&Value::Object(answer)))
}

async fn work(plugin: &Plugin, asked: &Asked, out: &Out) -> Ended {
    let seconds = u64::try_from(integer(&asked.arguments, "seconds")).unwrap_or_default();
    let ends = Instant::now() + Duration::from_secs(seconds);
    let floods = asked.arguments.get("flood") == Some(&json!(true));
    let mut done = 0.0;
    while Instant::now() < ends {
        if floods {
            let message = "x".repeat(16 * 1024);
            out.send(Update::Log(CallLog { message, ..CallLog::default() })).await;
            tokio::task::yield_now().await;
            continue;
        }
        let pace =
            if plugin.breaks("CALL-06:fast") { Duration::from_millis(100) } else { asked.progress };
        tokio::time::sleep(pace.min(ends - Instant::now())).await;
        if !plugin.breaks("CALL-06") {
            done += 1.0;
        }
        out.send(Update::Progress(CallProgress { done, ..CallProgress::default() })).await;
    }
    Ok(result(&json!({"worked": seconds})))
}

fn list(plugin: &Plugin, asked: &Asked) -> CallResult {
    let count = usize::try_from(integer(&asked.arguments, "count")).unwrap_or_default();
    let page = match usize::try_from(integer(&asked.arguments, "per_page")) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(page) => page,
    };
    let mut from: usize = asked.request.page_token.parse().unwrap_or_default();
    if plugin.breaks("LIM-02") {
        from = from.saturating_sub(1);
    }
    let mut items = Vec::new();
    let mut size = 64;
    for number in (from..count).take(page) {
        let item = format!("item {number:06}");
        size += item.len() + 3;
        if size > asked.result_bytes {
            break;
        }
        items.push(item);
    }
    let next = from + items.len();
    let is_cut = next < count && items.len() < page;
    CallResult {
        truncated: is_cut && !plugin.breaks("LIM-01"),
        next_page_token: if next < count { next.to_string() } else { String::new() },
        ..result(&json!({"items": items}))
    }
}

fn find(plugin: &Plugin, arguments: &Map<String, Value>) -> Ended {
    let name = arguments.get("name").and_then(Value::as_str).unwrap_or_default();
    let not_found = |class, code, reason: &str| {
        let mut failure = failure(class, code, reason, "there is nobody of that name");
        failure.resource = "Person nobody".to_owned();
        Err(Box::new(failure))
    };
    match name {
        "nobody" if plugin.breaks("ERR-04") => not_found(FailureClass::External, 14, "NOT_FOUND"),
        "nobody" if plugin.breaks("ERR-01") => not_found(FailureClass::NotFound, 5, "not found"),
        "nobody" => not_found(FailureClass::NotFound, 5, "NOT_FOUND"),
        "offline" => {
            let password =
                if plugin.breaks("ERR-05") { plugin.settings.password.as_str() } else { "" };
            let said = format!("the directory does not answer {password}");
            Err(Box::new(failure(FailureClass::External, 14, "DIRECTORY_DOWN", &said)))
        }
        #[expect(clippy::panic, reason = "what the check of a panic looks at")]
        "panic" => panic!("a defect"),
        _ if plugin.breaks("CALL-02:json") => {
            Ok(CallResult { result_json: "waiting: 7".to_owned(), ..CallResult::default() })
        }
        _ if plugin.breaks("CALL-02") => Ok(result(&json!({"name": 7}))),
        _ => Ok(result(&json!({"name": name}))),
    }
}

async fn add(plugin: &Plugin, asked: &Asked) -> Ended {
    let amount = integer(&asked.arguments, "amount");
    if amount < 0 {
        return Err(Box::new(failure(
            FailureClass::Config,
            9,
            "NEGATIVE",
            "only more can be added",
        )));
    }
    if asked.dry {
        let acts = plugin.breaks("DRY-01")
            && asked.request.mode() == agent_proto::tool::v1::CallMode::DryRun;
        if acts {
            locked(&plugin.world).counter += amount;
        }
        return Ok(planned(format!("adds {amount} to the counter")));
    }
    let key = &asked.request.idempotency_key;
    let arguments = Value::Object(asked.arguments.clone()).to_string();
    // Whoever comes first with a key works; the others wait for what comes of it.
    let (tell, told) = watch::channel(None);
    let first = {
        let mut keys = locked(&plugin.keys);
        match keys.get(key) {
            Some((other, _)) if *other != arguments && !plugin.breaks("IDEM-02") => {
                return Err(Box::new(failure(
                    FailureClass::InvalidArgument,
                    6,
                    "KEY_REUSED",
                    "this key was used with other arguments",
                )));
            }
            Some((other, kept)) if *other == arguments && !plugin.breaks("IDEM-01") => {
                Some(kept.clone())
            }
            _ => {
                keys.insert(key.clone(), (arguments, told));
                None
            }
        }
    };
    if let Some(mut kept) = first {
        let seen = kept.wait_for(Option::is_some).await;
        let json = seen.ok().and_then(|json| json.clone()).unwrap_or_default();
        return Ok(CallResult { result_json: json, ..result(&Value::Null) });
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    let added = {
        let mut world = locked(&plugin.world);
        world.counter += amount;
        result(&json!({"counter": world.counter}))
    };
    tell.send_replace(Some(added.result_json.clone()));
    Ok(added)
}

fn set(plugin: &Plugin, asked: &Asked) -> Ended {
    let value = integer(&asked.arguments, "value");
    if value < 0 {
        return Err(Box::new(failure(
            FailureClass::Config,
            9,
            "NEGATIVE",
            "only what is positive can be set",
        )));
    }
    if asked.dry {
        return Ok(planned(format!("sets the value to {value}")));
    }
    let mut world = locked(&plugin.world);
    let mut undo = world.value;
    if plugin.breaks("COMP-01") {
        undo += 1;
    }
    world.value = value;
    Ok(CallResult {
        compensations: vec![Compensation {
            tool: "set".to_owned(),
            arguments_json: json!({"value": undo}).to_string(),
            summary: format!("sets the value back to {undo}"),
            expire_time: None,
        }],
        ..result(&json!({"value": value}))
    })
}

fn planned(effect: String) -> CallResult {
    CallResult { planned_effects: vec![effect], ..result(&json!({})) }
}
