//! The words a person sees, in three languages.

/// A language of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// 简体中文
    ZhCn,
    /// 繁體中文
    ZhTw,
}

/// A word of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Column head of the KPI's title.
    Kpi,
    /// All groups together.
    Total,
    /// The goal.
    Target,
    /// How the value stands to its goal.
    Status,
    /// The value in the period before.
    Previous,
    /// Small chart.
    Trend,
    /// The value of a control group.
    Control,
    /// The value.
    Value,
    /// Status: goal reached.
    Good,
    /// Status: near the goal.
    Watch,
    /// Status: goal missed.
    Bad,
    /// Status: too few items to judge.
    TooFew,
    /// Start of a period.
    From,
    /// No customer group, queue or other value.
    None,
}

impl Lang {
    /// Reads `en`, `zh-CN`, `zh_TW.UTF-8`, `zh-Hant` and the like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plain = text
            .split(['.', '@'])
            .next()
            .unwrap_or(text)
            .replace('_', "-")
            .to_lowercase();
        match plain.as_str() {
            "zh-tw" | "zh-hk" | "zh-mo" | "zh-hant" => Ok(Lang::ZhTw),
            "zh" | "zh-cn" | "zh-sg" | "zh-hans" => Ok(Lang::ZhCn),
            "en" | "c" | "posix" => Ok(Lang::En),
            other if other.starts_with("en-") => Ok(Lang::En),
            _ => Err(format!("unknown language '{text}': use en, zh-CN or zh-TW")),
        }
    }

    /// The language of the environment; English if it is another one.
    pub fn from_env() -> Self {
        ["LC_ALL", "LC_MESSAGES", "LANG"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
            .and_then(|v| Lang::parse(&v).ok())
            .unwrap_or_default()
    }

    /// That what is counted before a moment is not complete.
    pub fn incomplete_before(self, at: &str) -> String {
        match self {
            Lang::En => format!(
                "not complete: of contacts before {at} there are no data, or they were let go, and \
                 the range, the one beside it or what a rolling value is over begins before"
            ),
            Lang::ZhCn => format!(
                "数据不完整：{at} 之前的联络没有数据或已到期删除，而统计区间、对比区间或滚动区间始于其前"
            ),
            Lang::ZhTw => format!(
                "資料不完整：{at} 之前的聯絡沒有資料或已到期刪除，而統計區間、對比區間或滾動區間始於其前"
            ),
        }
    }

    /// A word in this language.
    pub const fn word(self, word: Word) -> &'static str {
        let [en, cn, tw] = match word {
            Word::Kpi => ["KPI", "指标", "指標"],
            Word::Total => ["Total", "合计", "合計"],
            Word::Target => ["Target", "目标", "目標"],
            Word::Status => ["Status", "状态", "狀態"],
            Word::Previous => ["Previous", "上期", "上期"],
            Word::Control => ["Control", "对照组", "對照組"],
            Word::Trend => ["Trend", "趋势", "趨勢"],
            Word::Value => ["Value", "数值", "數值"],
            Word::Good => ["on target", "达标", "達標"],
            Word::Watch => ["watch", "关注", "注意"],
            Word::Bad => ["off target", "未达标", "未達標"],
            Word::TooFew => ["too few", "样本不足", "樣本不足"],
            Word::From => ["From", "开始", "開始"],
            Word::None => ["(none)", "(无)", "(無)"],
        };
        match self {
            Lang::En => en,
            Lang::ZhCn => cn,
            Lang::ZhTw => tw,
        }
    }
}
