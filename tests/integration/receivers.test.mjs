// SPDX-License-Identifier: GPL-2.0-or-later
// Receivers that behave badly beside one that does not; addresses that must not be dialled; certificates; rates; who gets what.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, assertNoGaps } from '../lib/test.mjs';
import { start } from '../lib/harness.mjs';
import { Load, RULES, quantile } from '../lib/load.mjs';
import { poll, run } from '../lib/proc.mjs';
import { CALL, say, seconds } from '../lib/outage.mjs';
import { BadReceivers } from '../peers/bad_receiver.mjs';

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const row = (id, url, more = {}) => {
  const all = { id, url, secret: SECRET, allow_addresses: '127.0.0.0/8', ...more };
  return `INSERT INTO callhook_endpoint (${Object.keys(all).join(', ')}) VALUES (${Object.values(all).map((v) => (typeof v === 'number' ? v : `'${v}'`)).join(', ')});`;
};
const endpoints = async (sb) => new Map((await sb.rpc('callhook.endpoints')).map((e) => [e.id, e]));
const param = (name, v) => `modparam("callhook", "${name}", ${typeof v === 'number' ? v : `"${v}"`})\n`;

/** One answered call. @return its Call-ID */
async function call(sb, n = 1) {
  const load = await Load.start(sb, { rate: 20, hold: 50, name: `calls-${++call.n}`, args: ['-m', String(n)] });
  const r = await load.caller.done;
  assert.equal(r.failed, 0, r.errors);
  return [...load.ended()];
}
call.n = 0;

/** What each kind of bad receiver leads to: the error that is shown, and whether it is paused; nothing: it took the events. */
const SHOWN = {
  down: /connect|refused/i, loris: /timed out/, silent: /timed out/, resets: /reset/i, redirects: /^HTTP 307$/, gone: /^HTTP 410$/, busy: /^HTTP 429$/,
  garbage: /HTTP\/0\.9/, continues: /65536 bytes of headers/, big_header: /65536 bytes of headers/, long_header: /65536 bytes of headers/, bad_chunk: /^HTTP 503$/,
};
const TAKES = ['gigabyte', 'bomb', 'bad_chunk_200', 'body_with_204'];

/** What one receiver took: each call's events in order; what came again came under its id. @return Map call → sequences */
function inOrder(name, accepted, ids) {
  const calls = new Map();
  for (const { id, call: c, sequence } of accepted) {
    assert.equal(id, ids.get(`${c} ${sequence}`), `${name}: the id of ${c} ${sequence}`);
    const list = calls.get(c) ?? [];
    if (list.includes(sequence)) continue;
    assert.ok(list.length === 0 || sequence === list.at(-1) + 1, `${name}: ${c} ${sequence} came after ${list}`);
    list.push(sequence);
    calls.set(c, list);
  }
  return calls;
}

const latency = (e) => e.received.at - Date.parse(e.timestamp);
const median = (list) => quantile([...list].sort((a, b) => a - b), 0.5);

test('bad_receivers_slow_down_nobody_and_get_everything_once_they_work', async () => {
  const name = 'bad_receivers';
  const sb = await start({
    name: 'bad-receivers', rules: RULES, shm: 128,
    modparams: param('probe_max', 2) + param('timeout_ms', 1500) + param('connect_timeout_ms', 1000) + param('retry_schedule', '0,1,2,4,4,4,4,4,4,4'),
  });
  let bad;
  try {
    bad = await BadReceivers.start({ dir: sb.dir, ports: sb.ports, elsewhere: sb.receiver.url.replace('/hook', '/redirected') });
    const load = await Load.start(sb, { rate: 50, hold: 300 });
    await sb.receiver.until((e) => e.length > 0, { what: 'a first event' });
    const alone = Date.now();
    await sleep(5000);
    for (const n of bad.names) await sb.sql(row(n, bad.url(n)));
    assert.equal((await sb.rpc('callhook.reload')).added, bad.names.length);
    const from = Date.now();
    await sleep(seconds(8) * 1000);
    const to = Date.now();
    const during = await endpoints(sb);
    const seen = await bad.seen();

    await bad.mend();
    await sb.rpc('callhook.enable', 'gone');
    await sleep(1000);
    const counted = await load.stop();
    assert.equal(counted.failed, 0, `SIPp counts ${counted.failed} failed calls: ${counted.errors.slice(0, 1000)}`);
    const ids = load.ended();
    await sb.receiver.until((e) => e.length >= ids.size * CALL.length, { ms: 20000 + seconds(8) * 500, what: 'all events of all calls' });

    const calls = assertNoGaps(sb.receiver.events());
    assert.deepEqual(new Set([...calls.values()].map((l) => l[0].data.sip_call_id)), ids, 'the good receiver has the calls that SIPp made');
    for (const list of calls.values()) assert.deepEqual(list.map((e) => e.type), CALL);
    assert.ok(sb.receiver.requests.every((r) => r.path === '/hook'), 'nobody was sent to the good receiver by another one');
    const of = (a, b) => sb.receiver.events().filter((e) => Date.parse(e.timestamp) >= a && Date.parse(e.timestamp) < b).map(latency);
    const [before, beside] = [of(alone, from - 500), of(from, to)];
    const [was, is] = [median(before), median(beside)];
    say(name, `SIPp: ${counted.successful} calls, 0 failed; event to the good receiver, median of ${before.length} alone ${was} ms, of ${beside.length} beside ${bad.names.length} bad ones ${is} ms`);
    assert.ok(is <= was * 1.1 + 4, `the good receiver's events take ${is} ms, alone ${was} ms`);

    for (const [n, shown] of Object.entries(SHOWN)) {
      const e = during.get(n);
      assert.match(e.last_error, shown, `${n}: ${e.last_error}`);
      assert.equal(e.state, n === 'gone' ? 'disabled' : 'paused', n);
      assert.equal(seen[n].accepted.length, 0, n);
      assert.ok(seen[n].tries < 64 + 2 * seconds(8), `${n} was probed, not hammered: ${seen[n].tries} requests`);
    }
    assert.ok(seen.busy.tries < 16 + seconds(8), `Retry-After: ${seen.busy.tries} requests`);
    for (const n of TAKES) assert.ok(seen[n].accepted.length > 100, `${n} took ${seen[n].accepted.length}, ${during.get(n).last_error}`);

    const eventIds = new Map(sb.receiver.events().map((e) => [`${e.data.sip_call_id} ${e.data.sequence}`, e.id]));
    const whole = [...calls.values()].filter((l) => Date.parse(l[0].timestamp) > from).map((l) => l[0].data.sip_call_id);
    assert.ok(whole.length > 200, `${whole.length} calls began beside the bad ones`);
    let now;
    const missing = () => bad.names.flatMap((n) => {
      const had = new Map();
      for (const a of now[n].accepted) had.set(a.call, (had.get(a.call) ?? new Set()).add(a.sequence));
      return whole.filter((c) => had.get(c)?.size !== CALL.length).map((c) => `${n} ${c}`);
    });
    await poll(async () => { now = await bad.seen(); return missing().length === 0; }, 30000 + seconds(8) * 2000, () => `not everything arrived: ${missing().length} calls, ${missing().slice(0, 5)}`, 500);
    for (const n of bad.names) inOrder(n, now[n].accepted, eventIds);
    const again = bad.names.map((n) => now[n].accepted.length - new Set(now[n].accepted.map((a) => a.id)).size);
    say(name, `mended, each of the ${bad.names.length} has all ${whole.length * CALL.length} events of ${whole.length} calls, in order; came again under the same id: ${again.reduce((a, b) => a + b)}`);
    for (const e of (await endpoints(sb)).values()) assert.equal(e.given_up, 0, `${e.id}: given up`);
  } finally {
    await bad?.stop();
    await sb.stop();
  }
}, { seconds: 120 + seconds(8) * 4, alone: true });

test('inner_addresses_are_not_dialled_however_they_are_spelled_until_they_are_allowed', async () => {
  const hosts = { plain: '127.0.0.1', hex: '0x7f.1', number: '2130706433', octal: '0177.0.0.1', short: '127.1', mapped: '[::ffff:127.0.0.1]', name: 'localhost', any: '0.0.0.0', own: os.hostname() };
  const sb = await start({ name: 'guard', rules: RULES, endpoint: () => '', modparams: param('probe_max', 1) });
  try {
    for (const [id, host] of Object.entries(hosts)) await sb.sql(row(id, `http://${host}:${sb.receiver.port}/${id}`, { allow_addresses: '10.0.0.0/8' }));
    await sb.rpc('callhook.reload');
    const [id] = await call(sb);
    const refused = await poll(async () => { const e = await endpoints(sb); return [...e.values()].every((x) => x.state === 'paused') && e; }, 10000, 'not all are paused', 50);
    for (const e of refused.values()) assert.match(e.last_error, /^not dialled: [0-9a-f.:]+ is .*(loopback|this network|private).*; allow it with allow_addresses$/, e.id);
    assert.equal(sb.receiver.requests.length, 0, 'nothing was sent');
    assert.match(sb.log(), /endpoint hex is away: not dialled: 127\.0\.0\.1 is loopback \(RFC 1122\); allow it with allow_addresses/);
    await sb.sql("UPDATE callhook_endpoint SET allow_addresses = '127.0.0.0/8,0.0.0.0'");
    await sb.rpc('callhook.reload');
    const wanted = Object.keys(hosts).filter((h) => h !== 'own');
    const took = () => new Set(sb.receiver.requests.filter((r) => r.event.data.sip_call_id === id && r.event.type === 'call.cdr').map((r) => r.path.slice(1)));
    await poll(() => wanted.every((h) => took().has(h)), 15000, () => `only ${[...took()]} got the call's events once allowed`, 50);
  } finally {
    await sb.stop();
  }
}, { seconds: 60 });

async function openssl(dir, ...args) {
  const r = await run('openssl', args, { cwd: dir });
  assert.equal(r.code, 0, `openssl ${args.join(' ')}: ${r.out}`);
}

/** Two authorities, and certificates: {name: {key, cert}} with file names in dir. */
async function authorities(dir) {
  fs.mkdirSync(dir, { mode: 0o700 });
  const at = (f) => path.join(dir, f);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  for (const ca of ['ca', 'other'])
    await openssl(dir, 'req', '-x509', ...key, '-keyout', `${ca}.key`, '-out', `${ca}.pem`, '-days', '30', '-subj', `/CN=${ca}`);
  fs.writeFileSync(at('ca.cnf'), `[ca]\ndefault_ca=it\n[it]\nnew_certs_dir=${dir}\ndatabase=${at('index')}\nserial=${at('serial')}\ncertificate=${at('ca.pem')}\n`
    + `private_key=${at('ca.key')}\ndefault_md=sha256\npolicy=any\nunique_subject=no\n[any]\ncommonName=supplied\n`);
  fs.writeFileSync(at('index'), '');
  fs.writeFileSync(at('serial'), '1000\n');
  const made = {};
  const make = async (name, alternative, usage, from, to) => {
    fs.writeFileSync(at(`${name}.ext`), `subjectAltName=${alternative}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=${usage}\n`);
    await openssl(dir, 'req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    await openssl(dir, 'ca', '-batch', '-config', 'ca.cnf', '-in', `${name}.csr`, '-out', `${name}.pem`, '-notext', '-startdate', from, '-enddate', to, '-extfile', `${name}.ext`);
    made[name] = { key: at(`${name}.key`), cert: at(`${name}.pem`) };
  };
  const ours = 'DNS:localhost,IP:127.0.0.1';
  await make('good', ours, 'serverAuth', '20240101000000Z', '20491231000000Z');
  await make('expired', ours, 'serverAuth', '20240101000000Z', '20240201000000Z');
  await make('early', ours, 'serverAuth', '20480101000000Z', '20491231000000Z');
  await make('elsewhere', 'DNS:elsewhere.example', 'serverAuth', '20240101000000Z', '20491231000000Z');
  await make('client', 'DNS:proxy.example', 'clientAuth', '20240101000000Z', '20491231000000Z');
  await openssl(dir, 'req', '-x509', ...key, '-keyout', 'self.key', '-out', 'self.pem', '-days', '30', '-subj', '/CN=localhost', '-addext', `subjectAltName=${ours}`);
  made.self = { key: at('self.key'), cert: at('self.pem') };
  for (const f of fs.readdirSync(dir).filter((n) => n.endsWith('.key'))) fs.chmodSync(at(f), 0o600);
  return { ...made, ca: at('ca.pem'), other: at('other.pem') };
}

/** An HTTPS receiver that answers 200. @return {port, took: Set of Call-IDs whose call.cdr came, clients: common names of client certificates} */
async function tlsReceiver(c, o = {}) {
  const r = { took: new Set(), clients: new Set() };
  r.server = https.createServer({ key: fs.readFileSync(c.key), cert: fs.readFileSync(c.cert), ...o }, (req, res) => {
    let body = '';
    r.clients.add(req.socket.getPeerCertificate()?.subject?.CN);
    req.setEncoding('utf8').on('data', (d) => { body += d; }).on('end', () => {
      const { type, data } = JSON.parse(body);
      if (type === 'call.cdr') r.took.add(data.sip_call_id);
      res.writeHead(200).end();
    });
  });
  await new Promise((resolve) => { r.server.listen(0, '127.0.0.1', resolve); });
  r.port = r.server.address().port;
  return r;
}

test('tls_receivers_are_verified_and_a_refusal_says_why', async () => {
  const sb = await start({ name: 'tls-receivers', rules: RULES, endpoint: () => '', modparams: param('probe_max', 1) });
  const servers = [];
  try {
    const c = await authorities(path.join(sb.dir, 'tls'));
    const url = async (cert, o, host = 'localhost') => {
      const s = await tlsReceiver(cert, o);
      servers.push(s);
      return [s, `https://${host}:${s.port}/`];
    };
    const asks = { requestCert: true, rejectUnauthorized: true, ca: fs.readFileSync(c.ca) };
    const own = { ca_file: c.ca };
    const mine = { ...own, cert_file: c.client.cert, key_file: c.client.key };
    const cases = [
      ['good', await url(c.good), own], ['by_address', await url(c.good, {}, '127.0.0.1'), own], ['client', await url(c.good, asks), mine],
      ['expired', await url(c.expired), own, /has expired/], ['early', await url(c.early), own, /not yet valid/],
      ['wrong_host', await url(c.elsewhere), own, /does not match|no alternative certificate subject name matches/],
      ['self_signed', await url(c.self), own, /self.signed|not signed by an authority/], ['other_ca', await url(c.good), { ca_file: c.other }, /not signed by an authority/],
      ['system_cas', await url(c.good), {}, /not signed by an authority/], ['no_client', await url(c.good, asks), own, /client certificate|certificate (is )?required/i],
      ['wrong_client', await url(c.good, asks), { ...own, cert_file: c.self.cert, key_file: c.self.key }, /certificate/i],
      ['old_tls', await url(c.good, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }), own, /TLS|version|handshake/i],
      ['plain', [null, `https://localhost:${sb.receiver.port}/`], own, /TLS|SSL|packet/i],
    ];
    for (const [id, [, u], more] of cases) await sb.sql(row(id, u, more));
    assert.equal((await sb.rpc('callhook.reload')).added, cases.length);
    const [id] = await call(sb);
    const good = cases.filter(([, , , why]) => !why), bad = cases.filter(([, , , why]) => why);
    await poll(() => good.every(([, [s]]) => s.took.has(id)), 10000, () => `not all good ones have it: ${good.filter(([, [s]]) => !s.took.has(id)).map(([n]) => n)}`, 50);
    const seen = await poll(async () => { const e = await endpoints(sb); return bad.every(([n]) => e.get(n).state === 'paused') && e; }, 10000, 'not all bad ones are paused', 50);
    for (const [n, [s], , why] of bad) {
      assert.match(seen.get(n).last_error, why, `${n}: ${seen.get(n).last_error}`);
      assert.ok(!s?.took.size, `${n} got the event`);
    }
    if (process.env.V === '1') for (const [n] of bad) console.log(`  ${n}: ${seen.get(n).last_error}`);
    const client = cases.find(([n]) => n === 'client')[1][0];
    assert.deepEqual([...client.clients], ['client']);
  } finally {
    for (const s of servers) { s.server.closeAllConnections(); s.server.close(); }
    await sb.stop();
  }
}, { seconds: 60 });

test('an_endpoints_rate_limit_is_held_to_within_a_tenth', async () => {
  const RATE = 40;
  const at = [];
  const server = http.createServer((req, res) => { at.push(performance.now()); req.resume().on('end', () => res.end()); });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const sb = await start({ name: 'rate', rules: RULES, endpoint: (r) => row('slow', `http://127.0.0.1:${server.address().port}/`, { rate_limit: RATE }) + row('crm', r.url, { secret: r.secret }) });
  try {
    const ids = await call(sb, 60);
    await sb.receiver.until((e) => e.length >= ids.length * CALL.length, { what: 'all events at the endpoint without a limit' });
    const all = sb.receiver.events().at(-1).received.at - sb.receiver.events()[0].received.at;
    await poll(() => at.length >= ids.length * CALL.length, 20000, () => `${at.length} events came`, 20);
    const rates = [];
    for (let i = 0; i + 2 * RATE < at.length; i += RATE / 4) rates.push((2 * RATE) / ((at[i + 2 * RATE] - at[i]) / 1000));
    say('rate_limit', `${RATE} requests a second asked for; over every 2 s ${Math.min(...rates).toFixed(1)} to ${Math.max(...rates).toFixed(1)}; the endpoint without a limit had all after ${(all / 1000).toFixed(1)} s`);
    assert.ok(rates.length > 4 && Math.max(...rates) <= RATE * 1.1, `fastest ${Math.max(...rates)}`);
    const busy = rates.slice(1, -1);
    assert.ok(busy.every((r) => r >= RATE * 0.9), `slowest ${Math.min(...busy)}`);
  } finally {
    server.closeAllConnections();
    server.close();
    await sb.stop();
  }
}, { seconds: 60 });

test('an_endpoint_gets_the_calls_of_its_trunks_and_dids_only', async () => {
  const rules = `route[RULES] {
	if ($rU =~ "^trunk-") { callstate_set("trunk", "$(rU{s.select,1,-})"); }
	if ($rU =~ "^did-") { callstate_set("did", "+$(rU{s.select,1,-})"); }
	$ru = "sip:x@127.0.0.3:" + $(rU{s.select,2,-});
	route(RELAY);
}
`;
  const wants = { every: {}, a: { trunks: 'carrier_a' }, carriers: { trunks: 'nobody,carrier_*' }, london: { dids: '+4420*' }, both: { trunks: 'carrier_*', dids: '+4420*' }, cdrs: { trunks: 'carrier_*', events: 'call.cdr' } };
  const sb = await start({ name: 'filters', rules, endpoint: (r) => Object.entries(wants).map(([id, w]) => row(id, r.url.replace('/hook', `/${id}`), { secret: r.secret, ...w })).join('\n') });
  try {
    const scenario = (n) => new URL(`./sipp/${n}.xml`, import.meta.url).pathname;
    const uas = await sb.sippStart({ scenario: scenario('callee'), role: 'uas', calls: 4 });
    const ids = {};
    for (const user of ['trunk-carrier_a', 'trunk-carrier_b', 'did-442071234567', 'plain-x']) {
      const before = new Set(sb.receiver.requests.map((r) => r.event.data.sip_call_id));
      const r = await sb.sipp({ scenario: scenario('caller'), service: `${user}-${uas.port}`, args: ['-d', '50'] });
      assert.ok(r.ok, r.errors);
      await poll(() => sb.receiver.requests.some((x) => x.path === '/every' && x.event.type === 'call.cdr' && !before.has(x.event.data.sip_call_id)), 10000, `the CDR of ${user}`);
      ids[sb.receiver.requests.at(-1).event.data.sip_call_id] = user;
    }
    const settled = async () => [...(await endpoints(sb)).values()].every((e) => e.waiting + e.in_flight === 0 && e.lag_s === 0);
    await poll(settled, 10000, 'something waits', 50);
    const got = (id) => sb.receiver.requests.filter((r) => r.path === `/${id}`).map((r) => `${ids[r.event.data.sip_call_id]} ${r.event.data.sequence}`);
    // call.initiated is written before the rules know trunk and DID
    const whole = (first, ...users) => users.flatMap((u) => CALL.map((_, i) => `${u} ${i + 1}`).slice(first - 1));
    assert.deepEqual(got('every'), whole(1, ...Object.values(ids)));
    assert.deepEqual(got('a'), whole(2, 'trunk-carrier_a'));
    assert.deepEqual(got('carriers'), whole(2, 'trunk-carrier_a', 'trunk-carrier_b'));
    assert.deepEqual(got('london'), whole(2, 'did-442071234567'));
    assert.deepEqual(got('both'), []);
    assert.deepEqual(got('cdrs'), ['trunk-carrier_a 5', 'trunk-carrier_b 5']);
  } finally {
    await sb.stop();
  }
}, { seconds: 60 });
