// SPDX-License-Identifier: GPL-2.0-or-later
// Signalbox beside tls: calls between two phones over TLS, and a webhook receiver over https while tls.so has taken OpenSSL's
// allocations of all processes into Kamailio's shared memory.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { beside, config, edit, signalbox } from '../lib/own_config.mjs';
import { Mariadb } from '../lib/mariadb.mjs';
import { poll } from '../lib/proc.mjs';
import { assertEvents, assertNoGaps, assertSound, test } from '../lib/test.mjs';
import { certificates } from '../lib/tls.mjs';
import { Receiver } from '../peers/receiver.mjs';
import { Ua } from '../peers/ua.mjs';

const CALL = ['call.initiated', 'call.ringing', 'call.answered', 'call.ended', 'call.cdr'];

/** Over https, with a certificate of a CA of its own. */
class Https extends Receiver {
  static async start(o) {
    const r = new Https();
    r.certificates = await certificates(path.join(o.dir, 'tls'), ['127.0.0.1', '127.0.0.2', '127.0.0.3']);
    r.ca = r.certificates.ca;
    const plain = await Receiver.start({ port: o.port });
    await plain.close();
    for (const [k, v] of Object.entries(plain)) r[k] ??= v;
    r.setMaxListeners(0);
    r.connections = 0;
    await r.open();
    return r;
  }

  get url() { return `https://${this.host}:${this.port}/hook`; }

  open() {
    if (this.server) return Promise.resolve();
    const { cert, key } = this.certificates;
    this.server = https.createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) }, (req, res) => this.serve(req, res));
    this.server.on('secureConnection', () => { this.connections++; });
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(this.port, this.host, resolve);
    });
  }
}

const MARKER = '####### Routing Logic ########\n';
const PHONES = {
  edits: [['\troute(LOCATION);\n', '\troute(PHONES);\n\troute(LOCATION);\n']],
  routes: `
route[PHONES] {
	if (!is_method("INVITE") || !($rU =~ "^tls-")) return;
	callstate_set("direction", "internal");
	$ru = "sip:callee@127.0.0.3:" + $(rU{s.select,1,-}) + ";transport=tls";
	route(RELAY);
}
`,
};

/** Debian's file WITH_TLS; two phones that speak TLS. @param o.before as in own(); o.params(x) further lines */
async function run(name, o, during) {
  const text = await config(PHONES);
  const own = {
    name, expected: o.expected, defines: ['WITH_TLS'], tcp: true, receiver: Https, listen: (x) => [`tls:127.0.0.1:${x.tlsPort}`],
    before: async (x) => {
      x.tlsPort = await x.ports.next();
      const { ca, cert, key } = x.receiver.certificates;
      fs.writeFileSync(path.join(x.dir, 'tls.cfg'), `[server:default]\nmethod = TLSv1.2+\nverify_certificate = no\nrequire_certificate = no\nprivate_key = ${key}\ncertificate = ${cert}\n
[client:default]\nmethod = TLSv1.2+\nverify_certificate = yes\nrequire_certificate = yes\nca_list = ${ca}\n`);
      await o.before?.(x);
    },
  };
  await beside((x) => edit(text, MARKER, `modparam("tls", "config", "${x.dir}/tls.cfg")\n${o.params?.(x) ?? ''}${MARKER}`), own, async (x) => {
    const peers = await Promise.all(['127.0.0.2', '127.0.0.3'].map((ip) => Ua.open({ ip, proxy: x.tlsPort, name: ip, tls: x.receiver.certificates })));
    try {
      await during(x, ...peers);
    } finally {
      for (const u of peers) u.close();
    }
  });
}

/** One call; each side ends every other one, and the proxy every fifth. @return its Call-ID */
async function call(x, caller, callee, n = 0) {
  const c = caller.call(`tls-${callee.port}`).invite();
  const leg = await callee.leg(c.id);
  leg.answer(180);
  await c.reply(180);
  leg.answer(200);
  await c.reply(200);
  c.ack();
  await leg.request('ACK');
  if (n % 5 === 4) {
    await x.rpc('callstate.end', c.id);
    for (const side of [c, leg]) side.respond(await side.request('BYE'), 200);
  } else if (n % 2 === 0) {
    c.bye();
    leg.answer(200, await leg.request('BYE'));
    await c.reply(200, 'BYE');
  } else {
    leg.bye();
    c.respond(await c.request('BYE'), 200);
  }
  return c.id;
}

const cdrs = (x, n) => x.receiver.until((e) => e.filter((v) => v.type === 'call.cdr').length === n, { what: `${n} CDRs over https`, ms: 30000 });

test('own_config_beside_tls_calls_over_tls_and_webhooks_over_https', async () => run('tls', {}, async (x, caller, callee) => {
  const ids = [];
  for (let n = 0; n < 10; n++) ids.push(await call(x, caller, callee, n));
  await cdrs(x, ids.length);
  for (const [n, id] of ids.entries()) {
    const events = assertEvents(x.receiver, id, CALL);
    assert.match(events[0].data.source, /^tls:127\.0\.0\.2:/);
    assert.match(events[4].data.attempts[0].destination, new RegExp(`^tls:127\\.0\\.0\\.3:${callee.port}$`));
    assert.equal(events[3].data.hangup.by, n % 5 === 4 ? 'proxy' : n % 2 === 0 ? 'caller' : 'callee');
  }
  assertSound(x.receiver.events());
  assert.ok(x.receiver.connections >= 1);
}));

/** The workers below callhook's keepers. */
const workers = () => fs.readdirSync('/proc').filter((n) => /^\d+$/.test(n)).filter((n) => { try { return fs.readFileSync(`/proc/${n}/comm`, 'utf8').startsWith('hook '); } catch { return false; } }).map(Number);

function below(pid) {
  const parent = (p) => { try { return Number(/^PPid:\t(\d+)/m.exec(fs.readFileSync(`/proc/${p}/status`, 'utf8'))[1]); } catch { return 0; } };
  return workers().filter((w) => { for (let p = w; p > 1; p = parent(p)) if (p === pid) return true; return false; });
}

test('own_config_beside_tls_and_a_call_log_over_tls_in_mariadb_no_connection_is_hurt', async () => {
  const o = {
    before: async (x) => {
      x.log_db = await Mariadb.start({ dir: x.dir, ports: x.ports, tls: true });
      await signalbox('db', 'migrate', '--db', x.log_db.tlsUrl);
    },
    expected: /killed by signal 9/,
    params: (x) => `modparam("callhook", "call_log", "${x.log_db.tlsUrl}")\n`,
  };
  const made = [];
  try {
    await run('tls-kill', { ...o, before: async (x) => { await o.before(x); made.push(x.log_db); } }, async (x, caller, callee) => {
      const calls = 40;
      let killed = 0;
      for (let n = 0; n < calls; n++) {
        if (n % 4 === 0) {
          for (const pid of below(x.kamailio.pid)) { process.kill(pid, 'SIGKILL'); killed++; }
        }
        await call(x, caller, callee, n);
      }
      assert.ok(killed >= 10, `${killed} processes were killed`);
      await cdrs(x, calls);
      for (const [, events] of assertNoGaps(x.receiver.events())) assert.deepEqual(events.map((e) => e.type), CALL);
      const count = "SELECT COUNT(*), COUNT(ended_at) FROM callstate_call";
      await poll(async () => (await x.log_db.query(count)).trim() === `${calls}\t${calls}`, 20000, () => 'the call log has not every call', 200);
    });
  } finally {
    for (const m of made) await m.stop();
  }
}, { seconds: 120 });
