//! A client's secret at an identity provider outside.

use crate::incidents::{
    clock::{DAY, MIN},
    cluster::Cluster,
    drawn::newer,
    object::{Edit, Ref},
    traffic::{Harm, Peer, Why},
    truth::Truth,
    voice::Level,
};

/// The client secret with which a service gets its tokens ran out at the identity provider. Tokens
/// in use last a little longer, so it grows; the services between were released for other reasons.
pub(super) fn client_secret_ran_out(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 2;
    let app = cluster.app(hops);
    let (id, gate, home) = (app.last(), app.gate(), cluster.home());
    cluster.programmed(id);
    let (place, host) = cluster.outside(id, true);
    let stem = cluster[id].called().to_owned();
    let secret = format!("{stem}-{}", cluster.dice.pick(&["oidc", "oauth-client", "entra-app"]));
    let made = -DAY * 181;
    let edit = Edit::new(made, "kubectl-create", &["f:data.f:client-secret"]);
    cluster.secret((&home, &secret), "Opaque", &["client-id", "client-secret"], &[edit]);
    cluster[id].always(|template| {
        template.env_from_secret("OIDC_CLIENT_ID", &secret, "client-id");
        template.env_from_secret("OIDC_CLIENT_SECRET", &secret, "client-secret");
    });
    let at = cluster.minutes_ago(8, 40);
    let app_id = cluster.dice.uid();
    let text = match cluster.dice.below(3) {
        0 => format!(
            "token request to https://{host}/oauth2/v2.0/token failed: 401 invalid_client: AADSTS7000222: The provided client secret keys for app '{app_id}' are expired."
        ),
        1 => format!(
            "oauth2: cannot fetch token: 401 Unauthorized Response: {{\"error\":\"invalid_client\",\"error_description\":\"Client secret of {stem} has expired\"}} from https://{host}/realms/main/protocol/openid-connect/token"
        ),
        _ => format!(
            "[invalid_client] client authentication failed at https://{host}/oauth2/token: the client secret supplied for a confidential client is expired"
        ),
    };
    let grows = cluster.dice.between(120, 600);
    let share = cluster.dice.range(0.6, 0.98);
    let harm = Harm { grows, ..Harm::errors(at, share, Why::Said(text)) };
    cluster.traffic.harm_call(id, Peer::Out(place), &harm);
    cluster[id].say(
        at + 3,
        12,
        Level::Warn,
        "no valid access token in cache, refresh scheduled in 5s",
    );
    for (step, shift) in [(1_usize, 900), (0, 260)] {
        if let Some(&other) = app.path.get(step) {
            cluster.roll(other, at - shift, |template| template.tag = newer(&template.tag));
        }
    }
    if cluster.dice.chance(0.5) {
        cluster.objects.hide("secret");
    }
    let alert = cluster.dice.pick(&["ErrorBudgetBurn", "high_error_rate", "SyntheticCheckFailing"]);
    let name = cluster[id].name.clone();
    Truth::new(cluster, alert, gate, Ref::new("Secret", &home, &secret))
        .accept([cluster.reference(id)])
        .accept(cluster.parts(id))
        .told(
            "A client secret ran out",
            &format!("{}: share of failing requests grows since {} minutes.", cluster[gate].called(), -at / MIN),
            &format!("The client secret in Secret {secret} with which {name} gets tokens from {host} has expired there; with every token that runs out more requests fail."),
        )
        .rated("hard", cluster.effect(gate))
        .mention(&["client secret", "invalid_client", "credential", "token", "authentication"])
        .mention(&["expired", &secret, "401", "refused", "invalid"])
        .not_claim(&["OOM", "bad release", "dns failure", "network policy", "certificate"])
}
