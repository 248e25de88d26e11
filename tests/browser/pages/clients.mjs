// clients: the client libraries as their users call them, each with a log of events. The browser
// runs all of them; Node.js runs some (eventsource, stream).

const DEFAULT_TYPES = ['message', 'position', 'gap', 'denied'];
const DEFAULT_RETRY_MS = 1000;

const running = [];

/**
 * kind: 'native' (the browser's EventSource), 'rowtail' (deploy/browser/rowtail.js), 'polyfill' (event-source-polyfill), 'eventsource' (of
 * npm), 'azure' (@microsoft/fetch-event-source and forks), 'stream' (fetch and a ReadableStream, parsed
 * by eventsource-parser) or another of those below. options: types (event types to listen for besides
 * rowtail's own), method, headers, body (an object, sent as JSON), withCredentials, openWhenHidden,
 * from (the package, where a kind is that of several). Returns a key.
 */
export async function start(kind, url, options = {}) {
  const log = { opened: [], broken: [], closed: false, records: [] };
  const types = [...DEFAULT_TYPES, ...(options.types ?? [])];
  running.push({ log, stop: await kinds[kind](url, { ...options, types }, log) });
  return running.length - 1;
}

export function stop(key) {
  running[key].stop();
}

export function log(key) {
  return running[key].log;
}

export function countRows(key, control) {
  return running[key].log.records.filter(({ type }) => !control.includes(type)).length;
}

/** Whether the record with this id has arrived. */
export function has(key, id) {
  return running[key].log.records.some((record) => Number(record.id) === id);
}

const kinds = {
  native, rowtail, polyfill, eventsource, packaged, reconnecting, sse, azure, stream, generator, plus, client,
};

function native(url, { types, withCredentials }, log) {
  return listen(new EventSource(url, { withCredentials }), types, log);
}

// deploy/browser/rowtail.js. settings: its options, but `storage` is the name of one, and `tokens` are for one request each, the
// last for all later ones. The log also has transports, errors, denied (the last event), denials (how many).
async function rowtail(url, { types, settings = {}, ...options }, log) {
  const { Rowtail } = await import('/browser/rowtail.js');
  const { method, headers, body, withCredentials } = options;
  const storage = settings.storage && globalThis[settings.storage];
  const tokens = [...settings.tokens ?? []];
  const renewed = async () => ({ Authorization: `Bearer ${tokens.length > 1 ? tokens.shift() : tokens[0]}` });
  const source = new Rowtail(url, {
    method, headers: tokens.length > 0 ? renewed : headers, body, withCredentials, ...settings, storage,
  });
  log.transports = [];
  log.errors = [];
  log.positions = [];
  source.addEventListener('open', () => log.transports.push(source.transport));
  source.addEventListener('error', ({ status, message }) => log.errors.push({ status, message }));
  log.denials = 0;
  source.addEventListener('denied', ({ data, status, message }) => {
    log.denied = { data, status, message };
    log.denials++;
  });
  const stop = listen(source, [...types, 'end'], log);
  // Whether what the object says of itself agrees with what it delivers.
  for (const type of [...types, 'end']) {
    source.addEventListener(type, ({ lastEventId }) => log.positions.push(lastEventId === source.lastEventId));
  }
  return stop;
}

function polyfill(url, { types, withCredentials, headers }, log) {
  return listen(new EventSourcePolyfill(url, { withCredentials, headers }), types, log);
}

async function eventsource(url, { types, withCredentials, headers = {} }, log) {
  const { EventSource } = await import('eventsource');
  const withHeaders = (input, init) =>
    fetch(input, { ...init, headers: { ...init.headers, ...headers } });
  return listen(new EventSource(url, { withCredentials, fetch: withHeaders }), types, log);
}

// A package with a class like the browser's: old major versions of eventsource, and similar
// packages.
async function packaged(url, { types, from, settings }, log) {
  const module = await import(from);
  const Source = module.EventSource ?? module.default.EventSource ?? module.default;
  return listen(new Source(url, settings), types, log);
}

async function reconnecting(url, { types }, log) {
  const { default: ReconnectingEventSource } = await import('reconnecting-eventsource');
  return listen(new ReconnectingEventSource(url), types, log);
}

async function sse(url, { types }, log) {
  const { SSE } = await import('sse.js');
  const source = new SSE(url, { autoReconnect: true, start: false });
  source.addEventListener('open', () => log.opened.push(performance.now()));
  for (const broken of ['error', 'load', 'abort']) {
    source.addEventListener(broken, () => log.broken.push(performance.now()));
  }
  for (const type of types) {
    source.addEventListener(type, ({ data, id }) => log.records.push({ type, id, data }));
  }
  source.stream();
  return () => source.close();
}

function listen(source, types, log) {
  const CLOSED = 2;
  source.onopen = () => log.opened.push(performance.now());
  source.onerror = () => {
    log.broken.push(performance.now());
    log.closed = source.readyState === CLOSED;
  };
  for (const type of types) {
    source.addEventListener(type, ({ data, lastEventId }) =>
      log.records.push({ type, id: lastEventId, data }));
  }
  return () => source.close();
}

class Refused extends Error {}

async function azure(url, options, log) {
  const {
    method, headers, body, openWhenHidden = true, credentials, from = '@microsoft/fetch-event-source',
  } = options;
  const { fetchEventSource } = await import(from);
  const controller = new AbortController();
  fetchEventSource(url, {
    ...request({ method, headers, body }),
    credentials,
    openWhenHidden,
    signal: controller.signal,
    async onopen(response) {
      refuseUnlessStream(response);
      log.opened.push(performance.now());
    },
    onmessage: ({ event, id, data }) =>
      log.records.push({ type: event || 'message', id, data }),
    onclose() {
      // Without this a normal end of the stream would end the client for good.
      throw new Error('the server ended the stream');
    },
    onerror(error) {
      log.broken.push(performance.now());
      if (error instanceof Refused) {
        throw error;
      }
    },
  }).catch(() => { log.closed = true; });
  return () => controller.abort();
}

async function stream(url, { method, headers, body, credentials }, log) {
  const { createParser } = await import('eventsource-parser');
  const controller = new AbortController();
  const state = { id: null, retryMs: DEFAULT_RETRY_MS };
  const parser = () => createParser({
    onEvent: ({ event = 'message', id, data }) => log.records.push({ type: event, id, data }),
    onId: (id) => { state.id = id; },
    onRetry: (ms) => { state.retryMs = ms; },
  });
  const init = { ...request({ method, headers, body }), credentials, signal: controller.signal };
  forever(() => readOnce(url, init, state, parser(), log), state, controller.signal, log);
  return () => controller.abort();
}

async function generator(url, options, log) {
  const { events } = await import('fetch-event-stream');
  const controller = new AbortController();
  const state = { id: null, retryMs: DEFAULT_RETRY_MS };
  const init = { ...request(options), signal: controller.signal };
  const connect = async () => {
    for await (const { event = 'message', id, data, retry } of events(await open(url, init, state, log))) {
      state.id = id ?? state.id;
      state.retryMs = retry ?? state.retryMs;
      if (data !== undefined) {
        log.records.push({ type: event, id: String(id), data });
      }
    }
  };
  forever(connect, state, controller.signal, log);
  return () => controller.abort();
}

async function plus(url, { headers }, log) {
  const { EventSourcePlus } = await import('event-source-plus');
  const broken = () => { log.broken.push(performance.now()); };
  let stopped = false;
  const controller = new EventSourcePlus(url, { headers }).listen({
    // Its abort() has no effect while it waits before the next attempt: it would go on for ever.
    onRequest: () => {
      if (stopped) {
        throw new DOMException('stopped', 'AbortError');
      }
    },
    onResponse: () => { log.opened.push(performance.now()); },
    onRequestError: broken,
    onResponseError: broken,
    onMessage: ({ event, id, data }) => log.records.push({ type: event, id, data }),
  });
  return () => {
    stopped = true;
    controller.abort();
  };
}

async function client(url, { headers }, log) {
  const { createEventSource } = await import('eventsource-client');
  const source = createEventSource({
    url,
    headers,
    onConnect: () => log.opened.push(performance.now()),
    onScheduleReconnect: () => log.broken.push(performance.now()),
    onMessage: ({ event = 'message', id, data }) => log.records.push({ type: event, id, data }),
  });
  return () => source.close();
}

async function forever(connect, state, signal, log) {
  while (!signal.aborted && !log.closed) {
    try {
      await connect();
    } catch (error) {
      log.closed = error instanceof Refused;
    }
    log.broken.push(performance.now());
    await new Promise((resolve) => setTimeout(resolve, state.retryMs));
  }
}

async function open(url, init, { id }, log) {
  const headers = { ...init.headers, ...(id === null ? {} : { 'Last-Event-ID': id }) };
  const response = await fetch(url, { ...init, headers, cache: 'no-store' });
  refuseUnlessStream(response);
  log.opened.push(performance.now());
  return response;
}

async function readOnce(url, init, state, parser, log) {
  const response = await open(url, init, state, log);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    parser.feed(piece.value);
  }
}

function request({ method = 'GET', headers = {}, body }) {
  const type = body === undefined ? {} : { 'Content-Type': 'application/json' };
  return {
    method,
    headers: { Accept: 'text/event-stream', ...type, ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  };
}

function refuseUnlessStream(response) {
  const type = response.headers.get('Content-Type') ?? '';
  if (!response.ok || !type.startsWith('text/event-stream')) {
    throw new Refused(`${response.status} ${type}`);
  }
}
