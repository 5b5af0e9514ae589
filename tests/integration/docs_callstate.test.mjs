// SPDX-License-Identifier: GPL-2.0-or-later
// The reference of callstate against the tables in its code: what one has and the other lacks is a failure.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from '../lib/paths.mjs';
import { test } from '../lib/test.mjs';

const DOC = 'docs/callstate.md';
const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');

/** What stands between `from` and the next `to`. */
function part(file, from, to) {
  const text = read(file);
  const a = text.indexOf(from);
  assert.ok(a >= 0, `${file}: "${from}" is not there: this test must follow the code`);
  const b = text.indexOf(to, a + from.length);
  return text.slice(a, b < 0 ? undefined : b);
}

/** Every first group of the expression; an empty list would compare nothing. */
function all(text, re, what) {
  const found = [...text.matchAll(re)].map((m) => m[1]);
  assert.ok(found.length > 0, `${what}: nothing was found: this test must follow the code`);
  return found;
}

/** Rows of the first table under a heading, cells without backticks. */
function rows(heading) {
  const lines = part(DOC, `\n## ${heading}\n`, '\n## ').split('\n');
  const from = lines.findIndex((l) => l.startsWith('|---'));
  assert.ok(from > 0, `${DOC}: no table under "${heading}"`);
  const table = [];
  for (const l of lines.slice(from + 1)) {
    if (!l.startsWith('|')) break;
    table.push(l.split('|').slice(1, -1).map((c) => c.trim().replaceAll('`', '')));
  }
  return table;
}

function same(documented, coded, what) {
  assert.deepEqual(
    { 'only in the reference': documented.filter((n) => !coded.includes(n)), 'only in the code': coded.filter((n) => !documented.includes(n)) },
    { 'only in the reference': [], 'only in the code': [] }, `${what}: ${DOC} and the code differ`);
  assert.equal(new Set(documented).size, documented.length, `${what}: ${DOC} has a name twice`);
}

const MOD = 'modules/callstate/callstate_mod.c';
const first = (s) => s.split(/[\s(]/)[0];

test('docs_match_the_code_parameters', () => {
  const table = rows('Parameters');
  same(table.map((r) => r[0]), all(part(MOD, 'param_export_t params[]', '};'), /\{"(\w+)", *PARAM_/g, 'params[]'), 'parameters');
  const defaults = part(MOD, 'struct cs_params cs_params = {', '};');
  const bounds = part(MOD, '} bounds[] = {', '};');
  for (const [name, value, range] of table) {
    const d = defaults.match(new RegExp(`\\.${name} *= *(?:str_init\\("([^"]*)"\\)|(\\d+))`));
    assert.ok(d, `${MOD}: ${name} has no default`);
    assert.equal(value, d[1] ?? d[2], `default of ${name}: reference, code`);
    const b = bounds.match(new RegExp(`\\{"${name}",[^,]*, *(\\d+), *(\\d+)\\}`));
    assert.equal(range, b ? `${b[1]} to ${b[2]}` : '', `range of ${name}: reference, code`);
  }
});

test('docs_match_the_code_functions', () => {
  const coded = all(part(MOD, 'cmd_export_t cmds[]', '};'), /\{"(\w+)",/g, 'cmds[]').filter((n) => !n.startsWith('bind_'));
  same(rows('Functions').map((r) => first(r[0])), coded, 'functions');
  const kemi = all(part(MOD, 'sr_kemi_t kemi[]', '};\n'), /str_init\("callstate"\), *str_init\("(\w+)"\)/g, 'kemi[]');
  same(kemi.map((n) => `callstate_${n}`), coded, 'KEMI and script functions');
  const settable = all(part('modules/callstate/cs_func.c', '} settable[] = {', '};'), /\{"(\w+)",/g, 'settable[]');
  const text = part(DOC, 'Names for `callstate_set()`', '\n\n');
  for (const name of settable) assert.ok(text.includes(`\`${name}\``), `${DOC}: callstate_set("${name}") is not described`);
});

test('docs_match_the_code_pseudo_variables', () => {
  const coded = all(part('modules/callstate/core/fields.c', 'cs_fields[] = {', '};'), /\{"(\w+)",/g, 'cs_fields[]');
  same(rows('Pseudo-variables').map((r) => r[0]), [...coded, 'attr.NAME', 'customer.NAME'], 'names of $call()');
});

test('docs_match_the_code_rpc', () => {
  const coded = all(part('modules/callstate/cs_rpc.c', 'rpc_export_t rpc_cmds[]', '};'), /\{"(callstate\.\w+)",/g, 'rpc_cmds[]');
  same(rows('RPC').map((r) => first(r[0])), coded, 'RPC commands');
  const fields = all(part('modules/callstate/cs_rpc.c', 'static void rpc_journal', '\n}'), /add_\w+\(&w, "(\w+)"/g, 'rpc_journal()');
  const text = part(DOC, '`callstate.journal` shows:', '\n## ');
  same([...new Set([...text.matchAll(/^\| (.*?) \|/gm)].flatMap((m) => [...m[1].matchAll(/`(\w+)`/g)].map((n) => n[1])))], [...fields, 'sinks'], 'fields of callstate.journal');
});

test('docs_match_the_code_statistics', () => {
  same(rows('Statistics').map((r) => r[0]), all(part('modules/callstate/cs_stats.c', '#define CS_STATS(X)', '\n\n'), /X\((\w+),/g, 'CS_STATS'), 'statistics');
});

test('docs_match_the_code_states', () => {
  const coded = all(part('modules/common/event.h', '#define SB_STATES(X)', '\n\n'), /X\(\w+, \d+, "(\w+)"\)/g, 'SB_STATES');
  same(rows('States').map((r) => r[0]), coded, 'states');
});
