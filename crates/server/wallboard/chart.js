// The day in half hours: what was offered and answered, what was expected, and how well it went.

import { svg } from './draw.js';
import { count, value } from './format.js';
import { plainTitle } from './figures.js';
import { say } from './words.js';
import { intervalLabel } from './rows.js';

const HALF_HOUR_MS = 1_800_000;
// In widths of a letter.
const [LEFT, RIGHT, TOP, BOTTOM] = [3.6, 4.2, 2.1, 1.9];

export class Chart {
  constructor() {
    this.node = svg('svg', { class: 'chart', role: 'img' });
    this.drawn = '';
  }

  show(board, now) {
    const { clientWidth: width, clientHeight: height } = this.node;
    if (width < 100 || height < 60) return;
    const points = pointsOf(board);
    const drawn = JSON.stringify([width, height, points, say('offered'), Math.floor(now / 60_000)]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const em = parseFloat(getComputedStyle(this.node).fontSize);
    const plot = new Plot(width, height, em, board.head, points);
    this.node.setAttribute('viewBox', `0 0 ${width} ${height}`);
    this.node.setAttribute('aria-label', plot.summary());
    this.node.replaceChildren(...plot.grid(), ...plot.bars(now), ...plot.lines(), ...plot.legend());
  }
}

function pointsOf(board) {
  const cell = (id, figure) => board.cell('i', id, figure);
  const starts = board.ids('i').sort((a, b) => a - b);
  const points = starts.map((id) => ({
    at: Number(id) * 1000,
    offered: cell(id, 'offered@today')?.v,
    answered: cell(id, 'answered@today')?.v,
    forecast: cell(id, 'forecast')?.v,
    level: cell(id, 'service_level@today')?.v,
    status: cell(id, 'service_level@today')?.s,
    target: cell(id, 'service_level@today')?.target,
  }));
  // The night before the first contact is left out.
  const first = points.findIndex((p) => p.offered > 0 || p.forecast > 0);
  return first > 0 ? points.slice(first) : points;
}

class Plot {
  constructor(width, height, em, head, points) {
    Object.assign(this, { width, height, em, head, points, left: LEFT * em, right: width - RIGHT * em, ceiling: TOP * em, floor: height - BOTTOM * em });
    const [first, last] = [points[0]?.at ?? head.day.start, points.at(-1)?.at ?? head.day.start];
    this.from = first;
    this.to = Math.max(last + HALF_HOUR_MS, first + 8 * HALF_HOUR_MS);
    this.top = nice(Math.max(4, ...points.flatMap((p) => [p.offered ?? 0, p.forecast ?? 0])));
    this.step = ((this.right - this.left) * HALF_HOUR_MS) / (this.to - this.from);
  }

  x(at) {
    return this.left + ((at - this.from) / (this.to - this.from)) * (this.right - this.left);
  }

  y(share) {
    return this.floor - share * (this.floor - this.ceiling);
  }

  grid() {
    const { em } = this;
    const parts = [];
    for (const share of [0, 0.5, 1]) {
      const y = this.y(share);
      parts.push(
        svg('line', { class: 'rule', x1: this.left, x2: this.right, y1: y, y2: y }),
        svg('text', { class: 'tick', x: this.left - em * 0.6, y: y + em * 0.3, 'text-anchor': 'end' }, count(this.top * share)),
        svg('text', { class: 'tick', x: this.right + em * 0.6, y: y + em * 0.3 }, value(share, 'ratio').replace(/[.,]0/, '')),
      );
    }
    const every = Math.max(1, Math.ceil((em * 4.6) / this.step));
    for (let i = 0, at = this.from; at < this.to; i += 1, at += HALF_HOUR_MS) {
      if (i % every === 0) {
        parts.push(svg('text', { class: 'tick', x: this.x(at), y: this.height - em * 0.45, 'text-anchor': 'middle' },
          intervalLabel(at, this.head.zone, this.head.day)));
      }
    }
    return parts;
  }

  bars(now) {
    const bar = (kind, p, v) => v > 0 && svg('rect', {
      class: kind, x: this.x(p.at) + this.step * 0.12, width: this.step * 0.76,
      y: this.y(v / this.top), height: this.y(0) - this.y(v / this.top),
    });
    const bars = this.points.flatMap((p) => [bar('offered', p, p.offered), bar('answered', p, p.answered)]).filter(Boolean);
    const at = this.x(now);
    const inside = now > this.from && now < this.to;
    return inside ? [...bars, svg('line', { class: 'now', x1: at, x2: at, y1: this.ceiling - 6, y2: this.y(0) })] : bars;
  }

  lines() {
    const middle = (p) => this.x(p.at + HALF_HOUR_MS / 2).toFixed(1);
    const path = (kind, y) => {
      let d = '';
      let pen = 'M';
      for (const p of this.points) {
        const v = y(p);
        if (v == null) pen = 'M';
        else {
          d += `${pen}${middle(p)} ${v.toFixed(1)}`;
          pen = 'L';
        }
      }
      return d && svg('path', { class: kind, d });
    };
    const target = this.points.findLast((p) => p.target != null)?.target;
    const dots = this.points.filter((p) => p.level != null).map((p) =>
      svg('circle', { class: 'dot', 'data-s': p.status, cx: middle(p), cy: this.y(p.level).toFixed(1), r: this.em * 0.32 }));
    return [
      target != null && svg('line', { class: 'goal', x1: this.left, x2: this.right, y1: this.y(target), y2: this.y(target) }),
      path('forecast', (p) => (p.forecast == null ? null : this.y(p.forecast / this.top))),
      path('level', (p) => (p.level == null ? null : this.y(p.level))),
      ...dots,
    ].filter(Boolean);
  }

  legend() {
    const has = (key) => this.points.some((p) => p[key] != null);
    const entries = [['offered', plainTitle('offered')], ['answered', plainTitle('answered')], ['forecast', plainTitle('forecast')], ['level', plainTitle('service_level')]];
    const { em } = this;
    let x = this.left;
    return entries.filter(([key]) => has(key)).flatMap(([key, title]) => {
      const at = x;
      // Chinese characters are as wide as they are high.
      x += em * [...title].reduce((sum, c) => sum + (c.charCodeAt(0) > 0x2e80 ? 1 : 0.58), 2.9);
      const sign = key === 'offered' || key === 'answered'
        ? svg('rect', { class: key, x: at, y: em * 0.35, width: em, height: em })
        : svg('line', { class: key, x1: at, x2: at + em, y1: em * 0.85, y2: em * 0.85 });
      return [sign, svg('text', { class: 'key', x: at + em * 1.4, y: em * 1.2 }, title)];
    });
  }

  summary() {
    const last = this.points.findLast((p) => p.offered != null);
    const title = `${plainTitle('offered')}, ${plainTitle('answered')}, ${plainTitle('service_level')}`;
    return last ? `${title}: ${count(last.offered)}, ${count(last.answered)}, ${value(last.level, 'ratio')}` : title;
  }
}

/** The next number that people count with. */
function nice(n) {
  const unit = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 4, 5, 10].map((k) => k * unit).find((k) => k >= n);
}
