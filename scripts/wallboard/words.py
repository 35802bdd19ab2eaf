"""What boards are called, told again: the check of a translation does not read the translation."""
WORDS = {
    "en": {"now": "Now", "queues": "Queues", "agents": "Agents", "intervals": "Intervals"},
    "zh-CN": {"now": "实时", "queues": "队列", "agents": "座席", "intervals": "时段"},
    "zh-TW": {"now": "即時", "queues": "佇列", "agents": "座席", "intervals": "時段"},
}
