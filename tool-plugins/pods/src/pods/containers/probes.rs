//! Health checks that ask a port nobody declares. Told only of containers in trouble: declaring
//! ports is a courtesy, and a healthy container proves that its check is right.

use plugin_cluster::Answer;

use super::Look;

impl Look<'_> {
    pub(super) fn probe_ports(&self, answer: &mut Answer) {
        let declared = self.container.ports();
        if declared.is_empty() {
            return;
        }
        let shown: Vec<String> = declared.iter().map(|(_, number)| number.to_string()).collect();
        let shown = shown.join(",");
        for probe in self.container.probes() {
            let known = probe.port.is_empty()
                || declared
                    .iter()
                    .any(|(name, number)| *name == probe.port || number.to_string() == probe.port);
            if known {
                continue;
            }
            let says = format!(
                "has a {} probe on port {}, but declares only {shown}",
                probe.kind, probe.port
            );
            answer.harm(
                self.observe("container.probe_port_undeclared", &says)
                    .maybe_since(self.pod.created())
                    .until(self.now)
                    .attr("probe", probe.kind)
                    .attr("port", probe.port.as_str())
                    .attr("path", probe.path.as_str())
                    .attr("declared", shown.as_str()),
            );
        }
    }
}
