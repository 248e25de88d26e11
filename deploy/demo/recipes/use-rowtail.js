// use-rowtail.js: a stream of rowtail as the state of a React component. react.html uses it.

import { useEffect, useReducer, useRef } from 'react';

import { Rowtail } from '../browser/rowtail.js';

/**
 * The state after all rows so far: reduce(state, event) makes the next from each row of the event types in `types`.
 * Give the component a `key` if its url changes: a new stream begins with a new state.
 */
export function useRowtail(url, types, reduce, initial) {
  const [state, dispatch] = useReducer(reduce, initial);
  const position = useRef(); // survives the stream: StrictMode mounts twice, and a 401 ends the stream
  useEffect(() => {
    let stream, timer;
    const open = () => {
      stream = new Rowtail(url, { position: position.current });
      [...types, 'position'].forEach((type) => stream.addEventListener(type, (event) => {
        position.current = event.lastEventId;
        if (type !== 'position') dispatch(event);
      }));
      stream.onerror = () => stream.readyState === stream.CLOSED && (timer = setTimeout(open, 3000));
    };
    open();
    return () => { clearTimeout(timer); stream.close(); };
  }, [url]);
  return state;
}
