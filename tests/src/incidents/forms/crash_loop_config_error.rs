//! Programs that end at start because of a setting.

mod flags;

use serde_json::{Value, json};

use super::Tale;
use crate::incidents::{
    clock::{HOUR, MIN},
    cluster::Cluster,
    drawn::newer,
    mishap::crashes_since,
    object::{Edit, Ref},
    truth::Truth,
    voice::{Level, Runtime},
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("missing_variable", missing_variable),
    ("broken_file_latent", broken_file_latent),
    ("argument_of_old", flags::argument_of_old),
];

/// How a program ends: exit code, last line, trace.
type Death = (i64, String, Vec<String>);

fn death(exit: i64, text: String, trace: &[&str]) -> Death {
    (exit, text, trace.iter().map(|&line| line.to_owned()).collect())
}

/// A variable that has to be there is not.
fn unset(runtime: Runtime, variable: &str) -> Death {
    match runtime {
        Runtime::Java => {
            let property = variable.to_lowercase().replace('_', ".");
            let why = format!(
                "Caused by: java.lang.IllegalArgumentException: Could not resolve placeholder '{property}' in value \"${{{property}}}\""
            );
            let trace = [
                "org.springframework.beans.factory.BeanCreationException: Error creating bean with name 'appSettings': Injection of autowired dependencies failed",
                &why,
                "\tat org.springframework.util.PropertyPlaceholderHelper.parseStringValue(PropertyPlaceholderHelper.java:180)",
            ];
            death(1, "Application run failed".to_owned(), &trace)
        }
        Runtime::Go | Runtime::Proxy | Runtime::Store => {
            death(1, format!("config: required key {variable} missing value"), &[])
        }
        Runtime::Python => {
            let field = variable.to_lowercase();
            let trace = [
                "Traceback (most recent call last):",
                "  File \"/app/main.py\", line 14, in <module>",
                "    settings = Settings()",
                "pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings",
                &field,
                "  Field required [type=missing, input_value={'log_level': 'info'}, input_type=dict]",
            ];
            death(1, format!("could not load settings: {field} is required"), &trace)
        }
        Runtime::Node => death(
            1,
            format!("Error: Config validation error: \"{variable}\" is required"),
            &[
                "    at ConfigModule.forRoot (/app/node_modules/@nestjs/config/dist/config.module.js:76:23)",
            ],
        ),
        Runtime::DotNet => death(
            134,
            format!(
                "Unhandled exception. System.InvalidOperationException: Configuration value '{variable}' was not found."
            ),
            &["   at Program.<Main>$(String[] args) in /src/Program.cs:line 22"],
        ),
        Runtime::Ruby => death(
            1,
            format!("key not found: \"{variable}\" (KeyError)"),
            &["config/initializers/settings.rb:4:in `fetch'"],
        ),
        Runtime::Php => death(255, format!("Environment variable not found: \"{variable}\"."), &[]),
        Runtime::Rust => death(
            101,
            format!(
                "thread 'main' panicked at src/config.rs:31:10: {variable} must be set: NotPresent"
            ),
            &[],
        ),
    }
}

/// A number in a file has a letter in it.
fn unreadable(runtime: Runtime, (file, key, value): (&str, &str, &str)) -> Death {
    let (exit, text) = match runtime {
        Runtime::Java => (1, "Application run failed".to_owned()),
        Runtime::Python => (1, format!("invalid configuration in {file}")),
        Runtime::Go | Runtime::Proxy | Runtime::Store => (
            1,
            format!(
                "load {file}: yaml: unmarshal errors: line 4: cannot unmarshal !!str `{value}` into int"
            ),
        ),
        Runtime::Node => {
            (1, format!("Error: {file}: \"pool.{key}\" must be a number, got \"{value}\""))
        }
        Runtime::DotNet => (
            134,
            format!(
                "Unhandled exception. System.InvalidOperationException: Failed to convert configuration value '{value}' at 'pool:{key}' to type 'System.Int32'."
            ),
        ),
        Runtime::Ruby => (
            1,
            format!(
                "invalid value for Integer(): \"{value}\" (ArgumentError) reading pool.{key} of {file}"
            ),
        ),
        Runtime::Php => (
            255,
            format!(
                "PHP Fatal error:  Uncaught TypeError: Pool::__construct(): Argument #1 (${key}) must be of type int, string given, reading {file}"
            ),
        ),
        Runtime::Rust => (
            1,
            format!(
                "Error: {file}: pool.{key}: invalid type: string \"{value}\", expected usize at line 4 column 9"
            ),
        ),
    };
    (exit, text, where_it_was_read(runtime, key, value))
}

fn where_it_was_read(runtime: Runtime, key: &str, value: &str) -> Vec<String> {
    match runtime {
        Runtime::Java => vec![
            format!(
                "org.springframework.boot.context.properties.bind.BindException: Failed to bind properties under 'pool.{key}' to int"
            ),
            format!("Caused by: java.lang.NumberFormatException: For input string: \"{value}\""),
        ],
        Runtime::Python => vec![
            "Traceback (most recent call last):".to_owned(),
            "  File \"/app/main.py\", line 14, in <module>".to_owned(),
            format!("ValueError: pool.{key}: invalid literal for int() with base 10: '{value}'"),
        ],
        Runtime::Node => vec!["    at loadConfig (/app/dist/config.js:41:11)".to_owned()],
        Runtime::DotNet => {
            vec![
                " ---> System.FormatException: The input string was not in a correct format."
                    .to_owned(),
            ]
        }
        Runtime::Ruby => vec!["config/settings.rb:12:in `Integer'".to_owned()],
        Runtime::Go | Runtime::Php | Runtime::Rust | Runtime::Proxy | Runtime::Store => Vec::new(),
    }
}

/// A tidied manifest lacks or misspells a variable; the new pods end at once, the old ones serve.
fn missing_variable(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let app = cluster.app(hops);
    let id = app.last();
    cluster.programmed(id);
    let (variable, typo, value) = cluster.dice.pick(&[
        ("SETTLEMENT_REGION", "SETTLEMENT_REGON", "eu-1"),
        ("OUTBOX_TOPIC", "OUTBOX_TOPICS", "outbox.v2"),
        ("BLOB_BUCKET", "BLOB_BUKET", "documents-live"),
        ("TENANT_MODE", "TENENT_MODE", "shared"),
        ("PUBLIC_BASE_URL", "PUBLIC_BASEURL", "https://www.storefront.example"),
    ]);
    cluster[id].always(|template| template.set_env(variable, value));
    let (exit, text, trace) = unset(cluster[id].runtime, variable);
    let name = cluster[id].name.clone();
    let hello = format!("starting {name}, reading configuration from environment");
    cluster[id].crash = vec![(Level::Info, hello, Vec::new()), (Level::Fatal, text, trace)];
    let at = cluster.minutes_ago(14, 50);
    let (misspelt, newly) = (cluster.dice.chance(0.5), cluster.dice.chance(0.4));
    let run = cluster.dice.between(1, 7);
    let named = |entry: &Value| entry.get("name").and_then(Value::as_str) == Some(variable);
    cluster.stick(
        id,
        at,
        |template| {
            template.env.retain(|entry| !named(entry));
            if misspelt {
                template.set_env(typo, value);
            }
            if newly {
                template.tag = newer(&template.tag);
            }
        },
        |pod| crashes_since(pod, (pod.created + 3, run), (exit, "Error")),
    );
    cluster.crash_events(id);
    let alert =
        cluster.dice.pick(&["pod_crash_looping", "rollout_stuck", "deployment_replicas_mismatch"]);
    let truth = Truth::new(cluster, alert, id, cluster.reference(id)).accept(cluster.parts(id));
    let truth = if newly { truth.or_category(&["bad_deploy_regression"]) } else { truth };
    truth
        .claimed("warning")
        .told(
            "New pods end at start for want of a variable",
            &format!("New pods of {name} restart again and again since {} minutes.", -at / MIN),
            &format!("The new revision of {name} does not set {variable} any more: its containers exit with {exit} at start. The old pods go on serving."),
        )
        .rated("easy", "P3")
        .mention(&[&name, cluster[id].called()])
        .mention(&[variable, &variable.to_lowercase(), &variable.to_lowercase().replace('_', "."), "missing", "environment variable", "configuration"])
        .not_claim(&["OOM", "liveness probe", "image pull", "dns failure", "network policy"])
}

/// A mounted ConfigMap was broken by an edit long ago; nothing happened until all pods were
/// replaced. A caller's release shortly before is innocent.
fn broken_file_latent(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let id = app.last();
    let space = cluster.home();
    let end = cluster.dice.pick(&["conf", "application", "properties"]);
    let map = format!("{}-{end}", cluster[id].called());
    let key = cluster.dice.pick(&["max-size", "workers", "queue-depth"]);
    let value = cluster.dice.pick(&["2O", "fourty", "16x", "1e"]);
    let (folder, name) = ("/etc/service", "settings.yaml");
    let edited = cluster.hours_ago(1, 26);
    let editor = cluster.habits.editor;
    let text = format!("log:\n  level: info\npool:\n  {key}: {value}\n  timeout: 5s\n");
    let field = format!("f:data.f:{name}");
    cluster.config_map((&space, &map), &[(name, text)], &[Edit::new(edited, editor, &[&field])]);
    cluster[id].always(|template| {
        template.mount("conf", folder, json!({"configMap": {"name": map}}));
    });
    let (exit, text, trace) =
        unreadable(cluster[id].runtime, (&format!("{folder}/{name}"), key, value));
    let hello = format!("loading {folder}/{name}");
    cluster[id].crash = vec![(Level::Info, hello, Vec::new()), (Level::Fatal, text, trace)];
    let at = cluster.minutes_ago(8, 35);
    let run = cluster.dice.between(1, 5);
    cluster.replace_all(id, at, |pod| {
        crashes_since(pod, (pod.created + 3, run), (exit, "Error"));
    });
    cluster.crash_events(id);
    let caller = app.caller();
    let released = at - cluster.dice.between(150, 600);
    cluster.roll(caller, released, |template| template.tag = newer(&template.tag));
    let (name, gate) = (cluster[id].name.clone(), app.gate());
    let alert = cluster.dice.pick(&["high_error_rate", "service_unavailable", "error_budget_burn"]);
    Truth::new(cluster, alert, gate, Ref::new("ConfigMap", &space, &map))
        .accept([cluster.reference(id)])
        .accept(cluster.parts(id))
        .told(
            "A broken settings file takes effect when pods are replaced",
            &format!("{} fails since {} minutes.", cluster[gate].called(), -at / MIN),
            &format!("ConfigMap {map} was edited {} hours ago: pool.{key} is {value}, which {name} cannot read. All its pods were replaced since and end at start, so its callers are refused.", -edited / HOUR),
        )
        .rated(if hops > 1 { "hard" } else { "medium" }, cluster.effect(gate))
        .mention(&[&name, cluster[id].called(), &map])
        .mention(&[&map, key, value, "configmap", "config", "setting"])
        .not_claim(&["OOM", "liveness probe", "image pull", "dns failure", "traffic spike"])
        .or_category(&["config_change_regression"])
}
