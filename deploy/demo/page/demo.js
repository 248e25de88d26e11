// demo: shows the clients on the page, and connects the page's buttons to them.

import { Chart, milliseconds } from './chart.js';
import { Client, STATES } from './client.js';
import { CHANNELS, fetchLine, postLine, rowtailLine, sharedLine } from './lines.js';
import { RowList } from './rows.js';

const DRAW_MS = matchMedia('(prefers-reduced-motion: reduce)').matches ? 1000 : 100;
const KEPT_ROWS = 30;
const KEPT_LATENCIES = 200;
const PATIENCE_MS = 4000;

const KINDS = [
  {
    key: 'rowtail', name: 'rowtail.js', line: rowtailLine,
    about: 'EventSource that never gives up, and polls if it has to.',
  },
  {
    key: 'fetch', name: 'fetch, streaming', line: fetchLine,
    about: 'Reads the body as it arrives. Can send any header.',
  },
  {
    key: 'shared', name: 'rowtail.js, shared', line: sharedLine, staysWhenHidden: true,
    about: navigator.locks
      ? 'One stream for all tabs of this page.'
      : 'Browsers share only on https and localhost. This is a stream of this tab.',
  },
  {
    key: 'post', name: 'fetch, POST', line: postLine,
    about: 'Sends channels and position in a JSON body.',
  },
];

const $ = (selector, root = document) => root.querySelector(selector);
const list = new RowList($('#rows tbody'));
const panels = KINDS.map(makePanel);

function makePanel(kind) {
  const element = $('#client').content.firstElementChild.cloneNode(true);
  element.dataset.client = kind.key;
  $('h3', element).textContent = kind.name;
  $('.about', element).textContent = kind.about;
  $('#clients').append(element);
  const panel = {
    kind, element, rows: [], latencies: [], connectingSince: 0,
    chart: new Chart($('canvas', element)),
  };
  panel.client = new Client(kind.line, {
    changed: () => showState(panel),
    row: (_, row) => takeRow(panel, row),
    caughtUp: (client, count) => announceCaughtUp(panel, client, count),
  });
  $('button', element).addEventListener('click', () => toggle(panel));
  return panel;
}

function takeRow(panel, row) {
  panel.rows.unshift(row);
  panel.rows.length = Math.min(panel.rows.length, KEPT_ROWS);
  panel.chart.add(row);
  if (!row.late) {
    panel.latencies.push(row.latencyMs);
    panel.latencies.splice(0, panel.latencies.length - KEPT_LATENCIES);
  }
  if (panel.kind.key === $('#seen-by').value) {
    list.add(row);
  }
}

function toggle({ client, kind }) {
  if (client.isOn) {
    client.close('cut');
    announce(`${kind.name} is disconnected. Reconnect, and the missed rows arrive.`);
  } else {
    client.open();
  }
}

function toggleAll() {
  if (panels.some(({ client }) => client.isOn)) {
    panels.forEach(({ client }) => client.close('cut'));
    announce('All clients are disconnected. Reconnect, and the missed rows arrive.');
  } else {
    panels.forEach(({ client }) => client.open());
  }
}

function announceCaughtUp({ kind }, { ledger }, count) {
  announce(`${kind.name} resumed: ${count} missed ${count === 1 ? 'row' : 'rows'} ` +
    `arrived. Lost ${ledger.lost}, repeated ${ledger.repeated}.`);
}

function announce(sentence) {
  $('#news').textContent = sentence;
}

function showState(panel) {
  const { client, element, chart } = panel;
  if (client.state !== element.dataset.state) {
    element.dataset.state = client.state;
    panel.connectingSince = performance.now();
    chart.live(client.state === 'live');
    $('.state', element).textContent = STATES[client.state];
    showButtons();
  }
}

function showButtons() {
  for (const { client, element, kind } of panels) {
    const label = client.isOn ? 'Disconnect' : 'Reconnect';
    $('button', element).textContent = label;
    $('button', element).setAttribute('aria-label', `${label}: ${kind.name}`);
  }
  const anyOn = panels.some(({ client }) => client.isOn);
  $('#cut-all').textContent = anyOn ? 'Disconnect all four' : 'Reconnect all four';
}

function draw() {
  panels.forEach(drawPanel);
  drawTotals();
  drawChannels();
  list.draw();
  $('#empty').hidden = panels.some(({ client }) => client.ledger.received > 0);
}

function drawPanel({ client, element, chart, latencies, connectingSince }) {
  const { received, lost, repeated } = client.ledger;
  put(element, 'position', client.position ?? '–');
  put(element, 'received', received);
  put(element, 'late', client.late);
  put(element, 'lost', lost);
  put(element, 'repeated', repeated);
  put(element, 'latency', median(latencies));
  chart.draw();
  $('canvas', element).setAttribute('aria-label', chart.summary);
  $('.note', element).textContent = noteOf(client, connectingSince);
}

function noteOf(client, connectingSince) {
  if (client.state === 'connecting' && performance.now() - connectingSince > PATIENCE_MS) {
    return 'Waiting for a connection. Over HTTP/1.1 a browser opens at most six to a host, for all tabs ' +
      'together. Close another tab of this page.';
  }
  return client.gap === null ? '' : `The server reported a gap: ${client.gap}`;
}

function drawTotals() {
  const ledgers = panels.map(({ client }) => client.ledger);
  const sum = (key) => ledgers.reduce((total, ledger) => total + ledger[key], 0);
  const totals = $('#totals');
  put(totals, 'received', sum('received'));
  put(totals, 'lost', sum('lost'));
  put(totals, 'repeated', sum('repeated'));
  put(totals, 'latency', median(panels.flatMap(({ latencies }) => latencies)));
}

function drawChannels() {
  const { channels } = shownPanel().client.ledger;
  const text = [...channels].sort().map(([name, { rows }]) => `${name} ${rows}`);
  const items = $('#channels').children;
  if (text.length === items.length && text.every((line, i) => items[i].textContent === line)) {
    return;
  }
  $('#channels').replaceChildren(...text.map((line) => {
    const item = document.createElement('li');
    item.textContent = line;
    return item;
  }));
}

// Writes only what changed, so that a selection and a screen reader's place are kept.
function put(root, name, value) {
  const place = $(`[data-value="${name}"]`, root);
  const text = typeof value === 'number' ? value.toLocaleString('en') : String(value);
  if (place.textContent !== text) {
    place.textContent = text;
    place.classList.toggle('some', value > 0);
  }
}

function median(latencies) {
  const sorted = [...latencies].sort((a, b) => a - b);
  return sorted.length === 0 ? '–' : milliseconds(sorted[sorted.length >> 1]);
}

function shownPanel() {
  return panels.find(({ kind }) => kind.key === $('#seen-by').value);
}

// A hidden tab frees its connections for other tabs, and resumes where it was when shown.
function visibilityChanged() {
  for (const { client, kind } of panels) {
    if (document.hidden && client.isOn && !kind.staysWhenHidden) {
      client.close('hidden');
    } else if (!document.hidden && client.state === 'hidden') {
      client.open();
    }
  }
}

async function showCommand() {
  const { database } = await (await fetch('/demo.json')).json();
  $('#command').textContent = `sqlite3 ${database} "INSERT INTO events(data) VALUES ('hello')"`;
}

async function copyCommand() {
  await navigator.clipboard.writeText($('#command').textContent);
  announce('The command is on the clipboard.');
}

function wire() {
  for (const { kind } of panels) {
    $('#seen-by').append(new Option(kind.name, kind.key));
  }
  $('#followed').textContent = CHANNELS.join(', ');
  $('#seen-by').addEventListener('change', () => list.replace(shownPanel().rows));
  $('#hold').addEventListener('click', ({ target }) => {
    const held = target.getAttribute('aria-pressed') !== 'true';
    target.setAttribute('aria-pressed', held);
    list.held = held;
  });
  $('#cut-all').addEventListener('click', toggleAll);
  $('#copy').addEventListener('click', copyCommand);
  document.addEventListener('visibilitychange', visibilityChanged);
}

wire();
showCommand().catch(() => {});
panels.forEach(({ client }) => client.open());
draw();
setInterval(() => document.hidden || draw(), DRAW_MS);
