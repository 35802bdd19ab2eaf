// A board of tiles: one large figure each, with what it is made of.

import { COMPANIONS, STATES, plainTitle, tileTitle, windowWord } from './figures.js';
import { Spark, StatusMark, el, mark, rank, write } from './draw.js';
import { kpiOf } from './board.js';
import { basis, name, value } from './format.js';
import { knows, say } from './words.js';

const PER_PAGE = { desk: 99, wall: 8, far: 6 };
const PER_LINE = { desk: 5, wall: 3, far: 2 };
// Divides by every number of tiles that a line may have.
const GRID = 60;
const LISTED_MAX = 4;

export class Tiles {
  constructor(definition, open) {
    this.tiles = definition.tiles.map((tile) => new Tile(tile, open));
    this.node = el('div', { class: 'tiles' });
    this.shown = '';
  }

  /** Draws one page; returns how many there are. */
  show(board, now, { size, page }) {
    const there = this.tiles.filter((tile) => tile.isThere(board));
    const per = PER_PAGE[size];
    const pages = Math.max(1, Math.ceil(there.length / per));
    const here = there.slice((page % pages) * per, (page % pages) * per + per);
    const shown = `${size} ${here.map((tile) => tile.figure).join()}`;
    if (shown !== this.shown) {
      this.shown = shown;
      this.node.replaceChildren(...here.map((tile) => tile.node));
      lay(here.filter((tile) => tile.isBig), 2);
      lay(here.filter((tile) => !tile.isBig), PER_LINE[size]);
    }
    for (const tile of here) tile.show(board, now);
    return pages;
  }
}

/** As few lines as possible, and those about equally full. */
function lay(tiles, perLine) {
  const lines = Math.ceil(tiles.length / perLine);
  let left = tiles.length;
  for (let line = 0; line < lines; line += 1) {
    const here = Math.ceil(left / (lines - line));
    tiles.slice(tiles.length - left, tiles.length - left + here).forEach((tile) => {
      tile.node.style.gridColumn = `span ${GRID / here}`;
    });
    left -= here;
  }
}

class Tile {
  constructor(tile, open) {
    this.isBig = tile.size === 'big';
    this.figure = tile.figure;
    this.definition = tile;
    this.scope = tile.scope ?? 't';
    this.title = el('span', { class: 'title' });
    this.main = el('span', { class: 'figure' });
    this.basis = el('span', { class: 'basis' });
    this.status = new StatusMark();
    this.target = el('span', { class: 'target' });
    this.extra = el('span', { class: 'extra' });
    this.spark = tile.spark ? new Spark() : null;
    this.states = tile.figure.startsWith('agents_') ? new States() : null;
    this.node = el(
      'button',
      { class: this.isBig ? 'tile big' : 'tile', type: 'button', 'data-figure': tile.figure, onclick: () => open(this.subject.scope, this.subject.id, tile.figure) },
      this.title,
      this.main,
      el('span', { class: 'under' }, this.status.node, this.basis, this.target),
      this.extra,
      this.states?.node,
      this.spark?.node,
    );
  }

  /** A tile without a source of data is absent. */
  isThere(board) {
    return board.cell(this.scope, '', this.figure) !== undefined || this.queues(board).length > 0;
  }

  /** Where the centre has no such figure, its queues have. */
  queues(board) {
    return board.ids('q').filter((id) => board.cell('q', id, this.figure) !== undefined);
  }

  show(board, now) {
    const cell = board.cell(this.scope, '', this.figure);
    const head = cell ?? this.worst(board);
    this.subject = { scope: cell ? this.scope : 'q', id: head.id ?? '' };
    write(this.title, tileTitle(this.definition));
    write(this.main, value(head.v, head.u, now));
    mark(this.node, 'data-s', head.s);
    // That nobody waits is no lack of data; a KPI without a value is.
    const lacks = head.v == null && kpiOf(this.figure) !== null;
    mark(this.node, 'data-none', lacks);
    this.status.show(lacks && head.s === undefined ? 'nodata' : head.s);
    write(this.basis, cell ? basis(head) : name(head.queue));
    write(this.target, head.target == null ? '' : `${say('target')} ${value(head.target, head.u, now)}`);
    this.parts(board, now, cell);
    this.spark?.show(board.cell(this.scope, '', this.definition.spark)?.v);
    this.states?.show(board);
  }

  worst(board) {
    const cells = this.queues(board).map((id) => ({ ...board.cell('q', id, this.figure), id, queue: queueName(board, id) }));
    cells.sort((a, b) => rank(a.s) - rank(b.s) || (b.v ?? -1) - (a.v ?? -1));
    return cells[0];
  }

  parts(board, now, cell) {
    const parts = [];
    const add = (title, part, group = '', ofIt = part?.u === 'ratio') =>
      part && parts.push([group, title, value(part.v, part.u, now), ofIt ? basis(part) : '', part.s]);
    for (const figure of new Set([this.definition.second, ...(COMPANIONS[this.figure] ?? [])].filter(Boolean))) {
      const same = plainTitle(figure) === plainTitle(this.figure);
      add(same ? '' : plainTitle(figure), board.cell(this.scope, '', figure), windowWord(figure), same || undefined);
    }
    if (this.figure === 'waiting') {
      for (const id of board.ids('c')) add(knows(id) ? say(id) : id, board.cell('c', id, 'waiting'));
    }
    if (!cell) {
      for (const id of this.queues(board).slice(0, LISTED_MAX)) add(queueName(board, id), board.cell('q', id, this.figure));
    }
    const text = JSON.stringify(parts);
    if (text === this.partsShown) return;
    this.partsShown = text;
    this.extra.replaceChildren(...parts.map(([group, title, shown, of, s], i) => {
      // The window is said once for all that follow.
      const begins = group && group !== parts[i - 1]?.[0];
      return el('span', { class: 'part', 'data-s': s }, begins ? el('span', { class: 'what' }, group) : null,
        title && el('span', { class: 'what' }, name(title)), el('b', {}, shown), of && el('i', {}, of));
    }));
  }
}

/** A bar of agents by state, with words. */
class States {
  constructor() {
    this.bar = el('span', { class: 'stack', 'aria-hidden': 'true' });
    this.list = el('span', { class: 'list' });
    this.node = el('span', { class: 'states' }, this.bar, this.list);
    this.items = STATES.map((state) => {
      const segment = el('span', { class: 'segment', 'data-state': state });
      const number = el('b');
      const title = el('span', { class: 'what' });
      const item = el('span', { class: 'part', 'data-state': state }, el('span', { class: 'dot', 'aria-hidden': 'true' }), title, number);
      this.bar.append(segment);
      this.list.append(item);
      return { state, segment, number, title, item };
    });
  }

  show(board) {
    for (const { state, segment, number, title, item } of this.items) {
      const cell = board.cell('t', '', `agents_${state}`);
      item.hidden = cell === undefined;
      segment.hidden = !cell?.v;
      segment.style.flexGrow = cell?.v ?? 0;
      write(title, plainTitle(`agents_${state}`));
      write(number, value(cell?.v, 'count'));
    }
  }
}

/** What people call a queue or an agent: its name if it has one, else its id. */
export function called(board, scope, id) {
  return name(board.cell(scope, id, 'name')?.v ?? id);
}

const queueName = (board, id) => called(board, 'q', id);
