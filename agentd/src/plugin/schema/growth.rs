//! How often one place of a value may be looked at. Choices and references multiply: a chain of
//! `allOf: [b, b]` asks two, four, eight times, and a schema that refers to itself twice asks twice
//! as often at each level of the value. Checking such a value would never end, so that the schema
//! is refused before there is a value.
//!
//! Counted is the worst place of any value: what is asked of the same place adds up, what is asked
//! of different places does not. Values are at most as deep as the JSON reader goes.

use std::collections::HashMap;

use serde_json::Value;

use super::walk::{self, Place};

/// Most looks at one place.
const MAX_LOOKS: u64 = 256;
/// Values of an enumeration that are compared in about the time of one look.
const COMPARED: usize = 32;
/// Deepest value that the JSON reader takes.
const DEEPEST: usize = 128;

/// Whether `schema` keeps within the bound.
///
/// # Errors
/// What it does instead, in words.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    let parts = Parts::of(schema)?;
    let order = parts.innermost_first()?;
    let own = parts.sums(&order, |part| part.own);
    let mut below = vec![0; parts.all.len()];
    // One level of the value more with each round, until nothing grows any more.
    for _ in 0..DEEPEST {
        let worst = |at: &usize| {
            own.get(*at).copied().unwrap_or(0).max(below.get(*at).copied().unwrap_or(0))
        };
        let next = parts.sums(&order, |part| part.deeper.looks(&worst));
        let most = own.iter().chain(&next).max().copied().unwrap_or(0);
        if most > MAX_LOOKS {
            return Err(format!(
                "would have one place of a value looked at more than {MAX_LOOKS} times; untangle \
                 its allOf, anyOf, oneOf and $ref"
            ));
        }
        if next == below {
            return Ok(());
        }
        below = next;
    }
    Ok(())
}

/// One schema inside, by the numbers of others.
#[derive(Debug, Default)]
struct Part {
    /// What it takes itself: one, and more for a long enumeration or an expression.
    own: u64,
    /// Held against the same value.
    same: Vec<usize>,
    /// Held against parts of the value.
    deeper: Deeper,
}

/// Schemas for parts of a value. Those of one list are for different parts, or at least one of them
/// is; what stands in several lists may meet at one part.
#[derive(Debug, Default)]
struct Deeper {
    properties: Vec<usize>,
    /// Each may match any name.
    patterns: Vec<usize>,
    items: Vec<usize>,
    contains: Vec<usize>,
}

#[derive(Debug, Default)]
struct Parts {
    all: Vec<Part>,
}

/// What a schema takes itself, without those inside.
fn own(schema: &Value) -> u64 {
    let listed = schema.get("enum").and_then(Value::as_array).map_or(0, Vec::len) / COMPARED;
    let patterns = schema.get("patternProperties").and_then(Value::as_object);
    let patterns = patterns.map_or(0, serde_json::Map::len);
    let expressions = patterns + usize::from(schema.get("pattern").is_some());
    u64::try_from(1 + listed + 4 * expressions).unwrap_or(u64::MAX)
}

// === impl Deeper ===

impl Deeper {
    fn list(&mut self, word: &str) -> &mut Vec<usize> {
        match word {
            "patternProperties" | "propertyNames" => &mut self.patterns,
            "items" | "prefixItems" | "unevaluatedItems" => &mut self.items,
            "contains" => &mut self.contains,
            _ => &mut self.properties,
        }
    }

    /// Looks at the worst part, when `of` tells those of each schema.
    fn looks(&self, of: &impl Fn(&usize) -> u64) -> u64 {
        let most = |of_these: &[usize]| of_these.iter().map(of).max().unwrap_or(0);
        let sum = |of_these: &[usize]| of_these.iter().map(of).fold(0, u64::saturating_add);
        let object = most(&self.properties).saturating_add(sum(&self.patterns));
        object.max(most(&self.items).saturating_add(sum(&self.contains)))
    }
}

// === impl Parts ===

impl Parts {
    fn of(root: &Value) -> Result<Self, String> {
        // Known by where they stand in memory; the schema does not move meanwhile.
        let mut numbers: HashMap<*const Value, usize> = HashMap::new();
        let mut found: Vec<&Value> = vec![root];
        let mut at = 0;
        while let Some(schema) = found.get(at) {
            numbers.insert(std::ptr::from_ref(*schema), at);
            let inside = schema.as_object().map(walk::parts).unwrap_or_default();
            found.extend(inside.into_iter().map(|(_, _, part)| part));
            at += 1;
        }
        let mut parts = Self::default();
        for schema in found {
            let mut part = Part { own: own(schema), ..Part::default() };
            for (word, place, inside) in schema.as_object().map(walk::parts).unwrap_or_default() {
                let Some(number) = numbers.get(&std::ptr::from_ref(inside)) else { continue };
                match place {
                    Place::Same => part.same.push(*number),
                    Place::Below => part.deeper.list(word).push(*number),
                    Place::Aside => {}
                }
            }
            let words = ["$ref", "$dynamicRef"].into_iter();
            for to in words.filter_map(|word| schema.get(word).and_then(Value::as_str)) {
                let target = walk::target(root, to).map(std::ptr::from_ref);
                let number = target.and_then(|target| numbers.get(&target));
                let hidden = || format!("refers to {to:?}, which is no schema; put it into $defs");
                part.same.push(*number.ok_or_else(hidden)?);
            }
            // What is not evaluated elsewhere is found out by evaluating it again.
            if ["unevaluatedProperties", "unevaluatedItems"].iter().any(|w| schema.get(w).is_some())
            {
                part.same.extend_from_within(..);
            }
            parts.all.push(part);
        }
        Ok(parts)
    }

    /// All parts, each after those that are held against the same value.
    fn innermost_first(&self) -> Result<Vec<usize>, String> {
        let mut order = Vec::new();
        let mut open = vec![false; self.all.len()];
        let mut done = vec![false; self.all.len()];
        for at in 0..self.all.len() {
            self.visit(at, &mut open, &mut done, &mut order)?;
        }
        Ok(order)
    }

    fn visit(
        &self,
        at: usize,
        open: &mut [bool],
        done: &mut [bool],
        order: &mut Vec<usize>,
    ) -> Result<(), String> {
        let (Some(part), Some(false)) = (self.all.get(at), done.get(at).copied()) else {
            return Ok(());
        };
        if std::mem::replace(open.get_mut(at).unwrap_or(&mut false), true) {
            return Err("refers to itself without going deeper into the value".to_owned());
        }
        for same in &part.same {
            self.visit(*same, open, done, order)?;
        }
        if let (Some(open), Some(done)) = (open.get_mut(at), done.get_mut(at)) {
            (*open, *done) = (false, true);
        }
        order.push(at);
        Ok(())
    }

    /// For each part what it brings itself, and what those held against the same value bring.
    fn sums(&self, order: &[usize], own: impl Fn(&Part) -> u64) -> Vec<u64> {
        let mut sums = vec![0_u64; self.all.len()];
        for at in order {
            let Some(part) = self.all.get(*at) else { continue };
            let others = part.same.iter().filter_map(|same| sums.get(*same).copied());
            let sum = others.fold(own(part), u64::saturating_add);
            if let Some(place) = sums.get_mut(*at) {
                *place = sum;
            }
        }
        sums
    }
}
