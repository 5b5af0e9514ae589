// SPDX-License-Identifier: GPL-2.0-or-later
// signalbox db: made, updated, checked, pruned, erased, on SQLite and on a MariaDB of its own; and what docs/database.md says about it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from '../lib/test.mjs';
import { BUILD, ROOT } from '../lib/paths.mjs';
import { sqlite } from '../lib/harness.mjs';
import { Mariadb } from '../lib/mariadb.mjs';
import { Ports } from '../lib/ports.mjs';
import { poll, run } from '../lib/proc.mjs';

const BIN = path.join(BUILD, 'bin', 'signalbox');
const LAST = fs.readdirSync(path.join(ROOT, 'db', 'schema')).filter((f) => f.endsWith('.sql')).length;
let runs = 0;

/** A folder of the test's own, the command on it, and one of the two databases. */
async function place(kind, o = {}) {
  const dir = path.join(BUILD, 'run', `db-${kind}-${process.pid}-${++runs}`);
  fs.rmSync(dir, { recursive: true, force: true });
  fs.mkdirSync(dir, { recursive: true });
  const x = { dir, kind, stop: async () => {} };
  if (kind === 'mariadb') {
    const ports = await Ports.take();
    x.m = await Mariadb.start({ dir, ports, ...o });
    x.url = x.m.url;
    x.query = (sql) => x.m.query(sql);
    x.stop = async () => { await x.m.stop(); ports.close(); };
  } else {
    x.file = path.join(dir, 'signalbox.db');
    x.url = `sqlite:///${x.file}`;
    x.query = (sql) => sqlite(x.file, `.mode tabs\n${sql}`);
  }
  x.env = (url = x.url) => ({ env: { ...process.env, SIGNALBOX_DB: url } });
  x.db = (...a) => run(BIN, ['--dir', dir, 'db', ...a], x.env());
  x.as = (url, ...a) => run(BIN, ['--dir', dir, 'db', ...a], x.env(url));
  x.must = async (...a) => {
    const r = await x.db(...a);
    assert.equal(r.code, 0, `db ${a.join(' ')}: ${r.out}`);
    return r.out;
  };
  x.json = async (...a) => JSON.parse((await x.db(...a, '--json')).stdout);
  x.one = async (sql) => (await x.query(`${sql};`)).trim();
  return x;
}

/** @param f gets a place; both databases, one behind the other */
function both(name, f, o = {}) {
  for (const kind of ['sqlite', 'mariadb']) {
    test(`${name}_${kind}`, async () => {
      const x = await place(kind, o);
      try { await f(x); } finally { await x.stop(); }
    });
  }
}

const VERSION_1 = {
  sqlite: `CREATE TABLE version (id INTEGER PRIMARY KEY NOT NULL, table_name VARCHAR(32) NOT NULL, table_version INTEGER DEFAULT 0 NOT NULL, CONSTRAINT version_table_name_idx UNIQUE (table_name));`,
  mariadb: 'CREATE TABLE `version` (`id` INT(10) UNSIGNED AUTO_INCREMENT PRIMARY KEY NOT NULL, `table_name` VARCHAR(32) NOT NULL, `table_version` INT UNSIGNED DEFAULT 0 NOT NULL, CONSTRAINT table_name_idx UNIQUE (`table_name`));',
};
const ENDPOINT_1 = `CREATE TABLE callhook_endpoint (id VARCHAR(63) PRIMARY KEY NOT NULL, url VARCHAR(1023) NOT NULL, secret VARCHAR(128) NOT NULL, events VARCHAR(511) DEFAULT '*' NOT NULL,
  enabled INTEGER DEFAULT 1 NOT NULL, timeout_ms INTEGER DEFAULT 0 NOT NULL, concurrency INTEGER DEFAULT 8 NOT NULL, description VARCHAR(255) DEFAULT '' NOT NULL);
  INSERT INTO version (table_name, table_version) VALUES ('callhook_endpoint', 1), ('acc', 5);
  INSERT INTO callhook_endpoint (id, url, secret) VALUES ('crm', 'https://crm.example.com/', 'whsec_x');`;

both('db_migrate_makes_everything_once', async (x) => {
  assert.match(await x.must('migrate'), new RegExp(`applying 001_endpoint\\n.*up to date: migration ${LAST}\\n$`, 's'));
  assert.match(await x.must('migrate'), /nothing to do/);
  assert.equal((await x.json('check')).tables.length, 5);
  await x.must('migrate', '--with-routing');
  const c = await x.json('check');
  assert.equal(c.good, true);
  assert.deepEqual(c.tables.filter((t) => ['subscriber', 'location'].includes(t.table)).map((t) => t.version), [7, 9]);
  await x.query("INSERT INTO subscriber (username, domain, ha1) VALUES ('anna', 'sip.example.com', 'abc'), ('none', 'sip.example.com', '');");
  assert.equal(await x.one('SELECT * FROM routing_credential'), 'anna@sip.example.com\tabc');
});

both('db_migrate_keeps_the_rows_of_version_1', async (x) => {
  if (x.kind === 'sqlite') fs.writeFileSync(x.file, '');
  await x.query(VERSION_1[x.kind] + ENDPOINT_1);
  const before = await x.json('check');
  assert.deepEqual(before.tables.find((t) => t.table === 'callhook_endpoint').missing_columns.slice(0, 3), ['trunks', 'dids', 'allow_addresses']);
  assert.equal((await x.db('check')).code, 1);
  // half of the next migration, as a run that was cut off leaves it
  await x.query("ALTER TABLE callhook_endpoint ADD COLUMN trunks VARCHAR(511) DEFAULT '*' NOT NULL; UPDATE callhook_endpoint SET trunks = 'carrier-*';");
  await x.must('migrate');
  assert.match(await x.must('check'), /all 5 as expected/);
  assert.equal(await x.one('SELECT id, secret, trunks, dids, rate_limit FROM callhook_endpoint'), 'crm\twhsec_x\tcarrier-*\t*\t0');
  assert.equal(await x.one("SELECT table_version FROM version WHERE table_name = 'acc'"), '5');
});

both('db_check_says_what_is_wrong_and_migrate_mends_it', async (x) => {
  await x.must('migrate');
  await x.query(`DROP INDEX callstate_call_code_idx${x.kind === 'mariadb' ? ' ON callstate_call' : ''}; DROP TABLE callstate_event; UPDATE version SET table_version = 1 WHERE table_name = 'callhook_endpoint';`);
  const r = await x.db('check');
  assert.equal(r.code, 1);
  assert.match(r.out, /callhook_endpoint +version 1, expected 2\n/);
  assert.match(r.out, /missing indexes: callstate_call_code_idx \(sip_code,started_at\)/);
  assert.match(r.out, /callstate_event +missing\n/);
  assert.match(r.out, /3 of them not as expected; to mend: signalbox db migrate\n/);
  assert.match(await x.must('migrate'), /applying everything again/);
  assert.equal((await x.json('check')).good, true);
});

both('db_check_names_a_table_that_is_gone_below_a_view', async (x) => {
  await x.must('migrate', '--with-routing');
  await x.query('DROP TABLE subscriber;');
  const r = await x.db('check', '--with-routing');
  assert.equal(r.code, 1);
  assert.match(r.out, /subscriber +missing\n/);
  await x.must('migrate', '--with-routing');
  assert.equal((await x.json('check', '--with-routing')).good, true);
});

both('db_that_is_newer_is_left_alone', async (x) => {
  await x.must('migrate');
  await x.query("UPDATE version SET table_version = 99 WHERE table_name = 'signalbox'; DROP TABLE callstate_event;");
  const r = await x.db('migrate');
  assert.equal(r.code, 1);
  assert.match(r.out, /newer than this command/);
  await x.query("UPDATE version SET table_version = 1 WHERE table_name = 'signalbox'; UPDATE version SET table_version = 9 WHERE table_name = 'callstate_call';");
  assert.match((await x.db('migrate')).out, /callstate_call has version 9/);
  assert.match((await x.db('check')).out, /newer than this command\n[^]*use the signalbox that made this database/);
});

both('db_migrate_twice_at_once_and_killed_half_way_ends_whole', async (x) => {
  for (let i = 0; i < 12; i++) {
    const c = spawn(BIN, ['--dir', x.dir, 'db', 'migrate', '--with-routing'], { ...x.env(), stdio: ['ignore', 'pipe', 'ignore'] });
    let seen = 0;
    const after = 1 + i % 6; // lines: killed within another migration each time
    c.stdout.setEncoding('utf8').on('data', (d) => { seen += d.split('\n').length - 1; if (seen >= after) c.kill('SIGKILL'); });
    await once(c, 'close');
    if (i % 4 === 3 && (x.kind === 'mariadb' || fs.existsSync(x.file)))
      await x.query(['callstate_event', 'callstate_attempt', 'callstate_call', 'callhook_endpoint', 'location', 'subscriber', 'version'].map((t) => `DROP TABLE IF EXISTS ${t};`).join(' '));
  }
  const four = await Promise.all([1, 2, 3, 4].map(() => x.db('migrate', '--with-routing')));
  for (const r of four) assert.equal(r.code, 0, r.out);
  assert.equal((await x.json('check', '--with-routing')).good, true);
});

test('db_migrate_waits_for_another_one_on_mariadb', async () => {
  const x = await place('mariadb');
  try {
    let held = true;
    const other = x.query("SELECT GET_LOCK(CONCAT('signalbox.migrate.', MD5('signalbox')), 0); SELECT SLEEP(1.5);").then(() => { held = false; });
    await poll(async () => (await x.one("SELECT IS_USED_LOCK(CONCAT('signalbox.migrate.', MD5('signalbox'))) IS NOT NULL")) === '1', 5000, 'the lock is not held');
    await x.must('migrate');
    assert.equal(held, false, 'it went on beside the other one');
    await other;
  } finally { await x.stop(); }
});

both('db_sql_by_hand_is_what_migrate_makes', async (x) => {
  const sql = await run(BIN, ['db', 'sql', x.kind, '--with-routing']);
  assert.equal(sql.code, 0);
  if (x.kind === 'sqlite') fs.writeFileSync(x.file, '');
  assert.equal(await x.query(sql.stdout), '');
  assert.match(await x.must('check', '--with-routing'), /all 8 as expected/);
  assert.match(await x.must('migrate', '--with-routing'), /nothing to do/);
  if (x.kind === 'mariadb') assert.equal(await x.query(sql.stdout), '');
});

const row = (n, o) => {
  const c = { call_id: `01a1fa31-9716-7533-a7a4-${String(n).padStart(12, '0')}`, sip_call_id: `c${n}@192.0.2.1`, node: '00000000-0000-7000-8000-000000000001', last_sequence: 4, state: 'disconnected',
    started_at: '2026-01-31 14:02:07.123456', ended_at: '2026-01-31 14:03:07.123456', trunk: 'carrier-a', sip_code: 200, ...o };
  const v = (s) => (s === null ? 'NULL' : typeof s === 'number' ? s : `'${String(s).replaceAll("'", "''")}'`);
  return `INSERT INTO callstate_call (${Object.keys(c).join(', ')}) VALUES (${Object.values(c).map(v).join(', ')});
    INSERT INTO callstate_attempt (call_id, n, last_sequence, uri, destination, trunk, to_number) VALUES ('${c.call_id}', 1, 4, ${v(c.a_uri ?? 'sip:+441632960001@192.0.2.9')}, 'udp:192.0.2.9:5060', 'carrier-a', '+441632960001'), ('${c.call_id}', 2, 4, 'sip:ben@198.51.100.4', 'udp:198.51.100.4:5060', NULL, 'ben');
    INSERT INTO callstate_event (event_id, call_id, sequence, type, at, state, note, from_tag) VALUES ('e${n}-1', '${c.call_id}', 1, 'call.initiated', '${c.started_at}', 'calling', NULL, 'tag${n}'), ('e${n}-2', '${c.call_id}', 2, 'custom.x', '${c.started_at}', 'confirmed', ${v(c.note ?? null)}, 'tag${n}');`;
};
const calls = (list) => list.map((o, n) => { const { note, a_uri: uri, ...rest } = o; let s = row(n + 1, rest); if (note) s = s.replace(/NULL, 'tag\d+'\);$/m, `'${note}', 'tag');`); if (uri) s = s.replace('sip:+441632960001@192.0.2.9', uri); return s; }).join('\n');

const WANTED = '+442079460142';
const OF_ONE = [
  { from_number: WANTED, from_digits: '241064970244', from_uri: `sip:${WANTED}@192.0.2.1`, from_name: 'Jo Example', to_number: '+441632960001', did: '+441632960001', agent: 'anna', source: 'udp:203.0.113.9:5060' },
  { from_number: '+441632960002', to_number: WANTED, to_digits: '241064970244', to_uri: 'sip:02079460142@sip.example.com', request_uri: 'sip:442079460142@sip.example.com', did: WANTED },
  { from_number: '+441632960003', a_uri: 'sip:%2B442079460142@192.0.2.9;user=phone', ended_at: null, state: 'ringing' },
  { from_number: '+441632960004', attributes: `{"customer":{"note":"${'long '.repeat(600)}","phone":"(020) 7946-0142"}}` },
  { from_number: '+441632960005', note: 'call back 00442079460142' },
  { from_number: '+441632960006', from_name: '+44 20 7946 0142', ended_at: null, state: 'confirmed' },
];
const OTHERS = [{ from_number: '+442079460143', from_digits: '341064970244', from_uri: 'sip:+442079460143@192.0.2.1', from_name: 'Al Example' }, { from_number: '+441632960142', sip_call_id: 'x460142x@192.0.2.1' }];

both('db_erase_takes_one_number_out_and_leaves_the_statistics', async (x) => {
  await x.must('migrate');
  await x.query(calls([...OF_ONE, ...OTHERS]));
  await x.query("INSERT INTO callhook_endpoint (id, url, secret) VALUES ('crm', 'https://crm.example.com/', 'whsec_x');");
  const all = 'SELECT * FROM callstate_call ORDER BY call_id; SELECT * FROM callstate_attempt ORDER BY call_id, n; SELECT * FROM callstate_event ORDER BY event_id;';
  const before = await x.query(all);
  assert.match(before, /2079460142/);

  const show = await x.json('erase', '--number', '020 7946 0142');
  assert.deepEqual([show.erased, show.calls, show.call_rows, show.attempt_rows, show.event_rows, show.going_on], [false, 6, 6, 12, 12, 2]);
  assert.deepEqual(show.written_as.map((w) => w.text).sort(), ['%2B442079460142', WANTED, '02079460142', '442079460142'].sort());
  assert.equal((await x.json('erase', '--number', WANTED, '--yes', '--dry-run')).erased, false);
  assert.equal(await x.query(all), before, 'without --yes nothing changes');

  // somebody has the file open, so that its -wal outlives the command
  const beside = x.kind === 'sqlite' ? spawn('sqlite3', [x.file], { stdio: ['pipe', 'pipe', 'inherit'] }) : undefined;
  if (beside) {
    beside.stdin.write('SELECT COUNT(*) FROM callstate_call;\n');
    await once(beside.stdout, 'data');
  }
  const said = await x.must('erase', '--number', WANTED, '--yes');
  assert.match(said, /erased: 6 calls from 2026-01-31 to 2026-01-31; rows: callstate_call 6, callstate_attempt 12, callstate_event 12/);
  assert.match(said, /2 of these calls are not over/);
  for (const where of ['journal', 'receivers of webhooks, .*: crm', 'backups', 'layer log']) assert.match(said, new RegExp(`- .*${where}`));
  if (x.kind === 'mariadb') assert.match(said, /InnoDB has purged/);

  const after = await x.query(all);
  assert.doesNotMatch(after, /2079460142|7946[- ]0142|241064970244|Jo Example|203\.0\.113\.9|198\.51\.100\.4:5060\t.*carrier/);
  assert.equal(await x.one("SELECT COUNT(*) FROM callstate_call WHERE sip_call_id = 'erased' AND from_number IS NULL AND trunk = 'carrier-a' AND sip_code = 200"), '6');
  assert.equal(await x.one("SELECT did, agent FROM callstate_call WHERE did IS NOT NULL"), '+441632960001\tanna', 'a DID that is the number goes, another one stays');
  assert.equal(await x.one("SELECT COUNT(*) FROM callstate_attempt WHERE destination = 'udp:192.0.2.9:5060'"), '8', 'addresses of trunks stay');
  assert.equal(await x.one("SELECT from_number, from_uri, from_name, sip_call_id FROM callstate_call WHERE from_name = 'Al Example'"), '+442079460143\tsip:+442079460143@192.0.2.1\tAl Example\tc7@192.0.2.1');
  assert.equal(await x.one("SELECT COUNT(*) FROM callstate_event WHERE from_tag LIKE 'tag%'"), '4', 'events of others are as they were');
  if (beside) {
    assert.ok(fs.existsSync(`${x.file}-wal`));
    for (const f of fs.readdirSync(x.dir).filter((n) => n.startsWith('signalbox.db'))) {
      const bytes = fs.readFileSync(path.join(x.dir, f), 'latin1');
      for (const s of ['2079460142', '241064970244', 'Jo Example']) assert.equal(bytes.includes(s), false, `${s} is still in ${f}`);
    }
    beside.stdin.end();
    await once(beside, 'close');
  }
  assert.equal((await x.json('erase', '--number', WANTED, '--yes')).calls, 0, 'a second run finds none');
});

test('db_erase_exact_takes_the_same_digits_alone', async () => {
  const x = await place('sqlite');
  await x.must('migrate');
  await x.query(calls([{ from_number: WANTED }, { from_number: '+332079460142' }, { from_number: '2079460142' }]));
  assert.equal((await x.json('erase', '--number', '2079460142')).calls, 3);
  assert.equal((await x.json('erase', '--number', WANTED, '--exact', '--yes')).calls, 1);
  assert.equal(await x.one('SELECT from_number FROM callstate_call WHERE from_number IS NOT NULL ORDER BY 1'), '+332079460142\n2079460142');
  for (const bad of [[], ['--number'], ['--number', '1'], ['--nmber', '12'], ['--number', '1'.repeat(61)]]) assert.equal((await x.db('erase', ...bad)).code, 2, bad.join(' '));
});

both('db_prune_deletes_what_began_earlier', async (x) => {
  await x.must('migrate');
  await x.must('demo');
  const [before, total] = (await x.one(`SELECT started_at, (SELECT COUNT(*) FROM callstate_call) FROM callstate_call ORDER BY started_at LIMIT 1 OFFSET 250`)).split('\t');
  const at = before.slice(0, 19).replace(' ', 'T');
  const older = Number(await x.one(`SELECT COUNT(*) FROM callstate_call WHERE started_at < '${before.slice(0, 19)}.000000'`));
  assert.ok(older > 100 && Number(total) === 600);
  assert.match(await x.must('prune', '--older-than', at, '--dry-run'), new RegExp(`^${older} calls began before`));
  const r = await x.json('prune', '--older-than', at);
  assert.equal(r.deleted_calls, older);
  assert.equal(await x.one('SELECT COUNT(*) FROM callstate_call'), String(600 - older));
  for (const t of ['callstate_attempt', 'callstate_event'])
    assert.equal(await x.one(`SELECT COUNT(*) FROM ${t} WHERE call_id NOT IN (SELECT call_id FROM callstate_call)`), '0');
  for (const bad of [[], ['--older-than'], ['--older-than', 'x'], ['--older-than', '2999-01-01'], ['--all']]) assert.equal((await x.db('prune', ...bad)).code, 2, bad.join(' '));
});

test('db_prune_does_not_hold_up_a_writer', async () => {
  const x = await place('sqlite');
  await x.must('migrate');
  await x.query(`WITH RECURSIVE i(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM i WHERE n < 19999)
    INSERT INTO callstate_call (call_id, sip_call_id, node, last_sequence, state, started_at) SELECT printf('01a1fa31-9716-7533-a7a4-%012d', n), 'x', 'n', 1, 'failed', '2026-01-01 00:00:00.000000' FROM i;
    WITH s(k) AS (VALUES (1), (2), (3), (4)) INSERT INTO callstate_event (event_id, call_id, sequence, type, at, state) SELECT call_id || '-' || k, call_id, k, 'call.x', started_at, 'failed' FROM callstate_call, s;`);
  const c = spawn(BIN, ['--dir', x.dir, 'db', 'prune', '--older-than', '2026-02-01'], { ...x.env(), stdio: 'ignore' });
  const gone = once(c, 'close');
  let longest = 0;
  let writes = 0;
  while (c.exitCode === null) {
    const began = Date.now();
    await sqlite(x.file, `INSERT INTO callstate_event (event_id, call_id, sequence, type, at, state) VALUES ('w${writes++}', 'w', 1, 't', 'a', 's');`);
    longest = Math.max(longest, Date.now() - began);
  }
  assert.deepEqual(await gone, [0, null]);
  assert.equal(await x.one('SELECT COUNT(*) FROM callstate_call'), '0');
  assert.ok(writes >= 15, `20 chunks, and only ${writes} writes came through`);
  assert.ok(longest < 3000, `a write waited ${longest} ms`);
});

both('db_demo_fills_an_empty_call_log_only', async (x) => {
  assert.equal((await x.db('demo')).code, 1);
  await x.must('migrate');
  assert.match(await x.must('demo'), /600 made-up calls/);
  assert.equal(await x.one('SELECT COUNT(DISTINCT trunk), COUNT(DISTINCT agent) FROM callstate_call'), '3\t6');
  assert.ok(Number(await x.one('SELECT COUNT(DISTINCT sip_code) FROM callstate_call')) >= 6);
  assert.equal(await x.one('SELECT COUNT(*) FROM callstate_call c WHERE last_sequence <> (SELECT COUNT(*) FROM callstate_event e WHERE e.call_id = c.call_id)'), '0');
  assert.equal(await x.one('SELECT enabled FROM callhook_endpoint'), '0');
  assert.match((await x.db('demo')).out, /there are calls/);
});

test('db_sqlite_file_is_private_and_a_missing_one_is_not_made_by_looking', async () => {
  const x = await place('sqlite');
  const r = await x.db('check');
  assert.equal(r.code, 1);
  assert.match(r.out, /there is no database .*signalbox db migrate makes it/);
  assert.equal(fs.existsSync(x.file), false);
  await x.must('migrate');
  assert.equal(fs.statSync(x.file).mode & 0o777, 0o600);
  fs.writeFileSync(x.file, 'no database, only text. '.repeat(100));
  assert.match((await x.db('check')).out, /no SQLite database/);
  assert.match((await x.as('sqlite:////nowhere/at/all.db', 'migrate')).out, /its folder is not there/);
});

test('db_url_is_looked_for_in_its_order', async () => {
  const x = await place('sqlite');
  const [a, b, c, d] = ['a', 'b', 'c', 'signalbox'].map((n) => path.join(x.dir, `${n}.db`));
  const clean = { ...process.env, SIGNALBOX_DB: '' };
  const shown = async (args, env) => (await run(BIN, ['--dir', x.dir, ...args, 'db', 'migrate'], { env })).out.split('\n')[0];
  assert.equal(await shown([], clean), `sqlite://${d}`);
  fs.mkdirSync(path.join(x.dir, 'hooks'));
  fs.writeFileSync(path.join(x.dir, 'hooks', 'database'), `sqlite:///${c}\n`);
  assert.equal(await shown([], clean), `sqlite://${c}`);
  assert.equal(await shown([], { ...clean, SIGNALBOX_DB: `sqlite://${b}` }), `sqlite://${b}`);
  assert.equal(await shown([`--db=sqlite://${a}`], { ...clean, SIGNALBOX_DB: `sqlite://${b}` }), `sqlite://${a}`);
  assert.equal(await shown(['--db', `sqlite://${a}`], clean), `sqlite://${a}`);
});

test('db_mariadb_errors_say_what_is_wrong_and_no_password', async () => {
  const x = await place('mariadb', { tls: true });
  try {
    const { m } = x;
    const secret = 'hush%2Fhush';
    const tried = async (url, what) => {
      const r = await x.as(url, 'migrate');
      assert.equal(r.code, 1, `${url}: ${r.out}`);
      assert.match(r.out, what);
      assert.doesNotMatch(r.out, new RegExp(`hush|${m.password}`));
    };
    await tried(`mysql://signalbox:${secret}@127.0.0.1:${m.port}/signalbox`, /Access denied.*check user, password/);
    await tried(`mysql://signalbox:${m.password}@127.0.0.1:${m.port}/nowhere`, /Access denied|Unknown database/);
    await tried(`mysql://signalbox:${secret}@127.0.0.1:1/signalbox`, /Can't connect.*check host and port/);
    await tried(`mysql://signalbox:${secret}@127.0.0.1:${m.port}/signalbox?ca=${path.join(ROOT, 'LICENSE')}`, /TLS|SSL|certificate/i);
    // 127.1 leads there, but the certificate is not for that name
    await tried(`mysql://signalbox:${m.password}@127.1:${m.port}/signalbox?ca=${m.ca}`, /certificate/);
    assert.equal((await x.as(m.tlsUrl, 'migrate')).code, 0);
    assert.equal((await x.as(`${m.url}?tls=require`, 'check')).code, 0);
    assert.equal((await x.as(m.socketUrl, 'check')).code, 0);
    await m.query("ALTER USER 'signalbox'@'127.0.0.1' REQUIRE SSL;");
    await tried(m.url, /Access denied/);
    assert.equal((await x.as(m.tlsUrl, 'check')).code, 0);
    await m.query("ALTER USER 'signalbox'@'127.0.0.1' REQUIRE X509;");
    await tried(m.tlsUrl, /Access denied/);
    m.freeze();
    const began = Date.now();
    await tried(m.url, /does not answer/);
    assert.ok(Date.now() - began < 13000, `${Date.now() - began} ms`);
    m.thaw();
  } finally { await x.stop(); }
});

test('db_password_does_not_stay_in_the_list_of_processes', async () => {
  const x = await place('mariadb');
  try {
    x.m.freeze(); // the command waits, so that it can be looked at
    const c = spawn(BIN, ['--db', x.url, '--dir', x.dir, 'db', 'check'], { stdio: 'ignore' });
    const gone = once(c, 'close');
    const line = () => fs.readFileSync(`/proc/${c.pid}/cmdline`, 'utf8').split('\0');
    await poll(() => line()[2]?.startsWith('xxxx'), 5000, () => `still ${line().join(' ')}`);
    assert.equal(line().some((a) => a.includes(x.m.password)), false);
    assert.equal(line()[6], 'check');
    c.kill();
    await gone;
  } finally { await x.stop(); }
});

const page = fs.readFileSync(path.join(ROOT, 'docs', 'database.md'), 'utf8');

test('docs_database_grants_are_enough_and_no_more', async () => {
  const x = await place('mariadb');
  try {
    const sql = [...page.matchAll(/^```sql\n(.*?)^```$/gms)].map((m) => m[1]);
    assert.equal(sql.length, 3);
    await x.query(`DROP DATABASE signalbox; ${sql[0]}`);
    const as = (user, n) => `mysql://${user}:password-${n}@localhost/signalbox?socket=${x.m.socket}`;
    const admin = as('signalbox_admin', 1);
    for (const words of [['migrate', '--with-routing'], ['check'], ['demo'], ['prune', '--older-than', '12h'], ['erase', '--number', '+442079460110', '--yes']]) {
      const r = await x.as(admin, ...words);
      assert.equal(r.code, 0, `${words.join(' ')}: ${r.out}`);
    }
    await x.query(sql[1] + sql[2]);
    const may = async (user, n, text) => (await run('mariadb', ['--no-defaults', '--socket', x.m.socket, `--user=${user}`, `--password=password-${n}`, 'signalbox'], { input: text })).code === 0;
    const write = "INSERT INTO callstate_event (event_id, call_id, sequence, type, at, state) VALUES ('e', 'c', 1, 't', NOW(), 's') ON DUPLICATE KEY UPDATE state = IF(sequence < VALUES(sequence), VALUES(state), state);";
    assert.equal(await may('kamailio', 2, `${write} DELETE FROM callstate_event WHERE event_id = 'e'; SELECT secret FROM callhook_endpoint; SELECT table_version FROM version; SELECT * FROM routing_credential; DELETE FROM location;`), true);
    for (const no of ['DROP TABLE callstate_event;', 'ALTER TABLE callstate_call ADD COLUMN x INT;', 'UPDATE callhook_endpoint SET enabled = 1;', 'UPDATE subscriber SET ha1 = 0;', 'UPDATE version SET table_version = 9;'])
      assert.equal(await may('kamailio', 2, no), false, no);
    assert.equal(await may('reports', 3, 'SELECT COUNT(*) FROM callstate_call; SELECT COUNT(*) FROM callstate_attempt; SELECT COUNT(*) FROM callstate_event;'), true);
    for (const no of [write, 'SELECT secret FROM callhook_endpoint;', 'DELETE FROM callstate_call;', 'SELECT * FROM subscriber;']) assert.equal(await may('reports', 3, no), false, no);
    assert.equal((await x.as(as('reports', 3), 'erase', '--number', '+442079460111', '--yes')).code, 1);
  } finally { await x.stop(); }
});

test('docs_database_commands_are_those_there_are', async () => {
  const help = (await run(BIN, ['help'])).stdout;
  for (const [, words] of page.matchAll(/^ {4}.*?signalbox db (\w+[^>\n]*)/gm)) {
    const [verb, ...rest] = words.trim().split(/\s+/);
    const at = help.indexOf(`signalbox db ${verb}`);
    assert.ok(at >= 0, `signalbox help does not know db ${verb}`);
    for (const option of rest.filter((w) => w.startsWith('--') && w !== '--db')) assert.ok(help.slice(at, help.indexOf('\n', at)).includes(option), `db ${verb} ${option}`);
  }
  const x = await place('sqlite');
  fs.writeFileSync(x.file, '');
  await x.query(VERSION_1.sqlite + ENDPOINT_1);
  const shown = page.match(/^```\n\$ signalbox db check\n.*?\n(.*?)^```$/ms)[1];
  assert.equal((await x.db('check')).out.split('\n').slice(1).join('\n'), shown, 'the example of db check');
});
