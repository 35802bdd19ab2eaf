// Questions to the server. A token is kept for this tab only; a paired screen has its cookie.

const KEY = 'callgauge.token';

export const token = () => sessionStorage.getItem(KEY);

export function keepToken(value) {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
}

/** What the server did not do, with its status and, if it said one, its sentence. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The head of a request in somebody's name. */
export function headers(bearer, more = {}) {
  return bearer ? { ...more, Authorization: `Bearer ${bearer}` } : more;
}

/** JSON of a route; throws `Refused`. */
export async function ask(path, { method = 'GET', body, signal } = {}) {
  const head = headers(token(), body === undefined ? {} : { 'Content-Type': 'application/json' });
  const response = await fetch(path, {
    method, signal, headers: head, body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new Refused(response.status, answer?.error?.message ?? response.statusText);
  return answer;
}
