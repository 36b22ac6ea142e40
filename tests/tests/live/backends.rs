//! Prometheus on loaded history, and Alertmanager.

use agent_tests::{alertmanager::Alertmanager, prometheus::Prometheus, wait::wait_until};
use serde_json::json;
use std::{fs, time::Duration};

#[tokio::test]
async fn prometheus_answers_about_a_history_that_was_loaded() {
    // An hour, a sample a minute, long ago.
    let begin = 1_750_000_000_u64;
    let mut history = "# TYPE requests counter\n".to_owned();
    for minute in 0..60 {
        let time = begin + 60 * minute;
        history.push_str(&format!("requests_total{{service=\"cart\"}} {} {time}\n", 120 * minute));
    }
    history.push_str("# EOF\n");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), history).unwrap();
    let Some(prometheus) = Prometheus::start(Some(file.path()), None).await.unwrap() else {
        return;
    };
    let query = "rate(requests_total{service=\"cart\"}[5m])";
    let found = prometheus.query(query, begin + 30 * 60).await.unwrap();
    assert_eq!(found[0]["metric"], json!({ "service": "cart" }));
    assert_eq!(found[0]["value"][1], "2");
    assert_eq!(prometheus.query(query, begin - 60).await.unwrap(), Vec::<serde_json::Value>::new());
}

#[tokio::test]
async fn alertmanager_takes_an_alert_and_knows_it() {
    let config = "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n";
    let Some(alertmanager) = Alertmanager::start(config).await.unwrap() else { return };
    let labels = json!({ "alertname": "KubePodCrashLooping", "namespace": "shop" });
    alertmanager.send(&json!([{ "labels": labels }])).await.unwrap();
    let known = wait_until("the alert", Duration::from_secs(10), async || {
        let known = alertmanager.alerts().await.map_err(|error| format!("{error:#}"))?;
        known.into_iter().next().ok_or_else(|| "none".to_owned())
    });
    assert_eq!(known.await.unwrap()["labels"], labels);
}
