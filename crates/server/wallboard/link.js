// The page's end of the stream that all pages of the browser share.

import { Feed } from './feed.js';

const HERE_EVERY_MS = 10_000;

/** Follows one board at a time; `tell` gets what a `Feed` tells. */
export class Link {
  constructor(tell) {
    this.tell = tell;
    this.wanted = null;
    this.port = this.open();
    setInterval(() => this.port?.postMessage({}), HERE_EVERY_MS);
    // A page that comes back out of the browser's memory was forgotten meanwhile.
    addEventListener('pagehide', () => this.send(null));
    addEventListener('pageshow', (event) => event.persisted && this.send(this.wanted));
  }

  watch(wanted) {
    this.wanted = wanted;
    this.send(wanted);
  }

  send(wanted) {
    if (this.port) {
      this.port.postMessage({ watch: wanted });
      return;
    }
    this.feed?.stop();
    this.feed = wanted && new Feed(wanted, (message) => this.tell(message));
  }

  /** The shared worker; `null` where there is none (some phones): each page has its own stream. */
  open() {
    if (!globalThis.SharedWorker) return null;
    const worker = new SharedWorker(new URL('./worker.js', import.meta.url), { type: 'module' });
    worker.port.onmessage = ({ data }) => this.tell(data);
    worker.onerror = () => {
      this.port = null;
      this.send(this.wanted);
    };
    return worker.port;
  }
}
