// clients: the clients of the field as their users write them, each with a log of what happened.
// In the browser all of them; in Node.js those that run there (eventsource, stream).

const DEFAULT_TYPES = ['message', 'position', 'gap', 'denied'];
const DEFAULT_RETRY_MS = 1000;

const running = [];

/**
 * kind: 'native' (the browser's EventSource), 'polyfill' (event-source-polyfill), 'eventsource' (of
 * npm), 'azure' (@microsoft/fetch-event-source) or 'stream' (fetch and a ReadableStream, parsed by
 * eventsource-parser). options: types (event types to listen for besides rowtail's own), method,
 * headers, body (an object, sent as JSON), withCredentials, openWhenHidden. Returns a key.
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

const kinds = { native, polyfill, eventsource, azure, stream };

function native(url, { types, withCredentials }, log) {
  return listen(new EventSource(url, { withCredentials }), types, log);
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

async function azure(url, { method, headers, body, openWhenHidden = true, credentials }, log) {
  const { fetchEventSource } = await import('@microsoft/fetch-event-source');
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
      // Without this the server's normal end would be the end for good.
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

async function readOnce(url, init, { id }, parser, log) {
  const headers = { ...init.headers, ...(id === null ? {} : { 'Last-Event-ID': id }) };
  const response = await fetch(url, { ...init, headers, cache: 'no-store' });
  refuseUnlessStream(response);
  log.opened.push(performance.now());
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
