// SPDX-License-Identifier: GPL-2.0-or-later
// Certificates of a test's own.
//
//     const t = await certificates(dir, ['127.0.0.1', 'localhost']);    t.ca, t.cert, t.key: files; valid for one day
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { run } from './proc.mjs';

async function openssl(dir, ...args) {
  const r = await run('openssl', args, { cwd: dir });
  if (r.code !== 0) throw new Error(`openssl ${args[0]}: ${r.out.trim()}`);
}

/** A CA, and a server's certificate from it for these names and addresses. */
export async function certificates(dir, names) {
  fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
  const alternatives = names.map((n) => `${net.isIP(n) ? 'IP' : 'DNS'}:${n}`).join(',');
  fs.writeFileSync(path.join(dir, 'server.ext'), `subjectAltName=${alternatives}\nbasicConstraints=CA:FALSE\n`);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await openssl(dir, 'req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '1', '-subj', '/CN=test CA');
  await openssl(dir, 'req', ...key, '-keyout', 'server.key', '-out', 'server.csr', '-subj', `/CN=${names[0]}`);
  await openssl(dir, 'x509', '-req', '-in', 'server.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-out', 'server.pem', '-days', '1', '-extfile', 'server.ext');
  for (const f of ['ca.key', 'server.key']) fs.chmodSync(path.join(dir, f), 0o600);
  return { ca: path.join(dir, 'ca.pem'), cert: path.join(dir, 'server.pem'), key: path.join(dir, 'server.key') };
}
