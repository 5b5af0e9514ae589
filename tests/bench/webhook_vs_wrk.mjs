// SPDX-License-Identifier: GPL-2.0-or-later
// webhook_vs_wrk: how fast delivery posts events, one a request, and what a request costs. Ours: the delivery loop on a log that
// is there already: read, rendered, signed, kept in order, answered, cursor and history written. The peer: wrk, which sends the
// same bytes again and again. Both with 32 connections, one thread, to the same nginx, in turns; nginx on one CPU, the client on another.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { BUILD } from '../lib/paths.mjs';
import { Proc, poll, run } from '../lib/proc.mjs';
import { median, round, spread } from './figures.mjs';

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const CONNECTIONS = 32;
const RATE = 0.38, CPU = 2.6; /* of wrk's */

const NGINX = (dir, port) => `daemon off;
worker_processes 1;
pid ${dir}/pid;
error_log ${dir}/error.log error;
events { worker_connections 512; }
http {
	access_log off;
	client_body_temp_path ${dir}/body;
	proxy_temp_path ${dir}/proxy;
	fastcgi_temp_path ${dir}/fastcgi;
	uwsgi_temp_path ${dir}/uwsgi;
	scgi_temp_path ${dir}/scgi;
	keepalive_requests 1000000000;
	keepalive_timeout 600;
	server { listen 127.0.0.1:${port}; location / { return 204; } }
}
`;

/** CPUs this process may use. */
function cpus() {
  const list = fs.readFileSync('/proc/self/status', 'latin1').match(/Cpus_allowed_list:\s*(\S+)/)[1];
  return list.split(',').flatMap((r) => { const [a, b = a] = r.split('-').map(Number); return Array.from({ length: b - a + 1 }, (_, i) => a + i); });
}

/** A command bound to the first or the second CPU; with one CPU alone it stays as it is. */
function on(which, ...command) {
  const all = cpus();
  return all.length > 1 ? ['taskset', '-c', String(all[which]), ...command] : command;
}

async function nginx(dir, port) {
  const conf = path.join(dir, 'nginx.conf');
  fs.writeFileSync(conf, NGINX(dir, port));
  const [cmd, ...args] = on(0, 'nginx', '-p', dir, '-e', path.join(dir, 'error.log'), '-c', conf);
  const p = new Proc(cmd, args, { log: path.join(dir, 'nginx.log'), env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` } });
  const answers = () => new Promise((resolve) => {
    const r = http.request({ host: '127.0.0.1', port, method: 'POST' }, (res) => { res.resume(); resolve(res.statusCode === 204); });
    r.on('error', () => resolve(false)).end('{}');
  });
  await poll(() => {
    if (p.exited) throw new Error(`nginx ended with ${p.code}${p.error ? `: ${p.error.message} (make bench installs it)` : ''}\n${p.tail()}`);
    return answers();
  }, 5000, 'nginx does not answer');
  return p;
}

async function deliver(url, ...args) {
  const [cmd, ...rest] = on(1, path.join(BUILD, 'bench', 'deliver_bench'), url, SECRET, ...args);
  const r = await run(cmd, rest, { timeout: 120000 });
  if (r.code !== 0) throw new Error(`deliver_bench ended with ${r.code}: ${r.out.trim()}`);
  return JSON.parse(r.stdout);
}

/** One request of ours as it comes to a receiver: {headers, body}, of the median length of a call's five. */
async function sample() {
  const seen = [];
  const server = http.createServer((req, res) => {
    let body = '';
    req.setEncoding('utf8').on('data', (d) => { body += d; }).on('end', () => { seen.push({ headers: req.headers, body }); res.writeHead(204).end(); });
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  try {
    await deliver(`http://127.0.0.1:${server.address().port}/hook`, 'events=250');
  } finally {
    server.closeAllConnections();
    server.close();
  }
  return seen.sort((a, b) => a.body.length - b.body.length)[seen.length >> 1];
}

function script(dir, s) {
  const file = path.join(dir, 'post.lua');
  const lua = (t) => `[==[${t}]==]`;
  const own = Object.entries(s.headers).filter(([k]) => !['host', 'connection', 'content-length'].includes(k));
  fs.writeFileSync(file, ['wrk.method = "POST"', `wrk.body = ${lua(s.body)}`, ...own.map(([k, v]) => `wrk.headers[${lua(k)}] = ${lua(v)}`), ''].join('\n'));
  return file;
}

async function wrk(url, lua, seconds) {
  const [cmd, ...args] = on(1, 'bash', '-c', 'TIMEFORMAT="cpu %U %S"; time wrk -t1 -c"$0" -d"$1"s -s "$2" "$3"', String(CONNECTIONS), String(seconds), lua, url);
  const r = await run(cmd, args, { timeout: 60000 });
  const [requests, rate] = [/(\d+) requests in/, /Requests\/sec: +([\d.]+)/].map((x) => Number(r.out.match(x)?.[1]));
  const cpu = r.out.match(/cpu ([\d.]+) ([\d.]+)/);
  if (r.code !== 0 || !rate || !cpu || /Non-2xx|Socket errors/.test(r.out)) throw new Error(`wrk ended with ${r.code} (make bench installs it): ${r.out.trim()}`);
  return { per_second: rate, cpu_us: ((Number(cpu[1]) + Number(cpu[2])) * 1e6) / requests };
}

async function ours(url, events) {
  const r = await deliver(url, `events=${events}`, `concurrency=${CONNECTIONS}`);
  if (r.delivered !== events || r.failed_tries > 0) throw new Error(`not all was delivered: ${JSON.stringify(r)}`);
  return { per_second: r.per_second, cpu_us: r.cpu_us_per_event };
}

/** @param o.rounds, o.seconds of each turn */
export async function webhookVsWrk(ports, dir, o, say) {
  const own = path.join(dir, 'webhook');
  fs.mkdirSync(own, { recursive: true });
  const port = await ports.next();
  const url = `http://127.0.0.1:${port}/hook`;
  const s = await sample();
  const lua = script(own, s);
  const server = await nginx(own, port);
  const runs = [];
  try {
    let events = Math.round((await ours(url, 20000)).per_second * o.seconds);
    await wrk(url, lua, 1);
    for (let i = 0; i < o.rounds; i++) {
      const peer = await wrk(url, lua, o.seconds);
      const mine = await ours(url, events);
      events = Math.round(mine.per_second * o.seconds);
      runs.push({ ours: mine, peer });
    }
  } finally {
    await server.stop();
  }
  const of = (who, what) => median(runs.map((r) => r[who][what]));
  const ratios = (what) => runs.map((r) => r.ours[what] / r.peer[what]);
  const rate = median(ratios('per_second')), cpu = median(ratios('cpu_us'));
  const f = { rate: round(of('ours', 'per_second'), 0), peer: round(of('peer', 'per_second'), 0), cpu: round(of('ours', 'cpu_us')), peerCpu: round(of('peer', 'cpu_us')) };
  say(`  events of ${s.body.length} bytes: ${f.rate} a second, ${f.cpu} µs CPU each; wrk ${f.peer} requests a second, ${f.peerCpu} µs each`);
  say(`  ratio of each round: rate ${ratios('per_second').map((r) => round(r, 2)).join(' ')}; CPU ${ratios('cpu_us').map((r) => round(r, 2)).join(' ')}`);
  return [{
    name: 'webhook_vs_wrk', ours: f.rate, peer: f.peer, peer_name: 'wrk, the same bytes to the same nginx', ratio: round(rate, 3), unit: 'requests a second',
    budget: `≥ ${RATE} × wrk's rate, ≤ ${CPU} × its CPU a request`, holds: rate >= RATE && cpu <= CPU, noise: `± ${round(spread(ratios('per_second')))} %`,
    cpu: { ours: f.cpu, peer: f.peerCpu, ratio: round(cpu, 2), unit: 'µs a request' }, runs,
  }];
}
