// What stands above every board: where one is, how fresh it is, what can be set.

import { el, mark, shape, write } from './draw.js';
import { NOTHING, time } from './format.js';
import { inSpoken, knows, say } from './words.js';

const LINK_STATUS = { live: 'good', polling: 'warn', connecting: 'warn', refused: 'bad', offline: 'bad' };
const LANGUAGE_NAMES = { en: 'EN', 'zh-CN': '简', 'zh-TW': '繁' };

export class Bar {
  constructor(choose, turn) {
    this.choose = choose;
    this.tabs = el('nav', { class: 'tabs' });
    this.clock = el('time', { class: 'clock' });
    this.day = el('span', { class: 'day' });
    this.asOf = el('span', { class: 'as-of' });
    this.age = el('span', { class: 'age' });
    this.link = el('span', { class: 'link', role: 'status' });
    const button = (name) => el('button', { type: 'button', class: 'set', 'data-set': name, onclick: () => turn(name) });
    this.buttons = { rotate: button('rotate'), size: button('size'), theme: button('theme'), lang: button('lang') };
    this.node = el('header', { class: 'bar' }, this.tabs,
      el('div', { class: 'fresh' }, this.link, this.age, this.asOf, this.day, this.clock),
      el('div', { class: 'sets' }, ...Object.values(this.buttons)));
  }

  showTabs(boards, current) {
    mark(this.tabs, 'aria-label', say('boards'));
    this.tabs.replaceChildren(...boards.map((board) => el(
      'button',
      { type: 'button', 'aria-current': board.id === current ? 'page' : null, 'data-board': board.id, onclick: () => this.choose(board.id) },
      boardTitle(board),
    )));
  }

  showSettings(settings) {
    write(this.buttons.rotate, settings.get('rotate') === '1' ? say('rotating') : say('rotate'));
    mark(this.buttons.rotate, 'aria-pressed', settings.get('rotate') === '1' ? 'true' : 'false');
    write(this.buttons.size, say(`size_${settings.get('size')}`));
    write(this.buttons.theme, say(`theme_${settings.get('theme')}`));
    write(this.buttons.lang, LANGUAGE_NAMES[document.documentElement.lang] ?? 'EN');
    mark(this.node, 'title', say('keys'));
  }

  /** `age` is how old what is shown is, in milliseconds, or nothing. */
  showFreshness(head, now, link, age) {
    const { zone, day } = head ?? {};
    write(this.clock, zone ? time(now, zone, true) : '');
    write(this.day, day ? `${day.date} · ${zone}` : '');
    mark(this.day, 'title', say('day'));
    write(this.asOf, zone ? `${say('as_of')} ${time(head.as_of, zone, true)}` : `${say('as_of')} ${NOTHING}`);
    const seconds = Number.isFinite(age) ? Math.floor(age / 1000) : null;
    const late = seconds !== null && seconds >= 5;
    write(this.age, late ? `${say('delayed')} ${say('seconds', { n: seconds })}` : '');
    const state = link === 'connecting' && (age ?? 0) > 2000 && head ? 'offline' : link;
    mark(this.link, 'data-s', LINK_STATUS[state]);
    mark(this.link, 'data-state', state);
    write(this.link, `${shape(LINK_STATUS[state])} ${say(knows(state) ? state : 'offline')}`);
  }
}

export const boardTitle = (board) => inSpoken(board.title) ?? (knows(board.id) ? say(board.id) : board.id);
