// SPDX-License-Identifier: GPL-2.0-or-later
// The call log's database goes away under load, in every way a database does: calls do not notice, webhooks are not later, and
// afterwards every row is there exactly once. The truth is SIPp's; the receiver's and the tables' counts must be the same.
//
//     OUTAGE_S=30 node tests/run.mjs --only call_log_catches      (make test: 3 s each; make chaos: 30, most 5 or 10)
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from '../lib/test.mjs';
import { prepare, sqlite } from '../lib/harness.mjs';
import { Disk } from '../lib/disk.mjs';
import { Load, RULES, quantile } from '../lib/load.mjs';
import { BEFORE_S, CALL, everythingArrives, lockSqlite, repliesAsBefore, say, seconds } from '../lib/outage.mjs';
import { poll } from '../lib/proc.mjs';
import { Mariadb } from '../lib/mariadb.mjs';
import { Relay } from '../lib/relay.mjs';

const RATE = 60;
const TIMEOUT_MS = 1000; // of one exchange with the database: a frozen one is noticed after it
const SHORT_S = Math.min(seconds(3), 10);
// of a webhook's time in the outage beyond what it was before
const LATER_P50 = 1.1, LATER_P50_MS = 3, LATER_P99_MS = 250;
const MODPARAMS = `modparam("callhook", "call_log_timeout_ms", ${TIMEOUT_MS})\n`;

/** Runs f on a Signalbox whose call log is at the URL that o.url(sb) gives; everything gone afterwards. */
async function signalbox(o, f) {
  const sb = await prepare({ rules: RULES, shm: 128, modparams: MODPARAMS, ...o });
  let more;
  try {
    more = await o.callLog(sb);
    sb.o.defines = { CALL_LOG: more.url };
    sb.configure();
    await sb.up();
    await f(sb, more);
  } finally {
    if (sb.kamailio && !sb.kamailio.exited) await sb.down();
    await more?.stop();
    await sb.stop();
  }
}

const state = (sb) => sb.rpc('callhook.call_log');

/** ms from an event to its webhook, sorted, of what happened between two times. */
function webhookTimes(sb, from, to) {
  return sb.receiver.events().map((e) => [Date.parse(e.timestamp), e.received.at]).filter(([at]) => at >= from && at < to).map(([at, got]) => got - at).sort((a, b) => a - b);
}

function webhooksAsBefore(sb, from, to, calm) {
  const [was, now] = [webhookTimes(sb, calm - 2000, calm), webhookTimes(sb, from, to)];
  assert.ok(was.length > 100 && now.length > 100, `${was.length} webhooks before, ${now.length} in the outage`);
  const [p50, p99, then50, then99] = [quantile(now, 0.5), quantile(now, 0.99), quantile(was, 0.5), quantile(was, 0.99)];
  const shown = `webhooks after p50 ${then50} → ${p50}, p99 ${then99} → ${p99} ms`;
  assert.ok(p50 <= then50 * LATER_P50 + LATER_P50_MS && p99 <= then99 + LATER_P99_MS, `later in the outage than before: ${shown}`);
  return shown;
}

/** The tables hold every call, attempt and event of the load, once, as the receiver has them. @param rows runs SQL where the call log is */
async function rowsAgree(name, sb, load, rows) {
  const ids = load.ended();
  const table = async (sql) => (await rows(sql)).trim().split('\n').filter(Boolean).map((l) => l.split('\t'));
  const number = async (sql) => Number((await table(sql))[0][0]);
  await poll(async () => await number('SELECT COUNT(*) FROM callstate_event;') >= ids.size * CALL.length, 30000,
    async () => `of ${ids.size * CALL.length} rows ${await number('SELECT COUNT(*) FROM callstate_event;')} are there: ${JSON.stringify(await state(sb))}`, 100);
  const calls = await table('SELECT sip_call_id, call_id, state, last_sequence, hangup_by, attempts FROM callstate_call;');
  assert.deepEqual(calls.map((c) => c[0]).sort(), [...ids].sort(), 'the calls that SIPp made, each once');
  assert.deepEqual([...new Set(calls.map((c) => c.slice(2).join(' ')))], ['disconnected 5 caller 1'], 'state, last_sequence, hangup_by, attempts');
  const attempts = await table('SELECT call_id, n, code FROM callstate_attempt;');
  assert.deepEqual(attempts.map((a) => a.join(' ')).sort(), calls.map((c) => `${c[1]} 1 200`).sort(), 'one attempt a call');
  const events = await table('SELECT event_id, call_id, sequence, type FROM callstate_event;');
  const received = sb.receiver.events().map((e) => [e.id, e.data.call_id, String(e.data.sequence), e.type]);
  assert.deepEqual(events.map((e) => e.join(' ')).sort(), received.map((e) => e.join(' ')).sort(), 'the events that the receiver has');
  say(name, `SIPp ${ids.size} calls; receiver ${received.length} events; tables ${calls.length} calls, ${attempts.length} attempts, ${events.length} events`);
}

/**
 * Calls go on at RATE; each outage comes, stays, goes, and is caught up with.
 * An outage: {what, seconds, begin(), end(), says: what the call log reports meanwhile}
 */
async function through(name, sb, rows, outages) {
  const load = await Load.start(sb, { rate: RATE });
  await sleep(BEFORE_S * 1000);
  const calm = Date.now();
  for (const o of outages) {
    const began = Date.now();
    await o.begin();
    const from = Date.now(); // the receiver of the webhooks is in this process, which was busy till now
    const away = await poll(async () => { const l = await state(sb); return (Date.now() - from >= o.seconds * 1000 && l.state === 'waiting' && l.lag_s >= o.seconds - TIMEOUT_MS / 1000) && l; },
      (o.seconds + 15) * 1000, async () => `${o.what} is not noticed: ${JSON.stringify(await state(sb))}`, 100);
    assert.match(away.last_error ?? '', o.says, `${o.what}: ${JSON.stringify(away)}`);
    const ended = load.ended().size;
    const to = Date.now();
    await o.end();
    const back = Date.now();
    const replies = repliesAsBefore(load, began, to, calm, 50);
    const webhooks = webhooksAsBefore(sb, from, to, calm);
    await poll(async () => Number(await rows('SELECT COUNT(*) FROM callstate_call WHERE ended_at IS NOT NULL;')) >= ended, 40000, async () => `${o.what}: not caught up: ${JSON.stringify(await state(sb))}`, 50);
    say(name, `${o.what} for ${((to - from) / 1000).toFixed(1)} s, ${away.lag_s} s behind, caught up ${((Date.now() - back) / 1000).toFixed(1)} s later; ${replies}; ${webhooks}`);
  }
  await sleep(500);
  const counted = await load.stop();
  assert.equal(counted.failed, 0, `SIPp counts ${counted.failed} failed calls: ${counted.errors.slice(0, 1000)}`);
  await everythingArrives(name, sb, load);
  await rowsAgree(name, sb, load, rows);
}

test('call_log_catches_up_with_a_mariadb_that_was_away', async () => {
  const name = 'call_log_mariadb_away';
  const long = seconds(3);
  const short = Math.min(long, 5);
  const callLog = async (sb) => {
    const m = sb.mariadb;
    const relay = await Relay.start({ port: await sb.ports.next(), to: { host: m.host, port: m.port } });
    return { relay, url: m.url.replace(`:${m.port}/`, `:${relay.port}/`), stop: () => relay.stop() };
  };
  await signalbox({ name: 'away', db: 'mariadb', callLog }, async (sb, { relay }) => {
    const m = sb.mariadb;
    let held;
    await through(name, sb, (sql) => m.query(sql), [
      { what: 'MariaDB stopped', seconds: long, begin: async () => m.freeze(), end: async () => m.thaw(), says: /./ },
      { what: 'MariaDB killed', seconds: long, begin: () => m.kill9(), end: () => m.restart(), says: /./ },
      { what: 'port closed, connections reset', seconds: short, begin: () => relay.close(), end: () => relay.open(), says: /./ },
      { what: 'network gone without a word', seconds: short, begin: async () => relay.swallow(), end: async () => relay.pass(), says: /./ },
      { what: 'another password', seconds: short, begin: async () => { await m.setPassword('other'); await m.kick(); }, end: () => m.setPassword(m.password), says: /denied/i },
      { what: 'table locked', seconds: short, begin: async () => { held = m.query(`LOCK TABLES callstate_call WRITE; SELECT SLEEP(${short + 3}); UNLOCK TABLES;`); }, end: () => held, says: /./ },
      { what: 'table gone', seconds: short, begin: () => m.query('RENAME TABLE callstate_call TO gone;'), end: () => m.query('RENAME TABLE gone TO callstate_call;'), says: /callstate_call/ },
    ]);
    assert.ok(!sb.log().includes(m.password), 'the password is in the log');
  });
}, { seconds: 180 + seconds(3) * 4, alone: true });

test('call_log_catches_up_when_the_disk_of_mariadb_was_full', async () => {
  const name = 'call_log_mariadb_disk_full';
  await signalbox({ name: 'dbfull', db: 'mariadb', mariadb: { diskMb: 96 }, callLog: async (sb) => ({ url: sb.dbUrl, stop: async () => {} }) }, async (sb) => {
    const m = sb.mariadb;
    await through(name, sb, (sql) => m.query(sql), [
      {
        what: 'disk full', seconds: SHORT_S, begin: async () => m.disk.fill(), says: /./,
        end: async () => { m.disk.makeRoom(); if (await m.revive()) say(name, 'mariadbd had ended by itself'); },
      },
    ]);
  });
}, { seconds: 120, alone: true });

/** A call log in a file of its own, on a disk of its own if mb. */
async function file(sb, mb) {
  const dir = path.join(sb.dir, 'calls');
  fs.mkdirSync(dir);
  const disk = mb ? await Disk.mount(dir, { mb }) : undefined;
  const name = path.join(dir, 'calls.db');
  const url = `sqlite:///${name}`;
  const r = await sb.signalbox('db', 'migrate', '--db', url);
  assert.equal(r.code, 0, r.out);
  return { name, url, disk, rows: (sql) => sqlite(name, `.mode tabs\n${sql}`), stop: async () => disk?.remove() };
}

test('call_log_catches_up_with_an_sqlite_file_that_another_process_locked', async () => {
  const name = 'call_log_sqlite_locked';
  await signalbox({ name: 'locked', callLog: (sb) => file(sb) }, async (sb, { name: db, rows }) => {
    let release;
    const begin = async () => { release = await lockSqlite(db, path.join(sb.dir, 'lock.log')); };
    await through(name, sb, rows, [{ what: 'locked', seconds: SHORT_S, begin, end: () => release(), says: /lock/i }]);
  });
}, { seconds: 120, alone: true });

test('call_log_catches_up_when_the_disk_of_its_sqlite_file_was_full', async () => {
  const name = 'call_log_sqlite_disk_full';
  await signalbox({ name: 'sqlfull', callLog: (sb) => file(sb, 64) }, async (sb, { disk, rows }) => {
    await through(name, sb, rows, [{ what: 'disk full', seconds: SHORT_S, begin: async () => disk.fill(), end: async () => disk.makeRoom(), says: /full|space/i }]);
  });
}, { seconds: 120, alone: true });

test('call_log_catches_up_over_tls_when_its_mariadb_was_away_at_the_start', async () => {
  const name = 'call_log_away_at_start';
  let m;
  const callLog = async (sb) => {
    m = await Mariadb.start({ dir: sb.dir, ports: sb.ports, tls: true });
    const r = await sb.signalbox('db', 'migrate', '--db', m.tlsUrl);
    assert.equal(r.code, 0, r.out);
    await m.query(`ALTER USER '${m.user}'@'${m.host}' REQUIRE SSL;`);
    await m.kill9();
    return { url: m.tlsUrl, stop: () => m.stop() };
  };
  await signalbox({ name: 'atstart', callLog }, async (sb) => {
    const load = await Load.start(sb, { rate: RATE });
    await sleep(1500);
    const away = await poll(async () => { const l = await state(sb); return l.state === 'waiting' && l; }, 5000, 'it is not noticed', 50);
    assert.ok(away.last_error && !JSON.stringify(away).includes(m.password), JSON.stringify(away));
    await m.restart();
    await sleep(1000);
    const counted = await load.stop();
    assert.equal(counted.failed, 0, counted.errors.slice(0, 1000));
    await everythingArrives(name, sb, load);
    await rowsAgree(name, sb, load, (sql) => m.query(sql));
  });
}, { seconds: 120, alone: true });
