// SPDX-License-Identifier: GPL-2.0-or-later
// signalbox calls and signalbox failures: on the call log of a live system, and the same calls in SQLite and in MariaDB.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from '../lib/test.mjs';
import { start, sqlite } from '../lib/harness.mjs';
import { Mariadb } from '../lib/mariadb.mjs';
import { Ports } from '../lib/ports.mjs';
import { BUILD, ROOT } from '../lib/paths.mjs';
import { poll, run } from '../lib/proc.mjs';
import { harnessOptions, run as play } from '../../sipp-scenarios/run.mjs';

const BIN = path.join(BUILD, 'bin', 'signalbox');
const SCENARIOS = ['answered-caller-hangs-up', 'declined', 'no-response', 'three-targets-none-answers'];
let runs = 0;

function folder(name) {
  const dir = path.join(BUILD, 'run', `calls-${name}-${process.pid}-${++runs}`);
  fs.rmSync(dir, { recursive: true, force: true });
  fs.mkdirSync(dir, { recursive: true });
  return dir;
}

const jsonLines = (text) => text.trim().split('\n').filter(Boolean).map((l) => JSON.parse(l));

async function must(sb, ...words) {
  const r = await sb.signalbox(...words);
  assert.equal(r.code, 0, `signalbox ${words.join(' ')}: ${r.out}`);
  return r.stdout;
}

/** Calls by a scenario's name: a Call-ID begins with it. */
const of = (list, name) => list.filter((c) => c.sip_call_id.startsWith(`${name}-`));

test('calls_of_a_live_system_are_found_by_every_filter_and_explained', async () => {
  const sb = await start({ ...harnessOptions(), name: 'calls', db: 'sqlite' });
  try {
    const bad = (await play({ harness: sb, only: SCENARIOS })).filter((r) => !r.ok);
    assert.deepEqual(bad.map((r) => r.name), []);
    await poll(async () => jsonLines((await sb.signalbox('calls', '--json', '--limit', '1000')).stdout).filter((c) => c.ended_at).length >= SCENARIOS.length, 15000,
      'the call log does not have all calls', 100);
    const all = jsonLines(await must(sb, 'calls', '--json'));
    const answered = of(all, 'answered-caller-hangs-up')[0];
    const declined = of(all, 'declined')[0];
    assert.equal(answered.outcome, null);
    assert.equal(answered.hangup_by, 'caller');
    assert.equal(declined.sip_code, 603);
    assert.deepEqual(all.map((c) => c.started_at), all.map((c) => c.started_at).sort().reverse(), 'newest first');

    const ids = async (...words) => jsonLines((await sb.signalbox('calls', '--json', ...words)).stdout).map((c) => c.sip_call_id.replace(/-[0-9a-f]+-\d+$/, '')).sort();
    assert.deepEqual(await ids('--code', '603'), ['declined']);
    assert.deepEqual(await ids('--code', '4xx', '--outcome', 'no_response'), ['no-response']);
    assert.deepEqual(await ids('--outcome', 'answered'), ['answered-caller-hangs-up']);
    assert.deepEqual(await ids('--state', 'live'), []);
    assert.equal((await ids('--outcome', 'failed')).length, all.length - 1);
    assert.equal((await ids('--number', answered.from_number.replace('+44', '0'))).length, all.filter((c) => c.from_number === answered.from_number).length);
    assert.deepEqual(await ids('--trunk', 'nobody'), []);

    // a person copies the id of a line
    const list = await must(sb, 'calls', '--code', '603');
    assert.match(list, / 603 declined /);
    const short = list.match(/([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3})\n/)[1];
    assert.match(await must(sb, 'why', short), new RegExp(`call ${declined.call_id} `));
    const one = await must(sb, 'calls', short);
    assert.match(one, new RegExp(`^call ${declined.call_id}  Call-ID ${declined.sip_call_id}$`, 'm'));
    assert.match(one, /try 1 .*603 Decline/);
    assert.match(one, /1 call\.initiated[\s\S]*call\.failed[\s\S]*call\.cdr/);
    assert.equal((await must(sb, 'calls', declined.sip_call_id)).split('\n')[0], one.split('\n')[0]);
    const json = JSON.parse(await must(sb, 'calls', declined.call_id, '--json'));
    assert.equal(json.tries[0].code, 603);
    assert.deepEqual(json.events.map((e) => e.sequence), json.events.map((e, i) => i + 1));

    const f = JSON.parse(await must(sb, 'failures', '--json'));
    assert.equal(f.calls_failed, all.length - 1);
    assert.ok(f.failures >= 5, `declined, no response, three of a hunt: ${f.failures}`);
    assert.match(await must(sb, 'failures'), /failures; \d+ calls failed/);

    // the journal lets go of its history; the call log has it still
    await sb.down();
    for (const dir of [sb.journal, sb.spool]) {
      for (const name of fs.readdirSync(dir).filter((n) => n.endsWith('.seg'))) fs.truncateSync(path.join(dir, name));
    }
    const why = await sb.signalbox('why', declined.sip_call_id);
    assert.equal(why.code, 1);
    assert.match(why.out, new RegExp(`the call log does: signalbox calls ${declined.call_id}`));
    assert.match(await must(sb, 'calls', declined.sip_call_id), /603/);
    assert.equal((await sb.signalbox('why', 'never-heard-of')).code, 1);
    assert.doesNotMatch((await sb.signalbox('why', 'never-heard-of')).out, /call log does/);
  } finally {
    await sb.stop();
  }
}, { seconds: 120 });

const FILTERS = [[], ['--limit', '7'], ['--limit', '1000'], ['--number', '+442079460101'], ['--number', '01632960003'], ['--number', '960003'], ['--number', '960003', '--code', '5xx'], ['--number', 'x'],
  ['--trunk', 'carrier-c'], ['--trunk', 'carrier-c', '--code', '503'], ['--trunk', 'carrier-a', '--outcome', 'answered', '--limit', '1000'], ['--trunk', 'none'], ['--agent', 'anna'],
  ['--agent', 'anna', '--trunk', 'carrier-b', '--code', '4xx'], ['--code', '486'], ['--code', '5xx', '--limit', '200'], ['--code', '2xx'], ['--state', 'failed'], ['--state', 'live'],
  ['--outcome', 'failed', '--limit', '1000'], ['--outcome', 'answered'], ['--outcome', 'cancelled'], ['--did', '+441632960003'], ['--did', '+441632960003', '--outcome', 'busy'],
  ['--code', '486', '--outcome', 'error'], ['--state', 'disconnected', '--code', '486']];

test('sqlite_and_mariadb_give_the_same_calls_and_failures', async () => {
  const dir = folder('both');
  const ports = await Ports.take();
  const m = await Mariadb.start({ dir, ports });
  try {
    const dbs = [`sqlite:///${path.join(dir, 'signalbox.db')}`, m.url];
    const ask = async (db, ...words) => {
      const r = await run(BIN, ['--dir', dir, ...words], { env: { ...process.env, SIGNALBOX_DB: db } });
      assert.ok(r.code <= 1 && !/signalbox: (?!the newest)/.test(r.out), `${db.slice(0, 6)} ${words.join(' ')}: ${r.out}`);
      return r.stdout;
    };
    for (const db of dbs) {
      await ask(db, 'db', 'migrate');
      await ask(db, 'db', 'demo');
    }
    // the two days were made a moment apart: what differs are times and ids
    const plain = (c) => [c.from_number, c.to_number, c.trunk, c.agent, c.did, c.state, c.outcome, c.sip_code, c.duration_ms, c.attempts].join(' ');
    let most = 0;
    for (const f of FILTERS) {
      const [a, b] = await Promise.all(dbs.map(async (db) => jsonLines(await ask(db, 'calls', '--json', ...f)).map(plain)));
      assert.deepEqual(a, b, `calls ${f.join(' ')}`);
      most = Math.max(most, a.length);
    }
    assert.equal(most, 600, 'calls of the demo day');
  } finally {
    await m.stop();
    ports.close();
  }
}, { seconds: 90 });

test('the_trunk_that_fails_stands_on_the_first_line', async () => {
  for (const kind of ['sqlite', 'mariadb']) {
    const dir = folder(kind);
    const ports = await Ports.take();
    const m = kind === 'mariadb' ? await Mariadb.start({ dir, ports }) : undefined;
    try {
      const env = { env: { ...process.env, SIGNALBOX_DB: m?.url ?? `sqlite:///${path.join(dir, 'signalbox.db')}` } };
      const ask = (...words) => run(BIN, ['--dir', dir, ...words], env);
      await ask('db', 'migrate');
      await ask('db', 'demo');
      // the demo's trunk carrier-c refuses three in ten with 503
      const r = await ask('failures');
      assert.equal(r.code, 0, r.out);
      const [first] = r.stdout.split('\n');
      assert.match(first, /^trunk carrier-c: \d+ of \d+ failures, .*503.*calls answered there meanwhile/, `${kind}: ${first}`);
      assert.match(r.stdout, /usually: 503 no free channel[\s\S]*do: +take carrier-c out of the routes/);
      const j = JSON.parse((await ask('failures', '--json')).stdout);
      assert.equal(j.groups[0].name, 'carrier-c');
      assert.ok(j.groups[0].answered_meanwhile > 0 && j.groups[0].example);
      const why = await ask('calls', j.groups[0].example.slice(0, 18));
      assert.equal(why.code, 0, why.out);
      const none = JSON.parse((await ask('failures', '--json', '--trunk', 'nobody')).stdout);
      assert.deepEqual([none.failures, none.groups], [0, []]);
    } finally {
      await m?.stop();
      ports.close();
    }
  }
}, { seconds: 90 });

test('what_is_asked_wrongly_is_answered_with_what_is_right', async () => {
  const dir = folder('wrong');
  const file = path.join(dir, 'signalbox.db');
  const ask = (...words) => run(BIN, ['--dir', dir, ...words], { env: { ...process.env, SIGNALBOX_DB: `sqlite:///${file}` } });
  const says = async (code, words, what) => {
    const r = await ask(...words);
    assert.equal(r.code, code, `${words.join(' ')}: ${r.out}`);
    assert.match(r.out, what, words.join(' '));
  };
  await says(1, ['calls'], /there is no database .*signalbox db migrate/);
  await says(1, ['failures'], /signalbox db migrate/);
  await sqlite(file, 'CREATE TABLE x (y);');
  await says(1, ['calls'], /callstate_call.*\n.*signalbox db check/);
  await says(1, ['failures'], /signalbox db check/);
  await ask('db', 'migrate');
  await says(1, ['calls'], /0 calls/);
  await says(0, ['failures'], /0 failures/);
  await says(2, ['calls', '--code', 'busy'], /--code busy: a SIP code, 503, or a class of them, 5xx/);
  await says(2, ['calls', '--state', 'up'], /--state up is not known; there are: live calling/);
  await says(2, ['calls', '--last', '3'], /option --last is not known here/);
  await says(2, ['calls', 'a', 'b'], /one call's id, or filters/);
  await says(2, ['failures', 'carrier-a'], /no words/);
  await says(1, ['calls', '01a1fa13-b552-79e7'], /no call '01a1fa13-b552-79e7' in the call log/);
});

test('csv_survives_what_callers_are_called', async () => {
  const dir = folder('csv');
  const file = path.join(dir, 'signalbox.db');
  const ask = (...words) => run(BIN, ['--dir', dir, ...words], { env: { ...process.env, SIGNALBOX_DB: `sqlite:///${file}` } });
  await ask('db', 'migrate');
  const name = 'Eve "the, caller"\nof\x1b[31m Bath';
  await sqlite(file, `INSERT INTO callstate_call (call_id, sip_call_id, node, last_sequence, state, from_name, from_uri, to_uri, started_at) VALUES
    ('01a1fa13-b552-79e7-af3a-2ad791c07787', 'x@y', 'n', 1, 'calling', '${name}', 'sip:eve${'\x1b'}[2J@h', 'sip:bob@h', '2026-01-31 14:02:07.000000');`);
  const csv = (await ask('calls', '--csv')).stdout;
  assert.ok(csv.includes(`,"${name.replaceAll('"', '""')}",`), csv);
  assert.equal(csv.split('\r\n').length, 3);
  assert.equal(jsonLines((await ask('calls', '--json')).stdout)[0].from_name, name);
  const list = (await ask('calls')).stdout;
  assert.ok(!list.includes('\x1b'), 'no escape sequence reaches the terminal');
  assert.match(list, /eve\?\[2J → bob/);
  assert.ok(!(await ask('calls', 'x@y')).stdout.includes('\x1b'));
});

test('what_docs_calls_md_says_is_so', async () => {
  const text = fs.readFileSync(path.join(ROOT, 'docs', 'calls.md'), 'utf8');
  const help = (await run(BIN, ['help'])).stdout;
  const section = help.match(/signalbox calls \[[\s\S]*?signalbox doctor/)[0];
  for (const option of section.match(/--[a-z]+/g)) assert.ok(text.includes(`\`${option}`), `docs/calls.md does not have ${option}`);
  const create = fs.readFileSync(path.join(ROOT, 'db', 'schema', '003_call_log.sql'), 'utf8');
  for (const index of create.match(/callstate_(call|attempt)_\w+_idx/g)) assert.ok(text.includes(index), `docs/calls.md does not have ${index}`);
  for (const index of text.match(/callstate_(call|attempt)_\w+_idx/g)) assert.ok(create.includes(index), `there is no index ${index}`);
});
