//! What joined an investigation: further alerts of the same trouble, and words that one is over.

use agent_proto::v1::Investigation;

use super::Page;
use crate::cli::{
    live::transcript::about,
    text::{counted, wrapped},
};

/// Alerts told by name; what is beyond is counted.
const MOST: usize = 4;

/// The block about them; nothing where none joined.
pub(super) fn all(page: &mut Page, of: &Investigation) {
    page.headed("Joined by", &lines(of));
}

fn lines(of: &Investigation) -> Vec<String> {
    let count = usize::try_from(of.attached_alert_count).unwrap_or(0);
    let resolved = usize::try_from(of.resolved_alert_count).unwrap_or(0);
    let mut lines = Vec::new();
    if count > 0 {
        let mut names: Vec<String> = of.attached_alerts.iter().map(about).collect();
        names.dedup();
        let named: Vec<String> = names.into_iter().take(MOST).collect();
        let what = counted(count, "further alert");
        lines.push(wrapped("  ", &format!("{what} of the same trouble: {}", named.join("; "))));
    }
    if resolved > 0 {
        let times = counted(resolved, "time");
        lines.push(wrapped("  ", &format!("their sender said {times} that one is over")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use agent_proto::v1::Alert;

    use super::*;

    #[test]
    fn alerts_alike_are_named_once_and_counted() {
        let alert =
            Alert { r#type: "Slow".to_owned(), service: "cart".to_owned(), ..Alert::default() };
        let of = Investigation {
            attached_alerts: vec![alert; 20],
            attached_alert_count: 999,
            resolved_alert_count: 1,
            ..Investigation::default()
        };
        let told = lines(&of).join("\n");
        assert_eq!(told.matches("Slow on cart").count(), 1, "{told}");
        assert!(told.contains("999 further alerts") && told.contains("1 time that"), "{told}");
        assert!(lines(&Investigation::default()).is_empty());
    }
}
