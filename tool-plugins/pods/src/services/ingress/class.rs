//! Which controller takes an Ingress up: the class it names must exist, and without one there must
//! be a default. <https://kubernetes.io/docs/concepts/services-networking/ingress/#ingress-class>

use plugin_cluster::{Object, names::distance};

use super::Fault;

const OLD: &str = "kubernetes.io/ingress.class";
const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";

pub(super) fn fault(ingress: &Object, classes: Option<&[Object]>, all: &[Object]) -> Option<Fault> {
    let named = class_of(ingress);
    match (classes, named) {
        (Some(classes), "") => {
            let default = classes.iter().any(|c| c.annotation(DEFAULT) == Some("true"));
            (!default && !is_taken(ingress)).then(|| {
                fault_of("names no class and there is no default one", "", names(classes), true)
            })
        }
        (Some(classes), named) => {
            // A class by annotation may be a controller's own word without an object.
            let by_field = !ingress.text("/spec/ingressClassName").is_empty();
            let known = classes.iter().any(|c| c.name() == named);
            (!known && (by_field || !is_taken(ingress))).then(|| {
                let says = format!("names class {named}, which does not exist");
                fault_of(&says, named, names(classes), by_field)
            })
        }
        // Without the classes themselves, those that other Ingresses name are what is known.
        (None, named) => {
            let others: Vec<&str> = all
                .iter()
                .filter(|o| o.entity() != ingress.entity() && is_taken(o))
                .map(class_of)
                .filter(|c| !c.is_empty())
                .collect();
            let odd = !others.is_empty() && !others.contains(&named) && !is_taken(ingress);
            odd.then(|| {
                let says = format!(
                    "names class {}, which no Ingress that is served has",
                    if named.is_empty() { "(none)" } else { named }
                );
                fault_of(
                    &says,
                    named,
                    others.first().map_or(String::new(), |c| (*c).to_owned()),
                    false,
                )
            })
        }
    }
}

fn class_of(ingress: &Object) -> &str {
    match ingress.text("/spec/ingressClassName") {
        "" => ingress.annotation(OLD).unwrap_or_default(),
        class => class,
    }
}

/// Whether some controller wrote an address to it.
fn is_taken(ingress: &Object) -> bool {
    !ingress.list("/status/loadBalancer/ingress").is_empty()
}

fn names(classes: &[Object]) -> String {
    let names: Vec<&str> = classes.iter().map(Object::name).collect();
    names.join(",")
}

fn fault_of(says: &str, class: &str, known: String, certain: bool) -> Fault {
    let nearest =
        known.split(',').min_by_key(|k| distance(k, class)).unwrap_or_default().to_owned();
    let says = format!("{says} (known: {known}), so no controller serves it");
    let attributes = vec![("class", class.to_owned()), ("classes", known), ("nearest", nearest)];
    Fault { why: "class_missing", says, certain, attributes, peer: None, quote: String::new() }
}
