// Behind a figure: what it means, how it is computed, the contacts, and other weeks.

import { ask, Refused } from './api.js';
import { kpiOf } from './board.js';
import { StatusMark, el, write } from './draw.js';
import { called } from './tiles.js';
import { fullTitle } from './figures.js';
import { NOTHING, basis, count, name, offset, time, value } from './format.js';
import { inSpoken, knows, say } from './words.js';

const ROWS_MAX = 20;
const WEEKS = 4;
const MINUTE_MS = 60_000;
const WEEK_MS = 7 * 24 * 60 * MINUTE_MS;

// Ids and times only: nothing by which a caller could be known.
const CONTACTS = {
  queue_visits: 'interaction_id, queue_id, entered_at, outcome, wait_ms, agent_id',
  legs: 'interaction_id, agent_id, queue_id, connected_at, talk_ms, hold_ms, acw_ms',
  interactions: 'interaction_id, channel, started_at, handled, abandoned, transfers',
  callbacks: 'callback_id, queue_id, requested_at, scheduled_for, attempts',
  agent_states: 'agent_id, state, reason, started_at, duration_ms',
};

// Who looks for a colleague is no contact.
const WAITING = "waiting AND visit_kind <> 'internal'";

// Figures of this moment: where their contacts stand.
const OPEN_ROWS = {
  waiting: ['queue_visits', WAITING, 'entered_at'],
  oldest: ['queue_visits', WAITING, 'entered_at'],
  in_progress: ['legs', 'disconnected_at IS NULL', 'connected_at'],
  callbacks: ['callbacks', 'outcome IS NULL', 'requested_at'],
};
const ABOUT = { waiting: 'about_waiting', oldest: 'about_oldest', in_progress: 'about_in_progress', ewt: 'about_ewt' };

/** The dialog over the board. */
export class Detail {
  constructor() {
    this.title = el('h2');
    this.status = new StatusMark();
    this.value = el('p', { class: 'now' });
    this.body = el('div', { class: 'body' });
    this.close = el('button', { type: 'button', class: 'close', onclick: () => this.node.close() }, '✕');
    this.node = el('dialog', { class: 'detail', 'aria-labelledby': 'detail-title' }, el('header', {}, this.title, this.close), this.value, this.body);
    this.title.id = 'detail-title';
    this.node.addEventListener('click', (event) => event.target === this.node && this.node.close());
  }

  /** Shows what is behind a figure of `board` as it is at this moment. */
  async open(board, now, scope, id, figure) {
    const cell = board.cell(scope, id, figure) ?? {};
    const subject = new Subject(board.head, scope, id, figure);
    const where = scope === 'i' ? time(Number(id) * 1000, board.head.zone) : id && called(board, scope, id);
    write(this.title, where ? `${fullTitle(figure)} · ${where}` : fullTitle(figure));
    this.close.setAttribute('aria-label', say('close'));
    this.status.show(cell.s);
    const target = cell.target == null ? '' : `${say('target')} ${value(cell.target, cell.u, now)}`;
    this.value.replaceChildren(el('b', {}, value(cell.v, cell.u, now)), el('span', {}, basis(cell)), this.status.node, el('span', {}, target));
    this.body.replaceChildren();
    if (!this.node.open) this.node.showModal();
    this.showing?.abort();
    this.showing = new AbortController();
    await (subject.kpi ? this.kpi(subject, cell) : this.moment(subject));
  }

  async kpi(subject, cell) {
    const { signal } = this.showing;
    const entry = await ask(`/api/v1/catalog/${encodeURIComponent(subject.kpi.kpi)}`, { signal }).catch((error) => error);
    if (signal.aborted) return;
    if (entry instanceof Error) {
      this.body.append(failure(entry));
      return;
    }
    write(this.title, this.title.textContent.replace(subject.kpi.kpi.replaceAll('_', ' '), inSpoken(entry.title)));
    this.body.append(definition(entry, subject, cell), section('sql', el('pre', { class: 'sql' }, subject.sql(entry))));
    this.append(signal, 'weeks', () => weeks(subject, cell, signal));
    if (CONTACTS[entry.model]) this.append(signal, 'rows', () => rows(subject.rows(entry), signal));
  }

  async moment(subject) {
    const { signal } = this.showing;
    const group = subject.figure.split('_')[0];
    const about = ABOUT[subject.figure] ?? (knows(`about_${group}`) ? `about_${group}` : 'about_other');
    this.body.append(section('definition', el('p', {}, say(about)), facts([['zone', subject.head.zone]])));
    const open = OPEN_ROWS[group] ?? OPEN_ROWS[subject.figure];
    if (open) this.append(signal, 'rows', () => rows(subject.openRows(open), signal));
  }

  /** A part that has to be asked for; what fails says so in its place. */
  async append(signal, key, make) {
    const place = section(key, el('p', { class: 'quiet' }, '…'));
    this.body.append(place);
    const made = await make().catch(failure);
    if (!signal.aborted) place.lastChild.replaceWith(made);
  }
}

/** What `@30m` means at a moment: whole minutes, the running one included. */
function recent(now) {
  const to = Math.floor(now / MINUTE_MS) * MINUTE_MS + MINUTE_MS;
  return [to - 30 * MINUTE_MS, to];
}

/** A figure, and the range of time and the rows it is about. */
class Subject {
  constructor(head, scope, id, figure) {
    Object.assign(this, { head, scope, id, figure, kpi: kpiOf(figure) });
    const start = Number(id) * 1000;
    if (scope === 'i') [this.from, this.to] = [start, start + 30 * MINUTE_MS];
    else if (this.kpi?.window === '30m') [this.from, this.to] = recent(head.as_of);
    else [this.from, this.to] = [head.day.start, head.day.end];
  }

  get dimension() {
    return { q: 'queue_id', c: 'channel', a: 'agent_id' }[this.scope];
  }

  sql(entry) {
    const lines = [`SELECT MEASURE(${entry.kpi})`, `FROM kpi.${entry.model}`];
    const time = (ms) => `'${new Date(ms).toISOString()}'`;
    const conditions = entry.time_column ? [`${entry.time_column} >= ${time(this.from)}`, `${entry.time_column} < ${time(this.to)}`] : [];
    if (this.dimension) conditions.push(`${this.dimension} = '${this.id.replaceAll("'", "''")}'`);
    if (conditions.length) lines.push(`WHERE ${conditions.join('\n  AND ')}`);
    return entry.model ? lines.join('\n') : `SELECT * FROM kpi.catalog WHERE kpi = '${entry.kpi}'`;
  }

  rows(entry) {
    const column = entry.time_column;
    // A filter with a parameter is one of the KPI's own, whose value only it knows.
    const own = entry.filters.filter((filter) => !filter.includes(':')).map((filter) => `(${filter})`);
    const params = [new Date(this.from).toISOString(), new Date(this.to).toISOString()];
    const range = `${column} >= $1::timestamptz AND ${column} < $2::timestamptz`;
    return this.select(entry.model, [range, ...own], `${column} DESC`, params);
  }

  openRows([model, condition, column]) {
    return this.select(model, [condition], column, []);
  }

  select(model, conditions, order, params) {
    const all = ['NOT is_test', ...conditions];
    if (this.dimension) {
      params.push(this.id);
      all.push(`${this.dimension} = $${params.length}`);
    }
    const sql = `SELECT ${CONTACTS[model]} FROM facts.${model} WHERE ${all.join(' AND ')} ORDER BY ${order} LIMIT ${ROWS_MAX}`;
    return { sql, params, zone: this.head.zone };
  }

  /** The same range so many weeks ago, by the clocks of the zone. */
  weeksAgo(n) {
    const { zone } = this.head;
    const shift = (ms) => {
      const local = ms + offset(ms, zone) * MINUTE_MS - n * WEEK_MS;
      return new Date(local).toISOString().slice(0, 19);
    };
    const until = Math.min(this.to, this.head.as_of);
    const query = new URLSearchParams({ metric: this.kpi.kpi, from: shift(this.from), to: shift(until), zone });
    // A comma or a backslash in a value is written with a backslash.
    if (this.dimension) query.append('filter', `${this.dimension}:${this.id.replace(/[\\,]/g, '\\$&')}`);
    return `/api/v1/kpi?${query}`;
  }
}

function section(key, ...content) {
  return el('section', { 'data-part': key }, el('h3', {}, say(key)), ...content);
}

function facts(pairs) {
  return el('dl', {}, ...pairs.flatMap(([key, text]) => [el('dt', {}, say(key)), el('dd', {}, text)]));
}

function definition(entry, subject, cell) {
  const parts = new Map(entry.parts.map((part) => [part.part, `${part.agg}(${part.expr})`]));
  const [upper, lower] = entry.value.split('/').map((part) => part.trim());
  const known = [['formula', entry.formula]];
  if (parts.has(upper) && parts.has(lower)) {
    known.push(['numerator', counted(parts.get(upper), cell.num)], ['denominator', counted(parts.get(lower), cell.den)]);
  }
  if (knows(`clock_${entry.clock}`)) known.push(['clock', say(`clock_${entry.clock}`)]);
  known.push(['zone', subject.head.zone], ['version', `${entry.kpi} ${entry.version} · ${entry.definition_hash.slice(0, 12)}`]);
  return section('definition', el('p', {}, entry.description), facts(known));
}

const counted = (expression, n) => (n == null ? expression : `${count(n)} · ${expression}`);

async function weeks(subject, cell, signal) {
  const answers = await Promise.all(Array.from({ length: WEEKS }, (_, i) => ask(subject.weeksAgo(i + 1), { signal })));
  const points = answers.map((answer) => answer.series[0]?.points[0] ?? { value: null });
  const all = [cell.v, ...points.map((p) => p.value)];
  const top = Math.max(...all.filter((v) => v != null), 0);
  const line = (title, v, of) => {
    const bar = el('span', { class: 'length' });
    bar.style.inlineSize = top > 0 && v != null ? `${(v / top) * 100}%` : '0';
    return el('li', {}, el('span', { class: 'what' }, title), el('span', { class: 'track' }, bar), el('b', {}, value(v, cell.u)), el('i', {}, of));
  };
  const past = points.map((p, i) => line(say('weeks_ago', { n: i + 1 }), p.value, basis({ u: cell.u, num: p.num, den: p.den, n: p.n })));
  return el('ul', { class: 'weeks' }, line(say('this_day'), cell.v, basis(cell)), ...past);
}

async function rows(question, signal) {
  const answer = await ask('/api/v1/sql', { method: 'POST', body: question, signal });
  if (answer.rows.length === 0) return el('p', { class: 'quiet' }, say('no_rows'));
  const shown = (v, column) => {
    if (v == null) return NOTHING;
    if (column.name.endsWith('_ms')) return value(v, 'ms');
    return column.name.endsWith('_at') || column.name === 'scheduled_for' ? time(Date.parse(v), question.zone, true) : name(v);
  };
  const head = el('tr', {}, ...answer.columns.map((c) => el('th', { scope: 'col' }, c.name)));
  const lines = answer.rows.map((row) => el('tr', {}, ...row.map((v, i) => el('td', {}, shown(v, answer.columns[i])))));
  const table = el('table', { class: 'contacts' }, el('caption', {}, say('first_rows', { n: answer.rows.length })), el('thead', {}, head), el('tbody', {}, ...lines));
  return el('div', { class: 'scroll' }, table);
}

function failure(error) {
  if (error.name === 'AbortError') return el('p');
  const refused = error instanceof Refused && [401, 403].includes(error.status);
  return el('p', { class: 'quiet' }, refused ? say('refused') : `${say('failed')}: ${error.message}`);
}
