// The SharedWorker of one-stream.js: one EventSource for all tabs. The worker's name is the stream's URL.

const tabs = new Set(); // their ports
const types = new Set(['position']);
let source = null;
let position = null; // the newest id that has come

onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data }) => (data.join ? join(port, data) : leave(port));
};

function join(port, { types: wanted, position: from }) {
  tabs.add(port);
  for (const type of wanted) {
    listen(type);
  }
  if (source === null) {
    open(from);
  } else if (from !== null && (position === null || from < position)) {
    source.close();
    open(from);
  } else if (source.readyState === EventSource.OPEN) {
    port.postMessage({ say: 'opened' });
  }
}

function leave(port) {
  tabs.delete(port);
  if (tabs.size === 0) {
    source?.close();
    source = null;
  }
}

function open(from) {
  const url = new URL(self.name);
  if (from !== null) {
    url.searchParams.set('last_event_id', from);
  }
  position = from;
  const opened = new EventSource(url);
  source = opened;
  opened.onopen = () => tell('opened');
  opened.onerror = () => (opened.readyState === EventSource.CLOSED ? end() : tell('waiting'));
  for (const type of types) {
    opened.addEventListener(type, forward);
  }
}

function end() {
  source = null;
  tell('ended');
}

function listen(type) {
  if (!types.has(type)) {
    types.add(type);
    source?.addEventListener(type, forward);
  }
}

function forward({ type, data, lastEventId }) {
  position = Number(lastEventId);
  tell('record', { type, id: lastEventId, data });
}

function tell(say, record) {
  for (const tab of tabs) {
    tab.postMessage({ say, record });
  }
}
