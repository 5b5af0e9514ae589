// SPDX-License-Identifier: GPL-2.0-or-later
// 100 calls a second, and Kamailio is killed (SIGKILL) at random moments: all its processes, the main process alone, or one
// of its children alone; then it is started again. The truth is SIPp's: what the caller saw answered must have been reported
// as begun, answered and ended, each once.
//
//     KILLS=50 SEED=1234 node tests/run.mjs --only sigkill       (make test: 4 kills, a new seed)
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, assertNoGaps, assertSound } from '../lib/test.mjs';
import { start } from '../lib/harness.mjs';
import { Load, RULES } from '../lib/load.mjs';
import { Callee } from '../peers/callee.mjs';

const KILLS = Number(process.env.KILLS ?? 4);
const SEED = Number(process.env.SEED ?? Date.now() % 1000000);
const RATE = 100;
const SETUP_TIMEOUT = 15;
const MAX_DURATION = 30;
const ENDS = ['call.ended', 'call.failed', 'call.timeout'];
// half of the kills are of all or of main alone; the first one depends on the seed
const KINDS = ['all', 'callhook delivery', 'main', 'udp receiver child=0', 'all', 'callstate spool', 'main', 'callstate journal', 'all', 'udp receiver child=1', 'main', 'callstate timer'];

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

const kill = (kind) => ({ all: {}, main: { main: true } })[kind] ?? { process: kind };

/** @return {kind: times}, and in ms how long it took each time until a worker answered again */
async function killing(sb, kills, rnd) {
  const done = {};
  const away = [];
  for (let i = 0; i < kills; i++) {
    await sleep(400 + rnd() * 1200);
    const kind = KINDS[(SEED + i) % KINDS.length];
    const began = Date.now();
    await sb.kill9(kill(kind));
    await sb.restart();
    away.push(Date.now() - began);
    done[kind] = (done[kind] ?? 0) + 1;
  }
  await sleep(1000);
  return { done, away };
}

/** What is wrong with the events of one call that the caller saw answered, and (ended) hung up himself. */
function wrong(events, ended) {
  const has = (t) => events.filter((e) => e.type === t).length;
  const ends = events.filter((e) => ENDS.includes(e.type)).length;
  return [
    ...['call.initiated', 'call.answered', 'call.cdr'].filter((t) => has(t) !== 1).map((t) => `${has(t)} ${t}`),
    ...(ends === 0 ? ['no end'] : []),
    ...(ends > 1 && has('call.ended') !== 1 ? [`${ends} ends`] : []),
    ...(ended && !has('call.ended') ? ['the caller ended it with a BYE, and there is no call.ended'] : []),
    ...(new Set(events.map((e) => e.data.call_id)).size > 1 ? ['more than one call_id'] : []),
  ];
}

/** Everything that is not as SIPp saw it. @param answers Call-IDs that a callee answered, though the caller may not have seen it */
function compare(events, answered, answers, ended) {
  const calls = new Map();
  for (const list of assertNoGaps(events).values()) {
    const id = list[0].data.sip_call_id;
    calls.set(id, [...(calls.get(id) ?? []), ...list]);
  }
  const problems = [];
  const say = (id, what) => problems.push(`${id}: ${what} in [${(calls.get(id) ?? []).map((e) => `${e.type.slice(5)}${e.data.inferred ? '(inferred)' : ''}`).join(' ')}]`);
  for (const id of answered) {
    const w = wrong(calls.get(id) ?? [], ended.has(id));
    if (w.length) say(id, w.join(', '));
  }
  for (const [id, list] of calls) {
    if (list.some((e) => e.type === 'call.answered') && !answered.has(id) && !answers.has(id)) say(id, 'reported as answered, and neither side knows of it');
    if (!list.some((e) => e.type === 'call.cdr')) say(id, 'never ended');
  }
  return problems;
}

test('sigkill_under_load_loses_no_answered_call', async () => {
  console.log(`  sigkill: SEED=${SEED} KILLS=${KILLS}`);
  const rnd = random(SEED);
  const sb = await start({ name: 'sigkill', rules: RULES, shm: 128, modparams: 'modparam("callstate", "checkpoint_s", 1)\n', defines: { SETUP_TIMEOUT, MAX_DURATION, FR_TIMER: 5000, FR_INV_TIMER: 15000 } });
  // what the checks need stays; the bodies of many thousand webhooks need not
  sb.receiver.on('request', (r) => { r.body = ''; r.headers = {}; });
  // SIPp refuses an INVITE that reaches it a second time over another way (RFC 3261 8.2.2.2), as a proxy that forgot its
  // transaction sends it; a phone that answers it is the harder test: half of the calls go to one
  const phone = await Callee.open(await sb.ports.next());
  try {
    const loads = [await Load.start(sb, { rate: RATE / 2, name: 'strict' }), await Load.start(sb, { rate: RATE / 2, name: 'patient', patient: true, hold: 1500, callee: phone.port })];
    const kills = await killing(sb, KILLS, rnd);
    await Promise.all(loads.map((l) => l.stop()));
    const all = (what) => new Set(loads.flatMap((l) => [...l[what]()]));
    const answered = all('answered');
    const answers = all('answers');
    for (const [id, call] of phone.calls) if (call.sent) answers.add(id);
    for (const l of loads) assert.ok(l.answered().size > KILLS * RATE * 0.25, `SIPp (${l.name}) saw only ${l.answered().size} calls answered: ${l.caller.result().errors.slice(0, 1000)}`);

    const over = (events) => {
      const begun = new Set(), closed = new Set();
      for (const e of events) (e.type === 'call.cdr' ? closed : begun).add(e.data.call_id);
      return begun.size === closed.size;
    };
    // not on every event: there are many
    for (const until = Date.now() + (SETUP_TIMEOUT + MAX_DURATION + 20) * 1000; Date.now() < until && !over(sb.receiver.events());) await sleep(500);

    const events = sb.receiver.events();
    const problems = compare(events, answered, answers, all('ended'));
    const reported = events.filter((e) => e.type === 'call.answered');
    console.log(`  sigkill: killed ${Object.entries(kills.done).map(([k, n]) => `${k} ${n}`).join(', ')}; away at most ${Math.max(...kills.away)} ms`);
    console.log(`  sigkill: SIPp: ${answered.size} answered; reported: ${reported.length} answered (${reported.filter((e) => e.data.inferred).length} inferred), `
      + `${events.length} events, ${sb.receiver.requests.length - events.length} delivered again; ${problems.length} wrong`);
    assert.equal(problems.length, 0, `SEED=${SEED}:\n${problems.slice(0, 20).join('\n')}`);
    assertSound(events);
  } finally {
    phone.close();
    await sb.stop();
  }
}, { seconds: 150 + KILLS * 10, alone: true });
