// What the page knows: the cells of one board, and what time it is where they come from.

export class Board {
  /** Frames of the server, merged. */
  constructor() {
    this.head = null;
    this.cells = new Map();
    this.scopes = new Map();
  }

  /** Takes a snapshot (`full`) or the cells that changed. */
  take(frame) {
    if (frame.full) {
      this.cells.clear();
      this.scopes.clear();
    }
    this.head = { ...this.head, ...frame.head };
    for (const key of frame.gone ?? []) this.remove(key);
    for (const cell of frame.cells) this.put(cell);
  }

  put(cell) {
    const { scope, id, figure } = split(cell.k);
    this.cells.set(cell.k, cell);
    if (!this.scopes.has(scope)) this.scopes.set(scope, new Map());
    const ids = this.scopes.get(scope);
    if (!ids.has(id)) ids.set(id, new Set());
    ids.get(id).add(figure);
  }

  remove(key) {
    const { scope, id, figure } = split(key);
    this.cells.delete(key);
    const figures = this.scopes.get(scope)?.get(id);
    figures?.delete(figure);
    if (figures?.size === 0) this.scopes.get(scope).delete(id);
  }

  /** A cell of a scope, as `q` and `sales`; the whole centre has no id. */
  cell(scope, id, figure) {
    return this.cells.get(id === '' ? `${scope}.${figure}` : `${scope}.${id}.${figure}`);
  }

  ids(scope) {
    return [...(this.scopes.get(scope)?.keys() ?? [])];
  }
}

/** `q.a.b.waiting` is the figure `waiting` of the queue `a.b`. */
export function split(key) {
  const [first, last] = [key.indexOf('.'), key.lastIndexOf('.')];
  return { scope: key.slice(0, first), id: first === last ? '' : key.slice(first + 1, last), figure: key.slice(last + 1) };
}

/** `service_level@today` is a KPI and a window; `waiting` is neither. */
export function kpiOf(figure) {
  const at = figure.indexOf('@');
  return at < 0 ? null : { kpi: figure.slice(0, at), window: figure.slice(at + 1) };
}

/**
 * The server's clock, as far as it is known here: never this machine's, which may be wrong.
 * Between two words from the server it runs on as fast as the server's did, and then stands.
 */
export class ServerClock {
  constructor(monotonic = () => performance.now()) {
    this.monotonic = monotonic;
    this.heard = null;
    this.rate = 1;
  }

  hear(asOf, lagMs = 0) {
    const at = this.monotonic();
    const past = this.heard && at - this.heard.at;
    if (past > 400) {
      const rate = Math.min(1000, Math.max(0, (asOf - this.heard.asOf) / past));
      // The network's unevenness is not the clock's.
      this.rate = Math.abs(rate - this.rate) < 0.25 ? this.rate * 0.9 + rate * 0.1 : rate;
      if (Math.abs(this.rate - 1) < 0.1) this.rate = 1;
    }
    if (past === null || past > 400) this.heard = { asOf, at, lagMs };
    else this.heard = { ...this.heard, lagMs };
    this.spoke = at;
  }

  now() {
    if (!this.heard) return null;
    const past = Math.min(this.monotonic() - this.heard.at, 1500);
    return this.heard.asOf + past * this.rate;
  }

  /** How old what is shown is, in real milliseconds. */
  age() {
    return this.heard ? this.monotonic() - this.spoke + this.heard.lagMs : Infinity;
  }
}
