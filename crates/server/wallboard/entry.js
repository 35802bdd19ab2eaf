// Who may look: a token for this tab, or a screen that a supervisor lets in.

import { ask, keepToken, token } from './api.js';
import { el, write } from './draw.js';
import { say } from './words.js';

export class Entry {
  constructor(entered) {
    this.entered = entered;
    this.title = el('h2');
    this.input = el('input', { type: 'password', autocomplete: 'off', spellcheck: 'false', required: true });
    this.label = el('span');
    this.hint = el('p', { class: 'quiet' });
    this.problem = el('p', { class: 'problem', role: 'alert' });
    this.submit = el('button', { type: 'submit' });
    this.pairing = el('button', { type: 'button', class: 'second', onclick: () => this.pair() });
    this.code = el('output', { class: 'code', hidden: true });
    this.form = el('form', {}, this.title, el('label', {}, this.label, this.input), this.hint, this.problem, this.submit, this.pairing, this.code);
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      keepToken(this.input.value.trim());
      this.input.value = '';
      entered();
    });
    this.node = el('div', { class: 'entry', hidden: true }, this.form);
  }

  show(status) {
    write(this.title, say('sign_in'));
    write(this.label, say('token'));
    write(this.hint, say('token_hint'));
    write(this.submit, say('sign_in'));
    write(this.pairing, say('pair'));
    write(this.problem, status === 403 ? say('no_right') : token() ? say('token_wrong') : '');
    if (this.node.hidden) {
      this.node.hidden = false;
      this.input.focus();
    }
  }

  hide() {
    this.node.hidden = true;
    this.code.hidden = true;
  }

  /** Shows a code until a supervisor has confirmed it; the cookie that came with it then counts. */
  async pair() {
    keepToken(null);
    this.pairing.disabled = true;
    try {
      const { code, poll_ms: pollMs } = await ask('/api/v1/devices/pair', { method: 'POST', body: {} });
      write(this.code, code);
      this.code.hidden = false;
      write(this.hint, say('pair_hint'));
      write(this.problem, '');
      await this.confirmed(pollMs);
    } catch (error) {
      write(this.problem, error.message);
    }
    this.pairing.disabled = false;
  }

  async confirmed(pollMs) {
    while (!this.node.hidden) {
      await new Promise((resolve) => setTimeout(resolve, pollMs));
      const { state } = await ask('/api/v1/devices/me').catch(() => ({}));
      if (state === 'paired') {
        this.entered();
        return;
      }
      if (state === 'none') {
        this.code.hidden = true;
        write(this.problem, say('pair_over'));
        write(this.pairing, say('pair_again'));
        return;
      }
    }
  }
}
