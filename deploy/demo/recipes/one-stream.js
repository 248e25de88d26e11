// One stream for all tabs. Over HTTP/1.1 all tabs of a browser together open six connections to a host.
// Each EventSource keeps one of them, so the seventh waits forever. Here a SharedWorker
// (one-stream-worker.js, in the same directory) holds one EventSource, and every tab gets all that it
// missed and nothing twice. In a browser without SharedWorker each tab has its own EventSource.
//
//   const stream = oneStream('/events?channel=orders/*', {
//     types: ['message', 'order'],                 // the event types to listen for
//     position: 41,                                // begin after this id; leave out to begin now
//     record: ({ type, id, data }) => { … },
//   });
//   stream.close();
//
// Optional callbacks: opened(); waiting(): disconnected and reconnecting; ended(): disconnected for good,
// so the page must start again.

export function oneStream(url, { types = ['message'], position = null, ...handlers }) {
  const asked = { url: new URL(url, location.href).href, types };
  const tell = withoutRepetitions(position, handlers);
  return globalThis.SharedWorker ? throughWorker(asked, tell) : direct(asked, tell);
}

// When a tab needs older records, the worker starts again there, so the other tabs get them twice.
function withoutRepetitions(position, handlers) {
  let have = position === null ? -1 : Number(position);
  return {
    get position() {
      return have < 0 ? null : have;
    },
    say(what, record) {
      if (what === 'record' && record.type !== 'denied') {
        if (restartsIds(record)) {
          have = -1;
        }
        if (Number(record.id) <= have) {
          return;
        }
        have = Number(record.id);
      }
      handlers[what]?.(record);
    },
  };
}

// A gap after which ids are smaller than before: another database, or a position that never existed.
function restartsIds({ type, data }) {
  return type === 'gap' && !['pruned', 'limit'].includes(JSON.parse(data).reason);
}

function throughWorker({ url, types }, tell) {
  const script = new URL('one-stream-worker.js', import.meta.url);
  const { port } = new SharedWorker(script, { name: url });
  const join = () => port.postMessage({ join: true, types, position: tell.position });
  const leave = () => port.postMessage({ join: false });
  const rejoin = ({ persisted }) => persisted && join(); // back from the back/forward cache
  port.onmessage = ({ data: { say, record } }) => tell.say(say, record);
  addEventListener('pagehide', leave);
  addEventListener('pageshow', rejoin);
  join();
  return {
    close() {
      removeEventListener('pagehide', leave);
      removeEventListener('pageshow', rejoin);
      leave();
      port.close();
    },
  };
}

function direct({ url, types }, tell) {
  const from = new URL(url);
  if (tell.position !== null) {
    from.searchParams.set('last_event_id', tell.position);
  }
  const source = new EventSource(from);
  source.onopen = () => tell.say('opened');
  source.onerror = () => tell.say(source.readyState === EventSource.CLOSED ? 'ended' : 'waiting');
  for (const type of types) {
    source.addEventListener(type, ({ data, lastEventId }) =>
      tell.say('record', { type, id: lastEventId, data }));
  }
  return source;
}
