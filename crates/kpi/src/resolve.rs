//! From files to whole definitions: variants and `extends` take over what they do not name, later
//! layers replace earlier ones.

use std::collections::{BTreeMap, HashMap};

use crate::definition::{Direction, UnitKind};
use crate::file::{RawKpi, RawThresholds};
use crate::place::{At, Named, Pos};
use crate::words;

/// A definition with everything that it takes over filled in.
#[derive(Clone, Debug)]
pub(crate) struct Whole {
    pub raw: RawKpi,
    /// The id it was derived from; never its own: what an override stands on is the same KPI.
    pub parent: Option<String>,
    /// Did it take anything over, from another KPI or from what it replaces?
    pub inherits: bool,
}

/// A finding without the name of its file.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub pos: Pos,
    pub kpi: Option<String>,
    pub message: String,
    pub hint: Option<String>,
}

impl Finding {
    pub fn new(pos: Pos, kpi: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let hint = Some(hint.into()).filter(|h: &String| !h.is_empty());
        Self {
            pos,
            kpi: Some(kpi.to_owned()),
            message: message.into(),
            hint,
        }
    }
}

enum Parent {
    None,
    /// The draft of that number, whose `variants` holds this one.
    Base(usize),
    Id(At<String>),
}

struct Draft {
    raw: RawKpi,
    parent: Parent,
    /// The draft of the same id in an earlier layer.
    replaces: Option<usize>,
}

/// All definitions that hold, in the order of the files; an override stands where the KPI stood
/// that it replaces.
pub(crate) fn resolve(layers: Vec<Vec<RawKpi>>, findings: &mut Vec<Finding>) -> Vec<Whole> {
    let mut drafts = Drafts::default();
    for layer in layers {
        drafts.add_layer(layer, findings);
    }
    let mut order: Vec<usize> = drafts.by_id.values().copied().collect();
    order.sort_by_key(|draft| drafts.first_of(*draft));
    let mut whole = Vec::with_capacity(order.len());
    for index in order {
        if let Some(raw) = drafts.whole(index, findings) {
            drafts.check_override(index, &raw, findings);
            whole.push(Whole {
                raw,
                parent: drafts.parent_id(index),
                inherits: !matches!(drafts.all[index].parent, Parent::None),
            });
        }
    }
    whole
}

#[derive(Default)]
struct Drafts {
    all: Vec<Draft>,
    by_id: BTreeMap<String, usize>,
}

impl Drafts {
    fn add_layer(&mut self, layer: Vec<RawKpi>, findings: &mut Vec<Finding>) {
        let mut of_layer: HashMap<String, ()> = HashMap::new();
        for mut raw in layer {
            let variants = raw.variants.take().unwrap_or_default();
            let parent = raw.extends.clone().map_or(Parent::None, Parent::Id);
            let Some(base) = self.add(raw, parent, &mut of_layer, findings) else {
                continue;
            };
            for variant in variants {
                let (id, pos) = (variant.kpi.value.clone(), variant.kpi.pos);
                if variant.variants.is_some() || variant.extends.is_some() {
                    let hint = "name the keys that differ from the KPI above";
                    let message = "a variant has neither `variants` nor `extends`";
                    findings.push(Finding::new(pos, &id, message, hint));
                    continue;
                }
                self.add(variant, Parent::Base(base), &mut of_layer, findings);
            }
        }
    }

    fn add(
        &mut self,
        raw: RawKpi,
        parent: Parent,
        of_layer: &mut HashMap<String, ()>,
        findings: &mut Vec<Finding>,
    ) -> Option<usize> {
        let (id, pos) = (raw.kpi.value.clone(), raw.kpi.pos);
        if let Err((message, hint)) = check_id(&id) {
            findings.push(Finding::new(pos, &id, message, hint));
            return None;
        }
        let twice = of_layer.insert(id.clone(), ()).is_some();
        let earlier = self.by_id.get(&id).copied();
        let replaces = raw.replaces.as_ref().is_some_and(|r| r.value);
        let finding = match earlier {
            Some(_) if twice => Some(("this id is defined twice", "ids are never reused")),
            Some(_) if !replaces => Some((
                "this id exists already",
                "add `override: true` to replace it, or choose another id",
            )),
            None if replaces => Some((
                "there is no earlier KPI to override",
                "take `override: true` away",
            )),
            _ => None,
        };
        if let Some((message, hint)) = finding {
            findings.push(Finding::new(pos, &id, message, hint));
            return None;
        }
        let index = self.all.len();
        self.all.push(Draft {
            raw,
            parent,
            replaces: earlier,
        });
        self.by_id.insert(id, index);
        Some(index)
    }

    /// The oldest draft of the same id.
    fn first_of(&self, mut draft: usize) -> usize {
        while let Some(earlier) = self.all[draft].replaces {
            draft = earlier;
        }
        draft
    }

    fn parent_id(&self, draft: usize) -> Option<String> {
        match &self.all[draft].parent {
            Parent::None => None,
            Parent::Base(base) => Some(self.id(*base).to_owned()),
            // What it replaces is the same KPI, a variant of whatever that was.
            Parent::Id(id) if id.value == self.id(draft) => {
                let earlier = self.all[draft].replaces?;
                self.parent_id(earlier)
            }
            Parent::Id(id) => Some(id.value.clone()),
        }
    }

    /// The draft with everything that it takes over.
    fn whole(&self, draft: usize, findings: &mut Vec<Finding>) -> Option<RawKpi> {
        let mut chain = vec![draft];
        let mut at = draft;
        while let Some(parent) = self.parent(at, findings)? {
            if chain.contains(&parent) {
                let raw = &self.all[draft].raw;
                let ids: Vec<&str> = chain.iter().map(|d| self.id(*d)).collect();
                let message = format!("`extends` runs in a circle: {}", ids.join(" -> "));
                let hint = "one of them must stand on its own";
                findings.push(Finding::new(raw.kpi.pos, self.id(draft), message, hint));
                return None;
            }
            chain.push(parent);
            at = parent;
        }
        let mut raw = self.all[chain.pop()?].raw.clone();
        while let Some(next) = chain.pop() {
            raw = inherit(self.all[next].raw.clone(), raw);
        }
        Some(raw)
    }

    fn id(&self, draft: usize) -> &str {
        &self.all[draft].raw.kpi.value
    }

    /// The draft that this one takes over from; the outer None says that it does not exist.
    fn parent(&self, draft: usize, findings: &mut Vec<Finding>) -> Option<Option<usize>> {
        let entry = &self.all[draft];
        match &entry.parent {
            Parent::None => Some(None),
            Parent::Base(base) => Some(Some(*base)),
            // "The same as before, but": an override may extend what it replaces.
            Parent::Id(id) if id.value == entry.raw.kpi.value && entry.replaces.is_some() => {
                Some(entry.replaces)
            }
            Parent::Id(id) => match self.by_id.get(&id.value) {
                Some(parent) => Some(Some(*parent)),
                None => {
                    let known = self.by_id.keys().map(String::as_str);
                    let hint = words::nearest(id, known).map_or_else(
                        || "`callgauge kpi list` shows all ids".to_owned(),
                        |near| format!("did you mean `{near}`?"),
                    );
                    let message = format!("there is no KPI `{}` to extend", id.value);
                    findings.push(Finding::new(id.pos, self.id(draft), message, hint));
                    None
                }
            },
        }
    }

    fn check_override(&self, draft: usize, raw: &RawKpi, findings: &mut Vec<Finding>) {
        let Some(earlier) = self.all[draft].replaces else {
            return;
        };
        if raw.breaking.as_ref().is_some_and(|b| b.value) {
            return;
        }
        // What is wrong with the earlier one is told where it is defined.
        let Some(before) = self.whole(earlier, &mut Vec::new()) else {
            return;
        };
        let changed = match (
            unit_of(&before),
            unit_of(raw),
            direction_of(&before),
            direction_of(raw),
        ) {
            (a, b, _, _) if a != b => "unit",
            (_, _, a, b) if a != b => "direction",
            _ => return,
        };
        let message = format!("this override changes the {changed}");
        let hint = format!(
            "say `breaking: true` if readers of `{}` can bear it",
            raw.kpi.value
        );
        findings.push(Finding::new(raw.kpi.pos, &raw.kpi.value, message, hint));
    }
}

fn unit_of(raw: &RawKpi) -> Option<UnitKind> {
    raw.unit.as_ref().map(|unit| unit.kind.value)
}

fn direction_of(raw: &RawKpi) -> Option<Direction> {
    raw.direction.as_ref().map(|direction| direction.value)
}

/// Ids are SQL columns and URL segments.
pub(crate) fn check_id(id: &str) -> Result<(), (String, String)> {
    let mut bytes = id.bytes();
    let head = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
    let tail = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if head && tail && id.len() <= 63 {
        return Ok(());
    }
    let message = format!("`{id}` is not an id");
    Err((
        message,
        "use a to z, 0 to 9 and _, a letter first, at most 63 of them".to_owned(),
    ))
}

/// `own` with the keys it does not name taken from `base`.
///
/// Not taken over: identity (`version`, `title`, `aliases`), life (`status`), `examples`, and
/// `supporting`, which follows from the expressions. Whoever names another model takes over nothing
/// that speaks of rows, whoever names `inputs` nothing that speaks of a model, whoever names
/// another unit or direction no limits, whoever names another unit no `sample`.
fn inherit(own: RawKpi, base: RawKpi) -> RawKpi {
    let becomes_derived = own.inputs.is_some();
    let becomes_measured = own.model.is_some() || own.parts.is_some();
    let name = |raw: &RawKpi| raw.model.as_ref().map(|m| m.value.clone());
    let other_rows = becomes_derived || (own.model.is_some() && name(&own) != name(&base));
    // Over other inputs a parameter is still what it was: it is no word about rows.
    let other_params = match becomes_derived {
        true => base.inputs.is_none(),
        false => other_rows,
    };
    // Limits of another scale say nothing here.
    let other_unit = own.unit.is_some() && unit_of(&own) != unit_of(&base);
    let other_scale =
        other_unit || own.direction.is_some() && direction_of(&own) != direction_of(&base);
    RawKpi {
        group: own.group.or(base.group),
        description: own.description.or(base.description),
        formula: own.formula.or(base.formula),
        source: own.source.or(base.source),
        model: own.model.or(base.model.filter(|_| !becomes_derived)),
        grain: own.grain.or(base.grain.filter(|_| !other_rows)),
        clock: own.clock.or(base.clock.filter(|_| !becomes_derived)),
        time: own.time.or(base.time.filter(|_| !other_rows)),
        params: merge(own.params, base.params.filter(|_| !other_params)),
        filters: own.filters.or(base.filters.filter(|_| !other_rows)),
        parts: merge(own.parts, base.parts.filter(|_| !other_rows)),
        value: own.value.or(base.value),
        inputs: own.inputs.or(base.inputs.filter(|_| !becomes_measured)),
        align: own.align.or(base.align.filter(|_| !becomes_measured)),
        empty: own.empty.or(base.empty),
        maturity: own.maturity.or(base.maturity.filter(|_| !becomes_derived)),
        sample: own.sample.or(base
            .sample
            .filter(|_| !other_rows && !other_unit && !becomes_derived)),
        unit: own.unit.or(base.unit),
        direction: own.direction.or(base.direction),
        target: own.target.or(base.target.filter(|_| !other_scale)),
        thresholds: own.thresholds.or(base
            .thresholds
            .map(|t| if other_scale { only_min_n(t) } else { t })),
        dimensions: own.dimensions.or(base.dimensions.filter(|_| !other_rows)),
        buckets: own.buckets.or(base.buckets.filter(|_| !becomes_derived)),
        ..own
    }
}

/// How many are needed to judge says nothing about a scale.
fn only_min_n(mut thresholds: At<RawThresholds>) -> At<RawThresholds> {
    thresholds.value.good = None;
    thresholds.value.warn = None;
    thresholds
}

/// By name: the own entry, else the one taken over; the order is that of the base.
fn merge<T: Clone>(own: Option<At<Named<T>>>, base: Option<At<Named<T>>>) -> Option<At<Named<T>>> {
    let (own, base) = match (own, base) {
        (Some(own), Some(base)) => (own, base),
        (own, base) => return own.or(base),
    };
    let mut entries: Vec<(String, At<T>)> = base
        .value
        .0
        .into_iter()
        .map(|(name, value)| {
            let value = own.get(&name).cloned().unwrap_or(value);
            (name, value)
        })
        .collect();
    for (name, value) in &own.0 {
        if entries.iter().all(|(known, _)| known != name) {
            entries.push((name.clone(), value.clone()));
        }
    }
    Some(At {
        value: Named(entries),
        pos: own.pos,
    })
}
