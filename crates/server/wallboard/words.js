// Words in three languages. The Rust tests hold: every language has every key that a module says.

const WORDS = await (await fetch(new URL('./words.json', import.meta.url))).json();

export const LANGUAGES = Object.keys(WORDS);

let language = 'en';

export function speak(wanted) {
  language = LANGUAGES.includes(wanted) ? wanted : closest(wanted);
  document.documentElement.lang = language;
  return language;
}

export const spoken = () => language;

/** The word of a key, with `{name}` replaced. */
export function say(key, values = {}) {
  const text = WORDS[language][key];
  if (text === undefined) throw new Error(`no word '${key}' in ${language}`);
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Is there a word of that key? For keys that come from outside. */
export const knows = (key) => Object.hasOwn(WORDS[language], key);

/** Of texts in several languages the one that is spoken, or the English one. */
export const inSpoken = (texts) => texts?.[language] ?? texts?.en;

function closest(wanted = '') {
  const lower = String(wanted).toLowerCase();
  if (/^zh-(tw|hk|mo|hant)/.test(lower)) return 'zh-TW';
  return lower.startsWith('zh') ? 'zh-CN' : 'en';
}
