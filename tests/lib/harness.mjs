// SPDX-License-Identifier: GPL-2.0-or-later
// One Signalbox of its own on loopback: Kamailio with routing/, the modules of build/, SQLite or a MariaDB of its own, a
// webhook receiver, and rtpengine if wanted. Many may run beside each other.
//
//     import { start } from '../lib/harness.mjs';
//     const sb = await start({
//       name: 'busy',                       names the run directory build/run/<name>-<pid>-<n>/
//       rules: 'route[RULES] { … }',        text of rules.cfg, or nothing for routing/rules.cfg
//       defines: { FR_TIMER: 500, MAX_DURATION: 3, X: 'text', LISTEN_2: raw('tcp:…'), WITH_Y: true },
//       rtpengine: true,                    default false
//       users: { anna: 'secret' },          phones that may register, in the domain sb.domain
//       receiver: true,                     default true: an HTTP receiver with an endpoint row
//       modparams: 'modparam("callhook", …)\n',   further lines behind modules.cfg
//       sql: 'INSERT …',                    run on the database before the start
//       db: 'mariadb',                      tables in a MariaDB of its own (sb.mariadb, see mariadb.mjs), registrations in sb.registrations; default
//                                           'sqlite': all in sb.db, a file
//       mariadb: { diskMb: 96 },            options for it
//     });
//     sb.port, sb.proxy ("127.0.0.1:port"), sb.dir, sb.db, sb.spool, sb.journal, sb.hooks, sb.domain
//     await sb.rpc('callstate.calls')       RPC; throws what Kamailio refuses
//     await sb.sql('SELECT …')              on whichever database: rows as lines, columns separated by tabs; sb.dbUrl
//     sb.receiver.events(callId)            accepted events of a Call-ID, in order; see peers/receiver.mjs
//     await sb.receiver.until(events => events.some(e => e.type === 'call.cdr'), { call: callId })
//     const r = await sb.sipp({ scenario, service: 'bob', keys: {…} });       a caller, to its end; r.ok, r.successful
//     const uas = await sb.sippStart({ scenario, role: 'uas' });              uas.ip, uas.port; await uas.done; await uas.stop()
//     const anna = await sb.baresip('anna', { tone: 440 });                   registered; anna.dial('sip:ben@…')
//     await sb.signalbox('why', 'last')     build/bin/signalbox on this run's directory: {code, out}
//     await sb.kill9(); await sb.kill9({ main: true }); await sb.kill9({ process: 'callhook delivery' }); await sb.restart(); await sb.stop()
//     sb.log()                              what Kamailio wrote so far
//
// Callers of sb.sipp come from 127.0.0.2, a trunk; callees may use 127.0.0.3; phones and the proxy are on 127.0.0.1.
// start() rejects with a StartRefused (.log, .code) when Kamailio ends instead of coming up.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import dgram from 'node:dgram';
import crypto from 'node:crypto';
import { BUILD, ROOT } from './paths.mjs';
import { Ports } from './ports.mjs';
import { Proc, groupAlive, groupMembers, onExit, poll, run, within } from './proc.mjs';
import { Rpc } from './rpc.mjs';
import { Sipp } from './sipp.mjs';
import { Baresip } from './baresip.mjs';
import { Rtpengine } from './rtpengine.mjs';
import { Mariadb } from './mariadb.mjs';
import { Receiver } from '../peers/receiver.mjs';

const DOMAIN = 'signalbox.test';
let runs = 0;

export class StartRefused extends Error {}

/** A define that is not to be quoted. */
export const raw = (text) => ({ raw: text });

function defineLine([name, value]) {
  if (value === true) return `#!define ${name}`;
  if (typeof value === 'number') return `#!define ${name} ${value}`;
  return `#!define ${name} ${value.raw ?? `"${value}"`}`;
}

const quoted = (s) => `'${String(s).replaceAll("'", "''")}'`;

export const md5 = (s) => crypto.createHash('md5').update(s).digest('hex');

/** Runs SQL on an SQLite file. @return what it printed */
export async function sqlite(db, sql) {
  const r = await run('sqlite3', ['-bail', '-cmd', '.timeout 5000', db], { input: sql });
  if (r.code !== 0) throw new Error(`sqlite3 ${db}: ${r.out.trim()}`);
  return r.out;
}

/** Sends OPTIONS to the proxy until one of its workers answers. */
function options(port, until) {
  const s = dgram.createSocket('udp4').unref();
  return new Promise((resolve) => {
    const end = (v) => { clearInterval(tick); s.close(); resolve(v); };
    s.on('error', () => {}).on('message', () => end(true));
    const send = () => {
      if (until.over) return end(false);
      const id = crypto.randomUUID();
      const own = s.address().port;
      s.send([`OPTIONS sip:127.0.0.1:${port} SIP/2.0`, `Via: SIP/2.0/UDP 127.0.0.1:${own};rport;branch=z9hG4bK${id}`, 'Max-Forwards: 5',
        `From: <sip:harness@127.0.0.1>;tag=${id}`, `To: <sip:127.0.0.1:${port}>`, `Call-ID: ${id}`, 'CSeq: 1 OPTIONS',
        'Content-Length: 0', '', ''].join('\r\n'), port, '127.0.0.1');
      return undefined;
    };
    let tick;
    s.bind(0, '127.0.0.1', () => { tick = setInterval(send, 40); send(); });
  });
}

const spoolOf = (run) => `/dev/shm/signalbox-${os.userInfo().uid}-${run}`;

/** Run directories of an hour ago and more, of processes that are gone; with the spool, if the run was killed and left it. */
function removeOldRuns() {
  const runsDir = path.join(BUILD, 'run');
  for (const f of fs.existsSync(runsDir) ? fs.readdirSync(runsDir) : []) {
    const dir = path.join(runsDir, f);
    const pid = f.match(/-(\d+)-\d+$/)?.[1];
    try {
      if (!pid || fs.existsSync(`/proc/${pid}`) || Date.now() - fs.statSync(dir).mtimeMs < 3600000) continue;
      fs.rmSync(spoolOf(f), { recursive: true, force: true });
      fs.rmSync(dir, { recursive: true, force: true });
    } catch { /* another run was faster */ }
  }
}

export class Harness {
  domain = DOMAIN;
  phones = [];
  sipps = [];
  starts = 0;

  async prepare(o) {
    this.o = o;
    this.name = o.name ?? 'run';
    if (runs === 0 && !fs.existsSync(path.join(BUILD, 'demo', 'running.json'))) removeOldRuns();
    this.dir = path.join(BUILD, 'run', `${this.name}-${process.pid}-${++runs}`);
    fs.rmSync(this.dir, { recursive: true, force: true });
    this.routing = path.join(this.dir, 'routing');
    this.data = path.join(this.dir, 'data');
    this.spool = spoolOf(path.basename(this.dir));
    this.journal = path.join(this.data, 'journal');
    this.hooks = path.join(this.data, 'hooks');
    this.db = path.join(this.data, 'signalbox.db');
    this.registrations = path.join(this.data, 'registrations.db'); // beside MariaDB only
    this.registrationsUrl = `sqlite:///${this.registrations}`;
    for (const d of [this.routing, this.journal, this.hooks, this.spool]) fs.mkdirSync(d, { recursive: true, mode: 0o700 });
    // names of unix sockets are short, paths of working copies need not be
    this.sockets = fs.mkdtempSync(path.join(os.tmpdir(), 'sb-'));
    if (!o.keep) this.forget = onExit(() => this.sweep());
    this.ports = await Ports.take();
    this.port = await this.ports.next(4);
    this.rpcPort = await this.ports.next();
    this.proxy = `127.0.0.1:${this.port}`;
    this.api = new Rpc(this.rpcPort);
    if (o.rtpengine) this.rtpengine = await Rtpengine.start(this.ports, this.dir, o.keep);
    if (o.receiver !== false) this.receiver = await Receiver.start({ file: path.join(this.dir, 'webhooks.jsonl'), port: await this.ports.next() });
    this.dbUrl = await this.databaseUrl();
    await this.database();
    this.configure();
    return this;
  }

  /** Where the tables are; starts MariaDB if they are there. */
  async databaseUrl() {
    const kind = this.o.db ?? 'sqlite';
    if (kind === 'sqlite') return `sqlite:///${this.db}`;
    if (kind !== 'mariadb') throw new Error(`no database is called ${kind}: sqlite, mariadb`);
    this.mariadb = await Mariadb.start({ dir: this.dir, ports: this.ports, keep: this.o.keep, ...this.o.mariadb });
    return this.mariadb.url;
  }

  /** Statements on whichever database. @return rows as lines, columns separated by tabs, NULL as NULL */
  sql(text) { return this.mariadb ? this.mariadb.query(text) : sqlite(this.db, `.mode tabs\n.nullvalue NULL\n${text}`); }

  /** The tables, made by the command as everybody makes them, and the rows of this run. */
  async database() {
    const o = this.o;
    for (const url of [this.dbUrl, ...(this.mariadb ? [this.registrationsUrl] : [])]) {
      const made = await run(path.join(BUILD, 'bin', 'signalbox'), ['--dir', this.data, 'db', 'migrate', '--with-routing'], { env: { ...process.env, SIGNALBOX_DB: url } });
      if (made.code !== 0) throw new Error(`signalbox db migrate: ${made.out.trim()}`);
    }
    const sql = [];
    for (const [user, password] of Object.entries(o.users ?? {}))
      sql.push(`INSERT INTO subscriber (username, domain, ha1) VALUES (${quoted(user)}, ${quoted(DOMAIN)}, ${quoted(md5(`${user}:${DOMAIN}:${password}`))});`);
    if (this.receiver)
      sql.push(o.endpoint?.(this.receiver)
        ?? `INSERT INTO callhook_endpoint (id, url, secret, allow_addresses) VALUES ('crm', ${quoted(this.receiver.url)}, ${quoted(this.receiver.secret)}, '127.0.0.0/8');`);
    const text = [...sql, o.sql ?? ''].join('\n');
    if (text.trim()) await this.sql(text);
  }

  configure() {
    const o = this.o;
    const from = path.join(ROOT, 'routing');
    for (const f of fs.readdirSync(from).filter((n) => n.endsWith('.cfg'))) fs.copyFileSync(path.join(from, f), path.join(this.routing, f));
    if (o.rules !== undefined) fs.writeFileSync(path.join(this.routing, 'rules.cfg'), o.rules);
    if (o.modparams) fs.appendFileSync(path.join(this.routing, 'modules.cfg'), o.modparams);
    this.defines = {
      LISTEN: raw(`udp:${this.proxy}`), CHILDREN: 2, LOCAL_DOMAIN: DOMAIN, TRUNK_ADDRESSES: '127.0.0.2,127.0.0.3',
      MODULES_PATH: `${path.join(BUILD, 'modules')}:${kamailioModules()}`,
      DB_URL: this.dbUrl, ...(this.mariadb ? { DB_MODULE: 'db_mysql.so', REGISTER_DB_URL: this.registrationsUrl } : {}), SPOOL_DIR: this.spool, JOURNAL_DIR: this.journal, HOOKS_DIR: this.hooks,
      RPC_SOCKET: `udp:127.0.0.1:${this.rpcPort}`, CTL_SOCKET: `unix:${path.join(this.sockets, 'ctl')}`,
      ...(this.rtpengine ? { RTPENGINE_SOCK: `udp:127.0.0.1:${this.rtpengine.port}` } : { WITHOUT_RTPENGINE: true }),
      ...o.defines,
    };
    fs.writeFileSync(path.join(this.routing, 'settings-local.cfg'), `${Object.entries(this.defines).filter(([, v]) => v !== undefined).map(defineLine).join('\n')}\n`);
  }

  /** Starts Kamailio on what is there, and waits until its workers answer. */
  async up() {
    this.starts++;
    const log = path.join(this.dir, 'kamailio.log');
    const from = fs.existsSync(log) ? fs.statSync(log).size : 0;
    const pid = path.join(this.sockets, 'pid');
    fs.rmSync(pid, { force: true });
    this.kamailio = new Proc('kamailio', ['-DD', '-E', '-x', 'fm', '-X', 'fm', '-m', String(this.o.shm ?? 64), '-M', '8', '-P', pid, '-Y', this.sockets,
      '-f', path.join(this.routing, 'signalbox.cfg'), ...(this.o.args ?? [])], { log, cwd: this.routing, keep: this.o.keep });
    const until = { over: false };
    const ended = this.kamailio.done.then((code) => code);
    const t = setTimeout(() => { until.over = true; }, this.o.startTimeout ?? 15000);
    const up = await Promise.race([options(this.port, until), ended.then(() => 'ended')]);
    clearTimeout(t);
    until.over = true;
    if (up === true && !this.kamailio.exited) {
      await this.settled();
      return this;
    }
    const code = this.kamailio.code;
    await this.kamailio.kill();
    const text = fs.readFileSync(log, 'utf8').slice(from);
    const e = new StartRefused(`Kamailio ${up === 'ended' ? `ended with ${code}` : 'does not answer'}:\n${text.split('\n').slice(-25).join('\n')}`);
    Object.defineProperties(e, { log: { value: text }, code: { value: code } });
    throw e;
  }

  /** The first workers answer while the last processes are still being forked: a SIGTERM in that moment is lost on them. */
  async settled() {
    let before = 0;
    await poll(() => {
      const now = groupMembers(this.kamailio.pid).length;
      const same = now === before;
      before = now;
      return same;
    }, 3000, 'processes come and go', 30);
  }

  rpc(method, ...params) { return this.api.call(method, ...params); }

  log() { return fs.readFileSync(path.join(this.dir, 'kamailio.log'), 'utf8'); }

  /** A SIPp that has opened its port. o.role 'uas' waits for calls on 127.0.0.3; else it calls the proxy from 127.0.0.2. */
  async sippStart(o) {
    const uas = o.role === 'uas';
    const s = await Sipp.start({
      dir: this.dir, keep: this.o.keep, ip: uas ? '127.0.0.3' : '127.0.0.2', port: o.port ?? await this.ports.next(), ...(uas ? {} : { remote: this.proxy }), ...o,
      name: o.name ?? `${uas ? 'uas' : 'uac'}-${this.sipps.length + 1}`,
    });
    this.sipps.push(s);
    return s;
  }

  async sipp(o) { return (await this.sippStart(o)).done; }

  /** A registered phone of one of o.users. */
  async baresip(user, o = {}) {
    const b = await Baresip.start({ dir: this.dir, ports: this.ports, user, domain: DOMAIN, password: this.o.users?.[user], proxy: this.proxy, keep: this.o.keep, ...o });
    this.phones.push(b);
    return b;
  }

  /** The command line of the project on this run's directory. */
  signalbox(...args) { return run(path.join(BUILD, 'bin', 'signalbox'), ['--dir', this.data, ...args]); }

  /** The pid of the process that core.psx describes so: 'callhook delivery', 'udp receiver child=0'. */
  async pidOf(description) {
    const all = await this.rpc('core.psx');
    const p = all.find((x) => x.DSC.startsWith(description));
    if (!p) throw new Error(`no process is described as ${description}; there are: ${all.map((x) => x.DSC).join(', ')}`);
    return p.PID;
  }

  /** SIGKILL to every process of Kamailio, or to one alone: the first (main), or the one of a description (process): the others go by themselves. */
  async kill9(o = {}) {
    if (o.process) process.kill(await this.pidOf(o.process), 'SIGKILL');
    else if (o.main) this.kamailio.signal('SIGKILL');
    else return this.kamailio.kill();
    await within(10000, () => `Kamailio lives on 10 s after ${o.process ?? 'main'} was killed`, this.kamailio.done);
    return undefined;
  }

  /** Starts again on the same directories and ports; stops a running one first. After kill9({main}) the orphans must go by themselves. */
  async restart() {
    const k = this.kamailio;
    if (!k.exited) await this.down();
    else await poll(() => !groupAlive(k.pid), 10000, `processes of group ${k.pid} live on 10 s after main was killed`);
    return this.up();
  }

  /** SIGTERM, and all its processes gone. @return true if it went by itself */
  down() { return this.kamailio.stop(10000); }

  sweep() {
    fs.rmSync(this.spool, { recursive: true, force: true });
    fs.rmSync(this.sockets, { recursive: true, force: true });
  }

  /** Everything down and tidy; the run directory stays to be looked at. @return true if Kamailio went by itself */
  async stop() {
    await Promise.all([...this.phones.map((p) => p.stop()), ...this.sipps.filter((s) => !s.proc.exited).map((s) => s.stop())]);
    const clean = this.kamailio ? this.kamailio.exited || await this.down() : true;
    await this.rtpengine?.stop();
    await this.mariadb?.stop();
    await this.receiver?.close();
    this.api?.close();
    this.ports?.close();
    this.sweep();
    this.forget?.();
    return clean;
  }
}

function kamailioModules() {
  const dirs = ['/usr/lib/x86_64-linux-gnu/kamailio/modules', '/usr/lib/aarch64-linux-gnu/kamailio/modules', '/usr/lib/kamailio/modules', '/usr/local/lib64/kamailio/modules', '/usr/local/lib/kamailio/modules'];
  const d = dirs.find((p) => fs.existsSync(path.join(p, 'tm.so')));
  if (!d) throw new Error(`no Kamailio modules in ${dirs.join(', ')}: run "make deps"`);
  return d;
}

/** Everything prepared and Kamailio up; on failure nothing is left running. */
export async function start(o = {}) {
  const sb = await prepare(o);
  try {
    return await sb.up();
  } catch (e) {
    await sb.stop();
    throw e;
  }
}

/** Everything but Kamailio; the test calls up() itself. */
export async function prepare(o = {}) {
  const sb = new Harness();
  try {
    return await sb.prepare(o);
  } catch (e) {
    await sb.stop();
    throw e;
  }
}

/** Expects the start to be refused. @return {log, code, left}: left: processes stayed */
export async function refused(sb) {
  try {
    await sb.up();
  } catch (e) {
    if (!(e instanceof StartRefused)) throw e;
    return { log: e.log, code: e.code, left: groupAlive(sb.kamailio.pid) };
  }
  throw new Error('Kamailio started, and should have refused to');
}
