// The page: one board at a time, drawn anew with every frame and every quarter of a second.

import { Refused, ask, token } from './api.js';
import { Alerts } from './alerts.js';
import { Bar, boardTitle } from './bar.js';
import { Board, ServerClock } from './board.js';
import { Detail } from './detail.js';
import { Entry } from './entry.js';
import { Link } from './link.js';
import { Rows } from './rows.js';
import { Settings } from './settings.js';
import { Tiles } from './tiles.js';
import { el, mark, write } from './draw.js';
import { LANGUAGES, say, speak } from './words.js';

const DRAW_EVERY_MS = 250;
const ROTATE_EVERY_MS = 30_000;
const SHIFT_EVERY_MS = 300_000;
const RETRY_MS = 5_000;
const AMBER_MS = 5_000;
const RED_MS = 15_000;
// A lost connection is seen before silence is long enough to be one.
const LOST_MS = 2_500;

class Page {
  constructor() {
    this.settings = new Settings(() => this.apply());
    this.board = new Board();
    this.clock = new ServerClock();
    this.alerts = new Alerts();
    this.detail = new Detail();
    this.link = new Link((message) => this.hear(message));
    this.bar = new Bar((id) => this.go(id), (name) => this.turn(name));
    this.place = el('main', { tabindex: '-1' });
    this.dots = el('footer', { class: 'dots' });
    this.entry = new Entry(() => this.begin());
    this.boards = [];
    this.page = 0;
    this.pages = 1;
    this.state = 'connecting';
    document.body.replaceChildren(this.bar.node, this.alerts.node, this.place, this.dots, this.entry.node, this.detail.node);
    addEventListener('keydown', (event) => this.key(event));
    setInterval(() => this.draw(), DRAW_EVERY_MS);
    setInterval(() => this.rotate(), ROTATE_EVERY_MS);
    // Against burn-in: the picture wanders by two pixels.
    let step = 0;
    setInterval(() => mark(document.body, 'data-shift', (step += 1) % 4), SHIFT_EVERY_MS);
  }

  /** Asks which boards there are, until the server says so. */
  async begin() {
    clearTimeout(this.again);
    this.look();
    try {
      this.boards = await boardsToSee();
      this.entry.hide();
      this.apply();
    } catch (error) {
      if (error instanceof Refused && [401, 403].includes(error.status)) this.refused(error.status);
      else this.again = setTimeout(() => this.begin(), RETRY_MS);
    }
  }

  refused(status) {
    this.link.watch(null);
    this.shown = null;
    this.entry.show(status);
  }

  look() {
    const { settings } = this;
    speak(settings.get('lang'));
    mark(document.documentElement, 'data-theme', settings.get('theme'));
    mark(document.documentElement, 'data-size', settings.get('size'));
    this.bar.showSettings(settings);
  }

  /** Shows what the settings say. */
  async apply() {
    this.look();
    if (this.boards.length === 0) return;
    const wanted = this.settings.get('board');
    const id = this.boards.some((board) => board.id === wanted) ? wanted : this.boards[0].id;
    this.bar.showTabs(this.boards, id);
    const lang = document.documentElement.lang;
    if (this.shown === `${id} ${lang}`) return this.draw();
    this.shown = `${id} ${lang}`;
    try {
      const definition = await ask(`/api/v1/boards/${encodeURIComponent(id)}`);
      if (this.shown !== `${id} ${lang}`) return;
      this.open(definition, lang);
    } catch (error) {
      this.shown = null;
      if (error instanceof Refused && [401, 403].includes(error.status)) this.refused(error.status);
      else this.again = setTimeout(() => this.apply(), RETRY_MS);
    }
  }

  open(definition, lang) {
    this.current = definition.id;
    this.board = new Board();
    const detail = (...subject) => this.detail.open(this.board, this.clock.now(), ...subject);
    this.view = definition.layout === 'rows' ? new Rows(definition, detail) : new Tiles(definition, detail);
    mark(this.place, 'data-board', definition.id);
    this.place.replaceChildren(this.view.node);
    document.title = `${boardTitle(definition)} · callgauge`;
    this.page = 0;
    this.link.watch({ board: definition.id, lang, token: token() });
  }

  hear(message) {
    if (message.type === 'frame') this.frame(message);
    else if (message.type === 'tick') this.tick(message);
    else if (message.type === 'alert') this.alerts.take(message.alert);
    else if (message.type === 'alerts') this.alerts.replace(message.alerts);
    else if (message.type === 'state') {
      this.state = message.state;
      if (message.state === 'refused') this.refused(message.status);
    }
  }

  frame(frame) {
    // One that was under way when another board was chosen.
    if (frame.head.board !== undefined && frame.head.board !== this.current) return;
    if (!frame.full && !this.board.head) return;
    this.board.take(frame);
    this.clock.hear(frame.head.as_of, (frame.head.lag_ms ?? 0) + (frame.ago ?? 0));
    this.build ??= frame.head.build;
    if (frame.head.build !== undefined && frame.head.build !== this.build) location.reload();
    cancelAnimationFrame(this.due);
    this.due = requestAnimationFrame(() => this.draw());
  }

  tick(tick) {
    this.clock.hear(tick.as_of, tick.lag_ms);
    if (this.board.head) Object.assign(this.board.head, { as_of: tick.as_of, watermark: tick.watermark, lag_ms: tick.lag_ms });
  }

  draw() {
    const now = this.clock.now();
    const age = this.clock.age();
    const lost = this.state !== 'live' && this.state !== 'polling' && age >= LOST_MS;
    mark(document.body, 'data-stale', age >= RED_MS ? 'red' : age >= AMBER_MS || lost ? 'amber' : null);
    this.bar.showFreshness(this.board.head, now, this.state, this.board.head ? age : null);
    this.alerts.show(this.board);
    if (!this.board.head || !this.view) return;
    this.pages = this.view.show(this.board, now, { size: this.settings.get('size'), page: this.page });
    if (this.page >= this.pages) this.page = 0;
    this.showDots();
  }

  showDots() {
    const rotates = this.settings.get('rotate') === '1';
    const shown = `${this.pages} ${this.page} ${rotates} ${document.documentElement.lang} ${this.current}`;
    if (shown === this.dotsShown) return;
    this.dotsShown = shown;
    const dot = (current, title, onclick) => el('button', { type: 'button', class: 'dot', 'aria-current': current ? 'page' : null, title, onclick });
    const pages = this.pages > 1 ? Array.from({ length: this.pages }, (_, i) => dot(i === this.page, say('page', { n: i + 1, of: this.pages }), () => this.turnTo(i))) : [];
    const boards = rotates ? this.boards.map((board) => dot(board.id === this.current, boardTitle(board), () => this.go(board.id))) : [];
    this.dots.replaceChildren(el('span', { class: 'group' }, ...boards), el('span', { class: 'group' }, ...pages));
    this.dots.hidden = boards.length + pages.length === 0;
  }

  turnTo(page) {
    this.page = page;
    this.draw();
  }

  go(id) {
    this.settings.set('board', id);
  }

  turn(name) {
    if (name === 'lang') this.settings.set('lang', LANGUAGES[(LANGUAGES.indexOf(document.documentElement.lang) + 1) % LANGUAGES.length]);
    else this.settings.next(name);
  }

  /** The next page, and after the last the next board; an alert holds its board. */
  rotate() {
    if (this.settings.get('rotate') !== '1' || this.detail.node.open || !this.entry.node.hidden) return;
    if (this.page + 1 < this.pages) this.turnTo(this.page + 1);
    else if (this.alerts.hold(this.current)) this.turnTo(0);
    else this.step(1);
  }

  step(by) {
    const at = this.boards.findIndex((board) => board.id === this.current);
    const next = this.boards[(at + by + this.boards.length) % this.boards.length];
    if (next && next.id !== this.current) this.go(next.id);
    else this.turnTo(0);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || this.detail.node.open || !this.entry.node.hidden) return;
    if (event.target.closest?.('input, select, textarea')) return;
    const key = event.key.toLowerCase();
    const board = this.boards[Number(key) - 1];
    const turns = { r: 'rotate', t: 'theme', s: 'size', l: 'lang' };
    if (board) this.go(board.id);
    else if (key in turns) this.turn(turns[key]);
    else if (key === 'arrowright') this.page + 1 < this.pages ? this.turnTo(this.page + 1) : this.step(1);
    else if (key === 'arrowleft') this.page > 0 ? this.turnTo(this.page - 1) : this.step(-1);
    else return;
    event.preventDefault();
  }
}

// In this order; a site's own come after them.
const FIRST = ['now', 'queues', 'agents', 'intervals'];

/** The boards there are; of a paired screen its one. */
async function boardsToSee() {
  try {
    const { boards } = await ask('/api/v1/boards');
    const place = ({ id }) => (FIRST.includes(id) ? FIRST.indexOf(id) : FIRST.length);
    return boards.sort((a, b) => place(a) - place(b));
  } catch (error) {
    if (!(error instanceof Refused) || ![401, 403].includes(error.status) || token()) throw error;
    const { state, board } = await ask('/api/v1/devices/me').catch(() => ({}));
    if (state !== 'paired') throw error;
    return [{ id: board }];
  }
}

const page = new Page();
write(document.head.querySelector('title'), 'callgauge');
page.begin();
