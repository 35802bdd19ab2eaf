//! The checks that make a whole raw definition a [`Kpi`], all that need no SQL engine.

mod derived;
mod examples;
mod goal;
mod measured;
mod params;

use crate::definition::{Bucket, Buckets, Kind, Kpi, Lifecycle, Maturity, Place, Source, Title};
use crate::file::{RawKpi, RawLifecycle, RawTitle};
use crate::model::ModelSpec;
use crate::place::{At, Pos};
use crate::read::Sources;
use crate::resolve::{Finding, Whole, check_id};
use crate::value::Value;

pub(crate) use examples::ById;
pub(crate) use goal::{agreement, limit, limit_value};

/// What checking needs to know.
pub(crate) struct Checker<'a> {
    pub sources: &'a Sources<'a>,
    pub models: &'a [ModelSpec],
    pub findings: Vec<Finding>,
    /// Is every definition sound so far? If not, a missing one is no news.
    pub all_sound: bool,
    /// Id and spot of the KPI at hand.
    pub id: String,
    pub pos: Pos,
}

/// Something is wrong and has been noted.
pub(crate) struct Noted;
pub(crate) type Checked<T> = Result<T, Noted>;

impl<'a> Checker<'a> {
    pub fn note(&mut self, pos: Pos, message: impl Into<String>, hint: impl Into<String>) -> Noted {
        self.findings
            .push(Finding::new(pos, &self.id, message, hint));
        Noted
    }

    /// What the rows are made by that a KPI counts; empty for one that is made of others.
    pub fn made_by(&self, kpi: &Kpi) -> &str {
        let model = self.models.iter().find(|m| kpi.model() == Some(&m.name));
        model.map_or("", |model| &model.made_by)
    }

    fn common(
        &mut self,
        whole: &Whole,
        kind: Kind,
        value: Value,
        model: Option<&ModelSpec>,
    ) -> Checked<Kpi> {
        let raw = &whole.raw;
        let version = self
            .required(raw.version.as_ref(), "version")
            .map(|v| (v.value, v.pos));
        if let Ok((0, pos)) = version {
            self.note(pos, "versions begin at 1", "write `version: 1`");
        }
        let title = self.title(raw);
        let group = self.word(raw.group.as_ref(), "group");
        let description = self.text(raw.description.as_ref(), "description");
        let formula = self.text(raw.formula.as_ref(), "formula");
        let status = self.lifecycle(raw);
        let empty = self.required(raw.empty.as_ref(), "empty").map(|e| e.value);
        let direction = self
            .required(raw.direction.as_ref(), "direction")
            .map(|d| d.value);
        let inputs = if let Kind::Derived(derived) = &kind {
            &derived.inputs[..]
        } else {
            &[]
        };
        let unit = self.unit(raw, model, inputs)?;
        let direction = direction?;
        let (target, thresholds) = self.goal(raw, &unit, direction)?;
        Ok(Kpi {
            id: self.id.clone(),
            version: version?.0,
            title: title?,
            aliases: raw.aliases.clone().unwrap_or_default(),
            group: group?,
            description: description?,
            formula: formula?,
            source: source(raw),
            status: status?,
            variant_of: whole.parent.clone(),
            kind,
            params: Vec::new(),
            value,
            empty: empty?,
            maturity: Maturity::None,
            sample: false,
            unit,
            direction,
            target,
            thresholds,
            dimensions: Vec::new(),
            buckets: Buckets {
                min: Bucket::M15,
                default: Bucket::M30,
            },
            supporting: Vec::new(),
            examples: Vec::new(),
            hash: String::new(),
            place: self.place(raw.kpi.pos),
        })
    }

    pub fn place(&self, pos: Pos) -> Place {
        let file = self.sources.name(pos).to_owned();
        Place {
            file,
            line: pos.line,
            column: pos.column,
        }
    }

    fn required<'v, T>(&mut self, value: Option<&'v At<T>>, key: &str) -> Checked<&'v At<T>> {
        value.ok_or_else(|| {
            self.note(
                self.pos,
                format!("the key `{key}` is missing"),
                format!("add `{key}:`"),
            )
        })
    }

    fn text(&mut self, value: Option<&At<String>>, key: &str) -> Checked<String> {
        let text = self.required(value, key)?;
        if text.trim().is_empty() {
            return Err(self.note(
                text.pos,
                format!("`{key}` is empty"),
                "say it in a sentence",
            ));
        }
        Ok(text.value.clone())
    }

    /// A text that is an id.
    fn word(&mut self, value: Option<&At<String>>, key: &str) -> Checked<String> {
        let word = self.required(value, key)?;
        match check_id(word) {
            Ok(()) => Ok(word.value.clone()),
            Err((message, hint)) => Err(self.note(word.pos, message, hint)),
        }
    }

    fn title(&mut self, raw: &RawKpi) -> Checked<Title> {
        let title = self.required(raw.title.as_ref(), "title")?;
        Title::of(title)
            .ok_or_else(|| self.note(title.pos, "the English title is empty", "add `en: ...`"))
    }

    fn lifecycle(&mut self, raw: &RawKpi) -> Checked<Lifecycle> {
        let status = raw
            .status
            .as_ref()
            .map_or(RawLifecycle::Certified, |s| s.value);
        match (status, &raw.replaced_by) {
            (RawLifecycle::Draft, None) => Ok(Lifecycle::Draft),
            (RawLifecycle::Certified, None) => Ok(Lifecycle::Certified),
            (RawLifecycle::Deprecated, Some(id)) => Ok(Lifecycle::Deprecated {
                replaced_by: id.value.clone(),
            }),
            (RawLifecycle::Deprecated, None) => {
                let message = "a deprecated KPI names its successor";
                Err(self.note(self.pos, message, "add `replaced_by:`"))
            }
            (_, Some(id)) => {
                let message = "`replaced_by` is for deprecated KPIs";
                Err(self.note(id.pos, message, "add `status: deprecated` or take it away"))
            }
        }
    }
}

fn source(raw: &RawKpi) -> Source {
    raw.source
        .as_ref()
        .map_or_else(Source::default, |source| Source {
            basis: source.basis.clone(),
            seeds: source.seeds.clone().unwrap_or_default(),
        })
}

impl Title {
    /// The titles of a file, one standing in for another; `None` if there is not even an English
    /// one.
    pub(crate) fn of(raw: &RawTitle) -> Option<Self> {
        let en = raw.en.clone();
        if en.trim().is_empty() {
            return None;
        }
        let given = [("zh-CN", &raw.zh_cn), ("zh-TW", &raw.zh_tw)];
        let absent = given.into_iter().filter(|(_, text)| text.is_none());
        let missing = absent.map(|(language, _)| language).collect();
        let zh_cn = raw.zh_cn.clone().unwrap_or_else(|| en.clone());
        let zh_tw = raw.zh_tw.clone().unwrap_or_else(|| zh_cn.clone());
        Some(Title {
            en,
            zh_cn,
            zh_tw,
            missing,
        })
    }
}
