// webserver: Debian's lighttpd, nginx and apache2 on a free port of 127.0.0.1, with the configuration
// in deploy/, its documented paths replaced by the test's. lighttpd and nginx also serve the test's
// pages (/pages/), the clients as published (/modules/), rowtail.js (/browser/) and the recipes
// (/recipes/).

import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { PROJECT } from './database.mjs';
import { freePort, listening, run, start } from './process.mjs';

const HERE = path.join(PROJECT, 'tests/browser');
const FOLDERS = {
  '/pages/': path.join(HERE, 'pages/'),
  '/modules/': path.join(HERE, 'node_modules/'),
  '/browser/': path.join(PROJECT, 'deploy/browser/'),
  '/recipes/': path.join(PROJECT, 'deploy/demo/recipes/'),
};
export const USER = 'ada';
export const PASSWORD = 'lovelace';

// Users wait three seconds; a test need not.
const DOWN_RETRY = { documented: 'retry: 3000', here: 'retry: 200' };

class WebServer {
  #process = null;

  constructor({ dir, port, tls, command }) {
    this.dir = dir;
    this.port = port;
    this.socket = socketIn(dir);
    this.origin = `${tls ? 'https' : 'http'}://127.0.0.1:${port}`;
    this.command = command;
  }

  async start() {
    this.#process = start(this.command[0], this.command.slice(1));
    await listening({ host: '127.0.0.1', port: this.port }, this.#process);
  }

  async stop() {
    await this.#process.stop('SIGTERM');
  }

  async restart() {
    await this.stop();
    await this.start();
  }
}

/**
 * how: dir, socket (rowtail's), program (rowtail's command, for 'apache-fcgid'), tls (a certificate of
 * its own, HTTP/2), login (asks for USER and PASSWORD), allowOrigin (may read while rowtail is down
 * too), more (lines of nginx's server { }). The server is not started yet.
 */
export async function webServer(name, how) {
  const port = await freePort();
  if (how.tls) {
    await makeCertificate(how.dir);
  }
  const made = { lighttpd, nginx, apache, 'apache-fcgid': fcgid }[name]({ ...how, port });
  return new WebServer({ ...how, port, ...made });
}

// The web server listens here too. A unix socket holds some 400 kB for a slow reader, TCP megabytes.
function socketIn(dir) {
  return path.join(dir, 'web.sock');
}

function makeCertificate(dir) {
  return run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
    '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1',
    '-keyout', path.join(dir, 'key.pem'), '-out', path.join(dir, 'certificate.pem')]);
}

// A file of deploy/ with its documented values replaced; each must exist.
function deployed(file, replacements) {
  let text = readFileSync(path.join(PROJECT, 'deploy', file), 'utf8');
  for (const [documented, here] of replacements) {
    if (!text.includes(documented)) {
      throw new Error(`deploy/${file} does not say ${documented}`);
    }
    text = text.replaceAll(documented, here);
  }
  return text;
}

function lighttpd({ dir, port, socket, tls, login, allowOrigin = 'https://app.example.org' }) {
  const file = (name) => path.join(dir, name);
  writeFileSync(file('down.shtml'),
    deployed('rowtail-down.shtml', [[DOWN_RETRY.documented, DOWN_RETRY.here]]));
  writeFileSync(file('rowtail.conf'), deployed('lighttpd/fastcgi.conf', [
    ['/run/rowtail/rowtail.sock', socket],
    ['/usr/local/share/rowtail/rowtail-down.shtml', file('down.shtml')],
    ['https://app.example.org', allowOrigin],
  ]));
  writeFileSync(file('users'), `${USER}:${PASSWORD}\n`);
  writeFileSync(file('lighttpd.conf'), `
server.modules = ( "mod_auth", "mod_authn_file" )
server.bind = "127.0.0.1"
server.port = ${port}
$SERVER["socket"] == "${socketIn(dir)}" { }
server.document-root = "${dir}"
server.errorlog = "${file('lighttpd.log')}"
server.upload-dirs = ( "${dir}" )
mimetype.assign = ( ".html" => "text/html; charset=utf-8", ".js" => "text/javascript",
  ".mjs" => "text/javascript", ".json" => "application/json" )
include "rowtail.conf"
alias.url += ( ${Object.entries(FOLDERS).map(([url, to]) => `"${url}" => "${to}"`).join(', ')} )
${tls ? lighttpdTls(dir) : ''}
${login ? lighttpdLogin(file('users')) : ''}
`);
  return { command: ['lighttpd', '-D', '-f', file('lighttpd.conf')] };
}

function lighttpdTls(dir) {
  return `
server.modules += ( "mod_openssl" )
ssl.engine = "enable"
ssl.pemfile = "${dir}/certificate.pem"
ssl.privkey = "${dir}/key.pem"
`;
}

function lighttpdLogin(users) {
  return `
auth.backend = "plain"
auth.backend.plain.userfile = "${users}"
auth.require = ( ${['/events', '/rowtail-down.shtml'].map((url) => `"${url}" => (
  "method" => "basic", "realm" => "rowtail", "require" => "valid-user" )`).join(', ')} )
`;
}

function nginx({ dir, port, socket, tls, login, more = '' }) {
  const file = (name) => path.join(dir, name);
  writeFileSync(file('rowtail.conf'), deployed('nginx/fastcgi.conf', [
    ['/run/rowtail/rowtail.sock', socket],
    [DOWN_RETRY.documented, DOWN_RETRY.here],
  ]));
  writeFileSync(file('users'), `${USER}:{PLAIN}${PASSWORD}\n`);
  const folders = Object.entries(FOLDERS).map(([url, to]) => `location ${url} { alias ${to}; }`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${file(kind)};`);
  writeFileSync(file('nginx.conf'), `
${process.getuid() === 0 ? 'user root;' : ''}
worker_processes 1;
pid ${file('nginx.pid')};
error_log ${file('nginx.log')};
events { worker_connections 1024; }
http {
  access_log off;
  ${temporary.join(' ')}
  types { text/html html; text/javascript js mjs; application/json json; }
  server {
    listen 127.0.0.1:${port} ${tls ? 'ssl http2' : ''};
    listen unix:${socketIn(dir)};
    ${tls ? `ssl_certificate ${file('certificate.pem')}; ssl_certificate_key ${file('key.pem')};` : ''}
    location = /stop { return 204; }
    ${folders.join('\n    ')}
    include ${file('rowtail.conf')};
    ${login ? nginxLogin(file('users')) : ''}
    ${more}
  }
}
`);
  return { command: ['nginx', '-e', file('nginx.log'), '-g', 'daemon off;', '-c', file('nginx.conf')] };
}

// After rowtail's own lines, which say that nobody is logged in.
function nginxLogin(users) {
  return `auth_basic rowtail; auth_basic_user_file ${users}; set $rowtail_user $remote_user;`;
}

// Apache with mod_proxy_fcgi.
function apache(how) {
  return apacheWith({ ...how, module: 'proxy_fcgi' }, deployed('apache/proxy-fcgi.conf', [
    ['/run/rowtail/rowtail.sock', how.socket],
    ['/usr/local/share/rowtail', how.dir],
  ]));
}

// Apache with mod_fcgid, which starts a rowtail for each stream, here as many as are asked for.
function fcgid(how) {
  const program = path.join(how.dir, 'events.fcgi');
  writeFileSync(program, `#!/bin/sh\nexec ${how.program.map((word) => `'${word}'`).join(' ')}\n`, { mode: 0o755 });
  return apacheWith({ ...how, module: 'fcgid' }, `${deployed('apache/fcgid.conf', [
    ['/usr/local/lib/rowtail/events.fcgi', program],
    ['/usr/local/share/rowtail', how.dir],
  ])}
FcgidSpawnScoreUpLimit 100000
FcgidIPCDir "${how.dir}/fcgid"
FcgidProcessTableFile "${how.dir}/fcgid.shm"
`);
}

const APACHE_MODULES = ['mpm_event', 'authz_core', 'authz_host', 'alias', 'mime', 'env', 'headers',
  'asis', 'dir', 'filter', 'setenvif'];

function apacheWith({ dir, port, module }, configuration) {
  const file = (name) => path.join(dir, name);
  const modules = [...APACHE_MODULES, ...(module === 'fcgid' ? ['fcgid'] : ['proxy', 'proxy_fcgi'])];
  chmodSync(dir, 0o755); // Apache is never root
  writeFileSync(file('rowtail-down.asis'),
    deployed('rowtail-down.asis', [[DOWN_RETRY.documented, DOWN_RETRY.here]]));
  writeFileSync(file('apache.conf'), `
ServerName localhost
Listen 127.0.0.1:${port}
PidFile "${file('apache.pid')}"
ErrorLog "${file('apache.log')}"
DefaultRuntimeDir "${dir}"
DocumentRoot "${dir}"
${modules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join('\n')}
TypesConfig /dev/null
ServerLimit 4
ThreadLimit 100
ThreadsPerChild 100
MaxRequestWorkers 400
${process.getuid() === 0 ? 'User www-data\nGroup www-data' : ''}
${configuration}
`);
  return { command: ['apache2', '-DFOREGROUND', '-d', dir, '-f', file('apache.conf')] };
}
