// A board of rows: one for each queue, agent or half hour.

import { STATES, plainTitle, windowWord } from './figures.js';
import { Spark, StatusMark, el, mark, rank, shape, write } from './draw.js';
import { NOTHING, basis, name, offset, time, value } from './format.js';
import { kpiOf } from './board.js';
import { inSpoken, knows, say } from './words.js';
import { called } from './tiles.js';
import { Chart } from './chart.js';

const ROWS_MAX = { desk: Infinity, wall: 12, far: 8 };
// Rows that change places under the eyes cannot be read.
const SORT_EVERY_MS = 3_000;
const MINUTE_MS = 60_000;
const HEADS = { q: 'queue', a: 'agent', i: 'interval' };
// Words begin where words begin; numbers end where numbers end.
const TEXTS = new Set(['state', 'reason', 'queue', 'team']);

export class Rows {
  constructor(definition, open) {
    this.scope = scopeOf(definition);
    this.open = open;
    this.columns = definition.tiles.filter((tile) => tile.figure !== 'name');
    this.rows = new Map();
    this.order = [];
    this.sorted = -Infinity;
    this.head = this.columns.map((tile) => el('th', { scope: 'col', 'data-text': TEXTS.has(tile.figure) },
      el('span', {}), el('span', { class: 'window' })));
    this.corner = el('th', { scope: 'col' });
    this.status = el('th', { scope: 'col', class: 'mark' });
    this.body = el('tbody');
    this.table = el('table', { class: `rows of-${this.scope}` },
      el('thead', {}, el('tr', {}, this.corner, this.status, ...this.head)), this.body);
    this.chart = this.scope === 'i' ? new Chart() : null;
    this.teams = this.scope === 'a' ? new Teams() : null;
    this.node = el('div', { class: 'sheet' }, this.teams?.node, this.chart?.node, el('div', { class: 'scroll' }, this.table));
  }

  /** Draws one page; returns how many there are. */
  show(board, now, { size, page }) {
    write(this.corner, say(HEADS[this.scope] ?? 'queue'));
    write(this.status, this.scope === 'q' ? say('status') : '');
    this.columns.forEach((tile, i) => {
      const [title, window] = this.head[i].children;
      write(title, inSpoken(tile.title) ?? plainTitle(tile.figure));
      write(window, tile.title || this.scope === 'i' ? '' : windowWord(tile.figure));
      this.head[i].hidden = !this.isThere(board, tile);
    });
    this.teams?.show(board);
    this.fitWidth(size);
    this.sort(board, now);
    const per = this.fit(ROWS_MAX[size]);
    const pages = Math.max(1, Math.ceil(this.order.length / per));
    const at = page % pages;
    const here = per === Infinity ? this.order : this.order.slice(at * per, at * per + per);
    this.place(here);
    for (const id of here) this.rows.get(id).show(board, now, this.columns.map((tile) => this.isThere(board, tile)));
    this.chart?.show(board, now);
    return pages;
  }

  /** So many rows as there is room for, where a page is not to be moved by hand. */
  fit(most) {
    const row = this.body.firstElementChild;
    if (most === Infinity || !row) return most;
    const room = this.table.parentElement.clientHeight - this.table.tHead.offsetHeight;
    return Math.max(1, Math.min(most, Math.floor(room / row.offsetHeight)));
  }

  /** Where a table cannot be moved by hand, it is written as small as it has to be. */
  fitWidth(size) {
    const dress = `${size} ${document.documentElement.lang}`;
    if (dress !== this.dress) {
      this.dress = dress;
      this.scale = 1;
      this.table.style.fontSize = '';
    }
    const over = this.table.offsetWidth / this.table.parentElement.clientWidth;
    if (size === 'desk' || !(over > 1.005)) return;
    this.scale /= over;
    this.table.style.fontSize = `${this.scale.toFixed(3)}em`;
  }

  isThere(board, tile) {
    return board.ids(this.scope).some((id) => board.cell(this.scope, id, tile.figure) !== undefined);
  }

  sort(board, now) {
    const ids = board.ids(this.scope).filter((id) => this.teams?.has(board, id) ?? true);
    const known = new Set(this.order);
    const changed = ids.length !== known.size || ids.some((id) => !known.has(id));
    if (!changed && performance.now() - this.sorted < SORT_EVERY_MS) return;
    this.sorted = performance.now();
    const keys = new Map(ids.map((id) => [id, sortKey(board, this.scope, id, now)]));
    this.order = ids.sort((a, b) => compare(keys.get(a), keys.get(b)));
    for (const id of [...this.rows.keys()]) if (!keys.has(id)) this.rows.delete(id);
    for (const id of ids) if (!this.rows.has(id)) this.rows.set(id, new Row(this.scope, id, this.columns, this.open));
  }

  place(ids) {
    const nodes = ids.map((id) => this.rows.get(id).node);
    const same = nodes.length === this.body.children.length && nodes.every((node, i) => this.body.children[i] === node);
    if (!same) this.body.replaceChildren(...nodes);
  }
}

/** The scope that the rows are of. */
export function scopeOf(definition) {
  return definition.scope ?? definition.cells.map((c) => c.scope).find((scope) => scope !== 't' && scope !== 'c') ?? 'q';
}

/**
 * Queues: the worst first. Agents: by state, the longest first. Half hours: the present one, those
 * before it backwards, then those to come.
 */
function sortKey(board, scope, id, now) {
  if (scope === 'i') return id * 1000 > now ? [1, Number(id)] : [0, -Number(id)];
  const cell = (figure) => board.cell(scope, id, figure);
  if (scope === 'a') return [STATES.indexOf(cell('state')?.v) >>> 0, cell('since')?.v ?? Infinity, id];
  return [rank(worst(board, scope, id)), cell('oldest')?.v ?? Infinity, -(cell('waiting')?.v ?? 0), id];
}

function compare(a, b) {
  for (let i = 0; i < a.length; i += 1) {
    if (a[i] < b[i]) return -1;
    if (a[i] > b[i]) return 1;
  }
  return 0;
}

function worst(board, scope, id) {
  const all = [...(board.scopes.get(scope)?.get(id) ?? [])].map((figure) => board.cell(scope, id, figure)?.s);
  return all.sort((a, b) => rank(a) - rank(b))[0];
}

class Row {
  constructor(scope, id, columns, open) {
    Object.assign(this, { scope, id, columns });
    this.label = el('span', { class: 'label' });
    this.note = el('span', { class: 'note' });
    this.status = new StatusMark();
    this.cells = columns.map((tile) => new RowCell(tile, () => open(scope, id, tile.figure)));
    const mark = el('td', { class: 'mark' }, this.status.node);
    this.node = el('tr', { 'data-id': id }, el('th', { scope: 'row' }, this.label, this.note), mark, ...this.cells.map((c) => c.node));
  }

  show(board, now, there) {
    const { zone, day } = board.head;
    if (this.scope === 'i') this.interval(board, now, zone, day);
    else write(this.label, called(board, this.scope, this.id));
    this.status.show(this.scope === 'q' ? worst(board, this.scope, this.id) : undefined);
    this.cells.forEach((cell, i) => {
      cell.node.hidden = !there[i];
      if (there[i]) cell.show(board, this.scope, this.id, now);
    });
  }

  interval(board, now, zone, day) {
    const start = Number(this.id) * 1000;
    write(this.label, intervalLabel(start, zone, day));
    write(this.note, board.cell('i', this.id, 'updated')?.v ? say('updated') : '');
    mark(this.node, 'data-now', start <= now && now < start + 30 * MINUTE_MS);
  }
}

/** The clock at the start; on a day whose clocks change with what they are ahead of UTC. */
export function intervalLabel(start, zone, day) {
  const ahead = (at) => offset(at, zone);
  if (ahead(day.start) === ahead(day.end - 1)) return time(start, zone);
  const minutes = ahead(start);
  const two = (n) => String(n).padStart(2, '0');
  const shown = `${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
  return `${time(start, zone)} ${minutes < 0 ? '−' : '+'}${shown}`;
}

// From when on a time in a state is told by more colour.
const AGES_MS = [5, 15, 30].map((minutes) => minutes * MINUTE_MS);

class RowCell {
  constructor(tile, open) {
    this.tile = tile;
    this.value = el('span', { class: 'value' });
    this.basis = el('span', { class: 'basis' });
    this.spark = tile.spark ? new Spark() : null;
    this.button = el('button', { type: 'button', onclick: open }, this.value, this.basis, this.spark?.node);
    this.node = el('td', { 'data-figure': tile.figure, 'data-text': TEXTS.has(tile.figure) }, this.button);
  }

  show(board, scope, id, now) {
    const { figure } = this.tile;
    const cell = board.cell(scope, id, figure);
    mark(this.node, 'data-s', cell?.s);
    this.spark?.show(board.cell(scope, id, this.tile.spark)?.v);
    if (cell?.u === 'series') {
      if (!this.spark) this.button.append((this.spark = new Spark()).node);
      this.spark.show(cell.v);
      write(this.value, '');
      return;
    }
    if (figure === 'state') {
      mark(this.node, 'data-state', cell?.v);
      write(this.value, cell?.v == null ? NOTHING : knows(cell.v) ? say(cell.v) : name(cell.v));
      return;
    }
    if (figure === 'queue') {
      write(this.value, cell?.v == null ? NOTHING : called(board, 'q', cell.v));
      return;
    }
    if (figure === 'since') mark(this.node, 'data-age', cell?.v == null ? null : AGES_MS.filter((ms) => now - cell.v >= ms).length);
    const status = shape(cell?.s);
    write(this.value, `${status ? `${status} ` : ''}${cell ? value(cell.v, cell.u, now) : NOTHING}`);
    mark(this.node, 'data-basis', kpiOf(figure) !== null && cell?.u !== 'count');
    write(this.basis, cell ? basis(cell) : '');
  }
}

/** Which team is shown. */
class Teams {
  constructor() {
    this.select = el('select', { class: 'teams', onchange: () => { this.chosen = this.select.value; } });
    this.node = el('label', { class: 'filter' }, el('span', {}), this.select);
    this.chosen = '';
    this.shown = '';
  }

  has(board, id) {
    return this.chosen === '' || board.cell('a', id, 'team')?.v === this.chosen;
  }

  show(board) {
    write(this.node.firstChild, say('team'));
    const teams = [...new Set(board.ids('a').map((id) => board.cell('a', id, 'team')?.v).filter(Boolean))].sort();
    const shown = JSON.stringify([say('all_teams'), ...teams]);
    this.node.hidden = teams.length === 0;
    if (shown === this.shown) return;
    this.shown = shown;
    const option = (value, text) => el('option', { value, selected: value === this.chosen }, text);
    this.select.replaceChildren(option('', say('all_teams')), ...teams.map((team) => option(team, name(team))));
  }
}
