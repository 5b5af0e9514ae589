// SPDX-License-Identifier: GPL-2.0-or-later
// 100 calls a second, and Kamailio is killed (SIGKILL) at random moments: all its processes, or the main process alone.
// The truth is SIPp's: what the caller saw answered must have been reported as begun, answered and ended, each once.
//
//     KILLS=50 SEED=1234 node tests/run.mjs --only sigkill       (make test: 4 kills, a new seed)
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, assertNoGaps } from '../lib/test.mjs';
import { start } from '../lib/harness.mjs';
import { ROOT } from '../lib/paths.mjs';

const KILLS = Number(process.env.KILLS ?? 4);
const SEED = Number(process.env.SEED ?? Date.now() % 1000000);
const RATE = 100;
const SETUP_TIMEOUT = 12;
const MAX_DURATION = 30;
const ENDS = ['call.ended', 'call.failed', 'call.timeout'];

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

const xml = (name) => path.join(ROOT, 'tests', 'integration', 'sipp', `${name}.xml`);

function logged(file, word) {
  const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  return new Set([...text.matchAll(new RegExp(`\\b${word} (\\S+)`, 'g'))].map((m) => m[1]));
}

/** What is wrong with the events of one call that the caller saw answered. */
function wrong(events) {
  const has = (t) => events.filter((e) => e.type === t).length;
  const ends = events.filter((e) => ENDS.includes(e.type)).length;
  return [
    ...['call.initiated', 'call.answered', 'call.cdr'].filter((t) => has(t) !== 1).map((t) => `${has(t)} ${t}`),
    ...(ends === 0 ? ['no end'] : []),
    ...(ends > 1 && has('call.ended') !== 1 ? [`${ends} ends`] : []),
  ];
}

async function killing(sb, kills, rnd) {
  const done = { all: 0, main: 0 };
  for (let i = 0; i < kills; i++) {
    await sleep(400 + rnd() * 1200);
    const main = i % 3 === 1;
    await sb.kill9(main ? { main: true } : {});
    await sb.restart();
    done[main ? 'main' : 'all']++;
  }
  await sleep(1000);
  return done;
}

test('sigkill_under_load_loses_no_answered_call', async () => {
  console.log(`  sigkill: SEED=${SEED} KILLS=${KILLS}`);
  const rnd = random(SEED);
  const sb = await start({
    name: 'sigkill', rules: fs.readFileSync(path.join(ROOT, 'sipp-scenarios', 'rules.cfg'), 'utf8'),
    defines: { SETUP_TIMEOUT, MAX_DURATION, FR_TIMER: 5000, FR_INV_TIMER: 15000 },
  });
  // what the checks need stays; the bodies of many thousand webhooks need not
  sb.receiver.on('request', (r) => { r.body = ''; r.headers = {}; });
  try {
    const args = async (who) => ['-trace_logs', '-log_file', path.join(sb.dir, `${who}.log`), '-cp', String(await sb.ports.next())];
    const callee = await sb.sippStart({ role: 'uas', name: 'callee', scenario: xml('chaos_callee'), calls: 1e6, timeout: 3600, trace: false, args: await args('callee') });
    const caller = await sb.sippStart({
      name: 'caller', scenario: xml('chaos_caller'), service: `one-${callee.port}`, calls: 1e6, rate: RATE, limit: 5000, timeout: 3600, args: ['-d', '500', '-recv_timeout', '6000', ...await args('caller')],
    });
    const kills = await killing(sb, KILLS, rnd);
    const counted = await caller.stop(30000);
    const files = { caller: path.join(sb.dir, 'caller.log'), callee: path.join(sb.dir, 'callee.log') };
    const answered = logged(files.caller, 'answered');
    const answers = logged(files.callee, 'answers');
    const ended = logged(files.caller, 'ended');
    assert.ok(answered.size > KILLS * RATE * 0.5, `SIPp saw only ${answered.size} calls answered: ${counted.errors.slice(0, 1000)}`);

    const over = (events) => {
      const begun = new Set(), closed = new Set();
      for (const e of events) (e.type === 'call.cdr' ? closed : begun).add(e.data.call_id);
      return begun.size === closed.size;
    };
    // not on every event: there are many
    for (const until = Date.now() + (SETUP_TIMEOUT + MAX_DURATION + 20) * 1000; Date.now() < until && !over(sb.receiver.events());) await sleep(500);

    const calls = new Map();
    for (const events of assertNoGaps(sb.receiver.events()).values()) {
      const id = events[0].data.sip_call_id;
      calls.set(id, [...(calls.get(id) ?? []), ...events]);
    }
    const problems = [];
    for (const id of answered) {
      const w = wrong(calls.get(id) ?? []);
      if (w.length) problems.push(`${id}: ${w.join(', ')} in [${(calls.get(id) ?? []).map((e) => e.type.slice(5)).join(' ')}]`);
      else if (ended.has(id) && !calls.get(id).some((e) => e.type === 'call.ended')) problems.push(`${id}: SIPp ended it with a BYE, and it is no call.ended`);
    }
    const reported = [...calls].filter(([, e]) => e.some((x) => x.type === 'call.answered')).map(([id]) => id);
    for (const id of reported) if (!answered.has(id) && !answers.has(id)) problems.push(`${id}: reported as answered, and neither SIPp knows of it`);
    for (const [id, events] of calls) if (!events.some((e) => e.type === 'call.cdr')) problems.push(`${id}: never ended: [${events.map((e) => e.type.slice(5)).join(' ')}]`);
    const { bad } = sb.receiver.counts();
    const inferred = sb.receiver.events().filter((e) => e.type === 'call.answered' && e.data.inferred).length;
    const twice = sb.receiver.requests.length - sb.receiver.events().length;
    console.log(`  sigkill: ${kills.all} times all, ${kills.main} times main; SIPp: ${answered.size} answered; reported: ${reported.length} answered (${inferred} inferred), `
      + `${sb.receiver.events().length} events, ${twice} delivered again; ${problems.length} wrong`);
    assert.equal(bad, 0, 'signatures, JSON');
    assert.equal(problems.length, 0, `SEED=${SEED}:\n${problems.slice(0, 20).join('\n')}`);
  } finally {
    await sb.stop();
  }
}, { seconds: 120 + KILLS * 10, alone: true });
