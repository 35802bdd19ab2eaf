// What the figures of boards are called, and which belong together.

import { kpiOf } from './board.js';
import { inSpoken, knows, say } from './words.js';

/** States of agents, in the order in which they are shown. */
export const STATES = ['available', 'ringing', 'contact', 'hold', 'acw', 'break', 'other'];

/** Small figures that stand with a large one. */
export const COMPANIONS = {
  oldest: ['longest_wait@today'],
  'abandon_rate@today': ['abandoned@today', 'short_abandoned@today'],
  'abandon_rate@30m': ['abandon_rate@today', 'abandoned@today', 'short_abandoned@today'],
  'asa@today': ['wait_p90@today', 'longest_wait@today'],
  'asa@30m': ['asa@today', 'wait_p90@today'],
  'aht@today': ['avg_talk@today', 'avg_hold@today', 'avg_acw@today'],
  'aht@30m': ['aht@today', 'avg_talk@today', 'avg_hold@today', 'avg_acw@today'],
  callbacks: ['callbacks_oldest', 'callbacks_overdue'],
  'offered@today': ['answered@today', 'abandoned@today', 'forecast'],
  'service_level@30m': [],
};

// Of figures with a window: kpi ids that have no word of their own get the id.
const WORD = { agents_available: 'available', agents_ringing: 'ringing', agents_contact: 'contact', agents_hold: 'hold',
  agents_acw: 'acw', agents_break: 'break', agents_other: 'other', agents_in: 'in' };
const WINDOWS = { today: 'today', '30m': 'last30m' };

/** What a figure is called, without its window. */
export function plainTitle(figure) {
  const id = kpiOf(figure)?.kpi ?? figure;
  const key = WORD[id] ?? id;
  return knows(key) ? say(key) : id.replaceAll('_', ' ');
}

/** The word of a figure's window; empty for what is of this moment. */
export function windowWord(figure) {
  const key = WINDOWS[kpiOf(figure)?.window];
  return key ? say(key) : '';
}

/** What a figure is called. */
export function fullTitle(figure) {
  const window = windowWord(figure);
  return window ? `${plainTitle(figure)} · ${window}` : plainTitle(figure);
}

/** As the board's file says, else as the figure is called. */
export const tileTitle = (tile) => inSpoken(tile.title) ?? fullTitle(tile.figure);
