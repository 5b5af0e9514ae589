// SPDX-License-Identifier: GPL-2.0-or-later
// The processes that deliver may die: their keepers start them again, and neither calls nor Kamailio notice.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, assertNoGaps, assertSound } from '../lib/test.mjs';
import { start } from '../lib/harness.mjs';
import { Load, RULES } from '../lib/load.mjs';
import { groupAlive, groupMembers, poll } from '../lib/proc.mjs';

const KILLS = Number(process.env.KILLS ?? 20);
const RATE = 30;
const CALL = ['call.initiated', 'call.ringing', 'call.answered', 'call.ended', 'call.cdr'];

const sinkOf = async (sb, name) => (await sb.rpc('callhook.sinks')).find((s) => s.name === name);
const pidsOf = async (sb) => (await sb.rpc('core.psx')).map((p) => p.PID).sort();
const alive = (pid) => fs.existsSync(`/proc/${pid}`);
const processName = (pid) => fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
const stateOf = (pid) => { try { return fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1][0]; } catch { return ''; } };

/** The worker of a sink that is not the one of before. */
async function another(sb, name, before) {
  let sink;
  await poll(async () => {
    sink = await sinkOf(sb, name);
    return sink.worker_pid > 0 && sink.worker_pid !== before;
  }, 15000, `${name} has no new process after ${before}`, 20);
  return sink;
}

test('killed_twenty_times_delivery_loses_nothing_and_calls_do_not_notice', async () => {
  const sb = await start({ name: 'keeper', rules: RULES, shm: 128 });
  sb.receiver.on('request', (r) => { r.body = ''; r.headers = {}; });
  try {
    const pids = await pidsOf(sb);
    const load = await Load.start(sb, { rate: RATE });
    let { worker_pid: pid } = await sinkOf(sb, 'delivery');
    assert.equal(processName(pid), 'hook delivery');
    for (let i = 0; i < KILLS; i++) {
      await sleep(200 + Math.random() * 1200);
      process.kill(pid, 'SIGKILL');
      pid = (await another(sb, 'delivery', pid)).worker_pid;
    }
    const counted = await load.stop();
    assert.equal(counted.failed, 0, `SIPp counts ${counted.failed} failed calls: ${counted.errors.slice(0, 1000)}`);
    assert.deepEqual(await pidsOf(sb), pids, 'Kamailio\'s processes are the same');
    await sb.receiver.until((events) => events.filter((e) => e.type === 'call.cdr').length >= counted.successful, { ms: 30000, what: `${counted.successful} calls' events` });
    const calls = assertNoGaps(sb.receiver.events());
    for (const events of calls.values()) assert.deepEqual(events.map((e) => e.type), CALL);
    assert.equal(calls.size, counted.successful, 'as many calls as SIPp made');
    assertSound(sb.receiver.events());
    const sink = await sinkOf(sb, 'delivery');
    assert.equal(sink.ends, KILLS);
    assert.equal(sink.starts, KILLS + 1);
    assert.equal(sink.last_end_how, 'killed by signal 9 (Killed)');
    assert.match(sb.log(), /callhook delivery: its process was killed by signal 9 \(Killed\) after [\d.]+ s; started again in 0\.1 s/);
    console.log(`  keeper: ${KILLS} kills, ${counted.successful} calls, ${sb.receiver.requests.length - sb.receiver.events().length} events delivered again under their id`);
  } finally {
    await sb.stop();
  }
}, { seconds: 120 + KILLS * 3 });

test('a_sink_that_crashes_is_started_again_and_its_keeper_leaves_no_zombie', async () => {
  const sb = await start({ name: 'keeper-crash', rules: RULES, modparams: `modparam("callhook", "layer_log", "${process.cwd()}/build/run/layer-${process.pid}.log")\n` });
  try {
    const pids = await pidsOf(sb);
    for (const name of ['delivery', 'call log', 'layer log']) {
      const sink = await sinkOf(sb, name);
      assert.equal(sink.state, 'running', name);
      process.kill(sink.worker_pid, 'SIGSEGV');
      const next = await another(sb, name, sink.worker_pid);
      assert.match(next.last_end_how, /^killed by signal 11 \(Segmentation fault\)/);
      assert.equal(next.keeper_pid, sink.keeper_pid);
    }
    assert.deepEqual(await pidsOf(sb), pids);
    assert.deepEqual(groupMembers(sb.kamailio.pid).filter((p) => stateOf(p) === 'Z'), [], 'zombies');
    assert.equal((await sb.rpc('stats.get_statistics', 'callhook:')).find((s) => s.includes('process_ends')), 'callhook:process_ends = 3');
  } finally {
    await sb.stop();
    fs.rmSync(`${process.cwd()}/build/run/layer-${process.pid}.log`, { force: true });
  }
});

test('a_worker_that_dies_at_once_is_started_at_growing_intervals', async () => {
  const sb = await start({ name: 'keeper-backoff', rules: RULES });
  try {
    // a state file that cannot be opened any more: the process ends by itself each time
    fs.renameSync(`${sb.hooks}/deliveries`, `${sb.hooks}/moved`);
    fs.writeFileSync(`${sb.hooks}/deliveries`, 'no directory');
    process.kill((await sinkOf(sb, 'delivery')).worker_pid, 'SIGKILL');
    await poll(async () => (await sinkOf(sb, 'delivery')).ends >= 5, 15000, 'it is not started again and again', 100);
    const waits = [...sb.log().matchAll(/callhook delivery: its process was .*? started again in ([\d.]+) s/g)].map((m) => Number(m[1]));
    assert.deepEqual(waits.slice(0, 5), [0.1, 0.2, 0.4, 0.8, 1.6]);
    assert.match(sb.log(), /no webhooks can be delivered: .*deliveries/);
    fs.rmSync(`${sb.hooks}/deliveries`);
    fs.renameSync(`${sb.hooks}/moved`, `${sb.hooks}/deliveries`);
    await poll(async () => (await sinkOf(sb, 'delivery')).state === 'running', 15000, 'it does not run again', 100);
  } finally {
    await sb.stop();
  }
});

test('a_worker_ends_with_its_keeper_and_the_keeper_with_main', async () => {
  const sb = await start({ name: 'keeper-end', rules: RULES });
  try {
    for (const how of [{ process: 'callhook delivery' }, { main: true }]) {
      const { worker_pid: pid } = await sinkOf(sb, 'delivery');
      await sb.kill9(how);
      await poll(() => !alive(pid), 10000, `the worker ${pid} lives on after ${JSON.stringify(how)}`);
      await sb.restart();
    }
    const { worker_pid: pid } = await sinkOf(sb, 'delivery');
    const began = Date.now();
    assert.equal(await sb.down(), true, 'Kamailio ends by itself');
    assert.ok(!alive(pid), 'the worker went with it');
    assert.ok(Date.now() - began < 4000, `the end took ${Date.now() - began} ms`);
  } finally {
    await sb.stop();
  }
}, { seconds: 90 });

test('a_stopped_worker_does_not_keep_the_next_start_out', async () => {
  const sb = await start({ name: 'keeper-orphan', rules: RULES });
  try {
    const workers = (await sb.rpc('callhook.sinks')).filter((s) => s.worker_pid > 0).map((s) => s.worker_pid);
    assert.ok(workers.length >= 2);
    for (const pid of workers) process.kill(pid, 'SIGSTOP');
    await sb.kill9({ main: true });
    await poll(() => !groupAlive(sb.kamailio.pid), 3000, `processes of before live on: ${groupMembers(sb.kamailio.pid)}; stopped are ${workers}`);
    await sb.up();
  } finally {
    for (const pid of groupMembers(sb.kamailio.pid)) if (stateOf(pid) === 'T') process.kill(pid, 'SIGKILL');
    await sb.stop();
  }
});

test('a_worker_that_does_not_end_is_killed_and_kamailio_ends', async () => {
  const sb = await start({ name: 'keeper-stopped', rules: RULES });
  try {
    const { worker_pid: pid } = await sinkOf(sb, 'delivery');
    process.kill(pid, 'SIGSTOP');
    assert.equal(await sb.down(), true, 'Kamailio ends by itself');
    assert.ok(!alive(pid), 'the stopped worker is gone');
    assert.match(sb.log(), /callhook delivery: its process did not end within 5 s and is killed/);
  } finally {
    await sb.stop();
  }
});
