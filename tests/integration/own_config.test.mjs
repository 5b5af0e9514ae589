// SPDX-License-Identifier: GPL-2.0-or-later
// What docs/add-to-my-kamailio.md and README.md tell the reader to do, done: their lines as they stand there go into Debian's
// untouched kamailio.cfg; it starts, a phone registers, calls are placed, their events arrive. The receiver of README.md is
// started, and gets webhooks with good and bad signatures. Beside which modules it is tried: own_config_*.test.mjs.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { PAGES, START, added, beside, cancelled, carrier, config, edit, hunks, kamailioModules, prepared, read, scenarios, signalbox } from '../lib/own_config.mjs';
import { Mariadb } from '../lib/mariadb.mjs';
import { BUILD, ROOT, need } from '../lib/paths.mjs';
import { Ports } from '../lib/ports.mjs';
import { Proc, poll, run } from '../lib/proc.mjs';
import { Sipp } from '../lib/sipp.mjs';
import { Skip, assertEvents, assertNoGaps, assertSound, test } from '../lib/test.mjs';
import { Ua } from '../peers/ua.mjs';

const CALL = ['call.initiated', 'call.ringing', 'call.answered', 'call.ended', 'call.cdr'];
const FAILED = ['call.initiated', 'call.failed', 'call.cdr'];

/** One call, answered, ended by the caller. @param during while it is up */
async function call(x, caller, callee, during = async () => {}) {
  const c = caller.call('bob').invite();
  const leg = await callee.leg(c.id);
  leg.answer(180);
  await c.reply(180);
  leg.answer(200);
  await c.reply(200);
  c.ack();
  await leg.request('ACK');
  await during(c);
  c.bye();
  leg.answer(200, await leg.request('BYE'));
  await c.reply(200, 'BYE');
  await x.receiver.until((e) => e.some((v) => v.type === 'call.cdr'), { call: c.id, what: 'call.cdr' });
  return c.id;
}

/** What the script answers without a transaction is seen as well: this is what callstate_start() in the script is for. */
async function refusedByTheScript(x, caller) {
  const c = Object.assign(caller.call('nobody'), { uri: `sip:${x.proxy}` }).invite();
  c.nack(await c.reply(484));
  await x.receiver.until((e) => e.some((v) => v.type === 'call.cdr'), { call: c.id, what: 'call.cdr of the call without a number' });
  const [, failed] = assertEvents(x.receiver, c.id, FAILED);
  assert.equal(failed.data.hangup.sip_code, 484);
}

/** A phone that registered is called: its call is told, and so is one that the script refuses. */
async function phones(x, during) {
  const [caller, callee] = await Promise.all(['127.0.0.2', '127.0.0.3'].map((ip) => Ua.open({ ip, proxy: x.port, name: ip })));
  try {
    await x.register('bob', `sip:callee@${callee.ip}:${callee.port}`);
    const id = await call(x, caller, callee, (c) => during?.(c));
    const events = assertEvents(x.receiver, id, CALL);
    assert.equal(events[0].data.request_uri, `sip:bob@${x.proxy}`);
    await refusedByTheScript(x, caller);
    await cancelled(x, caller, callee, 'bob');
    const why = await x.signalbox('why', id);
    assert.match(why.stdout, /^cause: normal: answered by 127\.0\.0\.3:\d+, caller hung up/m, why.out);
  } finally {
    caller.close();
    callee.close();
  }
}

/** SIPp calls a registered SIPp: what both counted, what the receiver got. */
async function sippCalls(x, calls) {
  const at = (who) => path.join(ROOT, 'tests', 'integration', 'sipp', `${who}.xml`);
  const uas = await Sipp.start({ dir: x.dir, scenario: at('callee'), ip: '127.0.0.3', port: await x.ports.next(), calls });
  await x.register('sipp', `sip:callee@127.0.0.3:${uas.port}`);
  const uac = await Sipp.start({ dir: x.dir, scenario: at('caller'), port: await x.ports.next(), remote: x.proxy, service: 'sipp', calls, rate: 20, args: ['-d', '200', '-cid_str', 'sipp-%u-%p'] });
  for (const r of await Promise.all([uac.done, uas.done])) assert.deepEqual([r.ok, r.successful], [true, calls], r.errors);
  const mine = (e) => e.filter((v) => v.data.sip_call_id?.startsWith('sipp-'));
  await x.receiver.until((e) => mine(e).filter((v) => v.type === 'call.cdr').length === calls, { what: `${calls} CDRs` });
  const told = assertNoGaps(mine(x.receiver.events()));
  assert.equal(told.size, calls);
  for (const [, events] of told) assert.deepEqual(events.map((e) => e.type), CALL);
  assertSound(mine(x.receiver.events()));
}

test('own_config_the_pages_show_the_same_lines', () => assert.deepEqual(hunks(PAGES[0]), hunks(PAGES[1])));

test('own_config_three_lines_are_three', () => assert.equal(added(PAGES[1]).length, 3, added(PAGES[1]).join('\n')));

test('own_config_the_statement_of_the_page_makes_an_endpoint', async () => {
  fs.mkdirSync(path.join(BUILD, 'run'), { recursive: true });
  const dir = fs.mkdtempSync(path.join(BUILD, 'run', 'own-page-'));
  const db = path.join(dir, 'signalbox.db');
  await signalbox('db', 'migrate', '--db', `sqlite:///${db}`);
  const statements = [...read(PAGES[1]).matchAll(/"(INSERT INTO callhook_endpoint[^"]*)"/g)].map((m) => m[1]);
  assert.equal(statements.length, 2, 'one for each database');
  assert.equal(statements[0], statements[1]);
  const sql = statements[0].replace(/\$\(openssl rand -base64 32\)/, Buffer.alloc(32, 7).toString('base64'));
  const r = await run('sqlite3', ['-bail', db], { input: sql.replace(/;?$/, ';') });
  assert.equal(r.out, `crm|whsec_${Buffer.alloc(32, 7).toString('base64')}\n`);
  fs.rmSync(dir, { recursive: true });
});

test('own_config_the_lines_of_the_page_work_in_debians_kamailio_cfg', async () => beside(await config(), { name: 'debian' }, async (x) => {
  await phones(x);
  await sippCalls(x, 30);
}));

test('own_config_kamailio_c_takes_the_lines', async () => {
  const x = await prepared(await config(), { name: 'check' });
  try {
    const r = await x.check();
    assert.equal(r.code, 0, r.out);
    assert.match(r.out, /config file ok/);
    fs.writeFileSync(x.file, fs.readFileSync(x.file, 'utf8').replace('callstate_start()', 'callstate_begin()'));
    assert.notEqual((await x.check()).code, 0, 'a name that does not exist');
  } finally {
    await x.stop();
  }
});

test('own_config_what_callers_do_in_a_day', async () => beside(await carrier(), { name: 'day' }, (x) => scenarios(x)));

test('own_config_modules_may_be_loaded_by_their_full_paths', async () => {
  const dir = await kamailioModules();
  const text = (await config()).replace(/^loadmodule "(.*)"$/gm, (line, so) => {
    const ours = path.join(BUILD, 'modules', so);
    return `loadmodule "${fs.existsSync(ours) ? ours : path.join(dir, so)}"`;
  });
  await beside(text, { name: 'paths' }, (x) => phones(x));
});

test('own_config_without_callstate_start_a_call_begins_with_its_transaction', async () => {
  const text = edit(await carrier(), START, '');
  await beside(text, { name: 'auto' }, async (x) => {
    await scenarios(x, ['answered-caller-hangs-up', 'declined', 'held-and-resumed-by-caller', 'parallel-fork']);
    const caller = await Ua.open({ ip: '127.0.0.2', proxy: x.port, name: 'caller' });
    const c = Object.assign(caller.call('nobody'), { uri: `sip:${x.proxy}` }).invite();
    c.nack(await c.reply(484));
    caller.close();
    assert.deepEqual(x.receiver.events(c.id), [], 'what the script answered by itself');
  });
});

test('own_config_with_auto_start_0_only_what_the_script_says_is_followed', async () => {
  const o = { params: 'modparam("callstate", "auto_start", 0)\n', edits: [[START, START.replace('if (is_method("INVITE"))', 'if (is_method("INVITE") && $rU != "carol")')]] };
  await beside(await config(o), { name: 'chosen' }, async (x) => {
    const callee = await Ua.open({ ip: '127.0.0.3', proxy: x.port, name: 'callee' });
    const caller = await Ua.open({ ip: '127.0.0.2', proxy: x.port, name: 'caller' });
    for (const user of ['bob', 'carol']) await x.register(user, `sip:callee@${callee.ip}:${callee.port}`);
    const c = caller.call('carol').invite();
    const leg = await callee.leg(c.id);
    leg.answer(486);
    c.nack(await c.reply(486));
    assertEvents(x.receiver, await call(x, caller, callee), CALL);
    assert.deepEqual(x.receiver.events(c.id), []);
    for (const p of [caller, callee]) p.close();
  });
});

test('own_config_a_script_that_forwards_inside_calls_without_a_transaction', async () => {
  const edits = [['\t\t} else if ( is_method("NOTIFY") ) {\n', '\t\t} else if ( is_method("NOTIFY") ) {\n\t\t\tforward();\n\t\t\texit;\n'],
    ['\t\tif (is_method("BYE")) {\n', '\t\tif (is_method("BYE|INFO")) {\n\t\t\tforward();\n\t\t\texit;\n\t\t}\n\t\tif (is_method("BYE")) {\n']];
  await beside(await carrier({ edits }), { name: 'stateless' }, (x) => scenarios(x, ['answered-caller-hangs-up', 'answered-callee-hangs-up', 'retransmitted-bye', 'hangup-reason-q850']));
});

test('own_config_without_record_route_a_call_ends_at_max_duration', async () => {
  const edits = [['\tif (is_method("INVITE|SUBSCRIBE")) {\n\t\trecord_route();\n', '\tif (is_method("SUBSCRIBE")) {\n\t\trecord_route();\n']];
  const text = await config({ edits, params: 'modparam("callstate", "max_duration", 2)\n' });
  await beside(text, { name: 'no-rr' }, async (x) => {
    const callee = await Ua.open({ ip: '127.0.0.3', proxy: x.port, name: 'callee' });
    const caller = await Ua.open({ ip: '127.0.0.2', proxy: x.port, name: 'caller' });
    await x.register('bob', `sip:callee@${callee.ip}:${callee.port}`);
    const c = caller.call('bob').invite();
    const leg = await callee.leg(c.id);
    leg.answer(200);
    await c.reply(200);
    assert.deepEqual(c.routes, []);
    caller.send(c.make('ACK', { cseq: 1, sdp: false }), callee.port, callee.ip);
    await leg.request('ACK');
    const [toCaller, toCallee] = await Promise.all([caller, callee].map((u) => u.take((m) => m.callId === c.id && m.kind === 'BYE', 'a BYE', 8000)));
    c.respond(toCaller, 481);
    leg.respond(toCallee, 481);
    await x.receiver.until((e) => e.some((v) => v.type === 'call.cdr'), { call: c.id, what: 'call.cdr' });
    const events = assertEvents(x.receiver, c.id, ['call.initiated', 'call.answered', 'call.timeout', 'call.cdr']);
    assert.equal(events[2].data.outcome, 'expired');
    for (const p of [caller, callee]) p.close();
  });
});

/** A script in JavaScript (KEMI) instead of kamailio.cfg's own language. */
const KEMI = `
function ksr_request_route() {
	if (KSR.is_method('REGISTER')) { KSR.sl.sl_send_reply(200, 'OK'); return; }
	if (KSR.is_CANCEL()) { if (KSR.tm.t_check_trans() > 0) KSR.tm.t_relay(); return; }
	if (KSR.siputils.has_totag() > 0) {
		if (KSR.rr.loose_route() > 0 || KSR.tm.t_check_trans() > 0) KSR.tm.t_relay();
		return;
	}
	KSR.rr.record_route();
	KSR.callstate.set('direction', 'inbound');
	KSR.callstate.start();
	KSR.pv.sets('$ru', 'sip:one@127.0.0.3:' + KSR.pv.getw('$rU').split('-')[1]);
	KSR.tm.t_relay();
}
function ksr_reply_route() {}
`;

test('own_config_a_script_in_javascript', async () => {
  const text = (x) => {
    fs.writeFileSync(path.join(x.dir, 'route.js'), KEMI);
    const load = ['tm', 'sl', 'rr', 'pv', 'siputils', 'ctl', 'kex', 'app_jsdt', 'callstate', 'callhook'].map((m) => `loadmodule "${m}.so"\n`).join('');
    return `#!KAMAILIO\nlog_stderror=yes\n${load}modparam("app_jsdt", "load", "${x.dir}/route.js")\ncfgengine "jsdt"\n####### Routing Logic ########\n`;
  };
  if (!fs.existsSync(path.join(await kamailioModules(), 'app_jsdt.so'))) throw new Skip('there is no app_jsdt.so');
  await beside(text, { name: 'kemi' }, (x) => scenarios(x, ['answered-caller-hangs-up', 'answered-callee-hangs-up', 'declined', 'held-and-resumed-by-caller']));
});

const KAMAILIOS_TABLES = ['standard', 'acc', 'usrloc'].map((t) => `/usr/share/kamailio/mysql/${t}-create.sql`);

test('own_config_with_mariadb_in_the_database_that_kamailio_has_already', async () => {
  const columns = ['acc', 'missed_calls'].flatMap((t) => ['src_user', 'src_domain', 'src_ip', 'dst_ouser', 'dst_user', 'dst_domain'].map((c) => `ALTER TABLE ${t} ADD COLUMN ${c} VARCHAR(128) NOT NULL DEFAULT '';`));
  const o = {
    name: 'mariadb', mariadb: true,
    before: async (x) => {
      x.mariadb = await Mariadb.start({ dir: x.dir, ports: x.ports });
      for (const f of KAMAILIOS_TABLES) await x.mariadb.file(f);
      await x.mariadb.query(columns.join('\n'));
      x.o.defines = ['WITH_MYSQL', 'WITH_USRLOCDB', 'WITH_ACCDB', `DBURL="${x.mariadb.url}"`];
    },
  };
  await beside(await carrier(), o, async (x) => {
    await phones(x);
    const results = await scenarios(x);
    const calls = new Set(x.receiver.events().map((e) => e.data.call_id)).size;
    const events = x.receiver.events().length;
    const rows = async () => (await x.mariadb.query('SELECT COUNT(*), COUNT(ended_at), (SELECT COUNT(*) FROM callstate_event) FROM callstate_call')).trim();
    await poll(async () => await rows() === `${calls}\t${calls}\t${events}`, 10000, () => `the call log has not the ${calls} calls and ${events} events`, 100);
    const answered = new Set(results.flatMap((r) => r.answered)).size + 1;
    assert.equal((await x.mariadb.query("SELECT COUNT(*) FROM acc WHERE method = 'INVITE' AND sip_code = '200'")).trim(), String(answered), "acc's rows");
  });
}, { seconds: 90 });

test('own_config_the_receiver_of_the_front_page_takes_good_signatures_only', async () => {
  const [, code] = read('README.md').match(/^```js\n(.*?)^```$/ms) ?? [];
  assert.ok(code, 'README.md has no ```js block');
  const dir = path.join(BUILD, 'run', `readme-${process.pid}-1`);
  fs.mkdirSync(dir, { recursive: true });
  fs.rmSync(path.join(dir, 'node_modules'), { force: true });
  fs.symlinkSync(path.join(BUILD, 'node', 'node_modules'), path.join(dir, 'node_modules'));
  fs.writeFileSync(path.join(dir, 'receiver.mjs'), code);
  const ports = await Ports.take();
  const port = await ports.next();
  const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
  const receiver = new Proc('node', ['receiver.mjs'], { log: path.join(dir, 'log'), cwd: dir, env: { ...process.env, SECRET: secret, PORT: String(port) } });
  const post = (body, at, signed = body) => fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST', body,
    headers: { 'webhook-id': 'a-1-2', 'webhook-timestamp': String(Math.floor(at / 1000)), 'webhook-signature': new (need('svix').Webhook)(secret).sign('a-1-2', new Date(at), signed) },
  }).then((r) => r.status, () => 0);
  try {
    const body = JSON.stringify({ type: 'call.ended', timestamp: new Date().toISOString(), data: { call_id: 'x', sequence: 4, state: 'disconnected' } });
    await poll(async () => (await post(body, Date.now())) === 204, 5000, () => `the receiver does not take a good webhook:\n${receiver.tail()}`);
    assert.equal(await post(body, Date.now(), `${body} `), 401, 'a body that was not signed');
    assert.equal(await post(body, Date.now() - 3600000), 401, 'an old timestamp');
    assert.match(receiver.tail(), /^x 4 call\.ended disconnected$/m);
  } finally {
    await receiver.stop();
    ports.close();
  }
});
