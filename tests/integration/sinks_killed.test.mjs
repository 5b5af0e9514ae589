// SPDX-License-Identifier: GPL-2.0-or-later
// 50 calls a second, and the processes of the sinks (delivery, call log, four-layer log) are killed (SIGKILL) at random moments. Kamailio
// and calls do not notice; afterwards SIPp's calls, the receiver's events, the rows of the call log and the lines of the four-layer log
// are the same: a webhook may have come twice under its one id, nothing else twice, nothing missing.
//
//     KILLS=100 SEED=1234 node tests/run.mjs --only sinks_killed       (make test: 20 kills, a new seed)
import assert from 'node:assert/strict';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, assertNoGaps, assertSound } from '../lib/test.mjs';
import { prepare } from '../lib/harness.mjs';
import { Load, RULES } from '../lib/load.mjs';
import { layerFiles, layerLines } from '../lib/layer.mjs';
import { poll } from '../lib/proc.mjs';

const KILLS = Number(process.env.KILLS ?? 20);
const SEED = Number(process.env.SEED ?? Date.now() % 1000000);
const RATE = 50;
const SINKS = ['delivery', 'call log', 'layer log'];
const EVENTS = ['call.initiated', 'call.ringing', 'call.answered', 'call.ended', 'call.cdr'];

/** Numbers in [0, 1) that are the same for the same seed. */
function random(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** The sinks that run now: [{name, worker_pid}]. */
const running = async (sb) => (await sb.rpc('callhook.sinks')).filter((s) => SINKS.includes(s.name) && s.worker_pid > 0);

/** @return {sink: times} */
async function killing(sb, rnd) {
  const done = Object.fromEntries(SINKS.map((s) => [s, 0]));
  for (let i = 0; i < KILLS;) {
    await sleep(100 + rnd() * 1600);
    const alive = await poll(async () => { const r = await running(sb); return r.length > 0 && r; }, 15000, 'no sink has a process', 50);
    const victim = alive[Math.floor(rnd() * alive.length)];
    try { process.kill(victim.worker_pid, 'SIGKILL'); } catch (e) { if (e.code === 'ESRCH') continue; throw e; }
    done[victim.name]++;
    i++;
  }
  return done;
}

const rows = async (sb, sql) => (await sb.sql(sql)).trim().split('\n').filter(Boolean).map((l) => l.split('\t'));

/** What is wrong with the call log, against the events that the receiver has. */
async function callLogProblems(sb, events, calls) {
  const problems = [];
  const stored = await rows(sb, 'SELECT event_id, call_id, sequence, type FROM callstate_event');
  const byId = new Map(stored.map((r) => [r[0], r]));
  if (byId.size !== stored.length) problems.push(`callstate_event: ${stored.length - byId.size} rows doubled`);
  for (const e of events) {
    const row = byId.get(e.id);
    if (!row) problems.push(`callstate_event: ${e.id} (${e.data.sip_call_id} ${e.type}) is missing`);
    else if (row[1] !== e.data.call_id || Number(row[2]) !== e.data.sequence || row[3] !== e.type) problems.push(`callstate_event: ${row}, and the event is ${e.data.call_id} ${e.data.sequence} ${e.type}`);
  }
  if (stored.length !== events.length) problems.push(`callstate_event: ${stored.length} rows of ${events.length} events`);
  const called = await rows(sb, 'SELECT call_id, sip_call_id, state, last_sequence, attempts FROM callstate_call');
  for (const [id, sip, state, last, attempts] of called)
    if (!calls.has(id) || state !== 'disconnected' || Number(last) !== EVENTS.length || attempts !== '1') problems.push(`callstate_call: ${sip}: ${state}, sequence ${last}, attempts ${attempts}`);
  if (called.length !== calls.size) problems.push(`callstate_call: ${called.length} rows of ${calls.size} calls`);
  const tried = await rows(sb, 'SELECT call_id, n, code FROM callstate_attempt');
  for (const [id, n, code] of tried) if (!calls.has(id) || n !== '1' || code !== '200') problems.push(`callstate_attempt: ${id} ${n}: ${code}`);
  if (tried.length !== calls.size) problems.push(`callstate_attempt: ${tried.length} rows of ${calls.size} attempts`);
  return problems;
}

/** What is wrong with the lines of the four-layer log. */
function layerProblems(lines, events) {
  const problems = [];
  const ids = new Set(events.map((e) => e.id));
  const seen = new Set();
  const last = new Map();
  for (const l of lines) {
    if (seen.has(l.id)) problems.push(`layer log: ${l.id} stands there twice`);
    if (!ids.has(l.id)) problems.push(`layer log: ${l.id} is no event`);
    if (l.call.sequence !== (last.get(l.call.call_id) ?? 0) + 1) problems.push(`layer log: ${l.call.call_id}: ${l.call.sequence} after ${last.get(l.call.call_id) ?? 0}`);
    seen.add(l.id);
    last.set(l.call.call_id, l.call.sequence);
  }
  for (const id of ids) if (!seen.has(id)) problems.push(`layer log: ${id} is missing`);
  return problems;
}

test('sinks_killed_under_load_lose_and_double_nothing', async () => {
  console.log(`  sinks_killed: SEED=${SEED} KILLS=${KILLS}`);
  const sb = await prepare({ name: 'sinks-killed', rules: RULES, modparams: 'modparam("callhook", "layer_log_size", 1)\nmodparam("callhook", "layer_log_files", 1000)\n' });
  const log = path.join(sb.data, 'layers.log');
  try {
    sb.o.defines = { LAYER_LOG: log };
    sb.configure();
    await sb.up();
    sb.receiver.on('request', (r) => { r.body = ''; r.headers = {}; });
    const load = await Load.start(sb, { rate: RATE, hold: 300 });
    const began = Date.now();
    const kills = await killing(sb, random(SEED));
    const seconds = (Date.now() - began) / 1000;
    const sipp = await load.stop();
    assert.equal(sipp.failed, 0, `SIPp: ${sipp.errors.slice(0, 1000)}`);
    assert.ok(sipp.successful > (seconds - 1) * RATE * 0.5, `SIPp made only ${sipp.successful} calls in ${seconds} s`);

    const want = sipp.successful * EVENTS.length;
    const lines = async () => (await sb.rpc('callhook.layer_log')).lines ?? 0;
    const stored = async () => Number(await sb.sql('SELECT count(*) FROM callstate_event'));
    let have;
    // whoever does not get there is told by the comparison below
    await poll(async () => { have = [sb.receiver.events().length, await stored(), await lines()]; return have.every((n) => n >= want); }, 40000, '', 250).catch(() => {});

    const events = sb.receiver.events();
    const calls = assertNoGaps(events);
    const problems = [...calls.values()].filter((list) => list.map((e) => e.type).join() !== EVENTS.join()).map((list) => `${list[0].data.sip_call_id}: ${list.map((e) => e.type)}`);
    const answered = load.answered();
    for (const list of calls.values()) if (!answered.delete(list[0].data.sip_call_id)) problems.push(`${list[0].data.sip_call_id}: SIPp knows no such call`);
    for (const id of answered) problems.push(`${id}: no event was delivered`);
    problems.push(...await callLogProblems(sb, events, calls), ...layerProblems(layerLines(log), events));

    const again = sb.receiver.requests.length - events.length;
    console.log(`  sinks_killed: killed ${Object.entries(kills).map(([k, n]) => `${k} ${n}`).join(', ')}; SIPp: ${sipp.successful} calls; receiver: ${calls.size} calls, ${events.length} events, ${again} again under the same id; `
      + `call log: ${have[1]} events; layer log: ${have[2]} lines in ${layerFiles(log).length} files; ${problems.length} wrong`);
    assert.equal(problems.length, 0, `SEED=${SEED}:\n${problems.slice(0, 20).join('\n')}`);
    assert.equal(calls.size, sipp.successful);
    assertSound(events);
    for (const s of SINKS) assert.ok(kills[s] > 0 || KILLS < 20, `${s} was never killed: SEED=${SEED}`);
    assert.ok(!sb.kamailio.exited, 'Kamailio ended');
  } finally {
    await sb.stop();
  }
}, { seconds: 120 + KILLS * 4, alone: true });
