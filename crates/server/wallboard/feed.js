// One live stream of one board: read, merged, taken up again. Knows no page: it runs in the shared
// worker, or in the page where there is none.

import { headers } from './api.js';

const SILENCE_MAX_MS = 20_000;
const RETRY_MS = 2_000;
const RETRY_MAX_MS = 4_000;
const POLL_MS = 30_000;
// So often in a row without a frame, and the stream is taken for impossible (a proxy that holds it
// back): the board is asked for instead, and the stream tried again after each answer.
const FAILURES_BEFORE_POLLING = 3;

/** A board of a server, followed until `stop`; `tell` gets what happens. */
export class Feed {
  constructor({ board, lang, token }, tell) {
    this.query = new URLSearchParams({ board, lang });
    this.token = token;
    this.tell = tell;
    this.cells = new Map();
    // Those that are not over; `null` until the server has said.
    this.alerts = null;
    this.head = null;
    this.heard = 0;
    this.state = { type: 'state', state: 'connecting' };
    this.lastId = null;
    this.failures = 0;
    this.retryMs = RETRY_MS;
    this.ending = new AbortController();
    this.run();
  }

  stop() {
    this.ending.abort();
  }

  /** All that is known, for one who comes later, and how long ago it was. */
  whole() {
    const ago = Date.now() - this.heard;
    const frame = this.head && { type: 'frame', full: true, head: this.head, cells: [...this.cells.values()], ago };
    const alerts = this.alerts && { type: 'alerts', alerts: [...this.alerts.values()] };
    return [this.state, frame, alerts].filter(Boolean);
  }

  async run() {
    while (!this.ending.signal.aborted) {
      const failed = await this.stream().then(() => null, (error) => error);
      if (this.ending.signal.aborted) return;
      if (failed?.status) {
        this.become('refused', failed.status);
        // Nobody gets in by asking often; a right may be given, a token made valid again.
        await this.wait(POLL_MS);
        continue;
      }
      this.become('connecting');
      this.failures += 1;
      const polled = this.failures >= FAILURES_BEFORE_POLLING && await this.poll().catch(() => false);
      const growing = Math.min(this.retryMs * 1.5 ** (this.failures - 1), RETRY_MAX_MS);
      await this.wait(polled ? POLL_MS : growing * (0.75 + Math.random() / 2));
    }
  }

  async stream() {
    const silence = new AbortController();
    let timer;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MAX_MS);
    };
    heard();
    const resume = this.lastId && { 'Last-Event-ID': this.lastId };
    try {
      const response = await fetch(`/api/v1/live/stream?${this.query}`, {
        headers: headers(this.token, { Accept: 'text/event-stream', ...resume }),
        signal: AbortSignal.any([silence.signal, this.ending.signal]),
        cache: 'no-store',
      });
      await this.check(response);
      for await (const event of events(response.body, heard)) {
        if (event.retry) this.retryMs = event.retry;
        if (event.data && this.take(event) === 'bye') return;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  async poll() {
    const response = await fetch(`/api/v1/live/snapshot?${this.query}`, {
      headers: headers(this.token),
      signal: AbortSignal.any([AbortSignal.timeout(SILENCE_MAX_MS), this.ending.signal]),
      cache: 'no-store',
    });
    await this.check(response);
    const { alerts, ...frame } = await response.json();
    this.merge(frame, true);
    this.replaceAlerts(alerts);
    this.heard = Date.now();
    this.become('polling');
    return true;
  }

  async check(response) {
    if ([401, 403].includes(response.status)) {
      await response.body?.cancel();
      throw Object.assign(new Error('refused'), { status: response.status });
    }
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
  }

  take({ type, data, id }) {
    const message = JSON.parse(data);
    this.heard = Date.now();
    if (type === 'snapshot' || type === 'delta') {
      if (type === 'delta' && !this.head) throw new Error('changes of something unknown');
      this.merge(message, type === 'snapshot');
      this.lastId = id;
      this.failures = 0;
      this.become('live');
    } else if (type === 'tick') {
      Object.assign(this.head ?? {}, message);
      this.tell({ type: 'tick', ...message });
    } else if (type === 'alerts') {
      this.replaceAlerts(message.alerts);
    } else if (type === 'alert') {
      if (message.ended_at === null) this.alerts.set(message.id, message);
      else this.alerts.delete(message.id);
      this.tell({ type: 'alert', alert: message });
    } else if (type === 'bye') {
      this.retryMs = message.retry_ms ?? this.retryMs;
    }
    return type;
  }

  merge({ cells, gone = [], ...head }, full) {
    if (full) this.cells.clear();
    for (const key of gone) this.cells.delete(key);
    for (const cell of cells) this.cells.set(cell.k, cell);
    this.head = { ...this.head, ...head };
    this.tell({ type: 'frame', full, head, cells, gone });
  }

  replaceAlerts(alerts) {
    this.alerts = new Map(alerts.map((alert) => [alert.id, alert]));
    this.tell({ type: 'alerts', alerts });
  }

  become(state, status) {
    if (state === this.state.state && status === this.state.status) return;
    this.state = { type: 'state', state, status };
    this.tell(this.state);
  }

  wait(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.ending.signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
    });
  }
}

/** The events of an event stream; `heard` is called with every piece that comes. */
export async function* events(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  let event = { type: 'message', data: '' };
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      // A line may end in the middle of its CR LF.
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line === '') {
          yield event;
          event = { type: 'message', data: '' };
        } else {
          field(event, line);
        }
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

function field(event, line) {
  const colon = line.indexOf(':');
  const name = colon < 0 ? line : line.slice(0, colon);
  const text = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
  if (name === 'data') event.data += event.data ? `\n${text}` : text;
  else if (name === 'event') event.type = text;
  else if (name === 'id') event.id = text;
  else if (name === 'retry') event.retry = Number(text) || undefined;
}
