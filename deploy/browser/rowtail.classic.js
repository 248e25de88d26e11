// Made from rowtail.js by 'make classic'.
(() => {
// rowtail.js: an EventSource that does not give up, and polls where streams are held back. ISC licence.

/** @typedef {import('./rowtail.d.ts').RowtailOptions} RowtailOptions */
const DEFAULTS = {
  timeout: 5000, silence: 45000, wait: 20000, interval: 5000, streamAgain: 180000, retry: 2000, maxRetry: 60000,
};
const POSITIONS = ['last_event_id', 'lastEventId', 'lastEventID', 'Last-Event-ID', 'evs_last_event_id', 'since'];
const FINAL = [400, 401, 403];
const SOONER = 16; // part of streamAgain

const textOf = (body) => (body?.constructor === Object ? JSON.stringify(body) : body);
// Ids have 64 bits.
const newer = (id, other) => BigInt(id) > BigInt(other);
const without = ({ searchParams }) => POSITIONS.forEach((name) => searchParams.delete(name));
const problemOf = (message, more) => Object.assign(new Error(message), more);

class Rowtail extends EventTarget {
  readyState = 0;
  /** All events up to here have been delivered. '' until it is known. */
  lastEventId = '';
  transport = null;

  #options;
  #origin;
  #closing = new AbortController();
  #request;
  #timer;
  #wake = () => {}; // ends the pause
  #heard = 0; // when the last bytes came
  #hurry; // no pause after the next problem
  #retry;
  #problems = 0; // since it was open
  #live; // it has delivered a record
  #streamAt = 0; // until then it polls
  #again; // how long
  #wait;
  #held = true; // polls may wait
  #told = {};
  #tabs;
  #follows = false; // another tab has the stream
  #behind = true; // some of it was missed

  /**
   * @param {string|URL} url
   * @param {RowtailOptions} [options]
   */
  constructor(url, options) {
    super();
    const { document, location } = globalThis;
    url = new URL(url, document?.baseURI ?? location?.href);
    this.url = url.href;
    this.#origin = url.origin;
    const positions = POSITIONS.flatMap((name) => url.searchParams.getAll(name));
    without(url);
    const o = this.#options = { key: `rowtail ${url} ${textOf(options?.body)}`, ...DEFAULTS, ...options };
    this.withCredentials = !!o.withCredentials;
    this.#retry = o.retry;
    this.#wait = o.wait;
    for (const type of ['open', 'message', 'error', 'position', 'gap', 'denied', 'end']) {
      this[`on${type}`] = null;
      this.addEventListener(type, (event) => this[`on${type}`]?.(event));
    }
    // The largest position wins.
    for (const id of [o.position, this.#store('getItem'), ...positions]) {
      if (/^\d+$/.test(id) && !newer(this.lastEventId, id)) {
        this.lastEventId = String(id);
      }
    }
    const { signal } = this.#closing;
    globalThis.addEventListener?.('online', () => this.#stir(), { signal });
    document?.addEventListener('visibilitychange', () => document.hidden || this.#stir(), { signal });
    this.#run();
  }

  close() {
    this.readyState = 2;
    this.#closing.abort();
    this.#tabs?.close();
    this.#interrupt();
  }

  async #run() {
    if (this.#options.share && globalThis.navigator?.locks && globalThis.BroadcastChannel) {
      await this.#join();
    }
    while (this.readyState !== 2) {
      const pause = await (this.#follows ? this.#follow() : this.#lead());
      await new Promise((done) => {
        this.#wake = done;
        setTimeout(done, this.readyState === 2 ? 0 : pause);
      });
    }
  }

  #interrupt() {
    clearTimeout(this.#timer);
    this.#request?.abort();
    this.#wake();
  }

  // Online or visible again: the connection may have died unnoticed.
  #stir() {
    if (Date.now() - this.#heard > this.#options.silence) {
      this.#hurry = true;
      this.#request?.abort();
    }
    this.#wake();
  }

  // A stream until its end, or a poll. Returns the pause after it.
  async #lead() {
    const { streamAgain, wait } = this.#options;
    let problem;
    if (Date.now() >= this.#streamAt) {
      problem = await this.#attempt(() => this.#stream());
      if (!problem) {
        return 0;
      }
      if (this.#live || FINAL.includes(problem.status)) {
        this.#held = true;
        this.#again = 0;
        this.#streamAt = problem.silent ? Date.now() + streamAgain : 0;
        return this.#fail(problem);
      }
      // Streams are refused or held back. Do polls pass?
      this.#held = !problem.status;
      this.#again = problem.silent ? streamAgain : Math.min(2 * this.#again || streamAgain / SOONER, streamAgain);
      this.#streamAt = Date.now() + this.#again;
    }
    const began = Date.now();
    let pause;
    problem = await this.#attempt(async () => { pause = await this.#poll(this.#held ? this.#wait : 0); });
    if (problem) {
      // Something may end what takes so long.
      this.#wait = Math.max(this.#wait / (Date.now() - began > this.#wait / 4 ? 2 : 1), wait / 8);
      this.#streamAt = this.#again = 0;
      return this.#fail(problem);
    }
    return pause;
  }

  // Returns what went wrong.
  async #attempt(act) {
    const follows = this.#follows;
    let problem = null;
    try {
      await act();
    } catch (error) {
      problem = this.#request.signal.reason ?? error;
    }
    this.#interrupt();
    return this.readyState === 2 || this.#follows !== follows ? null : problem;
  }

  async #stream() {
    const { timeout, silence } = this.#options;
    let said = '';
    this.#live = false;
    const parse = parser((name, value) => {
      if (name === '') {
        said = value;
      } else if (/^\d+$/.test(value)) {
        this.#retry = Number(value);
      }
    });
    await this.#ask('text/event-stream', { positions: 1 }, timeout, (text) => {
      const records = parse(text);
      if (records.length > 0) {
        this.#live = true;
        this.#opened('stream');
        this.#take(records);
      }
      return this.#live && silence;
    });
    throw problemOf(said || 'The stream ended.', { status: 200 });
  }

  async #poll(wait) {
    const { timeout, interval, body } = this.#options;
    const patience = wait + 3 * timeout;
    const began = Date.now();
    const known = this.lastEventId;
    const asked = { format: 'json', limit: 1000, wait: Math.min(Math.ceil(wait / 1000), 60) };
    let text = '';
    await this.#ask('application/json', asked, patience, (piece) => {
      text += piece;
      return patience;
    });
    const [, gap] = /"gap":(.*?),"events"/s.exec(text);
    const { position, more, end, events } = JSON.parse(text.replace(/("(?:id|position)":)(\d+)/g, '$1"$2"'));
    // As on a stream.
    const enveloped = new URL(this.url).searchParams.get('envelope') === 'json' ||
      /\benvelope\W+json\b/.test(textOf(body));
    const records = events.map((event) => ({
      type: event.event || 'message',
      data: enveloped ? JSON.stringify(event).replace(/"(\d+)"/, '$1') : event.data.replace(/\r\n?/g, '\n'),
      id: event.id,
    }));
    if (gap !== 'null') {
      const id = events.length > 0 ? String(BigInt(events[0].id) - 1n) : position;
      records.unshift({ type: 'gap', data: gap, id });
    }
    if (this.#opened(this.#follows ? 'shared' : 'polling') || position !== events.at(-1)?.id) {
      records.push({ type: 'position', data: position, id: position });
    }
    this.#behind ||= more;
    this.#take(records);
    if (end && this.readyState !== 2) {
      this.#end();
    }
    if (more || (wait && !known)) {
      return 0;
    }
    if (wait && events.length > 0) {
      return interval / 10;
    }
    return Date.now() - began < wait / 4 || !wait ? interval : 0;
  }

  // `take` gets the pieces of the body, and may say how long to wait for the next.
  async #ask(type, parameters, ms, take) {
    const { method, body, headers } = this.#options;
    const { signal } = this.#request = new AbortController();
    this.#expect(ms);
    const url = new URL(this.url);
    if (this.lastEventId) {
      without(url);
      url.searchParams.set('last_event_id', this.lastEventId);
    }
    for (const name in parameters) {
      url.searchParams.set(name, parameters[name]);
    }
    const sent = new Headers(typeof headers === 'function' ? await headers() : headers);
    sent.set('Accept', type);
    if (textOf(body) !== body) {
      sent.set('Content-Type', 'application/json');
    }
    const response = await fetch(url, {
      method: method ?? (body === undefined ? 'GET' : 'POST'),
      headers: sent,
      body: textOf(body),
      credentials: this.withCredentials ? 'include' : 'same-origin',
      cache: 'no-store',
      signal,
    });
    const { status } = response;
    const found = response.headers.get('Content-Type') ?? 'no type';
    if (status === 204) {
      this.#end();
    } else if (status !== 200 || !found.startsWith(type)) {
      const sentence = found.startsWith('text/plain') && (await response.text()).trim();
      throw problemOf(sentence || `The server answered ${status}, ${found}.`,
        { status, after: 1000 * response.headers.get('Retry-After') || 0 });
    }
    const reader = response.body?.getReader();
    const decoder = new TextDecoder();
    for (let piece; !signal.aborted && !(piece = await reader.read()).done;) {
      const next = take(decoder.decode(piece.value, { stream: true }));
      if (next && !signal.aborted) {
        this.#expect(next);
      }
    }
  }

  #expect(ms) {
    const request = this.#request;
    this.#heard = Date.now();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => request.abort(problemOf(`Nothing came for ${ms / 1000} s.`, { silent: true })), ms);
  }

  // Delivers records, each once.
  #take(records) {
    const from = this.lastEventId;
    for (const { type, data, id } of records) {
      if (this.readyState === 2) {
        break;
      }
      if (type === 'gap' || newer(id, this.lastEventId) ||
        (!newer(this.lastEventId, id) && (type === 'position' || type === 'denied'))) {
        this.lastEventId = id;
        this.#told[type] = true;
        this.#message(type, data);
      }
    }
    this.#store('setItem', this.lastEventId);
    this.#tell({ from, records });
  }

  #store(verb, position) {
    try {
      return this.#options.storage?.[verb](this.#options.key, position);
    } catch {
      return null; // full or forbidden
    }
  }

  #message(type, data, more) {
    const { lastEventId } = this;
    this.dispatchEvent(Object.assign(new MessageEvent(type, { data, lastEventId, origin: this.#origin }), more));
  }

  // Is this new?
  #opened(transport) {
    this.#problems = 0;
    if (this.readyState === 2 || (this.readyState === 1 && this.transport === transport)) {
      return false;
    }
    this.readyState = 1;
    this.transport = transport;
    this.#told.denied = false;
    this.dispatchEvent(new Event('open'));
    return true;
  }

  // Returns the pause.
  #fail({ status = 0, message, after = 0 }) {
    const grown = Math.min(this.#retry * 2 ** this.#problems++, this.#options.maxRetry);
    const pause = Math.max(this.#retry, grown) * (1 + Math.random() / 2);
    const hurry = this.#hurry;
    this.#hurry = false;
    this.readyState = 0;
    this.#tell({ problem: { status, message } });
    if (FINAL.includes(status)) {
      this.close();
      if (status !== 400 && !this.#told.denied) {
        this.#message('denied', JSON.stringify({ reason: 'refused', status, message }), { status, message });
      }
    }
    this.dispatchEvent(Object.assign(new Event('error'), { status, message }));
    return hurry ? 0 : Math.min(Math.max(pause, after), 1e9);
  }

  // Nothing more will come, ever.
  #end() {
    this.close();
    if (!this.#told.end) {
      this.#message('end', '');
    }
  }

  // share: the tab that holds a lock has the stream, and tells the others. They poll for what they missed.
  async #join() {
    const { key, body, silence } = this.#options;
    const { signal } = this.#closing;
    this.#tabs = new BroadcastChannel(`${key} ${textOf(body)}`);
    this.#tabs.onmessage = ({ data }) => this.#hear(data);
    const beat = setInterval(() => this.#tell(this.readyState ? { from: this.lastEventId, records: [] } : {}), silence / 3);
    signal.addEventListener('abort', () => clearInterval(beat));
    await this.#elect({ ifAvailable: true });
  }

  // Resolves when it is known who leads.
  #elect(options) {
    const { signal } = this.#closing;
    return new Promise((done) => {
      const follow = () => {
        this.#follows = this.#behind = true;
        this.#interrupt();
        this.#elect({ signal });
      };
      navigator.locks.request(this.#tabs.name, options, (lock) => {
        done();
        if (!lock || this.readyState === 2) {
          return lock || follow();
        }
        this.#follows = false;
        this.#interrupt();
        return new Promise((free) => signal.addEventListener('abort', free));
      }).catch(({ name }) => {
        done();
        // Another tab has taken it.
        if (name === 'AbortError' && this.readyState !== 2) {
          follow();
        }
      });
    });
  }

  async #follow() {
    const { silence } = this.#options;
    if (this.#behind) {
      this.#behind = false;
      const problem = await this.#attempt(() => this.#poll(0));
      if (problem) {
        this.#behind = true;
        return this.#fail(problem);
      }
    }
    if (Date.now() - this.#heard > silence) {
      await this.#elect({ steal: true });
    }
    return this.#behind || !this.#follows ? 0 : silence;
  }

  #tell(news) {
    if (!this.#follows && this.readyState !== 2) {
      this.#tabs?.postMessage(news);
    }
  }

  #hear({ from, records, problem }) {
    if (!this.#follows || this.readyState === 2) {
      return;
    }
    this.#heard = Date.now();
    const gap = records?.find(({ type }) => type === 'gap');
    const replaced = gap && JSON.parse(gap.data).reason === 'replaced';
    if (problem) {
      this.#fail(problem);
    } else if (!replaced && (gap || newer(from ?? 0, this.lastEventId))) {
      this.#behind = true;
      this.#wake();
    } else if (records) {
      this.#opened('shared');
      this.#take(records.filter(({ type, id }) => replaced || type === 'denied' || newer(id, this.lastEventId)));
    }
  }
}

['CONNECTING', 'OPEN', 'CLOSED'].forEach((name, value) => {
  Rowtail[name] = Rowtail.prototype[name] = value;
});

// Parses text/event-stream (HTML standard, 9.2.6) in any pieces. Comments and `retry` go to `other`.
function parser(other) {
  let rest = '';
  let data = [];
  let type = '';
  let id = '';
  return (piece) => {
    const records = [];
    rest += piece;
    if (!/[\r\n]/.test(piece)) {
      return records;
    }
    // A CR at the end may be half of a CRLF.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      const [, name, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
      if (line === '') {
        if (data.length > 0) {
          records.push({ type: type || 'message', data: data.join('\n'), id });
        }
        data = [];
        type = '';
      } else if (name === 'data') {
        data.push(value);
      } else if (name === 'event') {
        type = value;
      } else if (name === 'id') {
        id = value;
      } else if (name === '' || name === 'retry') {
        other(name, value);
      }
    }
    return records;
  };
}
globalThis.Rowtail = Rowtail;
})();
