// Alerts that are on: shown above the board, and holding its page.

import { split } from './board.js';
import { el, mark, shape, write } from './draw.js';
import { fullTitle } from './figures.js';
import { called } from './tiles.js';
import { time } from './format.js';
import { say } from './words.js';

const STATUS = { warn: 'warn', critical: 'bad' };
const HOME = { t: 'now', c: 'now', q: 'queues', a: 'agents', i: 'intervals' };
const SHOWN_MAX = 3;

export class Alerts {
  constructor() {
    this.on = new Map();
    this.node = el('div', { class: 'alerts', role: 'status' });
    this.shown = '';
  }

  /** All that there are: what is not among them ended while nobody was told. */
  replace(alerts) {
    this.on.clear();
    for (const alert of alerts) this.take(alert);
  }

  take(alert) {
    if (alert.state in STATUS) this.on.set(alert.id, alert);
    else this.on.delete(alert.id);
  }

  /** Does a critical one that nobody has taken up belong to this board? */
  hold(boardId) {
    return [...this.on.values()].some((alert) =>
      alert.state === 'critical' && !alert.acknowledged_by && HOME[scopeOf(alert).scope] === boardId);
  }

  show(board) {
    const all = [...this.on.values()].filter((alert) => !alert.acknowledged_by);
    all.sort((a, b) => (a.state < b.state ? -1 : 1));
    const lines = all.slice(0, SHOWN_MAX).map((alert) => {
      const { scope, id } = scopeOf(alert);
      const where = id ? ` · ${called(board, scope, id)}` : '';
      const since = board.head ? ` · ${time(alert.since, board.head.zone)}` : '';
      return [STATUS[alert.state], `${fullTitle(alert.figure)}${where}${since}`];
    });
    const shown = JSON.stringify([say('alert'), lines, all.length]);
    if (shown === this.shown) return;
    this.shown = shown;
    this.node.hidden = all.length === 0;
    this.node.replaceChildren(...lines.map(([status, text]) => {
      const line = el('span', { class: 'alert' }, el('b', {}, `${shape(status)} ${say(status)}`), ' ');
      mark(line, 'data-s', status);
      line.append(text);
      return line;
    }));
    if (all.length > SHOWN_MAX) {
      const more = el('span', { class: 'alert' });
      write(more, `+${all.length - SHOWN_MAX}`);
      this.node.append(more);
    }
  }
}

const scopeOf = (alert) => split(`${alert.scope}.x`);
