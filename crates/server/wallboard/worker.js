// Shared by all pages of a browser: one stream for each board that any of them shows.

import { Feed } from './feed.js';

// A hidden page's timers run once a minute.
const SILENT_MAX_MS = 150_000;

const feeds = new Map();

self.onconnect = ({ ports: [port] }) => {
  const page = { port, heard: Date.now(), feed: null };
  port.onmessage = ({ data }) => {
    page.heard = Date.now();
    if (data.watch !== undefined) watch(page, data.watch);
  };
};

function watch(page, wanted) {
  leave(page);
  if (!wanted) return;
  const key = JSON.stringify(wanted);
  let shared = feeds.get(key);
  if (!shared) {
    shared = { key, pages: new Set() };
    shared.feed = new Feed(wanted, (message) => shared.pages.forEach((p) => p.port.postMessage(message)));
    feeds.set(key, shared);
  }
  page.feed = shared;
  shared.pages.add(page);
  for (const message of shared.feed.whole()) page.port.postMessage(message);
}

function leave(page) {
  const shared = page.feed;
  page.feed = null;
  shared?.pages.delete(page);
  if (shared && shared.pages.size === 0) {
    shared.feed.stop();
    feeds.delete(shared.key);
  }
}

// A page that was closed or has crashed says nothing any more.
setInterval(() => {
  for (const shared of [...feeds.values()]) {
    for (const page of [...shared.pages]) {
      if (Date.now() - page.heard > SILENT_MAX_MS) leave(page);
    }
  }
}, 10_000);
