// SPDX-License-Identifier: GPL-2.0-or-later
// The call log: its rows against the events that the receiver got, in SQLite and in MariaDB; its process killed; rows that the
// database refuses; a database without tables.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from '../lib/test.mjs';
import { prepare, refused, sqlite, start } from '../lib/harness.mjs';
import { Load, RULES } from '../lib/load.mjs';
import { Mariadb } from '../lib/mariadb.mjs';
import { BUILD } from '../lib/paths.mjs';
import { poll, run } from '../lib/proc.mjs';
import { explain, harnessOptions, run as play } from '../../sipp-scenarios/run.mjs';

const TABLES = ['callstate_call', 'callstate_attempt', 'callstate_event'];
// what a transfer, a fork, a hold, a failure, a serial hunt and a lost message leave behind
const SCENARIOS = ['answered-caller-hangs-up', 'hangup-reason-q850', 'answered-maximum-duration', 'cancelled-while-ringing', 'busy', 'no-response', 'closed-port',
  'early-media-then-answer', 'held-and-resumed-by-caller', 'parallel-fork', 'two-answers-from-a-fork', 'three-targets-in-turn', 'late-200-after-cancel', 'lost-ack',
  'blind-transfer', 'attended-transfer'];

/** Where the call log is: asked beside the process that writes it. */
const inSqlite = (file) => (sql) => sqlite(file, `.mode tabs\n.nullvalue NULL\n${sql}`);

async function table(ask, sql) {
  return (await ask(sql)).split('\n').filter(Boolean).map((l) => l.split('\t'));
}

const count = async (ask, name) => Number((await table(ask, `SELECT COUNT(*) FROM ${name};`))[0][0]);

/** Rows as objects, by the names of the columns that are asked for. */
async function rows(ask, name, columns, more = '') {
  return (await table(ask, `SELECT ${columns.join(', ')} FROM ${name} ${more};`)).map((r) => Object.fromEntries(columns.map((c, i) => [c, r[i] === 'NULL' ? null : r[i]])));
}

const state = (sb) => sb.rpc('callhook.call_log');

/** Waits until the call log has as many events as the receiver, and nothing waits. */
async function caughtUp(sb, ask, ms = 20000) {
  await poll(async () => await count(ask, 'callstate_event') >= sb.receiver.events().length && (await state(sb)).lag_s === 0, ms,
    async () => `the call log has ${await count(ask, 'callstate_event')} of ${sb.receiver.events().length} events: ${JSON.stringify(await state(sb))}`, 50);
}

const time = (t) => (t === null || t === undefined ? null : t.replace('T', ' ').replace('Z', ''));
const ms = (v) => (v === null || v === undefined ? null : String(Math.floor(v + 0.5)));
const text = (v) => (v === null || v === undefined ? null : String(v));

/** The rows that events in JSON stand for. */
function eventRow(e) {
  const d = e.data;
  return {
    event_id: e.id, call_id: d.call_id, sequence: text(d.sequence), type: e.type, at: time(e.timestamp), state: d.state, attempt: text(d.attempt?.n),
    trunk: text(d.attempt?.trunk ?? d.trunk), by_party: text(d.by ?? d.hangup?.by), outcome: text(d.outcome), cause: text(d.hangup?.cause),
    sip_method: text(d.sip.method), sip_code: text(d.sip.transaction?.code), from_tag: text(d.sip.dialog.from_tag), note: text(d.text ?? d.transfer?.target),
  };
}

function callRow(e, cdr) {
  const d = e.data;
  return {
    call_id: d.call_id, sip_call_id: d.sip_call_id, node: d.node, last_sequence: text(d.sequence), state: d.state, direction: text(d.direction),
    from_uri: text(d.from.uri), from_name: text(d.from.name), to_uri: text(d.to.uri), request_uri: text(d.request_uri), source: text(d.source),
    started_at: time(d.started_at), ringing_at: time(d.ringing_at), answered_at: time(d.answered_at), ended_at: time(d.ended_at),
    failed_at: d.answered_at ? null : time(d.ended_at), duration_ms: ms(cdr.data.duration_s === null ? null : cdr.data.duration_s * 1000), pdd_ms: ms(d.pdd_ms),
    attempts: text(d.attempts_total), outcome: text(cdr.data.outcome), sip_code: text(cdr.data.hangup.sip_code), q850: text(cdr.data.hangup.q850),
    hangup_by: text(cdr.data.hangup.by), hangup_cause: text(cdr.data.hangup.cause), transferred_from: text(d.transferred_from), transferred_to: text(d.transferred_to),
  };
}

function attemptRow(e, a) {
  return {
    call_id: e.data.call_id, n: text(a.n), uri: text(a.uri), destination: text(a.destination), code: text(a.code), reason: text(a.reason),
    code_local: a.local ? '1' : '0', q850: text(a.q850), pdd_ms: ms(a.pdd_ms), started_at: time(a.started_at), ringing_at: time(a.ringing_at),
    early_at: time(a.early_media_at), answered_at: time(a.answered_at), ended_at: time(a.ended_at),
    failed_at: a.code >= 300 && a.code !== 487 && !a.answered_at ? time(a.ended_at) : null,
  };
}

const by = (list, key) => [...list].sort((a, b) => (key(a) < key(b) ? -1 : 1));

async function same(ask, name, wanted, key) {
  const found = await rows(ask, name, Object.keys(wanted[0]));
  assert.equal(found.length, wanted.length, `rows of ${name}`);
  const [w, f] = [by(wanted, key), by(found, key)];
  w.forEach((row, i) => assert.deepEqual(f[i], row, `${name}: row, event of the receiver`));
}

/** Every row is what the receiver's events say, and there are no others. */
async function rowsAreTheEvents(sb, ask) {
  const events = sb.receiver.events();
  const calls = new Map();
  for (const e of events) calls.set(e.data.call_id, [...(calls.get(e.data.call_id) ?? []), e]);
  const cdr = (list) => list.find((e) => e.type === 'call.cdr');
  for (const [id, list] of calls) assert.ok(cdr(list), `${id} has no call.cdr: ${list.map((e) => e.type)}`);
  await same(ask, 'callstate_event', events.map(eventRow), (r) => r.event_id);
  await same(ask, 'callstate_call', [...calls.values()].map((l) => callRow(l.at(-1), cdr(l))), (r) => r.call_id);
  await same(ask, 'callstate_attempt', [...calls.values()].flatMap((l) => cdr(l).data.attempts.map((a) => attemptRow(cdr(l), a))), (r) => `${r.call_id} ${r.n.padStart(5)}`);
  return { calls: calls.size, events: events.length };
}

async function dump(ask) {
  const out = [];
  for (const name of TABLES) out.push(`-- ${name}`, ...(await ask(`SELECT * FROM ${name} ORDER BY 1, 2;`)).trimEnd().split('\n'));
  return out;
}

async function migrate(sb, url) {
  const r = await sb.signalbox('db', 'migrate', '--db', url);
  assert.equal(r.code, 0, r.out);
}

test('call_log_has_the_rows_that_the_events_say_the_same_in_sqlite_and_mariadb', async () => {
  const sb = await start({ ...harnessOptions(), name: 'calllog', db: 'sqlite' });
  let m;
  try {
    const bad = (await play({ harness: sb, only: SCENARIOS })).filter((r) => !r.ok);
    assert.equal(bad.length, 0, bad.map(explain).join('\n'));
    const ask = inSqlite(sb.db);
    await caughtUp(sb, ask);
    const n = await rowsAreTheEvents(sb, ask);
    const file = path.join(sb.hooks, 'database');
    assert.equal(fs.readFileSync(file, 'utf8'), `${sb.dbUrl}\n`);
    assert.equal(fs.statSync(file).mode & 0o777, 0o600);
    const stats = await sb.rpc('stats.get_statistics', 'callhook:');
    const stat = (name) => Number(stats.find((s) => s.startsWith(`callhook:${name} `)).split('=')[1]);
    assert.deepEqual(['state', 'aside', 'lag_s', 'lost_segments'].map((k) => stat(`call_log_${k}`)), [1, 0, 0, 0]);
    assert.ok(stat('call_log_rows') >= n.calls + n.events);

    // the other database, from the journal's first record on
    assert.ok(await sb.down());
    m = await Mariadb.start({ dir: sb.dir, ports: sb.ports });
    await migrate(sb, m.url);
    for (const f of fs.readdirSync(sb.hooks)) if (f.startsWith('call_log.sqlite')) fs.rmSync(path.join(sb.hooks, f));
    sb.o.defines = { ...sb.o.defines, CALL_LOG: m.url };
    sb.configure();
    await sb.up();
    const other = (sql) => m.query(sql);
    await caughtUp(sb, other);
    const [ours, theirs] = [await dump(ask), await dump(other)];
    assert.deepEqual(theirs, ours, 'MariaDB, SQLite');
    const shown = await state(sb);
    assert.equal(shown.state, 'up');
    assert.ok(!JSON.stringify(shown).includes(m.password) && shown.database.startsWith('mysql://'), JSON.stringify(shown));
    assert.ok(!sb.log().includes(m.password), 'the password is in the log');
    assert.equal(fs.readFileSync(file, 'utf8'), `${m.url}\n`);
    console.log(`  call_log: ${n.calls} calls, ${n.events} events, ${ours.length - TABLES.length} rows, the same in both databases`);
  } finally {
    await sb.stop();
    await m?.stop();
  }
}, { seconds: 120 });

const worker = async (sb) => (await sb.rpc('callhook.sinks')).find((s) => s.name === 'call log').worker_pid;

async function killedUnderCalls(db) {
  const name = `call_log_killed_${db}`;
  const sb = await start({ name: `clkill-${db}`, rules: RULES, db, shm: 128, modparams: 'modparam("callhook", "call_log_batch", 20)\n' });
  try {
    const load = await Load.start(sb, { rate: 60, hold: 300 });
    const pids = new Set();
    for (let i = 0; i < 10; i++) {
      const pid = await poll(async () => { const p = await worker(sb); return p > 0 && !pids.has(p) && p; }, 15000, 'the process is not started again', 20);
      pids.add(pid);
      await sleep(1050 + (i * 97) % 300);
      process.kill(pid, 'SIGKILL');
    }
    const counted = await load.stop();
    assert.equal(counted.failed, 0, counted.errors.slice(0, 1000));
    await sb.receiver.until((events) => events.filter((e) => e.type === 'call.cdr').length >= load.ended().size, { ms: 20000, what: 'every call.cdr' });
    const ask = (sql) => sb.sql(sql);
    await caughtUp(sb, ask);
    const n = await rowsAreTheEvents(sb, ask);
    assert.equal(n.calls, load.ended().size, 'calls: the receiver, SIPp');
    const s = await state(sb);
    assert.equal(s.aside, 0);
    console.log(`  ${name}: killed 10 times; SIPp ${load.ended().size} calls, tables ${n.calls} calls, ${n.events} events; 0 missing, 0 doubled`);
  } finally {
    await sb.stop();
  }
}

test('call_log_killed_ten_times_under_calls_misses_and_doubles_no_row_sqlite', () => killedUnderCalls('sqlite'), { seconds: 120, alone: true });
test('call_log_killed_ten_times_under_calls_misses_and_doubles_no_row_mariadb', () => killedUnderCalls('mariadb'), { seconds: 120, alone: true });

const CHECKS = {
  sqlite: `CREATE TRIGGER no_bad BEFORE INSERT ON callstate_event WHEN NEW.note = 'bad' BEGIN SELECT raise(ABORT, 'no_bad says no'); END;`,
  mariadb: `ALTER TABLE callstate_event ADD CONSTRAINT no_bad CHECK (note IS NULL OR note <> 'bad');`,
};

async function badRow(db) {
  const rules = `route[RULES] { callhook_emit("custom.first", "good"); callhook_emit("custom.second", "bad"); callhook_emit("custom.third", "good"); ${RULES.match(/route\[RULES\]\s*\{([\s\S]*)$/)[1]}`;
  const sb = await start({ name: `clbad-${db}`, rules: RULES.replace(/route\[RULES\]\s*\{[\s\S]*$/, '') + rules, db });
  try {
    await sb.sql(CHECKS[db]);
    const load = await Load.start(sb, { rate: 20, hold: 200 });
    await sleep(1500);
    await load.stop();
    await sb.receiver.until((events) => events.filter((e) => e.type === 'call.cdr').length >= load.ended().size, { ms: 20000, what: 'every call.cdr' });
    const events = sb.receiver.events();
    const bad = events.filter((e) => e.type === 'custom.second');
    assert.ok(bad.length >= 10 && bad.length < 100, `${bad.length} bad rows`);
    const ask = (sql) => sb.sql(sql);
    await poll(async () => (await state(sb)).aside >= bad.length && await count(ask, 'callstate_event') >= events.length - bad.length, 20000, async () => JSON.stringify(await state(sb)));
    const ids = (await table(ask, 'SELECT event_id FROM callstate_event;')).map((r) => r[0]);
    assert.deepEqual(ids.sort(), events.filter((e) => e.type !== 'custom.second').map((e) => e.id).sort(), 'all but the bad ones');
    const aside = await rows(inSqlite(path.join(sb.hooks, 'call_log.sqlite')), 'aside', ['tbl', 'event_id', 'call_id', 'error', 'row']);
    assert.deepEqual(aside.map((a) => a.event_id).sort(), bad.map((e) => e.id).sort());
    for (const a of aside) {
      assert.equal(a.tbl, 'callstate_event');
      assert.match(a.error, /no_bad/);
      assert.deepEqual([JSON.parse(a.row).event_id, JSON.parse(a.row).note, JSON.parse(a.row).call_id], [a.event_id, 'bad', a.call_id]);
    }
    const s = await state(sb);
    assert.equal(s.state, 'up', JSON.stringify(s));
    assert.match(sb.log(), /set aside in .*call_log\.sqlite/);
  } finally {
    await sb.stop();
  }
}

test('call_log_sets_a_row_aside_that_sqlite_refuses_and_loses_no_other', () => badRow('sqlite'));
test('call_log_sets_a_row_aside_that_mariadb_refuses_and_loses_no_other', () => badRow('mariadb'));

test('call_log_without_tables_lets_calls_through_says_so_and_catches_up', async () => {
  const sb = await prepare({ name: 'clnone', rules: RULES });
  const file = path.join(sb.dir, 'calls.db');
  const url = `sqlite:///${file}`;
  try {
    sb.o.defines = { CALL_LOG: url };
    sb.configure();
    await sb.up();
    const load = await Load.start(sb, { rate: 20, hold: 100 });
    await sleep(500);
    await load.stop();
    const away = await poll(async () => { const s = await state(sb); return s.state === 'waiting' && s; }, 5000, 'not waiting');
    assert.match(away.last_error, /signalbox db migrate/);
    assert.match(sb.log(), /call log: .*signalbox db migrate.*calls go on/);
    await sqlite(file, 'CREATE TABLE version (table_name TEXT, table_version INT);');
    await poll(async () => /there is no table callstate_call/.test((await state(sb)).last_error), 20000, async () => JSON.stringify(await state(sb)));
    await sqlite(file, 'DROP TABLE version;');
    await migrate(sb, url);
    await sb.receiver.until((events) => events.filter((e) => e.type === 'call.cdr').length >= load.ended().size, { ms: 10000, what: 'every call.cdr' });
    const ask = inSqlite(file);
    await caughtUp(sb, ask, 40000);
    await rowsAreTheEvents(sb, ask);
    assert.equal((await state(sb)).state, 'up');
  } finally {
    await sb.stop();
  }
}, { seconds: 90 });

test('call_log_refuses_a_url_that_is_none_and_off_is_off', async () => {
  const sb = await prepare({ name: 'cloff', rules: RULES });
  try {
    for (const bad of ['postgres://h/db', 'mysql://u:sesame@h', 'calls.db']) {
      sb.o.defines = { CALL_LOG: bad };
      sb.configure();
      const r = await refused(sb);
      assert.match(r.log, /modparam\("callhook", "call_log"/, bad);
      assert.ok(!r.log.includes('sesame'), 'the password is in the log');
    }
    sb.o.defines = { CALL_LOG: 'off' };
    sb.configure();
    fs.writeFileSync(path.join(sb.hooks, 'database'), 'sqlite:////of/an/earlier/start\n');
    await sb.up();
    assert.deepEqual(await state(sb), { state: 'off' });
    assert.ok(!fs.existsSync(path.join(sb.hooks, 'database')));
    assert.ok(!(await sb.rpc('core.psx')).some((p) => p.DSC.includes('call log')));
  } finally {
    await sb.stop();
  }
}, { seconds: 90 });

test('call_log_ends_soon_while_mariadb_is_stopped', async () => {
  const sb = await start({ name: 'clstop', rules: RULES, db: 'mariadb', modparams: 'modparam("callhook", "call_log_timeout_ms", 60000)\nmodparam("usrloc", "db_mode", 0)\n' });
  try {
    const load = await Load.start(sb, { rate: 20, hold: 100 });
    await poll(async () => await count((sql) => sb.sql(sql), 'callstate_event') > 5, 10000, 'no events');
    sb.mariadb.freeze();
    await sleep(700);
    await load.stop();
    const pid = await worker(sb);
    const began = Date.now();
    process.kill(pid, 'SIGTERM');
    await poll(() => !fs.existsSync(`/proc/${pid}`) || /\) Z/.test(fs.readFileSync(`/proc/${pid}/stat`, 'latin1')), 5000, 'it waits for the database', 10);
    assert.ok(Date.now() - began < 2500, `ended after ${Date.now() - began} ms`);
    sb.mariadb.thaw();
    await sb.receiver.until((events) => events.filter((e) => e.type === 'call.cdr').length >= load.ended().size, { ms: 10000, what: 'every call.cdr' });
    await caughtUp(sb, (sql) => sb.sql(sql), 40000);
    await rowsAreTheEvents(sb, (sql) => sb.sql(sql));
  } finally {
    sb.mariadb?.thaw();
    await sb.stop();
  }
}, { seconds: 90 });

test('call_log_stores_pass_their_unit_tests_on_mariadb', async () => {
  const { Ports } = await import('../lib/ports.mjs');
  const ports = await Ports.take();
  const dir = path.join(BUILD, 'run', `clstore-${process.pid}`);
  fs.mkdirSync(dir, { recursive: true });
  const m = await Mariadb.start({ dir, ports });
  try {
    await m.query(`CREATE USER reader@'${m.host}' IDENTIFIED BY 'reader'; GRANT SELECT ON ${m.database}.* TO reader@'${m.host}';`);
    const reader = `mysql://reader:reader@${m.host}:${m.port}/${m.database}`;
    const r = await run(path.join(BUILD, 'unit', 'test_call_log_store'), [], { env: { ...process.env, SB_TEST_MARIADB: m.url, SB_TEST_MARIADB_READER: reader }, timeout: 60000 });
    assert.equal(r.code, 0, r.out);
  } finally {
    await m.stop();
    ports.close();
  }
});
