// Elements. Every text is set as text: nothing that comes from data is ever markup.

import { say } from './words.js';

const SVG = 'http://www.w3.org/2000/svg';

function make(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child != null && child !== ''));
  return node;
}

export const el = (tag, attributes = {}, ...children) => make(document.createElement(tag), attributes, children);
export const svg = (tag, attributes = {}, ...children) => make(document.createElementNS(SVG, tag), attributes, children);

/** Changes a text only if it is another one: what stays is not laid out again. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets or takes away an attribute. */
export function mark(node, name, value) {
  if (value == null || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

const SHAPES = { good: '●', warn: '▲', bad: '■', too_few: '◇', nodata: '◇' };
const RANKS = ['bad', 'warn', 'good'];

/** The shape that stands for a status; empty where nothing is judged. */
export const shape = (status) => SHAPES[status] ?? '';

/** The worst first; what is not judged comes last. */
export function rank(status) {
  const at = RANKS.indexOf(status);
  return at < 0 ? RANKS.length : at;
}

/** Shape and word of a status, in its colour. */
export class StatusMark {
  constructor() {
    this.shape = el('span', { class: 'shape', 'aria-hidden': 'true' });
    this.word = el('span', { class: 'word' });
    this.node = el('span', { class: 'status' }, this.shape, this.word);
  }

  show(status) {
    const known = status in SHAPES;
    mark(this.node, 'data-s', known ? status : null);
    write(this.shape, shape(status));
    write(this.word, known ? say(status) : '');
  }
}

/** A small line of values of equal steps; what is missing is a gap, not a zero. */
export class Spark {
  constructor() {
    this.area = svg('path', { class: 'area' });
    this.line = svg('path', { class: 'line' });
    this.last = svg('path', { class: 'last' });
    this.node = svg('svg', {
      class: 'spark', viewBox: '0 0 100 30', preserveAspectRatio: 'none', 'aria-hidden': 'true',
    }, this.area, this.line, this.last);
  }

  show(values) {
    if (values === this.values) return;
    this.values = values;
    const { line, area, last } = paths(values ?? []);
    mark(this.line, 'd', line);
    mark(this.area, 'd', area);
    mark(this.last, 'd', last);
  }
}

function paths(values) {
  const known = values.filter((v) => v != null);
  const top = Math.max(...known, 0);
  const x = (i) => (values.length > 1 ? (i / (values.length - 1)) * 98 + 1 : 50).toFixed(1);
  const y = (v) => (top > 0 ? 28 - (v / top) * 25 : 28).toFixed(1);
  let [line, area, begun, end] = ['', '', null, null];
  const close = () => {
    if (begun !== null) area += `L${x(end)} 29L${x(begun)} 29Z`;
    begun = null;
  };
  values.forEach((v, i) => {
    if (v == null) return close();
    const step = `${begun === null ? 'M' : 'L'}${x(i)} ${y(v)}`;
    line += step;
    area += step;
    begun ??= i;
    end = i;
  });
  close();
  return { line, area, last: end === null ? '' : `M${x(end)} ${y(values[end])}h0.01` };
}
