// SPDX-License-Identifier: GPL-2.0-or-later
// signalbox doctor: on a live system, on a dead one, and with everything broken that can be broken here.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import fs from 'node:fs';
import path from 'node:path';
import { once } from 'node:events';
import { test, Skip } from '../lib/test.mjs';
import { prepare, sqlite, start } from '../lib/harness.mjs';
import { BUILD } from '../lib/paths.mjs';
import { Disk } from '../lib/disk.mjs';
import { poll, run } from '../lib/proc.mjs';

const BIN = path.join(BUILD, 'bin', 'signalbox');
const scenario = (name) => new URL(`./sipp/${name}.xml`, import.meta.url).pathname;
const RULES = 'route[RULES] {\n\t$ru = "sip:x@127.0.0.3:" + $(rU{s.select,1,-});\n\troute(RELAY);\n}\n';
const DOCS = fs.readFileSync(new URL('../../docs/doctor.md', import.meta.url), 'utf8');
const ORDER = [...DOCS.matchAll(/^\| (`[^-|][^|]*`) \|/gm)].flatMap((m) => m[1].replaceAll('`', '').split(', '));
let runs = 0;

/** {code, findings, of(what), bad}: findings by what they are about */
async function examine(dir, ...words) {
  const as = typeof words[0] === 'number' ? ['setpriv', '--reuid', String(words[0]), '--regid', String(words.shift()), '--clear-groups', BIN] : [BIN];
  const r = await run(as[0], [...as.slice(1), '--dir', dir, 'doctor', '--json', ...words], { env: { ...process.env, SIGNALBOX_DB: '' } });
  const j = JSON.parse(r.stdout);
  assert.equal(r.code, j.bad > 0 ? 1 : 0, 'exit code 1 exactly if something is bad');
  for (const level of ['ok', 'warn', 'bad', 'unknown']) assert.equal(j[level], j.findings.filter((f) => f.level === level).length);
  for (const f of j.findings) assert.ok(f.level === 'ok' || f.fix, `${f.what}: ${f.found} has no fix`);
  assert.deepEqual(j.findings.map((f) => ORDER.indexOf(f.what)), j.findings.map((f) => ORDER.indexOf(f.what)).sort((a, b) => a - b), 'the order of the docs');
  return { ...j, of: (what) => j.findings.filter((f) => f.what === what), bad: j.findings.filter((f) => f.level === 'bad') };
}

function assertFinding(j, what, level, found) {
  const f = j.of(what);
  assert.ok(f.some((x) => x.level === level && found.test(x.found)), `${what} ${level} ${found}: ${JSON.stringify(j.findings, null, 1)}`);
}

/** SIGSTOP, and it has stopped. */
async function stopped(pid) {
  process.kill(pid, 'SIGSTOP');
  await poll(() => /\) T /.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8')), 2000, `${pid} does not stop`, 10);
}

/** Breaks something, looks, mends it. */
async function broken(sb, what, level, found, breakIt, mendIt) {
  await breakIt();
  try {
    assertFinding(await examine(sb.data), what, level, found);
  } finally {
    await mendIt();
  }
  assert.deepEqual((await examine(sb.data)).bad, [], `after ${what} was mended`);
}

test('doctor_finds_nothing_bad_on_a_live_system_and_each_thing_that_breaks', async () => {
  const sb = await start({ name: 'doctor', rtpengine: true, rules: RULES });
  try {
    const uas = await sb.sippStart({ scenario: scenario('callee'), role: 'uas', calls: 1 });
    await sb.sipp({ scenario: scenario('caller'), service: `to-${uas.port}`, calls: 1, args: ['-d', '100'] });
    await sb.receiver.until((e) => e.some((x) => x.type === 'call.cdr'));
    const well = await examine(sb.data);
    assert.deepEqual(well.bad, []);
    assertFinding(well, 'kamailio', 'ok', new RegExp(`pid ${sb.kamailio.pid}$`));
    assertFinding(well, 'configuration', 'ok', /signalbox\.cfg$/);
    assertFinding(well, 'allocator', 'ok', /^fm$/);
    assertFinding(well, 'open files', 'ok', /open at most/);
    for (const m of ['callstate', 'callhook']) assertFinding(well, m, 'ok', /build\/modules\/.*built for kamailio \d/);
    for (const d of ['journal dir', 'hooks dir', 'spool dir']) assertFinding(well, d, 'ok', /mode 7/);
    assertFinding(well, 'spool room', 'ok', /^tmpfs, /);
    assertFinding(well, 'journal', 'ok', /no damage/);
    assertFinding(well, 'database', 'ok', /answers, all tables as expected/);
    assertFinding(well, 'rtpengine', 'ok', new RegExp(`127.0.0.1:${sb.rtpengine.port} answered a ping`));
    assertFinding(well, 'endpoint', 'ok', /^crm: up/);
    assertFinding(well, 'files', 'ok', /nobody else may read them/);
    assertFinding(well, 'inodes', 'ok', /free on the journal's file system|does not count them/);
    assertFinding(well, 'delivery', 'ok', /^pid \d+ below its keeper \d+$/);
    assert.equal(well.of('layer log').length + well.of('registrations').length, 0);
    for (const f of well.findings) assert.ok(ORDER.includes(f.what), `${f.what} is not in the docs`);
    // idle, everything comes to rest
    await poll(async () => /behind nothing/.test((await examine(sb.data)).of('call log')[0].found), 5000, 'the call log does not come to its end', 100);
    await poll(async () => /the journal has all/.test((await examine(sb.data)).of('mover')[0].found), 5000, 'the mover does not come to its end', 100);
    const text = await sb.signalbox('doctor');
    assert.match(text.stdout, /^ok {7}database {6}sqlite:\S+: answers, all tables as expected$/m);
    assert.match(text.stdout, /\n\d+ ok, \d+ to look at, 0 bad, 0 unknown\n$/);

    const rtpengine = sb.rtpengine.proc;
    await broken(sb, 'rtpengine', 'bad', /no answer within 1 s/, () => rtpengine.signal('SIGSTOP'), () => rtpengine.signal('SIGCONT'));
    const create = (await sqlite(sb.db, "SELECT sql || ';' FROM sqlite_master WHERE tbl_name = 'callstate_event' AND sql IS NOT NULL ORDER BY type DESC")).trim();
    await broken(sb, 'database', 'bad', /table callstate_event is missing/, () => sqlite(sb.db, 'DROP TABLE callstate_event'), () => sqlite(sb.db, create));
    await broken(sb, 'database', 'bad', /without index callstate_call_trunk_idx/, () => sqlite(sb.db, 'DROP INDEX callstate_call_trunk_idx'), () => sb.signalbox('db', 'migrate'));
    await broken(sb, 'hooks dir', 'bad', /anybody may write/, () => fs.chmodSync(sb.hooks, 0o777), () => fs.chmodSync(sb.hooks, 0o700));
    const url = path.join(sb.hooks, 'database');
    await broken(sb, 'files', 'bad', /hooks\/database: has secrets, and others may read/, () => fs.chmodSync(url, 0o644), () => fs.chmodSync(url, 0o600));
    const aside = path.join(sb.journal, '0000000100000001.seg.aside');
    await broken(sb, 'journal', 'warn', /1 file was put aside, as .*\.aside/, () => fs.writeFileSync(aside, 'x'), () => fs.rmSync(aside));

    const state = path.join(sb.hooks, 'state.sqlite');
    await broken(sb, 'files', 'bad', /state\.sqlite: has secrets, and others may read/, () => fs.chmodSync(state, 0o640), () => fs.chmodSync(state, 0o600));
    await broken(sb, 'files', 'bad', /signalbox\.db: has secrets, and others may read/, () => fs.chmodSync(sb.db, 0o604), () => fs.chmodSync(sb.db, 0o600));
    // processes that do nothing
    const [, worker, keeper] = well.of('call log')[0].found.match(/^pid (\d+) below its keeper (\d+)/).map(Number);
    for (const pid of [worker, keeper]) await broken(sb, 'call log', 'bad', new RegExp(`pid ${pid} is stopped`), () => stopped(pid), () => process.kill(pid, 'SIGCONT'));
    process.kill(keeper, 'SIGSTOP');
    await broken(sb, 'call log', 'bad', /its process does not run/, () => process.kill(worker, 'SIGKILL'), async () => {
      process.kill(keeper, 'SIGCONT');
      await poll(async () => (await examine(sb.data)).of('call log')[0].level === 'ok', 5000, 'the call log is not started again', 100);
    });
    // rows that were set aside, letters that were given up
    await broken(sb, 'call log', 'warn', /1 row was refused by the database and set aside: no such thing/, () => sqlite(path.join(sb.hooks, 'call_log.sqlite'), "INSERT INTO aside VALUES ('callstate_call', 'k', 'e', 'c', 'no such thing', '{}', 1)"), () => sqlite(path.join(sb.hooks, 'call_log.sqlite'), 'DELETE FROM aside'));
    await broken(sb, 'endpoint', 'warn', /crm: up, 1 given up and kept/, () => sqlite(state, "INSERT INTO dead SELECT 'crm', X'00', 1, 1, 1, 0, 3, 0, 'x', 1, 0, 0, 0, NULL"), () => sqlite(state, 'DELETE FROM dead'));

    // a receiver that says 410 is switched off
    sb.receiver.mode = 410;
    const uas2 = await sb.sippStart({ scenario: scenario('callee'), role: 'uas', calls: 1 });
    await sb.sipp({ scenario: scenario('caller'), service: `to-${uas2.port}`, calls: 1, args: ['-d', '100'] });
    await poll(async () => (await examine(sb.data)).of('endpoint')[0].level === 'bad', 10000, 'the endpoint is not seen as disabled', 100);
    assertFinding(await examine(sb.data), 'endpoint', 'bad', /crm: disabled.*410/);

    await sb.down();
    const dead = await examine(sb.data, '--config', path.join(sb.routing, 'signalbox.cfg'));
    assertFinding(dead, 'kamailio', 'warn', /none runs/);
    assertFinding(dead, 'database', 'ok', /answers/);
    assertFinding(dead, 'callstate', 'ok', /build\/modules/);
    assertFinding(dead, 'rtpengine', 'ok', /answered/);
    assert.equal(dead.of('allocator').length, 0);
  } finally {
    await sb.stop();
  }
}, { seconds: 90 });

test('doctor_sees_a_running_kamailio_without_the_fast_allocator_and_a_module_that_was_replaced', async () => {
  const own = path.join(BUILD, 'run', `doctor-modules-${process.pid}`);
  fs.rmSync(own, { recursive: true, force: true });
  fs.mkdirSync(own, { recursive: true });
  for (const m of ['callstate.so', 'callhook.so']) fs.copyFileSync(path.join(BUILD, 'modules', m), path.join(own, m));
  const sb = await prepare({ name: 'doctorslow', receiver: false, args: ['-x', 'qm'] });
  const settings = path.join(sb.routing, 'settings-local.cfg');
  fs.writeFileSync(settings, fs.readFileSync(settings, 'utf8').replace(path.join(BUILD, 'modules'), own));
  try {
    await sb.up();
    const well = await examine(sb.data);
    assertFinding(well, 'kamailio', 'ok', /runs as/);
    assertFinding(well, 'allocator', 'warn', /not the fast one/);
    // as an upgrade does: a new file takes the place of the old one
    fs.copyFileSync(path.join(BUILD, 'modules', 'callstate.so'), path.join(own, 'new'));
    fs.renameSync(path.join(own, 'new'), path.join(own, 'callstate.so'));
    const j = await examine(sb.data);
    assertFinding(j, 'kamailio', 'warn', /a module was replaced since it started/);
  } finally {
    await sb.stop();
    fs.rmSync(own, { recursive: true, force: true });
  }
});

/** A dead system of files alone. */
function files(name) {
  const dir = path.join(BUILD, 'run', `doctor-${name}-${process.pid}-${++runs}`);
  fs.rmSync(dir, { recursive: true, force: true });
  for (const d of ['journal', 'hooks', 'spool', 'modules']) fs.mkdirSync(path.join(dir, d), { recursive: true, mode: 0o750 });
  const config = path.join(dir, 'kamailio.cfg');
  fs.writeFileSync(config, `#!define SPOOL "${dir}/spool"\nmpath="${dir}/modules"\nmodparam("callstate", "spool_dir", SPOOL)\n`);
  return { dir, config, look: (...words) => examine(dir, '--config', config, ...words) };
}

test('doctor_on_files_alone_finds_what_is_not_there_or_not_right', async () => {
  const d = files('dead');
  assertFinding(await d.look(), 'database', 'bad', /there is no database/);
  assert.match((await d.look()).of('database')[0].fix, /signalbox db migrate/);
  fs.writeFileSync(path.join(d.dir, 'hooks', 'database'), 'mysql://signalbox:geheim@127.0.0.1:1/signalbox\n', { mode: 0o600 });
  const away = await d.look();
  assertFinding(away, 'database', 'bad', /Can't connect/);
  assert.ok(!JSON.stringify(away).includes('geheim'), 'the password is not shown');
  fs.writeFileSync(path.join(d.dir, 'hooks', 'database'), 'oracle://x\n', { mode: 0o600 });
  assertFinding(await d.look(), 'database', 'bad', /./);

  // modules of another Kamailio, one that is none, one that is not there
  fs.writeFileSync(path.join(d.dir, 'modules', 'callstate.so'), 'ELF\0kamailio 4.9.9 (x86_64/linux) \0USE_TCP, USE_TLS\0');
  fs.writeFileSync(path.join(d.dir, 'modules', 'callhook.so'), 'no module');
  const wrong = await d.look();
  assertFinding(wrong, 'callstate', 'bad', /built for kamailio 4\.9\.9 \(x86_64\/linux\), this is kamailio \d.*will not be loaded/);
  assertFinding(wrong, 'callhook', 'bad', /no module of Kamailio/);

  // a spool that is on a disk, one that is gone
  const spool = path.join(d.dir, 'spool');
  if (fs.statfsSync?.(spool).type !== 0x01021994) assertFinding(await d.look(), 'spool room', 'warn', /no tmpfs/);
  fs.rmSync(spool, { recursive: true });
  const gone = await d.look();
  assertFinding(gone, 'spool dir', 'bad', /No such file/);
  assert.match(gone.of('spool dir')[0].fix, /^install -d -m 750/);
  assert.deepEqual(gone.of('spool room').concat(gone.of('mover')), [], 'what is not there is said once');
  const none = await examine(d.dir, '--config', '/nowhere/kamailio.cfg');
  assertFinding(none, 'configuration', 'warn', /not readable/);
});

test('doctor_looks_after_the_file_of_registrations_beside_mariadb', async () => {
  const d = files('reg');
  const reg = path.join(d.dir, 'registrations.db');
  fs.appendFileSync(d.config, `#!define DB_URL "mysql://u:geheim@127.0.0.1:1/x"\n#!trydef REGISTER_DB_URL "sqlite:///${reg}"\nmodparam("callhook", "db_url", DB_URL)\nmodparam("usrloc", "db_url", REGISTER_DB_URL)\n`);
  const none = await d.look();
  assertFinding(none, 'registrations', 'bad', /registrations\.db/);
  assert.ok(none.of('registrations')[0].fix.includes(`signalbox db migrate --with-routing --db sqlite:///${reg}`), none.of('registrations')[0].fix);
  await run(BIN, ['--db', `sqlite:///${reg}`, 'db', 'migrate']);
  assertFinding(await d.look(), 'registrations', 'bad', /table location is missing/);
  await run(BIN, ['--db', `sqlite:///${reg}`, 'db', 'migrate', '--with-routing']);
  assertFinding(await d.look(), 'registrations', 'ok', /there, with its table/);
});

test('doctor_sees_a_mover_that_does_not_keep_up_and_inodes_that_run_out', async () => {
  const layers = path.join(BUILD, 'run', `doctor-layers-${process.pid}.log`);
  const sb = await prepare({ name: 'doctormover', receiver: false, defines: { LAYER_LOG: layers } });
  const disk = await Disk.mount(sb.journal, { mb: 16, tmpfs: true });
  try {
    fs.chmodSync(sb.journal, 0o700);
    await sb.up();
    assert.deepEqual((await examine(sb.data)).bad.filter((f) => f.what !== 'journal room'), []);
    await poll(async () => /^pid \d+ below its keeper \d+, behind nothing$/.test((await examine(sb.data)).of('layer log')[0].found), 5000, 'the layer log does not come to its end', 100);
    const pid = (await sb.rpc('core.psx')).find((p) => /journal/.test(p.DSC)).PID;
    process.kill(pid, 'SIGSTOP');
    try {
      const uas = await sb.sippStart({ scenario: scenario('callee'), role: 'uas', calls: 1 });
      await sb.sipp({ scenario: scenario('caller'), service: `to-${uas.port}`, calls: 1, args: ['-d', '100'] });
      await poll(async () => (await examine(sb.data)).of('mover')[0].level === 'warn', 8000, 'a mover that stands still is not seen', 200);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await poll(async () => /the journal has all/.test((await examine(sb.data)).of('mover')[0].found), 5000, 'the mover does not catch up', 100);
    for (const [free, level] of [[150, 'warn'], [50, 'bad']]) {
      const used = fs.readdirSync(sb.journal).length + 1;
      const r = await run('mount', ['-o', `remount,nr_inodes=${used + free}`, sb.journal]);
      assert.equal(r.code, 0, r.stderr);
      assertFinding(await examine(sb.data), 'inodes', level, new RegExp(`^${free} of`));
    }
  } finally {
    await sb.stop();
    await disk.remove();
    fs.rmSync(layers, { force: true });
  }
});

test('doctor_asks_each_rtpengine_and_says_which_is_silent', async () => {
  const d = files('ng');
  const s = dgram.createSocket('udp4');
  s.on('message', (m, from) => {
    const [cookie] = m.toString().split(' ');
    s.send(`other {"result":"pong"}`, from.port, from.address);
    s.send(`${cookie} {"result":"pong"}`, from.port, from.address);
  });
  s.bind(0, '127.0.0.1');
  await once(s, 'listening');
  const deaf = dgram.createSocket('udp4').bind(0, '127.0.0.1');
  await once(deaf, 'listening');
  const closed = dgram.createSocket('udp4').bind(0, '127.0.0.1');
  await once(closed, 'listening');
  const port = closed.address().port;
  closed.close();
  try {
    const j = await d.look('--rtpengine', `udp:127.0.0.1:${s.address().port} udp:127.0.0.1:${deaf.address().port} udp:127.0.0.1:${port} udp:nonsense:x:y`);
    const levels = j.of('rtpengine').map((f) => `${f.level} ${f.found.replace(/^\S+ /, '')}`);
    assert.match(levels[0], /^ok answered a ping/);
    assert.match(levels[1], /^bad no answer within 1 s/);
    assert.match(levels[2], /^bad nobody listens there/);
    assert.match(levels[3], /^bad /);
  } finally {
    s.close();
    deaf.close();
  }
});

test('doctor_sees_a_full_disk', async () => {
  const d = files('full');
  const journal = path.join(d.dir, 'journal');
  const disk = await Disk.mount(journal, { mb: 16, tmpfs: true });
  try {
    fs.chmodSync(journal, 0o750);
    disk.fill();
    assertFinding(await d.look(), 'journal room', 'bad', /nearly full/);
    fs.appendFileSync(d.config, `modparam("callstate", "spool_dir", "${journal}")\n`);
    assertFinding(await d.look(), 'spool room', 'bad', /nearly full, events are about to be left out/);
  } finally {
    await disk.remove();
  }
});

test('doctor_sees_folders_of_the_wrong_user', async () => {
  if (process.getuid() !== 0) throw new Skip('needs root, to give folders away');
  const dir = fs.mkdtempSync('/dev/shm/signalbox-doctor-');
  const of = (n) => path.join(dir, n);
  fs.chmodSync(dir, 0o755);
  for (const n of ['.', 'spool', 'journal', 'hooks']) {
    fs.mkdirSync(of(n), { recursive: true, mode: 0o750 });
    fs.chownSync(of(n), 65534, 65534);
  }
  const sb = await prepare({ name: 'doctoruser', receiver: false, args: ['-u', 'nobody', '-g', 'nogroup'], defines: { SPOOL_DIR: of('spool'), JOURNAL_DIR: of('journal'), HOOKS_DIR: of('hooks'), DB_URL: `sqlite:///${of('signalbox.db')}` } });
  try {
    fs.copyFileSync(sb.db, of('signalbox.db'));
    fs.chownSync(of('signalbox.db'), 65534, 65534);
    await sb.up();
    const well = await examine(dir);
    assert.deepEqual(well.bad, []);
    assertFinding(well, 'kamailio', 'ok', /runs as nobody/);
    fs.chownSync(of('hooks'), 0, 0);
    assertFinding(await examine(dir), 'hooks dir', 'bad', /belongs to root \(mode 750\), Kamailio is nobody/);
    // its group lets it in
    fs.chownSync(of('hooks'), 0, 65534);
    fs.chmodSync(of('hooks'), 0o770);
    assertFinding(await examine(dir), 'hooks dir', 'ok', /of root, mode 770/);
    fs.chownSync(of('hooks'), 65534, 65534);
    fs.chmodSync(of('hooks'), 0o500);
    assertFinding(await examine(dir), 'hooks dir', 'bad', /nobody may not write to it \(mode 500\)/);
    fs.chmodSync(of('hooks'), 0o750);
    const call_log = of('hooks/call_log.sqlite');
    fs.chownSync(call_log, 0, 0);
    assertFinding(await examine(dir), 'files', 'bad', /call_log\.sqlite: belongs to root \(mode 600\), Kamailio is nobody and may not write it/);
    fs.chownSync(call_log, 65534, 65534);
    fs.chownSync(dir, 0, 0);
    fs.chmodSync(dir, 0o700);
    assertFinding(await examine(dir), 'journal dir', 'bad', /nobody may not enter \/dev\/shm\/signalbox-doctor/);
    // somebody else sees nothing of it: no finding is good or bad that he could not look at
    fs.chmodSync(dir, 0o711);
    const other = await examine(dir, 65533);
    for (const what of ['kamailio', 'files', 'database', 'endpoint', 'call log', 'delivery', 'mover', 'journal']) assertFinding(other, what, 'unknown', /./);
    assert.deepEqual(other.bad, []);
    assert.equal(other.of('open files').length, 0);
    assert.match(other.of('database')[0].found, /hooks\/database, which names it/);
    fs.writeFileSync(of('spool.cfg'), `modparam("callstate", "spool_dir", "${of('spool')}")\n`);
    assertFinding(await examine(dir, 65533, '--config', of('spool.cfg')), 'kamailio', 'unknown', /\/spool\/lock may not be read/);
    // and of the processes not more, where he may know which they are
    fs.chmodSync(of('journal'), 0o755);
    fs.chmodSync(of('spool'), 0o755);
    fs.chmodSync(of('spool/lock'), 0o644);
    fs.chmodSync(of('journal/spool'), 0o644);
    const some = await examine(dir, 65533);
    assertFinding(some, 'kamailio', 'unknown', new RegExp(`runs as nobody, pid ${sb.kamailio.pid};`));
    assertFinding(some, 'open files', 'unknown', /may not be looked at/);
    assertFinding(some, 'call log', 'unknown', /^pid \d+ below its keeper \d+, .*Permission denied/);
    assert.deepEqual(some.bad, []);
  } finally {
    await sb.stop();
    fs.rmSync(dir, { recursive: true, force: true });
  }
});
