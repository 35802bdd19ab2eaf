// Values as people read them. No value is a dash: never a zero.

import { spoken } from './words.js';

export const NOTHING = '—';

const made = new Map();

function numbers(options) {
  const key = spoken() + JSON.stringify(options);
  if (!made.has(key)) made.set(key, new Intl.NumberFormat(spoken(), options));
  return made.get(key);
}

export const count = (value) => (value == null ? NOTHING : numbers({ maximumFractionDigits: 0 }).format(value));

/** `m:ss`, from an hour on `h:mm:ss`. */
export function duration(ms) {
  if (ms == null) return NOTHING;
  const all = Math.max(0, Math.round(ms / 1000));
  const two = (n) => String(n).padStart(2, '0');
  const [h, m, s] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** A value in its unit; `now` is the moment that running times are told of. */
export function value(v, unit, now) {
  if (v == null) return NOTHING;
  if (unit === 'count') return count(v);
  if (unit === 'ratio') {
    return numbers({ style: 'percent', minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(v);
  }
  if (unit === 'ms') return duration(v);
  // Whole seconds that have passed: a running time is not rounded up.
  if (unit === 'epoch_ms') return duration(Math.floor(Math.max(0, now - v) / 1000) * 1000);
  if (unit?.startsWith('money:')) {
    return numbers({ style: 'currency', currency: unit.slice(6), maximumFractionDigits: 2 }).format(v);
  }
  if (unit === 'number') return numbers({ maximumFractionDigits: 2 }).format(v);
  return name(v);
}

/** Numerator and denominator, or how many things a value is about; empty if neither is known. */
export function basis(cell) {
  if (cell.v == null || cell.u === 'count') return '';
  if (cell.num != null && cell.den != null && cell.u === 'ratio') return `${count(cell.num)}/${count(cell.den)}`;
  const n = cell.n ?? cell.den;
  return n == null ? '' : `n = ${count(n)}`;
}

const NAME_MAX = 40;
const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** A name that somebody chose: no control characters, at most 40 of what a reader counts. */
export function name(text) {
  const plain = String(text).replace(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu, ' ');
  let kept = '';
  let n = 0;
  for (const { segment } of graphemes.segment(plain)) {
    n += 1;
    if (n > NAME_MAX) return `${kept}…`;
    // A mark may stack without end on one letter.
    kept += segment.slice(0, 16);
  }
  return kept;
}

const clocks = new Map();

/** The time of day in a zone, as `09:30`; with seconds if asked for. */
export function time(ms, zone, seconds = false) {
  const key = `${zone} ${seconds}`;
  if (!clocks.has(key)) {
    clocks.set(key, new Intl.DateTimeFormat('en-GB', {
      timeZone: zone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23',
      ...(seconds && { second: '2-digit' }),
    }));
  }
  return clocks.get(key).format(ms);
}

/** Minutes that the clocks of a zone are ahead of UTC. */
export function offset(ms, zone) {
  const part = (options) => new Intl.DateTimeFormat('en-CA', { timeZone: zone, hourCycle: 'h23', ...options });
  const fields = Object.fromEntries(part({
    year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit',
  }).formatToParts(ms).map((p) => [p.type, p.value]));
  const local = Date.UTC(fields.year, fields.month - 1, fields.day, fields.hour, fields.minute, fields.second);
  return Math.round((local - ms) / 60_000);
}
