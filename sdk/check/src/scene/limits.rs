//! LIM: what a plugin does when its answer is too large, or nobody reads it.

use std::time::Duration;

use agent_proto::tool::v1::CallLimits;
use serde_json::Value;

use super::failures::is_json;
use crate::{
    exchange::Exchange,
    later::CallRequest,
    stage::{CALL, Stage},
    verdict::{Found, demand, fail, passed, skip},
};

const SMALL: usize = 4096;
const UNREAD: Duration = Duration::from_secs(5);
const GROWTH: u64 = 8 * 1024 * 1024;
/// More pages than any fixture should have.
const MOST_PAGES: usize = 100;

/// LIM-01: a result that is too large.
pub(super) async fn truncated(stage: &Stage) -> Found {
    let mut asked = Vec::new();
    if let Some((name, arguments)) = stage.fixtures().first(|tool| tool.large.as_ref()) {
        asked.push(stage.ask(stage.tool(name)?, arguments));
    }
    asked.extend(stage.harmless());
    for request in asked {
        let whole = stage.call(request.clone()).await;
        if whole.json().len() <= SMALL {
            continue;
        }
        let limits = CallLimits { max_result_bytes: 4096, ..request.limits.unwrap_or_default() };
        let seen = stage.call(CallRequest { limits: Some(limits), ..request }).await;
        let json = seen.json();
        demand(json.len() <= SMALL, &seen, || {
            format!("the result has {} bytes, max_result_bytes was {SMALL}", json.len())
        })?;
        demand(seen.result().is_some_and(|result| result.truncated), &seen, || {
            format!("a result of {} bytes was cut to {SMALL} without truncated", whole.json().len())
        })?;
        demand(json.is_empty() || is_json(&json), &seen, || {
            "what is left is not valid JSON".to_owned()
        })?;
        return Ok(format!("{} bytes cut to {}", whole.json().len(), json.len()));
    }
    skip("no call had a result beyond 4 KiB; needs fixtures: tools.NAME.large")
}

/// LIM-02: pages that join.
pub(super) async fn pages(stage: &Stage) -> Found {
    let Some((name, fixture)) = stage.fixtures().first(|tool| tool.pages.as_ref()) else {
        return skip(
            "needs fixtures: tools.NAME.pages, a call with several pages and where the items stand",
        );
    };
    let tool = stage.tool(name)?;
    let mut items: Vec<Value> = Vec::new();
    let mut token = String::new();
    let mut count = 0;
    let mut last: Option<Exchange> = None;
    while count < MOST_PAGES {
        let request = stage.ask(tool, &fixture.arguments);
        let seen = stage.call(CallRequest { page_token: token, ..request }).await;
        count += 1;
        let read: Option<Value> = serde_json::from_str(&seen.json()).ok();
        let page = read.as_ref().and_then(|v| v.pointer(&fixture.items)).and_then(Value::as_array);
        demand(page.is_some(), &seen, || {
            format!("page {count} has no list at {:?}", fixture.items)
        })?;
        for item in page.into_iter().flatten() {
            demand(!items.contains(item), &seen, || format!("page {count} repeats {item}"))?;
            items.push(item.clone());
        }
        token = seen.result().map(|result| result.next_page_token.clone()).unwrap_or_default();
        last = Some(seen);
        if token.is_empty() {
            break;
        }
    }
    let Some(last) = last else { return passed() };
    demand(token.is_empty(), &last, || format!("more than {MOST_PAGES} pages"))?;
    demand(count > 1, &last, || "the first page has no next_page_token".to_owned())?;
    if let Some(expected) = fixture.count {
        let came = items.len();
        demand(came == expected, &last, || {
            format!("{came} items on {count} pages, {expected} expected")
        })?;
    }
    Ok(format!("{} items on {count} pages", items.len()))
}

/// LIM-03: nobody reads for 5 s.
pub(super) async fn unread(stage: &Stage) -> Found {
    let program = stage.program()?;
    let told = stage.fixtures().first(|tool| tool.flood.as_ref());
    let Some((name, arguments)) = told else {
        return skip(
            "needs fixtures: tools.NAME.flood, a call that sends updates faster than they are read",
        );
    };
    let Some(before) = program.memory() else {
        return skip("this system does not tell a process's memory");
    };
    let mut request = stage.ask(stage.tool(name)?, arguments);
    if let Some(limits) = &mut request.limits {
        limits.timeout = (UNREAD + CALL).try_into().ok();
    }
    let mut call = stage.begin(request).await;
    if !call.read_until(CALL, |seen| !seen.updates.is_empty()).await {
        return fail("the flood did not begin");
    }
    tokio::time::sleep(UNREAD).await;
    let after = program.memory().unwrap_or(before);
    let read = call.seen.updates.len();
    let goes_on = call.read_until(CALL, |seen| seen.updates.len() > read + 2).await;
    let seen = call.cancel(Duration::from_secs(2)).await;
    let grown = after.saturating_sub(before);
    demand(grown < GROWTH, &seen, || format!("unread for 5 s it grew by {} KiB", grown / 1024))?;
    let ended = seen.result().is_some() || seen.failure().is_some();
    demand(goes_on || ended, &seen, || "the call did not go on after 5 s unread".to_owned())?;
    Ok(format!("grew by {} KiB", grown / 1024))
}
