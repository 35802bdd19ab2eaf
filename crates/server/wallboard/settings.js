// How this screen shows boards: from the address (`#board=now&size=wall&rotate=1`), which is how a
// kiosk is set up, else as it was left, else as usual.

const KEY = 'callgauge.screen';
const CHOICES = { theme: ['dark', 'light'], size: ['desk', 'wall', 'far'], rotate: ['0', '1'] };
const USUAL = { board: 'now', theme: 'dark', size: 'desk', rotate: '0', lang: navigator.language };

export class Settings {
  constructor(changed) {
    this.changed = changed;
    this.values = { ...USUAL, ...stored() };
    this.fromAddress();
    addEventListener('hashchange', () => this.fromAddress() && changed());
  }

  fromAddress() {
    const before = JSON.stringify(this.values);
    for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
      if (name in USUAL && (CHOICES[name]?.includes(value) ?? true)) this.values[name] = value;
    }
    return JSON.stringify(this.values) !== before;
  }

  get(name) {
    return this.values[name];
  }

  set(name, value) {
    this.values[name] = value;
    // A screen without storage forgets, and shows boards all the same.
    try { localStorage.setItem(KEY, JSON.stringify(this.values)); } catch { /* see above */ }
    history.replaceState(null, '', `#${new URLSearchParams(this.values)}`);
    this.changed();
  }

  /** The next of the choices, round and round. */
  next(name, choices = CHOICES[name]) {
    this.set(name, choices[(choices.indexOf(this.values[name]) + 1) % choices.length]);
  }
}

function stored() {
  try {
    const values = JSON.parse(localStorage.getItem(KEY) ?? '{}');
    return Object.fromEntries(Object.entries(values).filter(([name, value]) =>
      name in USUAL && (CHOICES[name]?.includes(value) ?? typeof value === 'string')));
  } catch {
    return {};
  }
}
