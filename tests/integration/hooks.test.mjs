// SPDX-License-Identifier: GPL-2.0-or-later
// The endpoints while everything runs: read again, tested, disabled, their dead letters sent again; and what `signalbox hooks` shows of them.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, assertEvents, assertNoGaps, assertSound } from '../lib/test.mjs';
import { start } from '../lib/harness.mjs';
import { Load, RULES } from '../lib/load.mjs';
import { poll } from '../lib/proc.mjs';
import { schemaErrors } from '../lib/schemas.mjs';
import { Receiver } from '../peers/receiver.mjs';

const CALL = ['call.initiated', 'call.ringing', 'call.answered', 'call.ended', 'call.cdr'];
const row = (id, receiver, more = {}) => {
  const all = { id, url: receiver.url, secret: receiver.secret, allow_addresses: '127.0.0.0/8', ...more };
  return `INSERT INTO callhook_endpoint (${Object.keys(all).join(', ')}) VALUES (${Object.values(all).map((v) => (typeof v === 'number' ? v : `'${v}'`)).join(', ')});`;
};
const endpoint = async (sb, id = 'crm') => (await sb.rpc('callhook.endpoints')).find((e) => e.id === id);
const until = (sb, fn, what, id = 'crm') => poll(async () => fn(await endpoint(sb, id)), 15000, what, 30);

/** One answered call. @return its Call-ID */
async function call(sb) {
  const load = await Load.start(sb, { rate: 10, hold: 50, name: `one-${++call.n}`, args: ['-m', '1'] });
  const r = await load.caller.done;
  assert.equal(r.failed, 0, r.errors);
  return [...load.answered()][0];
}
call.n = 0;

test('endpoints_are_read_again_while_calls_go_on', async () => {
  const sb = await start({ name: 'hooks-reload', rules: RULES, endpoint: () => '' });
  const second = await Receiver.start({});
  try {
    assert.deepEqual(await sb.rpc('callhook.endpoints'), []);
    const before = await call(sb);
    await sb.sql(row('crm', sb.receiver));
    assert.deepEqual(await sb.rpc('callhook.reload'), { result: 'reloaded', endpoints: 1, added: 1, changed: 0, same: 0, removed: 0 });
    const load = await Load.start(sb, { rate: 20 });
    await sb.receiver.until((e) => e.some((x) => x.type === 'call.cdr'));

    await sb.sql(row('wall', second, { events: 'call.cdr' }));
    assert.equal((await sb.rpc('callhook.reload')).added, 1);
    await sb.sql('UPDATE callhook_endpoint SET concurrency = 2 WHERE id = \'crm\'');
    assert.deepEqual(await sb.rpc('callhook.reload'), { result: 'reloaded', endpoints: 2, added: 0, changed: 1, same: 1, removed: 0 });
    await sleep(500);
    const counted = await load.stop();
    assert.equal(counted.failed, 0, counted.errors);
    await sb.receiver.until((e) => e.filter((x) => x.type === 'call.cdr').length >= counted.successful, { what: 'all calls' });
    const calls = assertNoGaps(sb.receiver.events());
    assert.equal(calls.size, counted.successful, 'nothing of before the endpoint was there, everything after');
    assert.deepEqual(sb.receiver.events(before), []);
    await second.until((e) => e.length > 0);
    assert.ok(second.events().length < counted.successful && second.events().every((e) => e.type === 'call.cdr'));

    await sb.sql('DELETE FROM callhook_endpoint WHERE id = \'wall\'');
    assert.equal((await sb.rpc('callhook.reload')).removed, 1);
    assert.equal(await endpoint(sb, 'wall'), undefined);
    const seen = second.events().length;
    assertEvents(sb.receiver, await waited(sb, await call(sb)), CALL);
    assert.equal(second.events().length, seen);
    assert.match(sb.log(), /callhook\.reload \(by RPC, [^)]+\): 1 endpoints: 0 new, 0 changed, 1 as before, 1 removed/);
  } finally {
    await second.close();
    await sb.stop();
  }
}, { seconds: 90 });

/** The call's CDR was delivered. */
async function waited(sb, id) {
  await sb.receiver.until((e) => e.some((x) => x.type === 'call.cdr'), { call: id });
  return id;
}

test('a_refused_table_changes_nothing_and_every_bad_row_is_named', async () => {
  const sb = await start({ name: 'hooks-refused', rules: RULES });
  try {
    const pid = (await endpoint(sb)).worker_pid;
    await sb.sql(`${row('new', sb.receiver)} ${row('bad-url', sb.receiver, { url: 'ftp://h/' })} ${row('bad-rate', sb.receiver, { rate_limit: -1 })}`);
    const r = await sb.rpc('callhook.reload');
    assert.equal(r.result, 'refused');
    assert.equal(r.endpoints, 1);
    const wrong = r.wrong.join('\n');
    for (const [id, column] of [['bad-url', 'url'], ['bad-rate', 'rate_limit']]) {
      const re = new RegExp(`table callhook_endpoint, row id="${id}", column ${column}: found .*; right would be`);
      assert.match(wrong, re);
      assert.match(sb.log(), re);
    }
    assert.match(wrong, /2 wrong values .* then callhook\.reload/);
    assert.ok(!wrong.includes(sb.receiver.secret) && !sb.log().includes(sb.receiver.secret));
    assert.deepEqual((await sb.rpc('callhook.endpoints')).map((e) => e.id), ['crm']);
    assert.equal((await endpoint(sb)).worker_pid, pid, 'the process that delivers was not touched');
    assertEvents(sb.receiver, await waited(sb, await call(sb)), CALL);
    const sink = (await sb.rpc('callhook.sinks'))[0];
    assert.equal(sink.reload, 'refused');
    await sb.sql('DROP TABLE callhook_endpoint');
    const gone = await sb.rpc('callhook.reload');
    assert.equal(gone.result, 'refused');
    assert.match(gone.wrong.join('\n'), /signalbox db migrate/);
    assert.deepEqual((await sb.rpc('callhook.endpoints')).map((e) => e.id), ['crm']);
  } finally {
    await sb.stop();
  }
}, { seconds: 60 });

test('reloads_in_a_row_leave_cursors_of_unchanged_endpoints_alone', async () => {
  const sb = await start({ name: 'hooks-reloads', rules: RULES });
  sb.receiver.on('request', (r) => { r.body = ''; r.headers = {}; });
  try {
    const load = await Load.start(sb, { rate: 30 });
    for (let i = 0; i < 8; i++) {
      assert.equal((await sb.rpc('callhook.reload')).result, 'reloaded');
      await sleep(150);
    }
    const counted = await load.stop();
    assert.equal(counted.failed, 0, counted.errors);
    await sb.receiver.until((e) => e.filter((x) => x.type === 'call.cdr').length >= counted.successful, { ms: 20000 });
    for (const events of assertNoGaps(sb.receiver.events()).values()) assert.deepEqual(events.map((e) => e.type), CALL);
    const e = await endpoint(sb);
    assert.ok(e.delivered >= counted.successful * CALL.length, 'counters go on over a reload');
    assert.equal((await sb.rpc('callhook.sinks'))[0].ends, 0, 'no reload counts as a death');
  } finally {
    await sb.stop();
  }
}, { seconds: 60 });

test('a_frozen_database_holds_up_the_reload_alone', async () => {
  const sb = await start({ name: 'hooks-frozen', rules: RULES, db: 'mariadb', modparams: 'modparam("db_mysql", "timeout_interval", 8)\n' });
  try {
    assert.equal((await sb.rpc('callhook.reload')).result, 'reloaded');
    await sb.sql(row('second', sb.receiver, { events: 'custom.*' }));
    sb.mariadb.freeze();
    const began = Date.now();
    assert.equal((await sb.rpc('callhook.reload')).result, 'under way');
    assert.ok(Date.now() - began < 5000);
    await assert.rejects(sb.rpc('callhook.reload'), /A reload is under way/);
    const { worker_pid: pid } = await endpoint(sb);
    process.kill(pid, 'SIGKILL');
    await until(sb, (e) => e.worker_pid > 0 && e.worker_pid !== pid, 'a killed worker is started again meanwhile');
    assertEvents(sb.receiver, await waited(sb, await call(sb)), CALL);
    await poll(async () => (await sb.rpc('callhook.sinks'))[0].reload === 'refused', 30000, 'the reload does not end', 100);
    assert.match(sb.log(), /the database cannot be reached/);
    assert.ok(!sb.log().includes(sb.mariadb.password));
    assert.deepEqual((await sb.rpc('callhook.endpoints')).map((e) => e.id), ['crm']);
    sb.mariadb.thaw();
    assert.equal((await sb.rpc('callhook.reload')).added, 1);
  } finally {
    sb.mariadb?.thaw();
    await sb.stop();
  }
}, { seconds: 90 });

test('a_test_event_says_what_the_endpoint_answers_whatever_its_state', async () => {
  const sb = await start({ name: 'hooks-test', rules: RULES });
  try {
    const ok = await sb.rpc('callhook.test', 'crm');
    assert.equal(ok.result, 'ok');
    assert.equal(ok.status, 200);
    const [r] = sb.receiver.requests;
    assert.equal(r.id, ok.event);
    assert.equal(r.event.type, 'callhook.test');
    assert.deepEqual(r.event.data.endpoint, 'crm');
    assert.deepEqual(schemaErrors(r.event), []);
    assert.deepEqual(r.verified, { standardwebhooks: true, svix: true });

    sb.receiver.mode = 503;
    const refused = await sb.rpc('callhook.test', 'crm');
    assert.equal(refused.result, 'failed');
    assert.equal(refused.status, 503);
    assert.equal(await sb.rpc('callhook.disable', 'crm'), 'disabled');
    await until(sb, (e) => e.state === 'disabled', 'it is not disabled');
    await assert.rejects(sb.rpc('callhook.disable', 'crm'), /already/);
    sb.receiver.mode = 'ok';
    assert.notEqual((await sb.rpc('callhook.test', 'crm')).event, ok.event);
    await sb.receiver.close();
    const away = await sb.rpc('callhook.test', 'crm');
    assert.equal(away.status, 0);
    assert.match(away.error, /refused|connect/i);
    await sb.receiver.open();

    const id = await call(sb);
    await sleep(500);
    assert.deepEqual(sb.receiver.events(id), [], 'nothing goes to a disabled endpoint');
    await sb.rpc('callhook.reload');
    await until(sb, (e) => e.state === 'disabled', 'a reload enables nothing');
    assert.equal(await sb.rpc('callhook.enable', 'crm'), 'enabled');
    assertEvents(sb.receiver, await waited(sb, id), CALL);
    await assert.rejects(sb.rpc('callhook.enable', 'crm'), /not disabled/);
    await assert.rejects(sb.rpc('callhook.test', 'nobody'), /No endpoint has this id/);
    const e = await endpoint(sb);
    assert.equal(e.delivered, CALL.length, 'test events count nowhere');
    assert.equal(e.tries_failed, 0);
  } finally {
    await sb.stop();
  }
}, { seconds: 60 });

test('dead_letters_are_sent_again_also_when_the_journal_has_dropped_them', async () => {
  const sb = await start({
    name: 'hooks-dead', rules: RULES,
    modparams: 'modparam("callhook", "retry_schedule", "0")\n',
  });
  try {
    sb.receiver.mode = 400;
    const [a, b] = [await call(sb), await call(sb)];
    await until(sb, (e) => e.given_up >= 9 || e.state === 'paused', 'nothing is given up');
    sb.receiver.mode = 'ok';
    await until(sb, (e) => e.waiting + e.in_flight + e.pending === 0 && e.state === 'up', 'it is not done');
    const dead = await sb.rpc('callhook.dead', 'crm');
    assert.ok(dead.length > 0 && dead.every((d) => d.endpoint === 'crm' && d.type.startsWith('call.') && d.replay === 'yes' && d.last_error));

    const list = await sb.signalbox('hooks', 'dead', 'crm');
    assert.equal(list.code, 0, list.out);
    for (const d of dead) assert.ok(list.out.includes(d.type));
    assert.match(list.out, /kamcmd callhook\.replay crm all/);

    // the journal goes, the letters stay
    await sb.down();
    for (const f of fs.readdirSync(sb.journal).filter((n) => n.endsWith('.seg'))) fs.rmSync(path.join(sb.journal, f));
    await sb.up();
    assert.deepEqual(await sb.rpc('callhook.replay', 'crm', dead[0].event), { replayed: 1, lost: 0 });
    await until(sb, (e) => e.delivered >= 1, 'one event');
    await poll(async () => (await sb.rpc('callhook.dead')).length === dead.length - 1, 5000, 'one letter less', 50);
    assert.deepEqual(await sb.rpc('callhook.replay', 'crm', 'all'), { replayed: dead.length - 1, lost: 0 });
    await poll(async () => (await sb.rpc('callhook.dead')).length === 0, 5000, 'none left', 50);
    await sb.receiver.until((e) => e.length === 2 * CALL.length, { what: 'every event of both calls' });
    for (const id of [a, b]) {
      const got = sb.receiver.events(id).map((e) => e.data.sequence).sort();
      assert.deepEqual(got, [1, 2, 3, 4, 5]);
    }
    assertSound(sb.receiver.events());
    await assert.rejects(sb.rpc('callhook.replay', 'crm', 'rubbish'), /is no event id/);
  } finally {
    await sb.stop();
  }
}, { seconds: 60 });

test('signalbox_hooks_shows_who_is_well_and_what_to_do_about_the_others', async () => {
  const gone = await Receiver.start({});
  const refusing = await Receiver.start({});
  const sb = await start({
    name: 'hooks-table', rules: RULES, modparams: 'modparam("callhook", "retry_schedule", "0,600")\n',
    endpoint: (r) => [row('crm', r), row('wallboard', gone), row('billing', refusing, { events: 'call.cdr' }), row('old', r, { enabled: 0 }), row('erp', r, { events: 'custom.*' })].join('\n'),
  });
  refusing.mode = 400;
  await gone.close();
  try {
    await sb.rpc('callhook.disable', 'erp');
    for (let i = 0; i < 3; i++) await call(sb);
    await until(sb, (e) => e.state === 'paused', 'wallboard is not paused', 'wallboard');
    await until(sb, (e) => e.pending === 3, 'billing has nothing parked', 'billing');
    await until(sb, (e) => e.delivered === 15, 'crm has not everything');
    let list;
    await poll(async () => {
      list = JSON.parse((await sb.signalbox('hooks', '--json')).out);
      const of = Object.fromEntries(list.endpoints.map((e) => [e.id, e]));
      return of.crm?.delivered === 15 && of.wallboard.state === 'paused' && of.billing.pending === 3 && of.erp.state === 'disabled' && list;
    }, 10000, 'the state file does not show it', 200);
    assert.equal(list.running, true);
    const of = Object.fromEntries(list.endpoints.map((e) => [e.id, e]));
    assert.deepEqual(Object.fromEntries(Object.entries(of).map(([id, e]) => [id, [e.state, e.behind, e.pending]])),
      { billing: ['up', 0, 3], crm: ['up', 0, 0], erp: ['disabled', 0, 0], old: ['off', 15, 0], wallboard: ['paused', 15, 0] });
    assert.ok(of.wallboard.lag_s > 0 && of.crm.lag_s === 0 && of.billing.lag_s > 0);
    assert.match(of.wallboard.last_error, /refused|connect/i);

    const text = async (...args) => {
      const r = await sb.signalbox('hooks', ...args);
      assert.equal(r.code, 0, r.out);
      assert.ok(!r.out.includes('\x1b'), 'colours only on a terminal');
      for (const line of r.out.split('\n')) assert.ok([...line].length <= 120, `longer than 120: ${line}`);
      return r.out;
    };
    const out = await text();
    assert.match(out, /^delivery runs since .* UTC, pid \d+$/m);
    assert.match(out, /^ENDPOINT +STATE +LAG +RATE +PENDING +DEAD +LAST SUCCESS +LAST ERROR$/m);
    assert.match(out, /^crm +up \d+ s +- +\d/m);
    assert.match(out, /^wallboard +paused \d+ s +\d+ s, 15 +/m);
    assert.match(out, /^billing +up \d+ s +\d+ s, 0 +\S+ +3 +0 /m);
    assert.match(out, /^ {2}wallboard +probed again .*kamcmd callhook\.test wallboard$/m);
    assert.match(out, /^ {2}erp +gets nothing until: kamcmd callhook\.enable erp/m);
    assert.match(out, /^ {2}old +set enabled = 1 in its row of callhook_endpoint, then: kamcmd callhook\.reload$/m);
    assert.ok(!/^ {2}crm/m.test(out), 'nothing to do about the one that is well');
    assert.match(await text('wallboard'), /^state +paused$/m);
    const nobody = await sb.signalbox('hooks', 'nobody');
    assert.equal(nobody.code, 1);
    assert.match(nobody.out, /no endpoint 'nobody'. There are: billing crm erp old wallboard\./);

    await sb.down();
    const dead = await text();
    assert.match(dead, /^delivery does not run; last seen \d+ s ago/m);
    assert.match(dead, /^ {2}start Kamailio/m);
    assert.match(dead, /^wallboard +paused/m);
  } finally {
    await Promise.all([gone.close(), refusing.close()]);
    await sb.stop();
  }
}, { seconds: 60 });

test('signalbox_hooks_waits_for_a_lock_and_shows_nothing_older', async () => {
  const sb = await start({ name: 'hooks-locked', rules: RULES });
  let holder;
  try {
    await sb.down();
    holder = spawn('sqlite3', [path.join(sb.hooks, 'state.sqlite')], { stdio: ['pipe', 'pipe', 'inherit'] });
    const held = new Promise((resolve) => { holder.stdout.on('data', (d) => { if (String(d).includes('held')) resolve(); }); });
    holder.stdin.write("PRAGMA locking_mode=EXCLUSIVE; UPDATE status SET state = 'disabled'; SELECT 'held';\n");
    await held;
    const locked = await sb.signalbox('hooks');
    assert.equal(locked.code, 1);
    assert.match(locked.out, /database is locked/);
    const shown = sb.signalbox('hooks');
    holder.stdin.end();
    assert.match((await shown).out, /^crm +disabled/m);
  } finally {
    holder?.kill();
    await sb.stop();
  }
});

test('a_sip_worker_is_not_made_to_wait_for_an_answer', async () => {
  const ask = (method, params) => `jsonrpc_exec('{"jsonrpc":"2.0","id":1,"method":"${method}","params":${params}}'); xlog("L_WARN", "asked ${method}: $jsonrpl(body)\\n");`;
  const sb = await start({
    name: 'hooks-worker',
    rules: `route[RULES] { ${ask('callhook.endpoints', '[]')} ${ask('callhook.dead', '[]')} ${ask('callhook.reload', '[]')} ${ask('callhook.test', '["crm"]')} sl_send_reply("480", "Not now"); exit; }`,
  });
  try {
    const began = Date.now();
    const load = await Load.start(sb, { rate: 10, args: ['-m', '1'], patient: true });
    await load.caller.done;
    await poll(() => sb.log().includes('asked callhook.test'), 5000, 'the worker did not ask');
    assert.ok(Date.now() - began < 4000);
    const [, shown] = sb.log().match(/asked callhook\.endpoints: ([^]*?)asked callhook/);
    assert.match(shown, /"id":\s*"crm"/);
    assert.doesNotMatch(shown, /segments_behind/, 'it looked into folders');
    assert.equal(typeof (await sb.rpc('callhook.endpoints'))[0].segments_behind, 'number');
    for (const m of ['dead', 'reload', 'test']) assert.match(sb.log(), new RegExp(`asked callhook\\.${m}: [^]*?This takes time, and a SIP worker was asked`));
    assert.equal((await sb.rpc('callhook.sinks'))[0].reload, 'never');
  } finally {
    await sb.stop();
  }
});
